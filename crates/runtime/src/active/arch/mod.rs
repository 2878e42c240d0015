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

/// True where `EINTR` from this call means that nothing has happened, so that it can be repeated.
/// `close` is not among them: the descriptor is gone even though the call says `EINTR`. Nor are
/// calls whose purpose is to be interrupted, such as `pause`.
#[cfg(hotpatch_detours)]
pub fn is_repeatable(number: usize) -> bool {
    let number = number as libc::c_long;
    let everywhere = matches!(
        number,
        libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_ppoll
            | libc::SYS_pselect6
            | libc::SYS_nanosleep
            | libc::SYS_clock_nanosleep
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_futex
            | libc::SYS_futex_waitv
            | libc::SYS_semop
            | libc::SYS_semtimedop
            | libc::SYS_msgrcv
            | libc::SYS_msgsnd
            | libc::SYS_mq_timedsend
            | libc::SYS_mq_timedreceive
            | libc::SYS_io_getevents
            | libc::SYS_io_uring_enter
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_connect
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_wait4
            | libc::SYS_waitid
            | libc::SYS_flock
            | libc::SYS_fcntl
    );
    everywhere || OLDER_CALLS.contains(&number)
}

#[cfg(test)]
#[cfg(hotpatch_detours)]
mod tests {
    use super::*;

    #[test]
    fn close_is_never_repeated() {
        assert!(!is_repeatable(libc::SYS_close as usize));
        assert!(is_repeatable(libc::SYS_epoll_pwait as usize));
    }
}
