//! The instruction around a relocated field.

use iced_x86::{Instruction, InstructionInfoFactory, OpAccess, Register};

/// The instruction whose bytes include `field`, found by decoding `code` from its start: the
/// code of one function, which the compiler emits without data in between.
pub fn containing(code: &[u8], field: usize) -> Option<Instruction> {
    let mut at = 0;
    loop {
        let instruction = super::decode(code, at)?;
        let end = at + instruction.len();
        if field < end {
            return (field >= at).then_some(instruction);
        }
        at = end;
    }
}

/// A general register that the instruction neither reads nor writes, as its number (0 = rax).
/// Only those that need no REX bit are considered.
pub fn free_register(instruction: &Instruction, taken: &[u8]) -> Option<u8> {
    const CANDIDATES: [(Register, u8); 6] = [
        (Register::RAX, 0),
        (Register::RCX, 1),
        (Register::RDX, 2),
        (Register::RSI, 6),
        (Register::RDI, 7),
        (Register::RBX, 3),
    ];
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let used =
        |r: Register| info.used_registers().iter().any(|u| u.register().full_register() == r);
    CANDIDATES.into_iter().find(|&(r, n)| !used(r) && !taken.contains(&n)).map(|(_, n)| n)
}

/// Whether the instruction depends on the stack pointer or transfers control, so that it cannot
/// run in a thunk that has moved the stack pointer.
pub fn is_bound_to_the_stack(instruction: &Instruction) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    instruction.flow_control() != iced_x86::FlowControl::Next
        || info
            .used_registers()
            .iter()
            .any(|u| u.register().full_register() == Register::RSP && u.access() != OpAccess::None)
}
