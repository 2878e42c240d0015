//! The thread that tells of crashes. It neither allocates nor waits for a lock once it has started,
//! since the thread that crashed may hold any of them.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::fresh::{Fresh, NEW, New};
use crate::active::stacks::snapshot::CRASH;
use crate::active::stacks::unwind::Unwinder;
use crate::active::sys::{mask, raw};
use crate::active::wire::Text;

/// How many functions are named.
const NAMED: usize = 8;
/// After so many frames without another name there are no more to be expected: a recursion that
/// has used up its stack has a hundred thousand of them.
const IN_VAIN: usize = 64;

/// What is to be told of.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// A panic.
    Panic,
    /// A signal.
    Signal(i32),
}

/// 0 while there is nothing to do.
static WORK: AtomicU32 = AtomicU32::new(0);
/// The signal, 0 for a panic.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Changes when a report is done.
static DONE: AtomicU32 = AtomicU32::new(0);
static REPORTER: AtomicI32 = AtomicI32::new(0);

/// Starts the thread; false where that fails.
pub fn start() -> bool {
    let body = || {
        REPORTER.store(raw::thread_id(), SeqCst);
        let mut unwinder = Unwinder::new();
        loop {
            raw::wait(&WORK, 0, None);
            if WORK.load(SeqCst) != 0 {
                report(&mut unwinder);
                WORK.store(0, SeqCst);
                DONE.fetch_add(1, SeqCst);
                raw::wake(&DONE);
            }
        }
    };
    let builder = thread::Builder::new().name("hotpatch-crash".into());
    let started = mask::blocked(|| builder.spawn(body)).is_ok();
    // From now on it is known as a thread that never calls the program's functions.
    while started && REPORTER.load(SeqCst) == 0 {
        thread::yield_now();
    }
    started
}

/// True for the thread itself.
pub fn is_reporter(thread: i32) -> bool {
    REPORTER.load(SeqCst) == thread
}

/// Has the copy of the calling thread's stack told of.
pub fn ask(what: Asked, limit: Duration) {
    SIGNAL.store(if let Asked::Signal(signal) = what { signal } else { 0 }, SeqCst);
    let before = DONE.load(SeqCst);
    WORK.store(1, SeqCst);
    raw::wake(&WORK);
    wait_from(before, limit);
}

/// Waits until the report that is being made is done.
pub fn wait(limit: Duration) {
    wait_from(DONE.load(SeqCst), limit);
}

fn wait_from(before: u32, limit: Duration) {
    let deadline = raw::now().saturating_add(limit.as_nanos() as u64);
    while DONE.load(SeqCst) == before {
        let left = deadline.saturating_sub(raw::now());
        if left == 0 {
            return;
        }
        raw::wait(&DONE, before, Some(Duration::from_nanos(left)));
    }
}

/// Looks for the innermost frame in new code, and tells of it where there is one.
fn report(unwinder: &mut Unwinder) {
    // The runtime's thread holds the lock for moments only; it may be what has crashed.
    let Ok(new) = NEW.try_lock() else { return };
    let now = raw::now();
    let mut culprit: Option<&Fresh> = None;
    let mut names = [None; NAMED];
    let (mut named, mut in_vain) = (0, 0);
    let mut crashed = CRASH.read();
    if let Some(at_the_call) = unwinder.at_the_call(&new.modules, &crashed) {
        crashed.registers = at_the_call;
    }
    unwinder.walk(&new.modules, &crashed, |place| {
        let found = culprit.or_else(|| new_code_at(&new, place, now));
        culprit = found;
        in_vain += usize::from(found.is_some());
        if let Some(name) = found.and_then(|fresh| fresh.function(place)) {
            if !names.iter().flatten().any(|known| *known == name) {
                if let Some(free) = names.get_mut(named) {
                    *free = Some(name);
                    named += 1;
                    in_vain = 0;
                }
            }
        }
        named < NAMED && in_vain < IN_VAIN
    });
    if let Some(fresh) = culprit {
        let mut text = Text::new();
        if message(&mut text, fresh, &names, now).is_ok() {
            text.send();
        }
    }
}

fn new_code_at(new: &New, place: usize, now: u64) -> Option<&Fresh> {
    new.patches.iter().find(|fresh| fresh.is_new(now) && fresh.has(place))
}

/// [`hotpatch_protocol::message::ClientMessage::Crashed`], as JSON.
fn message(text: &mut Text, fresh: &Fresh, names: &[Option<&str>], now: u64) -> fmt::Result {
    let after_ms = fresh.age(now) / 1_000_000;
    write!(text, "{{\"type\":\"crashed\",\"patch\":{},\"after_ms\":{after_ms}", fresh.patch)?;
    match SIGNAL.load(SeqCst) {
        0 => text.write_str(",\"signal\":null,\"functions\":[")?,
        signal => write!(text, ",\"signal\":{signal},\"functions\":[")?,
    }
    for (n, name) in names.iter().flatten().enumerate() {
        text.write_str(if n == 0 { "" } else { "," })?;
        text.write_str(name)?;
    }
    text.write_str("]}")
}
