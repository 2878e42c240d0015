//! AArch64: detours are one branch to an island, which jumps on through a slot.
//!
//! Every instruction is four aligned bytes, so an entry changes as a whole and no thread can be in
//! the middle of it. What has to be looked after is that processors fetch instructions through
//! caches of their own. (Arm Architecture Reference Manual, B2.2.5, "Concurrent modification and
//! execution of instructions".)

mod argument;

use std::arch::asm;

use super::{Call, Registers};

/// How many bytes of an entry are overwritten.
pub const JUMP_SIZE: usize = 4;
/// How far apart islands are.
pub const ISLAND_SIZE: usize = 16;
/// From an island to its gate: a slot that leads there keeps its callers until it leads elsewhere.
pub const GATE_OFFSET: usize = 8;
/// `b .`, a jump to itself: whoever comes to an entry that begins with it waits there.
pub const GATE: [u8; 4] = BRANCH.to_le_bytes();
/// What stands in the place of an island that cannot reach its slot: `udf #0`.
pub const NO_ISLAND: [u8; ISLAND_SIZE] = [0; ISLAND_SIZE];
/// `e_machine` of this processor's ELF files.
pub const ELF_MACHINE: u16 = 183;
/// The property of a file whose code may only be entered at landing pads, and its bit:
/// `GNU_PROPERTY_AARCH64_FEATURE_1_AND` and `GNU_PROPERTY_AARCH64_FEATURE_1_BTI`.
pub const LANDING_PADS: Option<(u32, u32)> = Some((0xc000_0000, 1));
/// What call frame information has beyond its standard: that a return address is signed.
pub const VENDOR: gimli::Vendor = gimli::Vendor::AArch64;
/// How many registers are numbered in call frame information. The return address is in one of them.
pub const REGISTERS: usize = 32;
/// The number of the stack pointer there.
pub const STACK_POINTER: u16 = 31;
/// How far a branch reaches in either direction, with room to spare for the island's own size.
pub const REACH: usize = 0x7ff_0000;

/// Calls that only older processors have.
pub const OLDER_CALLS: [libc::c_long; 0] = [];

const EINTR: u64 = 4;
/// `b` with no distance.
const BRANCH: u32 = 0x1400_0000;
/// The gate of an island: `b` back to the island.
const ISLAND_GATE: u32 = 0x17ff_fffe;
/// `ldr x16, …` with no distance. Calls may go through x16, so no caller expects it to be kept.
const LOAD: u32 = 0x5800_0010;
/// `br x16`
const JUMP: u32 = 0xd61f_0200;
/// `brk` without its number, which is what debuggers write for a breakpoint.
const BREAKPOINT: u32 = 0xd420_0000;

/// The register that a call puts its return address into.
const LINK: u16 = 30;

/// Takes the registers at the first instruction behind a call back to the call, and gives where it
/// returns to: that is still in its register.
pub fn undo_call(
    registers: &mut Registers,
    _word: impl Fn(usize) -> Option<usize>,
) -> Option<usize> {
    registers.value(LINK)
}

/// The branch that stands at `from` and goes to `to`, if it reaches.
pub fn jump(from: usize, to: usize) -> Option<[u8; JUMP_SIZE]> {
    let distance = to.wrapping_sub(from) as isize;
    let reaches = distance % 4 == 0 && (-0x800_0000..0x800_0000).contains(&distance);
    reaches.then(|| (BRANCH | ((distance >> 2) as u32 & 0x3ff_ffff)).to_le_bytes())
}

/// The island that stands at `at` and goes where the eight bytes at `slot` say.
pub fn island(at: usize, slot: usize) -> Option<[u8; ISLAND_SIZE]> {
    let distance = slot.wrapping_sub(at) as isize;
    if distance % 4 != 0 || !(-0x10_0000..0x10_0000).contains(&distance) {
        return None;
    }
    let load = LOAD | (((distance >> 2) as u32 & 0x7_ffff) << 5);
    let mut island = NO_ISLAND;
    for (to, word) in island.chunks_exact_mut(4).zip([load, JUMP, ISLAND_GATE]) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    Some(island)
}

/// Where the island of this entry should be: no place is better than another, since a breakpoint
/// is as long as the branch.
pub fn best_island(_: usize) -> Option<usize> {
    None
}

/// True where an entry at this address can be closed with one store that every processor sees as a
/// whole.
pub fn can_be_closed(entry: usize) -> bool {
    entry % 4 == 0
}

/// True where these bytes of an entry may have been written by a debugger.
pub fn may_have_breakpoint(entry: &[u8; JUMP_SIZE]) -> bool {
    u32::from_le_bytes(*entry) & 0xffe0_001f == BREAKPOINT
}

/// Makes all processors fetch instructions at these places from memory, once each has thrown away
/// what it has fetched ahead.
pub fn written(start: usize, length: usize) {
    let sizes: usize;
    // SAFETY: the register tells the sizes of cache lines, and may be read by programs.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) sizes, options(nomem, nostack)) };
    let (data, code) = (4usize << (sizes >> 16 & 15), 4usize << (sizes & 15));
    let end = start.wrapping_add(length);
    for line in (start & !(data - 1)..end).step_by(data) {
        // SAFETY: writing a cache line back to memory changes nothing that a program can see.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: barriers change nothing.
    unsafe { asm!("dsb ish", options(nostack)) };
    for line in (start & !(code - 1)..end).step_by(code) {
        // SAFETY: as above, for a line of instructions.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: barriers change nothing.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}

/// Makes a system call without libc: no `errno`, no cancellation, nothing that could be locked.
///
/// # Safety
/// As the system call itself.
#[inline(always)]
pub unsafe fn syscall(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the instruction returns in x0 and keeps the others; the rest is the caller's.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as isize,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    result
}

/// The address that a return goes to, from what is on the stack for it: that may be signed.
pub fn return_address(kept: usize) -> usize {
    let plain;
    // SAFETY: `xpaclri` changes x30 alone, and is no operation where there are no signatures.
    unsafe { asm!("hint #7", inlateout("x30") kept => plain, options(nomem, nostack)) };
    plain
}

/// Throws away whatever the processor has fetched ahead.
pub fn serialize() {
    // SAFETY: the barrier changes nothing.
    unsafe { asm!("isb", options(nostack)) };
}

/// The kernel's `struct ucontext`, up to the part that is read here.
#[repr(C)]
pub struct Context {
    flags: u64,
    link: u64,
    stack: [u64; 3],
    mask: u64,
    reserved: [u64; 16],
    fault_address: u64,
    registers: [u64; 31],
    sp: u64,
    pc: u64,
}

impl Context {
    /// Where the thread was interrupted.
    pub fn pc(&self) -> usize {
        self.pc as usize
    }

    /// The interrupted thread's registers.
    pub fn registers(&self) -> Registers {
        let mut values = [None; REGISTERS];
        for (to, from) in values.iter_mut().zip(self.registers.iter().chain([&self.sp])) {
            *to = Some(*from as usize);
        }
        Registers { pc: self.pc(), values }
    }

    /// The signals that are blocked once the handler returns.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// True where the thread was in a system call that now says `EINTR`.
    pub fn was_interrupted(&self) -> bool {
        self.registers[0] == EINTR.wrapping_neg()
    }

    /// Never true: the result of a call takes the place of its first argument, so that it would not
    /// be noticed where the thread has made another call from the same place.
    pub fn is_in(&self, _: &Call) -> bool {
        false
    }

    /// The interrupted call's number, where its first argument is known as well.
    pub fn call_number(&self) -> Option<usize> {
        self.first_argument().map(|_| self.registers[8] as usize)
    }

    /// Lets the thread make the call again when the handler returns.
    pub fn repeat(&mut self, _: usize) {
        if let Some(argument) = self.first_argument() {
            self.registers[0] = argument;
            self.pc = self.pc.wrapping_sub(4);
        }
    }

    fn first_argument(&self) -> Option<u64> {
        argument::source(self.pc())?.value(&self.registers)
    }
}

/// True where a call like this can be made again although its result has taken the place of its
/// first argument.
pub fn keeps_arguments(call: &Call) -> bool {
    argument::source(call.pc).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_holds_the_distance_in_words_as_far_as_it_reaches() {
        let branch = |from, to| jump(from, to).map(u32::from_le_bytes);
        assert_eq!(branch(0x1000, 0x1000).map(u32::to_le_bytes), Some(GATE));
        assert_eq!(branch(0x1000, 0x1004), Some(0x1400_0001));
        assert_eq!(branch(0x1004, 0x1000), Some(0x17ff_ffff));
        let far = 0x5555_5555_0000;
        assert_eq!(branch(far, far + 0x7ff_fffc), Some(0x15ff_ffff));
        assert_eq!(branch(far, far - 0x800_0000), Some(0x1600_0000));
        assert_eq!(branch(far, far + 0x800_0000), None);
        assert_eq!(branch(far, far - 0x800_0004), None);
        assert_eq!(branch(far, far + 2), None);
        assert!(REACH < 0x800_0000);
    }

    #[test]
    fn an_island_loads_its_slot_and_its_gate_leads_back() {
        let word = |island: [u8; ISLAND_SIZE], at: usize| {
            u32::from_le_bytes([island[at], island[at + 1], island[at + 2], island[at + 3]])
        };
        let near = island(0x1000, 0x1010).unwrap();
        assert_eq!((word(near, 0), word(near, 4)), (0x5800_0090, 0xd61f_0200));
        assert_eq!(jump(0x1000 + GATE_OFFSET, 0x1000), Some(word(near, GATE_OFFSET).to_le_bytes()));
        assert_eq!(word(island(0x10_1000, 0x1000).unwrap(), 0), 0x5880_0010);
        assert_eq!(word(island(0x1000, 0x10_0ffc).unwrap(), 0), 0x587f_fff0);
        assert_eq!(island(0x1000, 0x10_1000), None);
    }

    #[test]
    fn an_address_that_is_not_signed_is_that_of_the_return() {
        for address in [0, 0x55_5555_5554, 0x0000_ffff_ffff_fffc] {
            assert_eq!(return_address(address), address);
        }
        let signed: usize;
        // SAFETY: `paciasp` signs x30, where the processor can; nothing returns by it.
        unsafe {
            asm!("hint #25", inlateout("x30") 0x55_5555_5554usize => signed, options(nostack));
        }
        assert_eq!(return_address(signed), 0x55_5555_5554, "{signed:#x}");
    }

    #[test]
    fn breakpoints_of_any_number_are_known() {
        assert!(may_have_breakpoint(&0xd420_0000u32.to_le_bytes()));
        assert!(may_have_breakpoint(&0xd421_e240u32.to_le_bytes()));
        assert!(!may_have_breakpoint(&GATE));
    }

    #[test]
    fn the_context_has_the_layout_of_the_kernel() {
        assert_eq!(std::mem::offset_of!(Context, mask), 40);
        assert_eq!(std::mem::offset_of!(Context, registers), 184);
        assert_eq!(std::mem::offset_of!(Context, pc), 440);
    }
}
