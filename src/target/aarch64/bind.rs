//! Rewrites the relocations of copied sections so that they reach what the program has.
//! (Relocation types: ELF for the Arm 64-bit Architecture, "Relocation types".)
//!
//! The distance between an address and the start of its 4 KiB page is the same wherever a file is
//! loaded. So only the instruction that makes the page's address (`adrp`) has to be replaced; the
//! one that adds the rest holds a constant, and they need not be found together.

use anyhow::{Context, bail, ensure};
use hotpatch_protocol::manifest::BindingKind;
use object::elf::{
    R_AARCH64_ABS64, R_AARCH64_ADD_ABS_LO12_NC, R_AARCH64_ADR_GOT_PAGE, R_AARCH64_ADR_PREL_LO21,
    R_AARCH64_ADR_PREL_PG_HI21, R_AARCH64_ADR_PREL_PG_HI21_NC, R_AARCH64_CALL26, R_AARCH64_JUMP26,
    R_AARCH64_LD64_GOT_LO12_NC, R_AARCH64_LDST8_ABS_LO12_NC, R_AARCH64_LDST16_ABS_LO12_NC,
    R_AARCH64_LDST32_ABS_LO12_NC, R_AARCH64_LDST64_ABS_LO12_NC, R_AARCH64_LDST128_ABS_LO12_NC,
    R_AARCH64_TLSDESC_ADR_PAGE21, R_AARCH64_TLSDESC_LD64_LO12, RelocationType,
};

use super::instruction::{self as insn, IP0};
use super::tls;
use crate::target::binary::{Content, Draft, DraftReloc, Reloc, Target, Word};
use crate::target::processor::{Bound, Site};

const PAGE: u64 = 4096;

/// Binds one relocation.
pub fn bind(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    match bound {
        Bound::Loader(_) if is_descriptor(site.reloc.r_type) => {
            bail!("a thread-local of a shared library is not supported here")
        }
        Bound::Local(target) | Bound::Loader(target) => keep(draft, site, target),
        Bound::Image { image, address } => image_reference(draft, site, image, address),
        Bound::ThreadLocalBehind { descriptor, .. } => tls::of_a_library(draft, site, descriptor),
        Bound::ThreadLocalAt(_) | Bound::ThreadLocalIn { .. } | Bound::ThreadLocalNew(_) => {
            tls::bind(draft, site, bound)
        }
    }
}

/// Whether code loads the address of a thread-local's descriptor, which in Mach-O is data that has
/// an address like any other.
fn is_descriptor(r_type: u32) -> bool {
    [R_AARCH64_TLSDESC_ADR_PAGE21.0, R_AARCH64_TLSDESC_LD64_LO12.0].contains(&r_type)
}

fn keep(draft: &mut Draft, site: Site<'_>, target: Target) -> anyhow::Result<()> {
    let Reloc { offset, r_type, addend, .. } = site.reloc;
    let through_got = [R_AARCH64_ADR_GOT_PAGE.0, R_AARCH64_LD64_GOT_LO12_NC.0];
    let inner = matches!(target, Target::Local { offset, .. } if offset != 0);
    ensure!(!(inner && through_got.contains(&r_type)), "a GOT entry for half a section");
    draft.sections[site.section].relocs.push(DraftReloc { offset, r_type, target, addend });
    Ok(())
}

fn image_reference(
    draft: &mut Draft,
    site: Site<'_>,
    image: u32,
    address: u64,
) -> anyhow::Result<()> {
    let place = address.wrapping_add_signed(site.reloc.addend);
    let word = |value: u64| Word { kind: BindingKind::Address, image, value };
    let code = draft.sections[site.section].content == Content::Code;
    match RelocationType(site.reloc.r_type) {
        R_AARCH64_CALL26 | R_AARCH64_JUMP26 if code => {
            let target = draft.stub(word(place), stub);
            relocate(draft, site, site.reloc.r_type, target)
        }
        R_AARCH64_ADR_PREL_PG_HI21 | R_AARCH64_ADR_PREL_PG_HI21_NC if code => {
            page_of(draft, site, image, place)
        }
        R_AARCH64_ADR_PREL_LO21 if code => {
            let address = draft.word(word(place));
            load_out_of_line(draft, site, address)
        }
        R_AARCH64_ADD_ABS_LO12_NC
        | R_AARCH64_LDST8_ABS_LO12_NC
        | R_AARCH64_LDST16_ABS_LO12_NC
        | R_AARCH64_LDST32_ABS_LO12_NC
        | R_AARCH64_LDST64_ABS_LO12_NC
        | R_AARCH64_LDST128_ABS_LO12_NC
            if code =>
        {
            within_page(draft, site, place)
        }
        R_AARCH64_ADR_GOT_PAGE | R_AARCH64_TLSDESC_ADR_PAGE21 if code => {
            let target = draft.word(word(address));
            relocate(draft, site, R_AARCH64_ADR_PREL_PG_HI21.0, target)
        }
        R_AARCH64_LD64_GOT_LO12_NC | R_AARCH64_TLSDESC_LD64_LO12 if code => {
            let target = draft.word(word(address));
            relocate(draft, site, R_AARCH64_LDST64_ABS_LO12_NC.0, target)
        }
        R_AARCH64_ABS64 if !code => {
            draft.sections[site.section].content = Content::Writable;
            draft.bindings.push((site.section, site.reloc.offset, word(place)));
            Ok(())
        }
        other => bail!("relocation type {} is not supported here", other.0),
    }
}

/// The instruction at the site comes to make the address of the page with `place`.
pub fn page_of(draft: &mut Draft, site: Site<'_>, image: u32, place: u64) -> anyhow::Result<()> {
    let value = place & !(PAGE - 1);
    let page = draft.word(Word { kind: BindingKind::Address, image, value });
    load_out_of_line(draft, site, page)
}

/// The instruction at the site comes to add what lies between `place` and the start of its page.
pub fn within_page(draft: &mut Draft, site: Site<'_>, place: u64) -> anyhow::Result<()> {
    set_low_bits(draft, site, place % PAGE)
}

/// Makes the relocated field refer to `target` itself.
pub fn relocate(
    draft: &mut Draft,
    site: Site<'_>,
    r_type: u32,
    target: Target,
) -> anyhow::Result<()> {
    let offset = site.reloc.offset;
    draft.sections[site.section].relocs.push(DraftReloc { offset, r_type, target, addend: 0 });
    Ok(())
}

/// The instruction at the site.
pub fn read(draft: &Draft, site: Site<'_>) -> anyhow::Result<u32> {
    let at = site.reloc.offset as usize;
    let code = &draft.sections[site.section].data;
    let bytes = code.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map(|b| u32::from_le_bytes(*b)).context("a relocation lies outside its section")
}

/// Replaces the instruction at the site, which was read before.
pub fn write(draft: &mut Draft, site: Site<'_>, instruction: u32) {
    let at = site.reloc.offset as usize;
    if let Some(field) = draft.sections[site.section].data.get_mut(at..at + 4) {
        field.copy_from_slice(&instruction.to_le_bytes());
    }
}

/// Writes the distance from the page into an `add`, a load or a store.
pub fn set_low_bits(draft: &mut Draft, site: Site<'_>, low: u64) -> anyhow::Result<()> {
    let found = read(draft, site)?;
    let size = match insn::access_size(found) {
        Some(size) => size,
        None if insn::is_add_immediate(found) => 1,
        None => bail!("the instruction {found:#010x} adds an address in an unknown form"),
    };
    ensure!(low.is_multiple_of(size), "an access of {size} bytes is not aligned");
    write(draft, site, insn::with_immediate(found, (low / size) as u32));
    Ok(())
}

/// Replaces `adrp xD, …` by a branch to a thunk that loads xD from a word.
fn load_out_of_line(draft: &mut Draft, site: Site<'_>, word: Target) -> anyhow::Result<()> {
    let found = read(draft, site)?;
    ensure!(insn::is_page_address(found), "the instruction {found:#010x} is no `adrp`");
    let to = insn::destination(found);
    out_of_line(draft, site, &[insn::adrp(to), insn::load(to, to)], &load_relocs(0, word));
    Ok(())
}

/// The relocations of `adrp xN, word; ldr xN, [xN, word]` at `offset`.
fn load_relocs(offset: u64, word: Target) -> [DraftReloc; 2] {
    [(offset, R_AARCH64_ADR_PREL_PG_HI21), (offset + 4, R_AARCH64_LDST64_ABS_LO12_NC)]
        .map(|(offset, r_type)| DraftReloc { offset, r_type: r_type.0, target: word, addend: 0 })
}

/// Replaces the instruction at the site by a branch to `code`, after which the next one runs.
pub fn out_of_line(draft: &mut Draft, site: Site<'_>, code: &[u32], relocs: &[DraftReloc]) {
    let mut bytes = bytes_of(code);
    let mut relocs = relocs.to_vec();
    let next = site.reloc.offset + 4;
    relocs.push(DraftReloc {
        offset: bytes.len() as u64,
        r_type: R_AARCH64_JUMP26.0,
        target: Target::Local { section: site.section, offset: next },
        addend: 0,
    });
    bytes.extend_from_slice(&insn::BRANCH.to_le_bytes());
    let thunk = draft.glue(&bytes, relocs);
    write(draft, site, insn::BRANCH);
    draft.sections[site.section].relocs.push(DraftReloc {
        offset: site.reloc.offset,
        r_type: R_AARCH64_JUMP26.0,
        target: thunk,
        addend: 0,
    });
}

fn bytes_of(code: &[u32]) -> Vec<u8> {
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `adrp x16, word; ldr x16, [x16, word]; br x16`
pub fn stub(word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
    let code = [insn::adrp(IP0), insn::load(IP0, IP0), insn::branch_to_register(IP0)];
    (bytes_of(&code), load_relocs(0, word).to_vec())
}
