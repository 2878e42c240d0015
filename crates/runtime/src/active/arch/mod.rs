//! What depends on the processor: how a jump is encoded, how a system call is made, what an
//! interrupted thread's registers mean.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(hotpatch_detours))]
mod none;
#[cfg(not(hotpatch_detours))]
pub use none::*;

/// A system call in which a thread was seen asleep.
#[cfg(hotpatch_detours)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// The system call's number.
    pub number: usize,
    /// Its first argument.
    pub argument: usize,
    /// The thread's stack pointer.
    pub stack: usize,
    /// Where the thread goes on after the call.
    pub pc: usize,
}

/// What unwinding needs to know of a thread's registers, by their numbers in call frame information.
#[cfg(hotpatch_detours)]
#[derive(Debug, Clone, Copy)]
pub struct Registers {
    /// Where the thread is.
    pub pc: usize,
    /// The values, where they are known.
    pub values: [Option<usize>; REGISTERS],
}

#[cfg(hotpatch_detours)]
impl Registers {
    /// The value of one register, if it is known.
    pub fn value(&self, number: u16) -> Option<usize> {
        self.values.get(usize::from(number)).copied().flatten()
    }

    /// Sets a register; others than these are of no use here.
    pub fn set(&mut self, number: u16, value: Option<usize>) {
        if let Some(register) = self.values.get_mut(usize::from(number)) {
            *register = value;
        }
    }
}
