//! The signals of a crash: being told of one before those that were there earlier.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

use super::raw;
use super::signals::Handler;

/// What was there before us, and is called after us.
struct Previous {
    signal: i32,
    handler: AtomicUsize,
    flags: AtomicI32,
}

/// Our own handler, 0 before it is installed.
static OURS: AtomicUsize = AtomicUsize::new(0);

static PREVIOUS: [Previous; 5] = [
    Previous::of(libc::SIGSEGV),
    Previous::of(libc::SIGBUS),
    Previous::of(libc::SIGILL),
    Previous::of(libc::SIGFPE),
    Previous::of(libc::SIGABRT),
];

impl Previous {
    const fn of(signal: i32) -> Previous {
        let handler = AtomicUsize::new(libc::SIG_DFL);
        Previous { signal, handler, flags: AtomicI32::new(0) }
    }
}

/// Installs `handler` for all of them, once. It runs as the handler that it comes before: on the
/// same stack, with the same signals blocked. Handlers that the program installs later stay.
pub fn install(handler: Handler) {
    OURS.store(handler as *const () as usize, SeqCst);
    for previous in &PREVIOUS {
        // SAFETY: all bytes zero is a valid action, and the call only writes it.
        let before = unsafe {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            if libc::sigaction(previous.signal, ptr::null(), &mut action) != 0 {
                continue;
            }
            action
        };
        let kept = libc::SA_ONSTACK | libc::SA_RESTART | libc::SA_NODEFER;
        let mut action = before;
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO
            | match before.sa_sigaction {
                libc::SIG_DFL | libc::SIG_IGN => libc::SA_ONSTACK,
                _ => before.sa_flags & kept,
            };
        previous.handler.store(before.sa_sigaction, SeqCst);
        previous.flags.store(before.sa_flags, SeqCst);
        // SAFETY: the handler has the signature of `SA_SIGINFO`.
        unsafe { libc::sigaction(previous.signal, &action, ptr::null_mut()) };
    }
}

/// Does what would have been done without us.
///
/// # Safety
/// The arguments are those of a signal handler that runs.
pub unsafe fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(previous) = PREVIOUS.iter().find(|previous| previous.signal == signal) else { return };
    // SAFETY: the kernel hands over a valid description, or none.
    let by_kernel = unsafe { info.as_ref() }.is_none_or(|info| info.si_code > 0);
    let handler = previous.handler.load(SeqCst);
    match handler {
        libc::SIG_IGN if !by_kernel => {}
        // A fault happens again once this handler has returned, and then ends the program.
        libc::SIG_DFL | libc::SIG_IGN => end_by(signal, by_kernel),
        _ => {
            let ours = set_aborts_aside(signal);
            if previous.flags.load(SeqCst) & libc::SA_SIGINFO != 0 {
                // SAFETY: it was installed as a handler of this kind.
                let handler: Handler = unsafe { std::mem::transmute(handler) };
                handler(signal, info, context);
            } else {
                // SAFETY: it was installed as a handler of this kind.
                let handler: extern "C" fn(i32) = unsafe { std::mem::transmute(handler) };
                handler(signal);
            }
            if let Some(ours) = ours {
                // SAFETY: the action was there before.
                unsafe { libc::sigaction(libc::SIGABRT, &ours, ptr::null_mut()) };
            }
        }
    }
}

/// While the handler of another signal runs, an abort ends the program as it would without us: the
/// crash has been told of, and the alternate stack that std makes (8 KiB) has no room for a second
/// frame of ours where the registers alone take 3 KiB (AVX-512). What has to be put back.
fn set_aborts_aside(signal: i32) -> Option<libc::sigaction> {
    let aborts = PREVIOUS.iter().find(|p| p.signal == libc::SIGABRT && p.signal != signal)?;
    // SAFETY: all bytes zero is a valid action, and the calls only read and write such.
    unsafe {
        let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let known = libc::sigaction(libc::SIGABRT, ptr::null(), &mut ours) == 0;
        if !known || ours.sa_sigaction != OURS.load(SeqCst) {
            return None;
        }
        let mut before = ours;
        before.sa_sigaction = aborts.handler.load(SeqCst);
        before.sa_flags = aborts.flags.load(SeqCst);
        (libc::sigaction(libc::SIGABRT, &before, ptr::null_mut()) == 0).then_some(ours)
    }
}

fn end_by(signal: i32, by_kernel: bool) {
    // SAFETY: all bytes zero is the default action.
    unsafe {
        let action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        libc::sigaction(signal, &action, ptr::null_mut());
    }
    if !by_kernel {
        raw::signal_thread(raw::thread_id(), signal);
    }
}
