//! Looking which versions of functions have frames on the stacks of the other threads.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::RUNTIME;
use super::bodies::Body;
use super::modules::Modules;
use super::snapshot::{LOOK, ROOM};
use super::unwind::Unwinder;
use crate::active::arch::{is_repeatable, keeps_arguments, return_address};
use crate::active::crash::is_reporter;
use crate::active::detour::{note_call, take_signal};
use crate::active::sys::tasks::{self, Doing, Tasks};
use crate::active::sys::{memory, raw};

/// How long a thread is given to copy its stack; on a busy machine it may have to wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found on the stacks.
#[derive(Debug, Default)]
pub struct Look {
    /// The indices of those bodies that have a frame.
    pub found: Vec<usize>,
    /// A thread of which it is not known.
    pub unsure: Option<i32>,
}

impl Look {
    /// Looks for frames of `bodies` in every thread but the calling one, which is the runtime's own.
    pub fn at(bodies: &[Body]) -> Look {
        Look::from(bodies, false)
    }

    /// Looks for frames of `bodies` in every thread. The calling one is the runtime's own, or one
    /// that it waits for.
    pub fn everywhere(bodies: &[Body]) -> Look {
        Look::from(bodies, raw::thread_id() != RUNTIME.load(Relaxed))
    }

    fn from(bodies: &[Body], mine: bool) -> Look {
        let mut look = Look::default();
        let (Some(tasks), false) = (Tasks::open(), bodies.is_empty()) else { return look };
        let Ok(signal) = take_signal() else { return look };
        LOOK.prepare();
        let me = raw::thread_id();
        let mut threads = Vec::new();
        tasks.each(&mut vec![0; 64 * 1024], |thread| {
            threads.push(thread);
            true
        });
        let mut buffer = Vec::new();
        // Our own threads run nothing of the program while one of them looks.
        let ours = |thread: i32| thread == RUNTIME.load(Relaxed) || is_reporter(thread);
        for thread in threads.into_iter().filter(|&thread| thread != me && !ours(thread)) {
            look.thread(thread, signal, bodies, &mut buffer);
        }
        if mine {
            look.closely(me, signal, bodies);
        }
        look.found.sort_unstable();
        look.found.dedup();
        look
    }

    fn thread(&mut self, thread: i32, signal: i32, bodies: &[Body], buffer: &mut Vec<usize>) {
        let Some(status) = tasks::status(thread).filter(|status| !status.dead) else { return };
        let Some(file) = tasks::open(thread, "syscall") else { return };
        let mut deaf = status.is_deaf(signal);
        if let Doing::Call(call) = tasks::doing(&file) {
            buffer.resize(ROOM, 0);
            // SAFETY: the buffer has as many bytes.
            let length = unsafe {
                memory::read(call.stack, buffer.as_mut_ptr().cast(), ROOM * size_of::<usize>())
            };
            let words = buffer.get(..length / size_of::<usize>()).unwrap_or_default();
            let inside = |address: usize| bodies.iter().any(|body| body.code.contains(&address));
            let complete = !words.is_empty() && words.len() < ROOM;
            if complete && !words.iter().any(|&word| inside(return_address(word).wrapping_sub(1))) {
                return;
            }
            // A call that the program would see interrupted is left alone.
            deaf |= !is_repeatable(call.number) || !keeps_arguments(&call);
            note_call(thread, &call);
        }
        if deaf {
            self.unsure = Some(thread);
        } else {
            self.closely(thread, signal, bodies);
        }
    }

    /// Asks the thread for a copy of its stack.
    fn closely(&mut self, thread: i32, signal: i32, bodies: &[Body]) {
        let Some(snapshot) = LOOK.of(thread, PATIENCE, || raw::signal_thread(thread, signal))
        else {
            if tasks::status(thread).is_some_and(|status| !status.dead) {
                self.unsure = Some(thread);
            }
            return;
        };
        let found = &mut self.found;
        let whole = Modules::now().held(|modules| {
            Unwinder::new().walk(modules, &snapshot, |place| {
                found.extend(bodies.iter().position(|body| body.code.contains(&place)));
                true
            })
        });
        if whole != Some(true) {
            self.unsure = Some(thread);
        }
    }
}
