//! Rewrites the relocations of copied sections so that they reach what the program has.
//! (Relocation types: System V ABI, AMD64 supplement, table 4.9.)

use anyhow::{Context, bail};
use hotpatch_protocol::manifest::BindingKind;
use object::elf::{
    R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_DTPOFF32, R_X86_64_DTPOFF64,
    R_X86_64_GOTPC32_TLSDESC, R_X86_64_GOTPCREL, R_X86_64_GOTPCRELX, R_X86_64_GOTTPOFF,
    R_X86_64_PC32, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX, R_X86_64_TLSGD, R_X86_64_TLSLD,
    R_X86_64_TPOFF32,
};

use super::{instruction, thunk, tls};
use crate::target::binary::{Content, Draft, DraftReloc, Reloc, Target, Word};
use crate::target::processor::{Bound, Site};

/// Binds one relocation; returns true where it also dealt with the following one (the call of a
/// thread-local access sequence).
///
/// # Errors
/// Where the code uses a form that cannot be bound; the message says which and why.
pub fn bind(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<bool> {
    match bound {
        Bound::Loader(_) if site.reloc.r_type == R_X86_64_GOTPC32_TLSDESC.0 => {
            bail!("a thread-local of a shared library is not supported here")
        }
        Bound::Local(target) | Bound::Loader(target) => {
            keep(draft, site, target)?;
            Ok(false)
        }
        Bound::Image { image, address } => {
            image_reference(draft, site, image, address)?;
            Ok(false)
        }
        Bound::ThreadLocalBehind { behind, .. } => {
            tls::of_a_library(draft, site, behind)?;
            Ok(false)
        }
        Bound::ThreadLocalAt(_) | Bound::ThreadLocalIn { .. } | Bound::ThreadLocalNew(_) => {
            match object::elf::RelocationType(site.reloc.r_type) {
                R_X86_64_TLSGD => tls::general_dynamic(draft, site, bound).map(|()| true),
                R_X86_64_TLSLD => tls::local_dynamic(draft, site).map(|()| true),
                R_X86_64_GOTTPOFF => tls::initial_exec(draft, site, bound).map(|()| false),
                R_X86_64_TPOFF32 => tls::local_exec(draft, site, bound).map(|()| false),
                R_X86_64_DTPOFF32 => tls::within_block(draft, site, bound).map(|()| false),
                other => bail!("thread-local relocation type {} is not supported", other.0),
            }
        }
    }
}

/// Whether the following relocation belongs to a sequence that starts here and needs no symbol
/// of its own (`__tls_get_addr`).
pub fn is_local_dynamic(r_type: u32) -> bool {
    r_type == R_X86_64_TLSLD.0
}

/// Whether the relocation asks for a full pointer in data.
pub fn is_absolute(r_type: u32) -> bool {
    r_type == R_X86_64_64.0
}

/// Whether a relocation in debug information names an address or a place in another debug
/// section (and not, for one, an offset in a thread-local block).
pub fn is_debug_reference(r_type: u32) -> bool {
    [R_X86_64_64.0, R_X86_64_32.0].contains(&r_type)
}

/// How many bytes a relocation in debug information writes.
pub fn field_width(r_type: u32) -> usize {
    if [R_X86_64_64.0, R_X86_64_DTPOFF64.0].contains(&r_type) { 8 } else { 4 }
}

/// How far behind the symbol's address the target of a relocation lies, in bytes: the addend
/// of a PC-relative field counts from the field, the processor from the next instruction.
pub fn target_distance(draft_code: Option<&[u8]>, reloc: &Reloc) -> anyhow::Result<i64> {
    let pc_relative = [R_X86_64_PC32.0, R_X86_64_PLT32.0].contains(&reloc.r_type);
    match draft_code {
        Some(code) if pc_relative => Ok(reloc.addend + field_to_next(code, reloc.offset)?),
        _ => Ok(reloc.addend),
    }
}

/// Whether a relocation in code belongs to a call or a jump.
pub fn is_call(code: &[u8], reloc: &Reloc) -> bool {
    let at = reloc.offset as usize;
    let before = |bytes: usize| at.checked_sub(bytes).and_then(|from| code.get(from..at));
    match object::elf::RelocationType(reloc.r_type) {
        R_X86_64_PLT32 => true,
        R_X86_64_PC32 => matches!(before(1), Some([0xe8 | 0xe9])),
        R_X86_64_GOTPCREL | R_X86_64_GOTPCRELX => matches!(before(2), Some([0xff, 0x15 | 0x25])),
        _ => false,
    }
}

/// Whether a PC-relative relocation in code only reads or writes memory (and does not take the
/// target's address), so that a copy of immutable data serves as well.
pub fn is_plain_access(code: &[u8], reloc: &Reloc) -> bool {
    let at = reloc.offset as usize;
    reloc.r_type == R_X86_64_PC32.0 && !is_call_or_jump(code, at) && !is_lea(code, at)
}

fn keep(draft: &mut Draft, site: Site<'_>, target: Target) -> anyhow::Result<()> {
    let Reloc { offset, r_type, addend, .. } = site.reloc;
    // A GOT entry holds a symbol's address; the addend belongs to the instruction.
    let through_got = [R_X86_64_GOTPCREL.0, R_X86_64_GOTPCRELX.0, R_X86_64_REX_GOTPCRELX.0];
    let inner = matches!(target, Target::Local { offset, .. } if offset != 0);
    anyhow::ensure!(!(inner && through_got.contains(&r_type)), "a GOT entry for half a section");
    draft.sections[site.section].relocs.push(DraftReloc { offset, r_type, target, addend });
    Ok(())
}

fn field_to_next(code: &[u8], field: u64) -> anyhow::Result<i64> {
    if is_call_or_jump(code, field as usize) || is_lea(code, field as usize) {
        return Ok(4);
    }
    let found = instruction::containing(code, field as usize)
        .context("the code around a relocation cannot be decoded")?;
    Ok(found.next_ip() as i64 - field as i64)
}

fn byte(code: &[u8], at: usize, back: usize) -> Option<u8> {
    at.checked_sub(back).and_then(|i| code.get(i)).copied()
}

/// `call rel32`, `jmp rel32`, `jcc rel32`.
fn is_call_or_jump(code: &[u8], field: usize) -> bool {
    match byte(code, field, 1) {
        Some(0xe8 | 0xe9) => true,
        Some(0x80..=0x8f) => byte(code, field, 2) == Some(0x0f),
        _ => false,
    }
}

/// `lea x(%rip), %r64`.
fn is_lea(code: &[u8], field: usize) -> bool {
    let rex = byte(code, field, 3).is_some_and(|b| b & 0xf8 == 0x48);
    rex && byte(code, field, 2) == Some(0x8d)
        && byte(code, field, 1).is_some_and(|modrm| modrm & 0xc7 == 0x05)
}

fn image_reference(
    draft: &mut Draft,
    site: Site<'_>,
    image: u32,
    address: u64,
) -> anyhow::Result<()> {
    let reloc = site.reloc;
    let word = |distance: i64| Word {
        kind: BindingKind::Address,
        image,
        value: address.wrapping_add_signed(distance),
    };
    let code = draft.sections[site.section].content == Content::Code;
    match object::elf::RelocationType(reloc.r_type) {
        R_X86_64_PC32 | R_X86_64_PLT32 if code => pc_relative(draft, site, word),
        // In Mach-O a thread-local's descriptor is data that has an address like any other.
        R_X86_64_GOTPCREL
        | R_X86_64_GOTPCRELX
        | R_X86_64_REX_GOTPCRELX
        | R_X86_64_GOTPC32_TLSDESC
            if code =>
        {
            let target = draft.word(word(0));
            let r_type = R_X86_64_PC32.0;
            draft.sections[site.section].relocs.push(DraftReloc {
                offset: reloc.offset,
                r_type,
                target,
                addend: reloc.addend,
            });
            Ok(())
        }
        R_X86_64_64 if !code => {
            draft.sections[site.section].content = Content::Writable;
            draft.bindings.push((site.section, reloc.offset, word(reloc.addend)));
            Ok(())
        }
        R_X86_64_32 | R_X86_64_32S => {
            bail!("the code holds a 32-bit absolute address; build with -C relocation-model=pic")
        }
        other => bail!("relocation type {} is not supported here", other.0),
    }
}

fn pc_relative(
    draft: &mut Draft,
    site: Site<'_>,
    word: impl Fn(i64) -> Word,
) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let code = &draft.sections[site.section].data;
    let distance = target_distance(Some(code), &site.reloc)?;
    let r_type = R_X86_64_PC32.0;
    if is_call_or_jump(code, field) {
        let target = draft.stub(word(distance), stub);
        let reloc = DraftReloc { offset: site.reloc.offset, r_type, target, addend: -4 };
        draft.sections[site.section].relocs.push(reloc);
        return Ok(());
    }
    if is_lea(code, field) {
        let target = draft.word(word(distance));
        let section = &mut draft.sections[site.section];
        // `mov word(%rip), %r64` in the place of `lea`: same length, same operand bytes.
        section.data[field - 2] = 0x8b;
        section.relocs.push(DraftReloc { offset: site.reloc.offset, r_type, target, addend: -4 });
        return Ok(());
    }
    let target = draft.word(word(distance));
    thunk::memory_access(draft, site, target)
}

/// `jmp *word(%rip); ud2`.
pub fn stub(word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
    let code = vec![0xff, 0x25, 0, 0, 0, 0, 0x0f, 0x0b];
    let reloc = DraftReloc { offset: 2, r_type: R_X86_64_PC32.0, target: word, addend: -4 };
    (code, vec![reloc])
}
