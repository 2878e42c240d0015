//! Out-of-line replacements for single instructions whose operand is too far away for a 32-bit
//! displacement. A thunk keeps all registers and flags, and steps over the red zone.

use anyhow::{Context, bail};
use iced_x86::Instruction;
use object::elf::R_X86_64_PC32;

use super::instruction;
use crate::target::binary::{Draft, DraftReloc, Target};
use crate::target::processor::Site;

/// `lea -128(%rsp), %rsp`
const OVER_RED_ZONE: [u8; 5] = [0x48, 0x8d, 0x64, 0x24, 0x80];
/// `lea 128(%rsp), %rsp`
const BACK: [u8; 8] = [0x48, 0x8d, 0xa4, 0x24, 0x80, 0x00, 0x00, 0x00];

/// Moves an instruction with a RIP-relative operand into a thunk that reaches the operand
/// through the address in `word`.
pub fn memory_access(draft: &mut Draft, site: Site<'_>, word: Target) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let original = original(draft, site)?;
    let (start, bytes) = bytes_of(draft, site, &original);
    let scratch = scratch(&original, &[])?;
    let modrm = (field - start).checked_sub(1).context("an operand without a ModRM byte")?;
    anyhow::ensure!(bytes[modrm] & 0xc7 == 0x05, "a relocated operand is not RIP-relative");
    let mut moved = bytes.clone();
    moved[modrm] = (bytes[modrm] & 0x38) | 0x80 | scratch;
    moved[modrm + 1..modrm + 5].fill(0);
    let load = Load { word, r_type: R_X86_64_PC32.0 };
    emit(draft, site, (start, bytes.len()), Body { scratch, load, moved })
}

/// Moves an instruction with an operand `%fs:disp32` into a thunk that takes the displacement
/// from a word.
pub fn segment_access(draft: &mut Draft, site: Site<'_>, load: Load) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let original = original(draft, site)?;
    let (start, bytes) = bytes_of(draft, site, &original);
    let scratch = scratch(&original, &[])?;
    let at = field - start;
    anyhow::ensure!(
        at >= 2 && bytes[at - 2] & 0xc7 == 0x04 && bytes[at - 1] == 0x25,
        "a thread-local operand has an unknown form"
    );
    let mut moved = bytes[..at - 2].to_vec();
    moved.push((bytes[at - 2] & 0x38) | 0x80 | scratch);
    moved.extend_from_slice(&(site.reloc.addend as i32).to_le_bytes());
    moved.extend_from_slice(&bytes[at + 4..]);
    emit(draft, site, (start, bytes.len()), Body { scratch, load, moved })
}

/// Moves `lea disp32(%base), %to` into a thunk that takes the displacement from a word.
pub fn address_of(draft: &mut Draft, site: Site<'_>, load: Load) -> anyhow::Result<()> {
    address(draft, site, load, |lea, _| lea.to_vec())
}

/// The same where the displacement counts from the thread pointer, whatever `%base` is.
pub fn thread_local_address(draft: &mut Draft, site: Site<'_>, load: Load) -> anyhow::Result<()> {
    address(draft, site, load, |lea, (high, to)| {
        // mov %fs:0, %to; lea disp32(%to,%scratch), %to
        let mut code = vec![0x64, 0x48 | (high << 2), 0x8b, 0x04 | (to << 3), 0x25, 0, 0, 0, 0];
        code.extend([0x48 | (high << 2) | high, 0x8d, lea[2], (lea[3] & 0x38) | to]);
        code.extend_from_slice(&lea[4..]);
        code
    })
}

/// `body` gets the `lea` with the scratch register added to its base, and the register that it
/// writes: whether that is one of the upper eight, and which of its eight.
fn address(
    draft: &mut Draft,
    site: Site<'_>,
    load: Load,
    body: impl FnOnce(&[u8], (u8, u8)) -> Vec<u8>,
) -> anyhow::Result<()> {
    let field = site.reloc.offset as usize;
    let original = original(draft, site)?;
    let (start, bytes) = bytes_of(draft, site, &original);
    let at = field - start;
    let plain = at == 3
        && bytes[0] & 0xf8 == 0x48
        && bytes[1] == 0x8d
        && bytes[2] & 0xc0 == 0x80
        && bytes[2] & 7 != 4;
    if !plain {
        bail!("a thread-local operand has an unknown form");
    }
    let scratch = scratch(&original, &[])?;
    // base + scratch*1 + disp32: the same REX, ModRM with a SIB byte after it.
    let mut lea = vec![bytes[0], 0x8d, (bytes[2] & 0x38) | 0x84, (scratch << 3) | (bytes[2] & 7)];
    lea.extend_from_slice(&(site.reloc.addend as i32).to_le_bytes());
    let moved = body(&lea, ((bytes[0] >> 2) & 1, (bytes[2] >> 3) & 7));
    emit(draft, site, (start, bytes.len()), Body { scratch, load, moved })
}

/// How a thunk fills its scratch register: `mov word(%rip), %scratch` with this relocation.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The word, or the symbol whose GOT entry is meant.
    pub word: Target,
    /// PC-relative or GOTTPOFF.
    pub r_type: u32,
}

struct Body {
    scratch: u8,
    load: Load,
    moved: Vec<u8>,
}

fn original(draft: &Draft, site: Site<'_>) -> anyhow::Result<Instruction> {
    let code = &draft.sections[site.section].data;
    let found = instruction::containing(code, site.reloc.offset as usize)
        .context("the code around a relocation cannot be decoded")?;
    if instruction::is_bound_to_the_stack(&found) {
        bail!("`{:?}` on data of the program cannot be moved", found.mnemonic());
    }
    Ok(found)
}

fn bytes_of(draft: &Draft, site: Site<'_>, instruction: &Instruction) -> (usize, Vec<u8>) {
    let start = instruction.ip() as usize;
    let code = &draft.sections[site.section].data;
    (start, code[start..start + instruction.len()].to_vec())
}

fn scratch(instruction: &Instruction, taken: &[u8]) -> anyhow::Result<u8> {
    instruction::free_register(instruction, taken).context("no free register for a thunk")
}

fn emit(
    draft: &mut Draft,
    site: Site<'_>,
    (start, length): (usize, usize),
    body: Body,
) -> anyhow::Result<()> {
    anyhow::ensure!(length >= 5, "an instruction is too short to be moved");
    let Body { scratch, load, moved } = body;
    let mut code = OVER_RED_ZONE.to_vec();
    code.push(0x50 + scratch);
    code.extend_from_slice(&[0x48, 0x8b, 0x05 | (scratch << 3)]);
    let load_at = code.len() as u64;
    code.extend_from_slice(&[0; 4]);
    code.extend_from_slice(&moved);
    code.push(0x58 + scratch);
    code.extend_from_slice(&BACK);
    code.push(0xe9);
    let back_at = code.len() as u64;
    code.extend_from_slice(&[0; 4]);
    let r_type = R_X86_64_PC32.0;
    let resume = Target::Local { section: site.section, offset: (start + length) as u64 };
    let thunk = draft.glue(
        &code,
        vec![
            DraftReloc { offset: load_at, r_type: load.r_type, target: load.word, addend: -4 },
            DraftReloc { offset: back_at, r_type, target: resume, addend: -4 },
        ],
    );
    let section = &mut draft.sections[site.section];
    section.data[start] = 0xe9;
    section.data[start + 1..start + 5].fill(0);
    section.data[start + 5..start + length].fill(0x90);
    let offset = start as u64 + 1;
    section.relocs.push(DraftReloc { offset, r_type, target: thunk, addend: -4 });
    Ok(())
}
