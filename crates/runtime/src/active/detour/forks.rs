//! Keeping `fork` out of a switch: a child that is made while entries are closed would find them
//! closed for ever.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::active::sys::raw;

/// 0 free, 1 taken. A lock that can be taken and given back in different functions, and in a child.
static LOCK: AtomicU32 = AtomicU32::new(0);

extern "C" fn take() {
    while LOCK.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
        raw::wait(&LOCK, 1, None);
    }
}

extern "C" fn give_back() {
    LOCK.store(0, SeqCst);
    raw::wake(&LOCK);
}

/// Makes every `fork` of this process wait while a switch is under way.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers take no locks but their own.
        unsafe { libc::pthread_atfork(Some(take), Some(give_back), Some(give_back)) };
    });
}

/// Runs `body` while no child is made.
pub fn held<R>(body: impl FnOnce() -> R) -> R {
    take();
    let result = body();
    give_back();
    result
}
