//! Rewrites the relocations of copied sections so that they reach what the program has.
//! (ELF for the Arm Architecture, "Relocation types".)
//!
//! Code cannot be written to when it is loaded, and a distance that stands in it cannot reach the
//! program by itself. So distances lead to a word of the patch, and what added the program counter
//! to one loads from there instead.

use anyhow::{bail, ensure};
use hotpatch_protocol::manifest::BindingKind;
use object::elf::{
    R_ARM_ABS32, R_ARM_CALL, R_ARM_GOT_PREL, R_ARM_GOT32 as R_ARM_GOT_BREL,
    R_ARM_GOTOFF as R_ARM_GOTOFF32, R_ARM_JUMP24, R_ARM_MOVT_ABS, R_ARM_MOVT_PREL,
    R_ARM_MOVW_ABS_NC, R_ARM_MOVW_PREL_NC, R_ARM_NONE, R_ARM_PC24, R_ARM_PLT32, R_ARM_PREL31,
    R_ARM_REL32, R_ARM_TARGET1, R_ARM_TARGET2, R_ARM_THM_JUMP19, R_ARM_THM_JUMP24,
    R_ARM_THM_MOVT_ABS, R_ARM_THM_MOVT_PREL, R_ARM_THM_MOVW_ABS_NC, R_ARM_THM_MOVW_PREL_NC,
    R_ARM_THM_PC22 as R_ARM_THM_CALL, RelocationType,
};

use super::distance;
use super::fields::Field;
use super::instruction::{self as insn, IP, NOP, PC};
use crate::target::binary::{Content, Draft, DraftReloc, Encoding, Reloc, Target, Word};
use crate::target::processor::{Bound, Site};

/// Binds one relocation.
pub fn bind(draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<()> {
    match bound {
        _ if site.reloc.r_type == R_ARM_NONE.0 => Ok(()),
        Bound::Local(target) | Bound::Loader(target) => keep(draft, site, target),
        Bound::Image { image, address } => image_reference(draft, site, image, address),
        Bound::ThreadLocalAt(_)
        | Bound::ThreadLocalBehind { .. }
        | Bound::ThreadLocalIn { .. }
        | Bound::ThreadLocalNew(_) => {
            bail!("it uses a thread-local of the system, which is not supported on this processor")
        }
    }
}

fn keep(draft: &mut Draft, site: Site<'_>, target: Target) -> anyhow::Result<()> {
    let Reloc { offset, r_type, addend, .. } = site.reloc;
    let inner = matches!(target, Target::Local { offset, .. } if offset != 0);
    let through_got = [R_ARM_GOT_PREL.0, R_ARM_GOT_BREL.0].contains(&r_type);
    ensure!(!(inner && through_got), "a GOT entry for half a section");
    let code = draft.sections[site.section].content == Content::Code;
    ensure!(!(code && is_fixed(r_type)), FIXED);
    ensure!(Field::of(r_type).is_some(), "relocation type {r_type} is not supported here");
    draft.sections[site.section].relocs.push(DraftReloc { offset, r_type, target, addend });
    Ok(())
}

const FIXED: &str = "the code holds an absolute address; build with -C relocation-model=pic";

/// Whether code that has this must be loaded at one address only.
fn is_fixed(r_type: u32) -> bool {
    const FIXED: [RelocationType; 5] =
        [R_ARM_ABS32, R_ARM_MOVW_ABS_NC, R_ARM_MOVT_ABS, R_ARM_THM_MOVW_ABS_NC, R_ARM_THM_MOVT_ABS];
    FIXED.contains(&RelocationType(r_type))
}

fn image_reference(
    draft: &mut Draft,
    site: Site<'_>,
    image: u32,
    address: u64,
) -> anyhow::Result<()> {
    // Addresses wrap around at 32 bits.
    let word = |value: u64| Word { kind: BindingKind::Address, image, value: value & 0xffff_ffff };
    let place = word(address.wrapping_add_signed(site.reloc.addend));
    let code = draft.sections[site.section].content == Content::Code;
    match RelocationType(site.reloc.r_type) {
        R_ARM_CALL | R_ARM_JUMP24 | R_ARM_PC24 | R_ARM_PLT32 if code => {
            call(draft, site, Encoding::A32, place)
        }
        R_ARM_THM_CALL | R_ARM_THM_JUMP24 | R_ARM_THM_JUMP19 if code => {
            call(draft, site, Encoding::T32, place)
        }
        R_ARM_GOT_PREL if code => {
            let target = draft.word(word(address));
            relocate(draft, site, R_ARM_REL32.0, target)
        }
        R_ARM_GOT_BREL if code => {
            let target = draft.word(word(address));
            relocate(draft, site, R_ARM_GOTOFF32.0, target)
        }
        R_ARM_REL32
        | R_ARM_MOVW_PREL_NC
        | R_ARM_MOVT_PREL
        | R_ARM_THM_MOVW_PREL_NC
        | R_ARM_THM_MOVT_PREL
            if code =>
        {
            distance::load(draft, site, place)
        }
        R_ARM_PREL31 if !code => {
            let target = draft.entry_stub(place, |word| stub(Encoding::A32, word));
            relocate(draft, site, R_ARM_PREL31.0, target)
        }
        R_ARM_TARGET2 if !code => {
            let target = draft.word(word(address));
            relocate(draft, site, R_ARM_REL32.0, target)
        }
        R_ARM_ABS32 | R_ARM_TARGET1 if !code => {
            draft.sections[site.section].content = Content::Writable;
            draft.bindings.push((site.section, site.reloc.offset, place));
            Ok(())
        }
        other if is_fixed(other.0) => bail!(FIXED),
        other => bail!("relocation type {} is not supported here", other.0),
    }
}

fn call(draft: &mut Draft, site: Site<'_>, encoding: Encoding, place: Word) -> anyhow::Result<()> {
    let target = draft.stub_in(Some(encoding), place, |word| stub(encoding, word));
    relocate(draft, site, site.reloc.r_type, target)
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

/// Code that jumps to the address in a word.
pub fn stub(encoding: Encoding, word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
    let reloc = |offset, r_type: RelocationType, addend| DraftReloc {
        offset,
        r_type: r_type.0,
        target: word,
        addend,
    };
    if encoding == Encoding::T32 {
        // `movw ip, …; movt ip, …; add ip, pc; ldr.w pc, [ip]`
        let code = [insn::movw_t32(IP, 0), insn::movt_t32(IP, 0)].concat();
        let code = [&code[..], &[insn::add_pc(IP)], &insn::load_t32(PC, IP), &[NOP]].concat();
        let relocs = vec![reloc(0, R_ARM_THM_MOVW_PREL_NC, -12), reloc(4, R_ARM_THM_MOVT_PREL, -8)];
        return (code.iter().flat_map(|half| half.to_le_bytes()).collect(), relocs);
    }
    // `movw ip, …; movt ip, …; ldr pc, [pc, ip]`
    let code = [insn::movw(IP, 0), insn::movt(IP, 0), insn::load_from_pc(insn::ALWAYS, PC, IP)];
    let relocs = vec![reloc(0, R_ARM_MOVW_PREL_NC, -16), reloc(4, R_ARM_MOVT_PREL, -12)];
    (code.iter().flat_map(|word| word.to_le_bytes()).collect(), relocs)
}
