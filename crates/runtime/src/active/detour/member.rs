//! One thread, as an attempt to stop all sees it. Nothing here allocates or locks.

use super::parking::Slot;
use crate::active::sys::raw::{self, Descriptor};
use crate::active::sys::signals;
use crate::active::sys::tasks::{self, Doing};

/// What is known of a thread in this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Unseen,
    /// It sleeps outside of the entries.
    Asleep,
    /// It stands in the signal handler, and was outside of the entries.
    Stands,
    /// It is no longer there.
    Gone,
}

pub struct Member {
    /// Its id.
    pub thread: i32,
    /// Where it reports.
    pub slot: &'static Slot,
    /// Its `syscall` file, where that is kept open.
    pub file: Option<Descriptor>,
    /// What is known of it.
    pub state: State,
    /// It blocks our signal.
    pub blocks: bool,
    /// It was sent the signal, and may be in its handler.
    pub asked: bool,
}

impl Member {
    /// Sends the thread the signal.
    pub fn ask(&mut self, number: u32, signal: i32) {
        self.slot.ask(number);
        self.asked = true;
        if !raw::signal_thread(self.thread, signal) {
            self.state = State::Gone;
        }
    }

    /// Reads whether the thread is still there and takes signals; true where ours waits for it.
    pub fn refresh(&mut self, signal: i32) -> bool {
        let Some(status) = tasks::status(self.thread).filter(|status| !status.dead) else {
            self.state = State::Gone;
            return false;
        };
        self.blocks = status.is_deaf(signal);
        status.pending & signals::bit(signal) != 0
    }

    /// Where the thread will go on, if it sleeps.
    pub fn place(&self) -> Option<usize> {
        let own;
        let file = match &self.file {
            Some(file) => Some(file),
            None => {
                own = tasks::open(self.thread, "syscall");
                own.as_ref()
            }
        };
        match tasks::doing(file?) {
            Doing::Call(call) => {
                self.slot.note(&call);
                Some(call.pc)
            }
            Doing::Elsewhere(pc) => Some(pc),
            Doing::Running => None,
        }
    }
}
