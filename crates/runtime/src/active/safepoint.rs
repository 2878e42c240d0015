//! Letting the program choose the moment of the switch.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::change::Change;
use super::patch::Refusal;
use super::switching::Cost;

type Outcome = Result<Cost, Refusal>;

enum State {
    Nothing,
    /// The runtime's thread waits for a safepoint.
    Waiting(Change),
    /// A safepoint has carried the change out.
    Done(Change, Outcome),
}

/// The program has asked to choose the moment.
static CHOSEN: AtomicBool = AtomicBool::new(false);
/// A change waits; read at each safepoint.
static PENDING: AtomicBool = AtomicBool::new(false);
/// The process in which the runtime's thread lives: a child of `fork` has a copy of all this, but
/// not that thread.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static STATE: Mutex<State> = Mutex::new(State::Nothing);
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes in which process the runtime lives.
pub fn enter() {
    PROCESS.store(std::process::id(), Ordering::SeqCst);
}

/// From now on patches wait for [`reach`].
pub fn choose() {
    CHOSEN.store(true, Ordering::SeqCst);
}

/// The program is at a place where it likes patches to be switched.
pub fn reach() {
    if PENDING.load(Ordering::Acquire) && PROCESS.load(Ordering::SeqCst) == std::process::id() {
        serve();
    }
}

fn serve() {
    let mut state = state();
    match std::mem::replace(&mut *state, State::Nothing) {
        State::Waiting(change) => {
            PENDING.store(false, Ordering::SeqCst);
            let outcome = change.carry_out();
            *state = State::Done(change, outcome);
            CHANGED.notify_all();
        }
        other => *state = other,
    }
}

/// Carries the change out: at once, or at the program's next safepoint where it has asked for that.
pub fn carry_out(change: Change) -> (Change, Outcome) {
    if !CHOSEN.load(Ordering::SeqCst) {
        let outcome = change.carry_out();
        return (change, outcome);
    }
    let mut state = state();
    *state = State::Waiting(change);
    PENDING.store(true, Ordering::SeqCst);
    loop {
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Nothing) {
            State::Done(change, outcome) => return (change, outcome),
            other => *state = other,
        }
    }
}
