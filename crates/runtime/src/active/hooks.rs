//! What the program wants to do before and after a patch. Its code runs on the runtime's thread,
//! and a panic in it stays there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotpatch_protocol::frame::PatchHeader;

use crate::Patch;

type Before = Box<dyn FnMut(&Patch) -> Result<(), String> + Send>;
type After = Box<dyn FnMut(&Patch) + Send>;

static BEFORE: Mutex<Vec<Before>> = Mutex::new(Vec::new());
static AFTER: Mutex<Vec<After>> = Mutex::new(Vec::new());

fn locked<T>(hooks: &Mutex<T>) -> MutexGuard<'_, T> {
    hooks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a hook that may say no.
pub fn add_before(hook: Before) {
    locked(&BEFORE).push(hook);
}

/// Adds a hook that is told.
pub fn add_after(hook: After) {
    locked(&AFTER).push(hook);
}

/// Runs the hooks in the order in which they were added. They are taken out meanwhile, so that a
/// hook may add hooks.
fn each<H>(hooks: &Mutex<Vec<H>>, run: impl FnMut(&mut H)) {
    let mut taken = std::mem::take(&mut *locked(hooks));
    taken.iter_mut().for_each(run);
    let mut now = locked(hooks);
    let added = std::mem::replace(&mut *now, taken);
    now.extend(added);
}

fn describe(header: &PatchHeader) -> Patch {
    Patch { id: header.patch, functions: header.functions.clone() }
}

/// Asks the program whether the patch may come.
///
/// # Errors
/// The reason of the first hook that says no; the others are not asked.
pub fn before(header: &PatchHeader) -> Result<(), String> {
    let patch = describe(header);
    let mut verdict = Ok(());
    each(&BEFORE, |hook| {
        if verdict.is_ok() {
            verdict = catch_unwind(AssertUnwindSafe(|| hook(&patch)))
                .unwrap_or_else(|_| Err("a `before` hook panicked".into()));
        }
    });
    verdict
}

/// Tells the program that the patch runs.
pub fn after(header: &PatchHeader) {
    let patch = describe(header);
    each(&AFTER, |hook| {
        // The panic was reported by the panic hook, and the patch runs in any case.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(&patch)));
    });
}
