//! Distances to something of the program: each becomes one to a word of the patch, and what added the
//! program counter to it loads from there.

use anyhow::{Context, ensure};
use object::elf::{
    R_ARM_JUMP24, R_ARM_MOVT_PREL, R_ARM_MOVW_PREL_NC, R_ARM_THM_JUMP24, R_ARM_THM_MOVT_PREL,
    R_ARM_THM_MOVW_PREL_NC,
};

use super::bind::relocate;
use super::fields::Field;
use super::instruction::{self as insn, BRANCH_WIDE, IP, NOP};
use super::literal::{self, User};
use crate::target::binary::{Draft, DraftReloc, Encoding, Target, Word};
use crate::target::processor::Site;

/// Binds a distance that code has.
pub fn load(draft: &mut Draft, site: Site<'_>, place: Word) -> anyhow::Result<()> {
    let r_type = site.reloc.r_type;
    if r_type == R_ARM_MOVT_PREL.0 {
        // The lower half, in front of it, deals with the user.
        let word = draft.word(place);
        return relocate(draft, site, r_type, word);
    }
    if r_type == R_ARM_THM_MOVW_PREL_NC.0 {
        // What replaces the user makes the whole address.
        return Ok(());
    }
    let section = &draft.sections[site.section];
    let at = site.reloc.offset;
    let field = Field::of(r_type).context("a distance in an unknown form")?;
    let bytes = section.data.get(at as usize..).and_then(<[u8]>::first_chunk);
    let held = field.read(*bytes.context("a relocation lies outside its section")?);
    let user = literal::user(&section.data, &section.encodings, at, held)
        .context("nothing adds the program counter to a distance")?;
    match user.encoding {
        Encoding::T32 => load_t32(draft, site, user, place),
        _ => load_a32(draft, site, user, place),
    }
}

/// `add rD, pc, rM` becomes `ldr rD, [pc, rM]`; a load becomes two, out of line.
fn load_a32(draft: &mut Draft, site: Site<'_>, user: User, place: Word) -> anyhow::Result<()> {
    let code = &draft.sections[site.section].data;
    let found = literal::word(code, user.at).context("an instruction outside its section")?;
    let word = draft.word(place);
    if let Some((to, index)) = insn::added_to_pc(found) {
        let load = insn::load_from_pc(found, to, index);
        write(draft, site.section, user.at, &load.to_le_bytes());
        return relocate(draft, site, site.reloc.r_type, word);
    }
    let (code, at) = access_a32(found).with_context(|| {
        format!("the instruction {found:#010x} reaches what it uses in an unknown form")
    })?;
    let end = 4 * code.len() as u64;
    let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    let relocs = vec![
        reloc(at, R_ARM_MOVW_PREL_NC.0, word, -16),
        reloc(at + 4, R_ARM_MOVT_PREL.0, word, -12),
        reloc(end - 4, R_ARM_JUMP24.0, behind(site, user.at + 4), 0),
    ];
    let thunk = draft.glue_in(Some(Encoding::A32), &code, relocs);
    write(draft, site.section, user.at, &insn::branch(found).to_le_bytes());
    let jump = reloc(user.at as u64, R_ARM_JUMP24.0, thunk, 0);
    draft.sections[site.section].relocs.push(jump);
    Ok(())
}

/// Code that does what a load or store relative to the program counter does, with the address in a
/// word; and where in it the word's own address begins.
fn access_a32(found: u32) -> Option<(Vec<u32>, u64)> {
    let address =
        |to| [insn::movw(to, 0), insn::movt(to, 0), insn::load_from_pc(insn::ALWAYS, to, to)];
    let back = insn::branch(insn::ALWAYS);
    if let Some((to, load)) = insn::loaded_from_pc(found) {
        return Some(([&address(to)[..], &[load, back]].concat(), 0));
    }
    let (from, _) = insn::stored_to_pc(found, IP)?;
    let scratch = if from == IP { 0 } else { IP };
    let (_, store) = insn::stored_to_pc(found, scratch)?;
    let save = [insn::push(scratch)];
    let rest = [store, insn::pop(scratch), back];
    Some(([&save[..], &address(scratch), &rest].concat(), 4))
}

/// `add rD, pc` has 16 bits, so that nothing that loads fits there: a branch to code out of line
/// takes its place, together with what brings the distance where that stands in front of it, and
/// otherwise by way of a second branch behind the function.
fn load_t32(draft: &mut Draft, site: Site<'_>, user: User, place: Word) -> anyhow::Result<()> {
    let section = &draft.sections[site.section];
    let (code, at) = (&section.data, user.at);
    let to = literal::half(code, at).and_then(insn::added_to_pc_t32);
    let to = to.context("nothing adds the program counter to a distance")?;
    let before = literal::before(code, &section.encodings, at)
        .context("the code in front of a distance's use cannot be decoded")?;
    ensure!(!before.conditional, "an address is made under a condition");
    let begin = before.at.filter(|from| brings(code, *from, (to, site)));
    let narrow = begin.is_none().then(|| island(draft, site.section, at)).transpose()?;
    let from = narrow.or(begin).unwrap_or(at);
    let thunk = thunk_t32(draft, to, place, behind(site, at + 2));
    write(draft, site.section, from, &halves(&BRANCH_WIDE));
    if begin.is_some() && at + 2 - from == 6 {
        write(draft, site.section, at, &NOP.to_le_bytes());
    }
    let jump = reloc(from as u64, R_ARM_THM_JUMP24.0, thunk, 0);
    draft.sections[site.section].relocs.push(jump);
    Ok(())
}

/// Whether the instruction at `from` loads the distance of this relocation into the register, or
/// completes it there.
fn brings(code: &[u8], from: usize, (to, site): (u32, Site<'_>)) -> bool {
    let place = site.reloc.offset;
    if site.reloc.r_type == R_ARM_THM_MOVT_PREL.0 {
        return from as u64 == place;
    }
    let first = literal::half(code, from).unwrap_or(NOP);
    let second = literal::half(code, from + 2).unwrap_or(NOP);
    insn::literal_load(first, second, from as i64) == Some((to, place as i64))
}

/// Makes room for a branch behind the code, and a branch to there from the instruction at `at`.
fn island(draft: &mut Draft, section: usize, at: usize) -> anyhow::Result<usize> {
    let section = &mut draft.sections[section];
    let end = section.data.len().next_multiple_of(2);
    let branch = insn::branch_narrow(end as i64 - (at as i64 + 4)).with_context(|| {
        format!("an address is made {} bytes in front of its function's end, too far", end - at)
    })?;
    section.data.resize(end, 0);
    section.data.extend_from_slice(&halves(&BRANCH_WIDE));
    section.encodings.set(end as u64, Encoding::T32);
    section.data[at..at + 2].copy_from_slice(&branch.to_le_bytes());
    Ok(end)
}

/// `movw rD, …; movt rD, …; add rD, pc; ldr.w rD, [rD]; b.w back`
fn thunk_t32(draft: &mut Draft, to: u32, place: Word, back: Target) -> Target {
    let word = draft.word(place);
    let code = [insn::movw_t32(to, 0), insn::movt_t32(to, 0)].concat();
    let code = [&code[..], &[insn::add_pc(to)], &insn::load_t32(to, to), &BRANCH_WIDE].concat();
    let relocs = vec![
        reloc(0, R_ARM_THM_MOVW_PREL_NC.0, word, -12),
        reloc(4, R_ARM_THM_MOVT_PREL.0, word, -8),
        reloc(14, R_ARM_THM_JUMP24.0, back, 0),
    ];
    draft.glue_in(Some(Encoding::T32), &halves(&code), relocs)
}

fn reloc(offset: u64, r_type: u32, target: Target, addend: i64) -> DraftReloc {
    DraftReloc { offset, r_type, target, addend }
}

fn behind(site: Site<'_>, offset: usize) -> Target {
    Target::Local { section: site.section, offset: offset as u64 }
}

fn halves(halves: &[u16]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// Replaces code that was read before.
fn write(draft: &mut Draft, section: usize, at: usize, code: &[u8]) {
    if let Some(field) = draft.sections[section].data.get_mut(at..at + code.len()) {
        field.copy_from_slice(code);
    }
}
