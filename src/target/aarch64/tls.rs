//! Thread-local access sequences, rewritten to forms that work in a library which is loaded
//! while the program runs: each loads the distance from the thread pointer out of a word.
//! (ELF for the Arm 64-bit Architecture, "Thread-local storage descriptors" and "Relaxations".)

use anyhow::{Context, bail, ensure};
use hotpatch_protocol::manifest::BindingKind;
use object::elf::{
    R_AARCH64_ADR_PREL_PG_HI21, R_AARCH64_LDST64_ABS_LO12_NC, R_AARCH64_TLSDESC_ADD_LO12,
    R_AARCH64_TLSDESC_ADR_PAGE21, R_AARCH64_TLSDESC_CALL, R_AARCH64_TLSDESC_LD64_LO12,
    R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC,
    R_AARCH64_TLSLE_ADD_TPREL_HI12, R_AARCH64_TLSLE_ADD_TPREL_LO12_NC,
    R_AARCH64_TLSLE_LDST8_TPREL_LO12_NC, R_AARCH64_TLSLE_LDST16_TPREL_LO12_NC,
    R_AARCH64_TLSLE_LDST32_TPREL_LO12_NC, R_AARCH64_TLSLE_LDST64_TPREL_LO12_NC, RelocationType,
};

use super::bind::{out_of_line, page_of, read, relocate, set_low_bits, within_page, write};
use super::instruction::{self as insn, IP0, IP1, NOP};
use crate::target::binary::{Draft, DraftReloc, Target, Word};
use crate::target::processor::{Bound, Site};

/// What `add` with both halves of its immediate reaches.
const LOCAL_EXEC_REACH: i64 = 1 << 24;

/// The word with a distance from the thread pointer, and how it is addressed.
#[derive(Debug, Clone, Copy)]
struct Load {
    word: Target,
    page: u32,
    low: u32,
}

/// Binds one relocation of an access to a thread-local.
pub fn bind(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    match RelocationType(site.reloc.r_type) {
        R_AARCH64_TLSDESC_ADR_PAGE21 | R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21 => {
            let load = load(draft, bound)?;
            relocate(draft, site, load.page, load.word)
        }
        R_AARCH64_TLSDESC_LD64_LO12 => {
            // The descriptor's function would be called with x0, in which it returns the distance.
            let found = read(draft, site)?;
            ensure!(insn::is_load_of_address(found) && insn::base(found) == 0, unknown_form(found));
            write(draft, site, insn::load(0, 0));
            let load = load(draft, bound)?;
            relocate(draft, site, load.low, load.word)
        }
        R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC => {
            ensure!(site.reloc.addend == 0, "an offset into a thread-local has an unknown form");
            let load = load(draft, bound)?;
            relocate(draft, site, load.low, load.word)
        }
        R_AARCH64_TLSDESC_ADD_LO12 => {
            let found = read(draft, site)?;
            ensure!(insn::is_add_immediate(found) && insn::base(found) == 0, unknown_form(found));
            set_low_bits(draft, site, inner(site)?)
        }
        R_AARCH64_TLSDESC_CALL => {
            read(draft, site)?;
            write(draft, site, NOP);
            Ok(())
        }
        R_AARCH64_TLSLE_ADD_TPREL_HI12 => local_exec_high(draft, site, bound),
        R_AARCH64_TLSLE_ADD_TPREL_LO12_NC
        | R_AARCH64_TLSLE_LDST8_TPREL_LO12_NC
        | R_AARCH64_TLSLE_LDST16_TPREL_LO12_NC
        | R_AARCH64_TLSLE_LDST32_TPREL_LO12_NC
        | R_AARCH64_TLSLE_LDST64_TPREL_LO12_NC => match bound {
            Bound::ThreadLocalAt(distance) => {
                let distance = local_exec_distance(distance, site)?;
                set_low_bits(draft, site, distance as u64 % 4096)
            }
            _ => set_low_bits(draft, site, inner(site)?),
        },
        other => bail!("thread-local relocation type {} is not supported", other.0),
    }
}

/// Accesses to the thread-locals of a program that is a shared library go on calling the function
/// of a descriptor. Only the loader can make one for such a variable, so it is the library's own.
pub fn of_a_library(
    draft: &mut Draft,
    site: Site<'_>,
    descriptor: Option<u64>,
) -> anyhow::Result<()> {
    let descriptor = || {
        ensure!(site.reloc.addend == 0, "an offset into a thread-local has an unknown form");
        descriptor.context("the library itself has no descriptor for one of its thread-locals")
    };
    match RelocationType(site.reloc.r_type) {
        R_AARCH64_TLSDESC_ADR_PAGE21 => page_of(draft, site, 0, descriptor()?),
        R_AARCH64_TLSDESC_LD64_LO12 | R_AARCH64_TLSDESC_ADD_LO12 => {
            within_page(draft, site, descriptor()?)
        }
        R_AARCH64_TLSDESC_CALL => Ok(()),
        _ => bail!(
            "it was compiled to find a thread-local at a place that only programs have \
             (`-Z tls-model`)"
        ),
    }
}

/// `add xD, xN, :tprel_hi12:x` adds the upper half of a constant, or all of what a word holds:
/// the instruction for the lower half then adds nothing more than the addend.
fn local_exec_high(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    let found = read(draft, site)?;
    ensure!(insn::is_add_immediate(found), unknown_form(found));
    if let Bound::ThreadLocalAt(distance) = bound {
        let distance = local_exec_distance(distance, site)?;
        write(draft, site, insn::with_immediate(found, (distance >> 12) as u32));
        return Ok(());
    }
    let Load { word, page, low } = load(draft, bound)?;
    let (to, from) = (insn::destination(found), insn::base(found));
    let scratch = if to == IP0 || from == IP0 { IP1 } else { IP0 };
    ensure!(to != IP1 || scratch != IP1, unknown_form(found));
    ensure!(from != IP1 || scratch != IP1, unknown_form(found));
    let code = [
        insn::push(scratch),
        insn::adrp(scratch),
        insn::load(scratch, scratch),
        insn::add(to, from, scratch),
        insn::pop(scratch),
    ];
    let relocs = [(4, page), (8, low)].map(|(offset, r_type)| DraftReloc {
        offset,
        r_type,
        target: word,
        addend: 0,
    });
    out_of_line(draft, site, &code, &relocs);
    Ok(())
}

fn unknown_form(found: u32) -> String {
    format!("a thread-local access has an unknown form ({found:#010x})")
}

fn local_exec_distance(distance: i64, site: Site<'_>) -> anyhow::Result<i64> {
    let distance = distance + site.reloc.addend;
    ensure!(
        (0..LOCAL_EXEC_REACH).contains(&distance),
        "a thread-local lies {distance} bytes from the thread pointer, out of reach"
    );
    Ok(distance)
}

/// The offset into the thread-local that an instruction adds itself.
fn inner(site: Site<'_>) -> anyhow::Result<u64> {
    let inner = u64::try_from(site.reloc.addend).ok().filter(|inner| *inner < 4096);
    inner.ok_or_else(|| anyhow::anyhow!("an offset into a thread-local is too large"))
}

/// Where code finds the distance of a thread-local from the thread pointer.
fn load(draft: &mut Draft, bound: Bound) -> anyhow::Result<Load> {
    let plain = |word| Load {
        word,
        page: R_AARCH64_ADR_PREL_PG_HI21.0,
        low: R_AARCH64_LDST64_ABS_LO12_NC.0,
    };
    Ok(match bound {
        Bound::ThreadLocalAt(distance) => plain(draft.constant(distance)),
        Bound::ThreadLocalIn { image, address } => {
            plain(draft.word(Word { kind: BindingKind::Copy, image, value: address }))
        }
        Bound::ThreadLocalNew(target) => {
            let inner = matches!(target, Target::Local { offset, .. } if offset != 0);
            ensure!(!inner, "a thread-local does not stand at the start of its section");
            Load {
                word: target,
                page: R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21.0,
                low: R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC.0,
            }
        }
        other => bail!("{other:?} is no thread-local"),
    })
}
