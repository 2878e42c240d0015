//! Redirecting functions at their entries.
//!
//! An entry that is replaced for the first time gets a jump to an *island*, which jumps on through
//! its *slot*; from then on a switch is one store to the slot.
//!
//! A patch comes in for all threads at once, since all entries are closed before the first is
//! opened: calls that began before ran the old functions, those that come in between wait, those
//! that come later run the new ones. A slot is closed by leading it to a *gate*, a jump back to the
//! island; nobody needs to be stopped for that. A function that has no island yet is closed by a
//! jump to itself in its first two bytes, and no thread may be in the middle of the bytes that
//! change. Threads that run are therefore stopped by a signal, and report where they were. Threads
//! that sleep are not disturbed: `/proc` tells where they will go on, and they are looked at again
//! once the entries are closed, before the rest of the bytes is written.

mod forks;
mod islands;
mod member;
mod parking;
mod switch;
mod watch;

use crate::active::arch::Call;

pub use parking::{SIGNAL, take_signal};

/// Notes in which call a thread was seen asleep, so that the handler can let it make that call again.
pub fn note_call(thread: i32, call: &Call) {
    if let Some(slot) = parking::Table::with_room_for(1).slot(thread) {
        slot.note(call);
    }
}

pub use switch::{Plan, Switcher};
pub use watch::{Cost, prepare};
