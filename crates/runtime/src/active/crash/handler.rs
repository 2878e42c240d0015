//! What the thread that crashes does.

use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use super::fresh::ANY;
use super::report::{self, Asked};
use crate::active::arch::Context;
use crate::active::detour::{SIGNAL, take_signal};
use crate::active::stacks::snapshot::CRASH;
use crate::active::sys::{faults, raw};

/// How long a crash waits for its report.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process that the reporting thread is in: a child of `fork` has none.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// The thread that is telling of its end, 0 for none.
static TELLING: AtomicI32 = AtomicI32::new(0);
/// How many panics are told of until the next patch: a storm of them says nothing more.
static PANICS: AtomicU32 = AtomicU32::new(0);

/// Makes ready for the next patch. The first time it installs the handlers.
pub fn prepare() {
    static ONCE: Once = Once::new();
    PANICS.store(1, SeqCst);
    // A thread that panics asks itself by it. Without it panics are not told of, which is no reason
    // to refuse the patch; a switch that needs it says so itself.
    let _ = take_signal();
    ONCE.call_once(|| {
        CRASH.prepare();
        if report::start() {
            PROCESS.store(raw::process_id(), SeqCst);
            faults::install(on_crash);
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                on_panic();
                before(info);
            }));
        }
    });
}

/// Only the first crash is told of; whoever comes meanwhile waits until it is.
extern "C" fn on_crash(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if concerns_us() {
        // SAFETY: the kernel hands over the thread's context, which is this handler's.
        if let Some(known) = unsafe { context.cast::<Context>().as_ref() } {
            tell(Asked::Signal(signal), || CRASH.copy(known));
        }
    }
    // SAFETY: these are this handler's own arguments.
    unsafe { faults::pass_on(signal, info, context) };
}

fn on_panic() {
    let one_less = |left: u32| left.checked_sub(1);
    if !concerns_us() || PANICS.fetch_update(SeqCst, SeqCst, one_less).is_err() {
        return;
    }
    tell(Asked::Panic, || {
        let (me, signal) = (raw::thread_id(), SIGNAL.load(SeqCst));
        let _ = CRASH.of(me, PATIENCE / 10, || signal != 0 && raw::signal_thread(me, signal));
    });
}

fn concerns_us() -> bool {
    ANY.load(SeqCst) && PROCESS.load(SeqCst) == raw::process_id()
}

fn tell(what: Asked, copy: impl FnOnce()) {
    let me = raw::thread_id();
    match TELLING.compare_exchange(0, me, SeqCst, SeqCst) {
        Ok(_) => {
            copy();
            report::ask(what, PATIENCE);
            TELLING.store(0, SeqCst);
        }
        // A crash while telling of one is passed on at once.
        Err(teller) if teller == me || report::is_reporter(me) => {}
        Err(_) => report::wait(PATIENCE),
    }
}
