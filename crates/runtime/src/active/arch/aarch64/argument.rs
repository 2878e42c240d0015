//! What a system call's first argument was, once the call's result has taken its place.
//!
//! The functions that C libraries have around system calls keep their arguments in registers that
//! calls do not change, and copy them a few instructions before the `svc`. That copy is looked for,
//! backwards, over instructions of which it is known what they write. Anything else (a branch, the
//! beginning of the function, an instruction that is not known here), or a branch nearby that leads
//! between the two, and nothing is known.

use crate::active::sys::memory;

/// How many instructions before and behind the `svc` are looked at.
const AROUND: usize = 128;
/// How many instructions may stand between the copy and the `svc`.
const LONGEST: usize = 12;
/// `svc 0`
const CALL: u32 = 0xd400_0001;

/// Where the value was copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This register as it is.
    Whole(usize),
    /// Its lower half, with zeros above.
    Half(usize),
    /// Its lower half, with its sign above.
    Signed(usize),
    /// No register.
    Constant(u64),
}

impl Source {
    /// The value, by the registers x0 to x30.
    pub fn value(self, registers: &[u64; 31]) -> Option<u64> {
        let register = |n: usize| registers.get(n).copied();
        Some(match self {
            Source::Whole(n) => register(n)?,
            Source::Half(n) => u64::from(register(n)? as u32),
            Source::Signed(n) => i64::from(register(n)? as i32) as u64,
            Source::Constant(value) => value,
        })
    }

    fn reads(self, written: u32) -> bool {
        match self {
            Source::Whole(n) | Source::Half(n) | Source::Signed(n) => bit(n) & written != 0,
            Source::Constant(_) => false,
        }
    }
}

/// Where the first argument of the call came from after which a thread goes on at `pc`. May be
/// asked in a signal handler.
pub fn source(pc: usize) -> Option<Source> {
    let mut code = [0u32; 2 * AROUND];
    let before = pc.checked_sub(AROUND * 4)?;
    let (to, size) = (code.as_mut_ptr().cast(), size_of_val(&code));
    // SAFETY: there is as much room.
    let read = unsafe { memory::read(before, to, size) };
    find(code.get(..read / 4)?, AROUND.checked_sub(1)?)
}

/// The same for the `svc` at this index.
fn find(code: &[u32], call: usize) -> Option<Source> {
    if *code.get(call)? != CALL {
        return None;
    }
    // Whatever the argument is copied from must still have the same value. x0 has the result.
    let mut written = bit(0);
    let (at, source) = (call.saturating_sub(LONGEST)..call).rev().find_map(|at| {
        match code.get(at).map(|word| effect(*word)) {
            Some(Effect::Copies(0, source)) => Some(Some((at, source))),
            Some(Effect::Copies(register, _)) => {
                written |= bit(register);
                None
            }
            Some(Effect::Writes(registers)) if registers & 1 == 0 => {
                written |= registers;
                None
            }
            _ => Some(None),
        }
    })??;
    let between = at as isize + 1..=call as isize;
    let led_there = |(at, word): (usize, &u32)| {
        branch_distance(*word).is_some_and(|n| between.contains(&(at as isize + n)))
    };
    let unsure = source.reads(written) || code.iter().enumerate().any(led_there);
    (!unsure).then_some(source)
}

/// What an instruction does, as far as it matters here.
enum Effect {
    /// It gives this register a value.
    Copies(usize, Source),
    /// It writes these registers, one bit each, and goes on with the next instruction.
    Writes(u32),
    /// It is not known.
    Unknown,
}

fn bit(register: usize) -> u32 {
    1 << (register & 31)
}

/// (Arm Architecture Reference Manual, C4.1.)
fn effect(word: u32) -> Effect {
    let register = |from: u32| (word >> from & 31) as usize;
    // Where 31 is the zero register, nothing is written; where it is the stack pointer, what loads
    // count from is another.
    let kept = |registers: u32| Effect::Writes(registers & !bit(31));
    let (to, zero) = (register(0), register(16) == 31);
    match word {
        _ if word & 0xffe0_ffe0 == 0xaa00_03e0 && zero => Effect::Copies(to, Source::Constant(0)),
        _ if word & 0xffe0_ffe0 == 0xaa00_03e0 => Effect::Copies(to, Source::Whole(register(16))),
        _ if word & 0xffe0_ffe0 == 0x2a00_03e0 && zero => Effect::Copies(to, Source::Constant(0)),
        _ if word & 0xffe0_ffe0 == 0x2a00_03e0 => Effect::Copies(to, Source::Half(register(16))),
        _ if word & 0xffff_fc00 == 0x9340_7c00 => Effect::Copies(to, Source::Signed(register(5))),
        _ if word & 0x7f80_0000 == 0x5280_0000 => {
            let shift = (word >> 21 & 3) * 16;
            let value = u64::from(word >> 5 & 0xffff).checked_shl(shift).unwrap_or(0);
            Effect::Copies(to, Source::Constant(value))
        }
        // movn, movk, adr, adrp
        _ if word & 0x7f80_0000 == 0x1280_0000 || word & 0x7f80_0000 == 0x7280_0000 => {
            kept(bit(to))
        }
        _ if word & 0x1f00_0000 == 0x1000_0000 => kept(bit(to)),
        // add and sub of an immediate
        _ if word & 0x1f00_0000 == 0x1100_0000 && to != 31 => kept(bit(to)),
        // Loads and stores of whole registers, of one and of two, that leave their base alone.
        _ if word & 0xbfc0_0000 == 0xb940_0000 => kept(bit(to)),
        _ if word & 0xbfc0_0000 == 0xb900_0000 => kept(0),
        _ if word & 0x7fc0_0000 == 0x2940_0000 => kept(bit(to) | bit(register(10))),
        _ if word & 0x7fc0_0000 == 0x2900_0000 => kept(0),
        _ => Effect::Unknown,
    }
}

/// How many instructions a branch goes on or back; nothing for those that leave the function.
fn branch_distance(word: u32) -> Option<isize> {
    let field = |from: u32, bits: u32| ((word >> from) as i32) << (32 - bits) >> (32 - bits);
    let distance = match word {
        _ if word & 0xfc00_0000 == 0x1400_0000 => field(0, 26),
        _ if word & 0xff00_0000 == 0x5400_0000 => field(5, 19),
        _ if word & 0x7e00_0000 == 0x3400_0000 => field(5, 19),
        _ if word & 0x7e00_0000 == 0x3600_0000 => field(5, 14),
        _ => return None,
    };
    Some(distance as isize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What glibc 2.36 has in `epoll_pwait`, from `mov x0, x21` on.
    const EPOLL: [u32; 6] = [0xaa15_03e0, 0xaa14_03e2, 0xaa13_03e3, 0xd280_0105, 0xd280_02c8, CALL];

    fn of(code: &[u32]) -> Option<Source> {
        let call = code.iter().position(|word| *word == CALL).unwrap();
        find(code, call)
    }

    #[test]
    fn the_copy_of_the_argument_is_found_in_the_forms_that_c_libraries_have() {
        assert_eq!(of(&EPOLL), Some(Source::Whole(21)));
        let copies = [
            (0xaa13_03e0, Source::Whole(19)),
            (0x2a14_03e0, Source::Half(20)),
            (0x9340_7e80, Source::Signed(20)),
            (0xd280_0020, Source::Constant(1)),
            (0xaa1f_03e0, Source::Constant(0)),
        ];
        for (copy, expected) in copies {
            // mov x8, #115; svc 0
            assert_eq!(of(&[copy, 0xd280_0e68, CALL]), Some(expected), "{copy:#x}");
        }
        // mov x0, x21; str x6, [sp]; str w5, [x4, #16]; ldr x1, [sp, #8]; stp x1, x3, [sp];
        // ldp x1, x3, [sp]; add x2, sp, #0
        let between =
            [0xaa15_03e0, 0xf900_03e6, 0xb900_1085, 0xf940_07e1, 0xa900_0fe1, 0xa940_0fe1];
        let code = [&between[..], &[0x9100_03e2, CALL]].concat();
        assert_eq!(of(&code), Some(Source::Whole(21)));
    }

    #[test]
    fn nothing_is_known_where_another_way_may_lead_to_the_call() {
        // A call between, the function's beginning, another write of x0, and of what it was.
        let unknown: [&[u32]; 7] = [
            &[0xaa15_03e0, 0x9400_0010, CALL],
            &[0xd280_02c8, CALL],
            &[0xaa15_03e0, 0xf940_03e0, CALL],
            &[0xaa01_03e0, 0xaa02_03e1, CALL],
            // `sxtw x0, w0`, whose source has the result.
            &[0x9340_7c00, 0xd280_02c8, CALL],
            // `ldp x0, x1, [sp]` and a form that moves its base.
            &[0xaa15_03e0, 0xa940_07e0, CALL],
            &[0xaa15_03e0, 0xa8c1_07e2, CALL],
        ];
        for code in unknown {
            assert_eq!(of(code), None, "{code:x?}");
        }
        assert_eq!(find(&EPOLL, 2), None, "no call");
        // A branch behind the call that leads to the second instruction, and one to the first.
        for (branch, known) in [(0x17ff_fffb, false), (0x17ff_fffa, true)] {
            assert_eq!(of(&[&EPOLL[..], &[branch]].concat()).is_some(), known, "{branch:#x}");
        }
        // cbz, b.eq and tbz before, to the call itself.
        for branch in [0x3400_00c5, 0x5400_00c0, 0x3600_00c0] {
            assert_eq!(of(&[&[branch], &EPOLL[..]].concat()), None, "{branch:#x}");
        }
    }

    #[test]
    fn a_value_is_read_as_the_copy_would_have() {
        let mut registers = [0; 31];
        registers[21] = 0xffff_ffff_8000_0001;
        let value = |source: Source| source.value(&registers);
        assert_eq!(value(Source::Whole(21)), Some(0xffff_ffff_8000_0001));
        assert_eq!(value(Source::Half(21)), Some(0x8000_0001));
        registers[21] = 0x8000_0001;
        assert_eq!(Source::Signed(21).value(&registers), Some(0xffff_ffff_8000_0001));
        assert_eq!(Source::Whole(31).value(&registers), None);
    }
}
