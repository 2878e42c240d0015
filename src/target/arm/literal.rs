//! Distances from the program counter. Code has them as literals beside it, or as the halves of
//! `movw` and `movt`, and adds the program counter with an instruction of its own: the *user*.

use super::instruction as insn;
use crate::target::binary::{Encoding, Encodings};

/// The instruction that adds the program counter to a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Where it stands.
    pub at: usize,
    /// Its encoding.
    pub encoding: Encoding,
}

/// Finds the user of a distance at `place`. The distance is to the symbol when the field holds
/// `held`, so that this tells where the processor counts from: 4 bytes behind the user in T32, and 8
/// in A32. (LLVM adds no addend to these, but loads the symbol's address and adds that.)
pub fn user(code: &[u8], encodings: &Encodings, place: u64, held: i64) -> Option<User> {
    let at = |ahead: i64| usize::try_from(place as i64 - held - ahead).ok();
    let is = |at: usize, encoding| encodings.at(at as u64) == Some(encoding);
    let narrow = at(4).filter(|at| is(*at, Encoding::T32));
    if let Some(at) = narrow.filter(|at| half(code, *at).and_then(insn::added_to_pc_t32).is_some())
    {
        return Some(User { at, encoding: Encoding::T32 });
    }
    let wide = at(8).filter(|at| is(*at, Encoding::A32));
    let wide = wide.filter(|at| at % 4 == 0 && word(code, *at).is_some_and(insn::reads_pc));
    wide.map(|at| User { at, encoding: Encoding::A32 })
}

/// A 16-bit part of code.
pub fn half(code: &[u8], at: usize) -> Option<u16> {
    code.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

/// A 32-bit part of code.
pub fn word(code: &[u8], at: usize) -> Option<u32> {
    code.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

/// What stands in front of an instruction of T32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// Where the instruction before it starts.
    pub at: Option<usize>,
    /// Whether it runs under a condition (`it`).
    pub conditional: bool,
}

/// Reads the code from where its encoding begins up to an instruction; none where no instruction
/// starts there.
pub fn before(code: &[u8], encodings: &Encodings, at: usize) -> Option<Before> {
    let begins = |(from, _): &(u64, Encoding)| *from <= at as u64;
    let (from, _) = encodings.iter().take_while(begins).last()?;
    let (mut next, mut found, mut conditional) = (from as usize, Before::default(), 0_usize);
    while next < at {
        let first = half(code, next)?;
        found = Before { at: Some(next), conditional: false };
        conditional = match insn::conditional_after(first) {
            0 => conditional.saturating_sub(1),
            behind => behind,
        };
        next += if insn::is_wide(first) { 4 } else { 2 };
    }
    (next == at).then_some(Before { conditional: conditional > 0, ..found })
}
