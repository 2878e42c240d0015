//! x86-64: detours are five-byte jumps to islands, which jump on through a slot.

use std::arch::asm;

use super::{Call, Registers};

/// How many bytes of an entry are overwritten.
pub const JUMP_SIZE: usize = 5;
/// How far apart islands are. Functions are no closer in unoptimised code.
pub const ISLAND_SIZE: usize = 16;
/// From an island to its gate: a slot that leads there keeps its callers until it leads elsewhere.
pub const GATE_OFFSET: usize = 6;
/// A jump to itself: whoever comes to an entry that begins with it waits there.
pub const GATE: [u8; 2] = [0xeb, 0xfe];
/// The gate of an island: a jump back to the island.
const ISLAND_GATE: [u8; 2] = [0xeb, 0xf8];
/// What stands in the place of an island that cannot reach its slot: breakpoints.
pub const NO_ISLAND: [u8; ISLAND_SIZE] = [BREAKPOINT; ISLAND_SIZE];
/// What debuggers write for a breakpoint.
const BREAKPOINT: u8 = 0xcc;
/// `e_machine` of this processor's ELF files.
pub const ELF_MACHINE: u16 = 62;
/// Code may be entered anywhere: Linux does not have the processor look after that in programs.
pub const LANDING_PADS: Option<(u32, u32)> = None;
/// What call frame information has beyond its standard.
pub const VENDOR: gimli::Vendor = gimli::Vendor::Default;
/// How many registers are numbered in call frame information. The return address, which comes after
/// them, is in none.
pub const REGISTERS: usize = 16;
/// The number of the stack pointer there.
pub const STACK_POINTER: u16 = 7;
/// How far a jump reaches in either direction, with room to spare for the island's own size.
pub const REACH: usize = 0x7fff_0000;

/// Calls that only older processors have.
pub const OLDER_CALLS: [libc::c_long; 3] = [libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait];

const EINTR: u64 = 4;

/// Takes the registers at the first instruction behind a call back to the call, and gives where it
/// returns to: the last word on the stack.
pub fn undo_call(
    registers: &mut Registers,
    word: impl Fn(usize) -> Option<usize>,
) -> Option<usize> {
    let top = registers.value(STACK_POINTER)?;
    registers.set(STACK_POINTER, top.checked_add(size_of::<usize>()));
    word(top)
}

/// The jump that stands at `from` and goes to `to`, if it reaches.
pub fn jump(from: usize, to: usize) -> Option<[u8; JUMP_SIZE]> {
    let [a, b, c, d] = distance(from.wrapping_add(JUMP_SIZE), to)?;
    Some([0xe9, a, b, c, d])
}

/// The island that stands at `at` and goes where the eight bytes at `slot` say.
pub fn island(at: usize, slot: usize) -> Option<[u8; ISLAND_SIZE]> {
    let [a, b, c, d] = distance(at.wrapping_add(6), slot)?;
    let [e, f] = ISLAND_GATE;
    Some([0xff, 0x25, a, b, c, d, e, f, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc])
}

/// Where the island of this entry should be: the jump to there has the code of a breakpoint in each
/// byte of its distance. A debugger that sets one behind the prologue of the old function, which may
/// be in the middle of the jump, then changes nothing.
pub fn best_island(entry: usize) -> Option<usize> {
    let distance = i32::from_le_bytes([BREAKPOINT; 4]) as isize;
    entry.checked_add(JUMP_SIZE)?.checked_add_signed(distance)
}

/// True where an entry at this address can be closed with one store that every processor sees as a
/// whole.
pub fn can_be_closed(entry: usize) -> bool {
    entry % 8 <= 8 - GATE.len()
}

/// True where these bytes of an entry may have been written by a debugger.
pub fn may_have_breakpoint(entry: &[u8; JUMP_SIZE]) -> bool {
    entry.contains(&BREAKPOINT)
}

/// What is written as data is fetched as code by itself.
pub fn written(_start: usize, _length: usize) {}

fn distance(from: usize, to: usize) -> Option<[u8; 4]> {
    i32::try_from(to.wrapping_sub(from) as isize).ok().map(i32::to_le_bytes)
}

/// Makes a system call without libc: no `errno`, no cancellation, nothing that could be locked.
///
/// # Safety
/// As the system call itself.
#[inline(always)]
pub unsafe fn syscall(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the instruction clobbers rcx and r11 and returns in rax; the rest is the caller's.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The address that a return goes to, from what is on the stack for it.
pub fn return_address(kept: usize) -> usize {
    kept
}

/// Throws away whatever the processor has fetched ahead.
pub fn serialize() {
    // SAFETY: cpuid is there on every x86-64 processor; rbx, which the compiler keeps for itself,
    // is put back.
    unsafe {
        asm!(
            "push rbx",
            "cpuid",
            "pop rbx",
            inlateout("eax") 0 => _,
            inlateout("ecx") 0 => _,
            lateout("edx") _,
        );
    }
}

/// The kernel's `struct ucontext`, up to the part that is read here.
#[repr(C)]
pub struct Context {
    flags: u64,
    link: u64,
    stack: [u64; 3],
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12_to_r15: [u64; 4],
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rest: [u64; 15],
    mask: u64,
}

impl Context {
    /// Where the thread was interrupted.
    pub fn pc(&self) -> usize {
        self.rip as usize
    }

    /// The interrupted thread's registers.
    pub fn registers(&self) -> Registers {
        let [r12, r13, r14, r15] = self.r12_to_r15;
        let low = [self.rax, self.rdx, self.rcx, self.rbx, self.rsi, self.rdi, self.rbp, self.rsp];
        let high = [self.r8, self.r9, self.r10, self.r11, r12, r13, r14, r15];
        let mut values = [None; REGISTERS];
        for (to, from) in values.iter_mut().zip(low.into_iter().chain(high)) {
            *to = Some(from as usize);
        }
        Registers { pc: self.pc(), values }
    }

    /// The signals that are blocked once the handler returns.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// True where the thread was in a system call that now says `EINTR`.
    pub fn was_interrupted(&self) -> bool {
        self.rax == EINTR.wrapping_neg()
    }

    /// True where the interrupted call is the one that the thread was seen in before.
    pub fn is_in(&self, call: &Call) -> bool {
        let here = (self.rip as usize, self.rsp as usize, self.rdi as usize);
        here == (call.pc, call.stack, call.argument)
    }

    /// The interrupted call's number, where the instruction before the `syscall` sets it.
    pub fn call_number(&self) -> Option<usize> {
        if self.rip & 0xfff < 7 {
            return None;
        }
        // SAFETY: these bytes are in the page of `rip`, which the thread was about to execute.
        let before = unsafe { ((self.rip as usize).wrapping_sub(7) as *const [u8; 7]).read() };
        match before {
            [0xb8, a, b, c, d, 0x0f, 0x05] => Some(u32::from_le_bytes([a, b, c, d]) as usize),
            _ => None,
        }
    }

    /// Lets the thread make the call again when the handler returns.
    pub fn repeat(&mut self, number: usize) {
        self.rax = number as u64;
        self.rip = self.rip.wrapping_sub(2);
    }
}

/// True where a call like this can be made again: its arguments are in registers that it keeps.
pub fn keeps_arguments(_: &Call) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_holds_the_distance_from_its_end() {
        assert_eq!(jump(0x1000, 0x1005), Some([0xe9, 0, 0, 0, 0]));
        assert_eq!(jump(0x1000, 0x1000), Some([0xe9, 0xfb, 0xff, 0xff, 0xff]));
        assert_eq!(jump(0x1000, 0x1_0000_1000), None);
    }

    #[test]
    fn an_island_holds_the_distance_to_its_slot_and_a_jump_back() {
        let island = island(0x1000, 0x2006).unwrap();
        assert_eq!(island[..6], [0xff, 0x25, 0, 0x10, 0, 0]);
        let back = island[GATE_OFFSET + 1] as i8;
        assert_eq!(GATE_OFFSET as i8 + 2 + back, 0);
    }

    #[test]
    fn the_jump_to_the_best_island_does_not_mind_breakpoints() {
        let entry = 0x5555_5555_4010;
        let island = best_island(entry).unwrap();
        assert_eq!(jump(entry, island), Some([0xe9, 0xcc, 0xcc, 0xcc, 0xcc]));
        assert_eq!(best_island(0x40_1000), None);
    }

    #[test]
    fn the_context_has_the_layout_of_the_kernel() {
        assert_eq!(std::mem::offset_of!(Context, rip), 40 + 16 * 8);
        assert_eq!(std::mem::offset_of!(Context, mask), 40 + 256);
    }
}
