//! Tables of instructions before and after binding.

use hotpatch_protocol::manifest::BindingKind;
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use object::elf::{
    R_X86_64_32S, R_X86_64_64, R_X86_64_DTPOFF32, R_X86_64_GOTPCREL, R_X86_64_GOTTPOFF,
    R_X86_64_PC32, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX, R_X86_64_TLSGD, R_X86_64_TLSLD,
    R_X86_64_TPOFF32, RelocationType,
};

use super::X86_64;
use super::bind::{bind, target_distance};
use crate::target::binary::{Content, Draft, DraftSection, Format, Reloc, Target};
use crate::target::processor::{Bound, Site};

/// Offset, type and addend of a relocation.
type At = (u64, RelocationType, i64);

const IMAGE: Bound = Bound::Image { image: 0, address: 0x1000 };

fn text(code: &[u8]) -> String {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = GasFormatter::new();
    let mut lines = Vec::new();
    while decoder.can_decode() {
        let mut line = String::new();
        formatter.format(&decoder.decode(), &mut line);
        lines.push(line);
    }
    lines.join("; ")
}

/// Binds one relocation in `code`; returns the code and the glue behind it, as text.
fn bound(
    code: &[u8],
    (offset, r_type, addend): At,
    to: Bound,
) -> anyhow::Result<(String, String, Draft)> {
    let mut draft = Draft::new(Format::Elf, &X86_64);
    let mut section = DraftSection::new(".text.f", Content::Code, 16);
    section.data = code.to_vec();
    let section = draft.add(section);
    let reloc = Reloc { offset, r_type: r_type.0, symbol: 1, addend };
    bind(&mut draft, Site { section, reloc, following: None }, to)?;
    let glue = draft
        .sections
        .iter()
        .find(|s| s.name == ".text.hotpatch.glue")
        .map(|s| text(&s.data))
        .unwrap_or_default();
    Ok((text(&draft.sections[section].data), glue, draft))
}

#[test]
fn references_to_the_image_keep_their_meaning_and_their_length() {
    let through = "lea -0x80(%rsp),%rsp; push %";
    let cases: [(&[u8], At, &str, &str); 8] = [
        (&[0xe8, 0, 0, 0, 0], (1, R_X86_64_PLT32, -4), "call 5", "jmpq *"),
        (&[0xe9, 0, 0, 0, 0], (1, R_X86_64_PC32, -4), "jmp 5", "jmpq *"),
        (&[0x0f, 0x84, 0, 0, 0, 0], (2, R_X86_64_PLT32, -4), "je 6", "jmpq *"),
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0], (3, R_X86_64_PC32, -4), "mov 7,%rax", ""),
        (&[0x4c, 0x8d, 0x3d, 0, 0, 0, 0], (3, R_X86_64_PC32, -4), "mov 7,%r15", ""),
        (&[0xff, 0x15, 0, 0, 0, 0], (2, R_X86_64_GOTPCREL, -4), "callq *6", ""),
        // addl $1, x(%rip): the immediate lies behind the field
        (&[0x83, 0x05, 0, 0, 0, 0, 0x01], (2, R_X86_64_PC32, -5), "jmp 5; nop; nop", through),
        // mov x(%rip), %eax
        (&[0x8b, 0x05, 0, 0, 0, 0], (2, R_X86_64_PC32, -4), "jmp 5; nop", through),
    ];
    for (code, reloc, expected, glue) in cases {
        let (got, made, _) = bound(code, reloc, IMAGE).unwrap();
        // The formatter writes addresses as numbers; only their form matters here.
        let plain = |s: &str| s.replace("0x", "").replace("$", "");
        assert_eq!(normal(&plain(&got)), normal(expected), "code from {code:x?}");
        assert!(plain(&made).contains(&plain(glue)), "glue from {code:x?}: {made}");
    }
}

/// Addresses as `N`: they are filled by the linker.
fn normal(s: &str) -> String {
    let mut out = String::new();
    let mut last_digit = false;
    let mut previous = ' ';
    for c in s.chars() {
        let digit = c.is_ascii_digit() && !previous.is_ascii_alphabetic() && previous != 'r';
        if !(digit && last_digit) {
            out.push(if digit { 'N' } else { c });
        }
        last_digit = digit;
        previous = c;
    }
    out.replace("h", "")
}

#[test]
fn a_thunk_runs_the_instruction_on_the_word_it_loads() {
    // lock xadd %rax, x+8(%rip)
    let code = [0xf0, 0x48, 0x0f, 0xc1, 0x05, 0, 0, 0, 0];
    let (_, glue, draft) = bound(&code, (5, R_X86_64_PC32, 4), IMAGE).unwrap();
    assert!(glue.contains("push %rcx"), "{glue}");
    assert!(
        glue.contains("lock xadd %rax,(%rcx)") || glue.contains("lock xadd %rax,0(%rcx)"),
        "{glue}"
    );
    let (_, _, word) = draft.bindings[0];
    assert_eq!(word.value, 0x1008, "the addend belongs to the word");
}

#[test]
fn instructions_that_use_the_stack_are_refused() {
    // push x(%rip) and call *x(%rip) on data
    for code in [[0xff, 0x35, 0, 0, 0, 0], [0xff, 0x15, 0, 0, 0, 0]] {
        assert!(bound(&code, (2, R_X86_64_PC32, -4), IMAGE).is_err(), "{code:x?}");
    }
}

#[test]
fn absolute_addresses_in_code_are_refused() {
    let code = [0x48, 0xc7, 0xc0, 0, 0, 0, 0];
    let error = bound(&code, (3, R_X86_64_32S, 0), IMAGE).unwrap_err();
    assert!(error.to_string().contains("relocation-model"), "{error}");
}

#[test]
fn a_pointer_in_data_becomes_a_word_that_the_runtime_fills() {
    let mut draft = Draft::new(Format::Elf, &X86_64);
    let mut section = DraftSection::new(".rodata.t", Content::ReadOnly, 8);
    section.data = vec![0; 16];
    let section = draft.add(section);
    let reloc = Reloc { offset: 8, r_type: R_X86_64_64.0, symbol: 1, addend: 3 };
    bind(&mut draft, Site { section, reloc, following: None }, IMAGE).unwrap();
    assert_eq!(draft.sections[section].content, Content::Writable);
    let (place, offset, word) = draft.bindings[0];
    assert_eq!((place, offset, word.value), (section, 8, 0x1003));
}

#[test]
fn thread_locals_of_the_program_become_constants() {
    let at = Bound::ThreadLocalAt(-0x20);
    // lea x@tpoff(%rax), %rax
    let (code, _, _) =
        bound(&[0x48, 0x8d, 0x80, 0, 0, 0, 0], (3, R_X86_64_TPOFF32, 8), at).unwrap();
    assert_eq!(code, "lea -0x18(%rax),%rax");
    // data16 lea x@tlsgd(%rip), %rdi; data16 data16 rex.W call __tls_get_addr
    let general = [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0];
    let (code, _, draft) = bound(&general, (4, R_X86_64_TLSGD, -4), at).unwrap();
    assert!(
        code.starts_with("mov %fs:0,%rax; add ") || code.starts_with("mov %fs:0x0,%rax; add "),
        "{code}"
    );
    let constants = draft.sections.iter().find(|s| s.name.contains("constants")).unwrap();
    assert_eq!(constants.data, (-0x20i64).to_le_bytes());
    for module in [
        &[0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0][..],
        &[0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0][..],
    ] {
        let (code, _, _) = bound(module, (3, R_X86_64_TLSLD, -4), at).unwrap();
        assert!(code.starts_with("mov %fs:0") && !code.contains(';'), "{code}");
    }
}

#[test]
fn thread_locals_of_a_library_are_asked_for_by_its_own_number() {
    let of_library = |behind| Bound::ThreadLocalBehind { behind, descriptor: None };
    let behind = of_library(0x40);
    // data16 lea x@tlsgd(%rip), %rdi; data16 data16 rex.W call __tls_get_addr
    let general = [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0];
    // lea x@tlsld(%rip), %rdi; call __tls_get_addr
    let local = [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0];
    for (given, site, bound_to, offset) in [
        (&general[..], (4, R_X86_64_TLSGD, -4), behind, 0x40u64),
        (&local[..], (3, R_X86_64_TLSLD, -4), of_library(0), 0),
    ] {
        let (code, _, draft) = bound(given, site, bound_to).unwrap();
        assert!(code.contains("lea ") && code.contains(",%rdi; call"), "{code}");
        let (section, at, word) = draft.bindings[0];
        assert_eq!((word.kind, word.image), (BindingKind::ThreadLocals, 0));
        let pair = &draft.sections[section].data[at as usize..];
        assert_eq!(pair, [0u64.to_le_bytes(), offset.to_le_bytes()].concat());
    }
    // lea x@dtpoff(%rax), %rcx
    let field = [0x48, 0x8d, 0x88, 0, 0, 0, 0];
    let (code, _, _) = bound(&field, (3, R_X86_64_DTPOFF32, 8), behind).unwrap();
    assert_eq!(code, "lea 0x48(%rax),%rcx");
    // mov x@gottpoff(%rip), %rax
    let initial = bound(&[0x48, 0x8b, 0x05, 0, 0, 0, 0], (3, R_X86_64_GOTTPOFF, -4), behind);
    assert!(initial.unwrap_err().to_string().contains("tls-model"));
}

#[test]
fn a_new_thread_local_does_not_count_from_the_librarys_block() {
    let new = Bound::ThreadLocalNew(Target::Local { section: 0, offset: 0 });
    // lea x@dtpoff(%rax), %r9
    let field = [0x4c, 0x8d, 0x88, 0, 0, 0, 0];
    let (code, glue, _) = bound(&field, (3, R_X86_64_DTPOFF32, 4), new).unwrap();
    assert!(code.starts_with("jmp"), "{code}");
    assert!(glue.contains("mov %fs:0,%r9; lea 4(%r9,%rcx),%r9"), "{glue}");
}

#[test]
fn new_thread_locals_are_reached_through_the_loaders_word() {
    let new = Bound::ThreadLocalNew(Target::Local { section: 0, offset: 0 });
    // lea x@tpoff(%rax), %rcx
    let (code, glue, draft) =
        bound(&[0x48, 0x8d, 0x88, 0, 0, 0, 0], (3, R_X86_64_TPOFF32, 4), new).unwrap();
    assert!(code.starts_with("jmp"), "{code}");
    assert!(glue.contains("lea 4(%rax,%rdx),%rcx"), "{glue}");
    let glue = draft.sections.iter().find(|s| s.name.contains("glue")).unwrap();
    assert!(glue.relocs.iter().any(|r| r.r_type == R_X86_64_GOTTPOFF.0));
    // movl %fs:x@tpoff, %eax
    let direct = [0x64, 0x8b, 0x04, 0x25, 0, 0, 0, 0];
    let (_, glue, _) = bound(&direct, (4, R_X86_64_TPOFF32, 0), new).unwrap();
    assert!(
        glue.contains("mov %fs:(%rcx),%eax") || glue.contains("mov %fs:0(%rcx),%eax"),
        "{glue}"
    );
}

#[test]
fn the_distance_of_a_target_counts_from_the_next_instruction() {
    let cases: [(&[u8], u64, i64, i64); 3] = [
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0], 3, 0x14, 0x18),
        (&[0x83, 0x05, 0, 0, 0, 0, 0x01], 2, -5, 0),
        (&[0x90, 0x81, 0x05, 0, 0, 0, 0, 1, 0, 0, 0], 3, -8, 0),
    ];
    for (code, offset, addend, expected) in cases {
        let reloc = Reloc { offset, r_type: R_X86_64_PC32.0, symbol: 0, addend };
        assert_eq!(target_distance(Some(code), &reloc).unwrap(), expected, "{code:x?}");
    }
    let reloc = Reloc { offset: 3, r_type: R_X86_64_REX_GOTPCRELX.0, symbol: 0, addend: -4 };
    assert_eq!(target_distance(Some(&[]), &reloc).unwrap(), -4);
}
