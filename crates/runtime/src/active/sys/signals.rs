//! Signals: which one stops threads, and what the program must not notice of it.

use std::mem::MaybeUninit;
use std::ptr;

use crate::active::arch::syscall;

/// A signal handler as the kernel calls it.
pub type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// The bit that stands for `signal` in a mask.
pub fn bit(signal: i32) -> u64 {
    1u64.checked_shl(signal.wrapping_sub(1) as u32).unwrap_or(0)
}

/// True where a thread with this mask blocks `signal`, and not just for a moment.
///
/// Programs cannot block the two signals that libc keeps for itself. Where those are blocked too, it
/// is libc that starts a thread or a process, or it is our own handler, and that passes.
pub fn blocks_for_good(blocked: u64, signal: i32) -> bool {
    const LIBC: u64 = 0b11 << 31;
    blocked & bit(signal) != 0 && blocked & LIBC != LIBC
}

/// The signal under which `handler` is installed: `current` where it still is, or the first one
/// that the program has left alone.
///
/// `SIGURG` comes first: by default it is ignored, so one that arrives late, or after an `exec`,
/// harms nobody, and debuggers pass it on without stopping. After it come the real-time signals,
/// from the highest down. The handler stays installed for the same reason.
///
/// # Errors
/// Where the program uses every one of them.
pub fn install(handler: Handler, current: i32) -> Result<i32, String> {
    let ours = handler as *const () as usize;
    if current != 0 && disposition(current) == Some(ours) {
        return Ok(current);
    }
    let real_time = (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev();
    for signal in [libc::SIGURG].into_iter().chain(real_time) {
        if disposition(signal) == Some(libc::SIG_DFL) && set(signal, ours) {
            return Ok(signal);
        }
    }
    Err("the program uses every signal that could stop its threads".into())
}

fn disposition(signal: i32) -> Option<usize> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call only writes the action, of which all bytes zero is a valid value.
    unsafe {
        let known = libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0;
        known.then(|| action.assume_init().sa_sigaction)
    }
}

fn set(signal: i32, handler: usize) -> bool {
    // SAFETY: all bytes zero is a valid action; the handler has the signature of `SA_SIGINFO`.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // All of them, also those that libc keeps for itself: see `blocks_for_good`.
        ptr::from_mut(&mut action.sa_mask).write_bytes(0xff, 1);
        libc::sigaction(signal, &action, ptr::null_mut()) == 0
    }
}

/// Installs a handler as a program does.
#[cfg(test)]
pub fn install_at(signal: i32, handler: Handler) -> Result<(), ()> {
    set(signal, handler as *const () as usize).then_some(()).ok_or(())
}

/// The kernel's own `struct sigaction`.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// True where a signal of the program waits that will be handled as soon as `mask` is back in
/// force. Only for the signal handler, which blocks all signals.
pub fn another_waits(mask: u64, ours: i32) -> bool {
    let mut pending = 0u64;
    let arguments = [ptr::from_mut(&mut pending) as usize, size_of::<u64>(), 0, 0, 0, 0];
    // SAFETY: the kernel writes eight bytes.
    unsafe { syscall(libc::SYS_rt_sigpending, arguments) };
    let mut rest = pending & !mask & !bit(ours);
    while rest != 0 {
        let signal = rest.trailing_zeros() as i32 + 1;
        if does_something(signal) {
            return true;
        }
        rest &= rest.wrapping_sub(1);
    }
    false
}

fn does_something(signal: i32) -> bool {
    let mut action = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    let to = ptr::from_mut(&mut action) as usize;
    // SAFETY: the kernel writes one action of its own layout.
    unsafe { syscall(libc::SYS_rt_sigaction, [signal as usize, 0, to, size_of::<u64>(), 0, 0]) };
    match action.handler {
        libc::SIG_IGN => false,
        libc::SIG_DFL => {
            !matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_that_only_libc_can_set_is_not_there_for_good() {
        // What `sigfillset` and `pthread_sigmask` leave, and what the kernel makes of all bits.
        assert!(blocks_for_good(0xffff_fffe_7ffb_feff, libc::SIGURG));
        assert!(!blocks_for_good(0xffff_ffff_fffb_feff, libc::SIGURG));
        assert!(!blocks_for_good(0, libc::SIGURG));
        assert!(blocks_for_good(bit(50), 50));
    }
}
