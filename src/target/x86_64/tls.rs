//! Thread-local access sequences, rewritten to forms that work in a library which is loaded
//! while the program runs. (ELF Handling For Thread-Local Storage, section 4.4.6 and 5.)

use anyhow::{bail, ensure};
use hotpatch_protocol::manifest::BindingKind;
use object::elf::{
    R_X86_64_DTPOFF32, R_X86_64_GOTTPOFF, R_X86_64_PC32, R_X86_64_TLSGD, R_X86_64_TLSLD,
    RelocationType,
};

use super::thunk::{self, Load};
use crate::target::binary::{Draft, DraftReloc, Word};
use crate::target::processor::{Bound, Site};

/// `mov %fs:0, %rax`
const THREAD_POINTER: [u8; 9] = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];

/// Accesses to the thread-locals of a program that is a shared library stay calls of
/// `__tls_get_addr`, which find them wherever the loader has put them in each thread. Only the
/// two words that say which ones are ours: the linker would make them mean the patch's own.
pub fn of_a_library(draft: &mut Draft, site: Site<'_>, behind: u64) -> anyhow::Result<()> {
    let reloc = site.reloc;
    match RelocationType(reloc.r_type) {
        R_X86_64_TLSGD | R_X86_64_TLSLD => {
            ensure!(reloc.addend == -4, "an offset into a thread-local has an unknown form");
            let target = draft.thread_local_place(behind);
            let (offset, r_type) = (reloc.offset, R_X86_64_PC32.0);
            draft.sections[site.section].relocs.push(DraftReloc {
                offset,
                r_type,
                target,
                addend: -4,
            });
            Ok(())
        }
        R_X86_64_DTPOFF32 => write(draft, site, i64::try_from(behind)?),
        _ => bail!(
            "it was compiled to find a thread-local at a place that only programs have \
             (`-Z tls-model`)"
        ),
    }
}

/// A local-exec field holds the distance from the thread pointer itself.
pub fn local_exec(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    if let Bound::ThreadLocalAt(distance) = bound {
        return write(draft, site, distance);
    }
    let load = load(draft, bound)?;
    let code = &draft.sections[site.section].data;
    let absolute = field >= 2 && code[field - 1] == 0x25 && code[field - 2] & 0xc7 == 0x04;
    if absolute {
        thunk::segment_access(draft, site, load)
    } else {
        thunk::address_of(draft, site, load)
    }
}

/// A local-dynamic field holds a distance from what the sequence before it has found, which in a
/// program is made to be the thread pointer, and in a library is the start of its thread-locals.
pub fn within_block(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    if let Bound::ThreadLocalAt(distance) = bound {
        return write(draft, site, distance);
    }
    let load = load(draft, bound)?;
    thunk::thread_local_address(draft, site, load)
}

fn write(draft: &mut Draft, site: Site<'_>, distance: i64) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let value = i32::try_from(distance + site.reloc.addend)?;
    let data = &mut draft.sections[site.section].data;
    ensure!(field + 4 <= data.len(), "a relocation lies outside its section");
    data[field..field + 4].copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// `mov x@gottpoff(%rip), %r` reads the distance from a word.
pub fn initial_exec(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    ensure!(site.reloc.addend == -4, "an offset into a thread-local has an unknown form");
    let load = load(draft, bound)?;
    draft.sections[site.section].relocs.push(DraftReloc {
        offset: site.reloc.offset,
        r_type: load.r_type,
        target: load.word,
        addend: site.reloc.addend,
    });
    Ok(())
}

/// `data16 lea x@tlsgd(%rip), %rdi; call __tls_get_addr` (16 bytes) becomes
/// `mov %fs:0, %rax; add word(%rip), %rax`.
pub fn general_dynamic(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    ensure!(site.reloc.addend == -4, "an offset into a thread-local has an unknown form");
    let load = load(draft, bound)?;
    let field = site.reloc.offset as usize;
    let data = &mut draft.sections[site.section].data;
    ensure!(field >= 4 && field + 12 <= data.len(), "a thread-local access is cut short");
    let start = field - 4;
    let prefix = [0x66, 0x48, 0x8d, 0x3d];
    let call = &data[field + 4..field + 8];
    let known = [[0x66, 0x66, 0x48, 0xe8], [0x66, 0x48, 0xff, 0x15]];
    if data[start..field] != prefix || !known.iter().any(|k| k == call) {
        bail!("a thread-local access has an unknown form");
    }
    data[start..start + 9].copy_from_slice(&THREAD_POINTER);
    data[start + 9..start + 12].copy_from_slice(&[0x48, 0x03, 0x05]);
    data[start + 12..start + 16].fill(0);
    draft.sections[site.section].relocs.push(DraftReloc {
        offset: start as u64 + 12,
        r_type: load.r_type,
        target: load.word,
        addend: -4,
    });
    Ok(())
}

/// `lea x@tlsld(%rip), %rdi; call __tls_get_addr` becomes `mov %fs:0, %rax`: the fields that
/// follow then hold distances from the thread pointer.
pub fn local_dynamic(draft: &mut Draft, site: Site<'_>) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let data = &mut draft.sections[site.section].data;
    ensure!(field >= 3 && field + 9 <= data.len(), "a thread-local access is cut short");
    let start = field - 3;
    let length = match data[field + 4..field + 6] {
        [0xe8, _] => 12,
        [0xff, 0x15] if field + 10 <= data.len() => 13,
        _ => 0,
    };
    if length == 0 || data[start..field] != [0x48, 0x8d, 0x3d] {
        bail!("a thread-local access has an unknown form");
    }
    let prefixes = length - THREAD_POINTER.len();
    data[start..start + prefixes].fill(0x66);
    data[start + prefixes..start + length].copy_from_slice(&THREAD_POINTER);
    Ok(())
}

/// Where code finds the distance of a thread-local from the thread pointer.
fn load(draft: &mut Draft, bound: Bound) -> anyhow::Result<Load> {
    Ok(match bound {
        Bound::ThreadLocalAt(distance) => {
            Load { word: draft.constant(distance), r_type: R_X86_64_PC32.0 }
        }
        Bound::ThreadLocalIn { image, address } => {
            let word = draft.word(Word { kind: BindingKind::Copy, image, value: address });
            Load { word, r_type: R_X86_64_PC32.0 }
        }
        Bound::ThreadLocalNew(target) => Load { word: target, r_type: R_X86_64_GOTTPOFF.0 },
        other => bail!("{other:?} is no thread-local"),
    })
}
