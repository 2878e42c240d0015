//! A copy of a thread's registers and stack, which the thread makes of itself in a signal handler.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use std::time::Duration;

use crate::active::arch::{Context, REGISTERS, Registers, STACK_POINTER};
use crate::active::sys::{memory, raw};

const WORD: usize = size_of::<usize>();
const PAGE: usize = 4096;
/// How many words of a stack are copied at most.
pub const ROOM: usize = (1 << 20) / WORD;
/// How many pages at the end of a stack may be unreadable: those that tell that it is used up.
const GUARDS: usize = 64;
/// Given back by a thread that has begun with its copy, so that nobody takes the room away.
const BUSY: i32 = -1;

/// For looks at threads that go on.
pub static LOOK: Room = Room::new();
/// For a thread that has come to its end.
pub static CRASH: Room = Room::new();

/// Where one copy at a time is made.
pub struct Room {
    /// The thread that is to make a copy, 0 for none.
    wanted: AtomicI32,
    /// Changes when a copy is done.
    done: AtomicU32,
    pc: AtomicUsize,
    values: [AtomicUsize; REGISTERS],
    /// The address of the first word.
    start: AtomicUsize,
    length: AtomicUsize,
    /// The words. Allocated once, never freed: a delayed handler may be writing to them.
    words: AtomicPtr<usize>,
}

/// A thread as it was in one moment.
pub struct Snapshot<'a> {
    /// Its registers.
    pub registers: Registers,
    /// Its stack, from `start` on.
    words: &'a [usize],
    start: usize,
}

impl Snapshot<'_> {
    /// The word of the stack at this address.
    pub fn word(&self, address: usize) -> Option<usize> {
        let from = address.checked_sub(self.start)?;
        if from % WORD != 0 {
            return None;
        }
        self.words.get(from / WORD).copied()
    }
}

impl Room {
    const fn new() -> Room {
        Room {
            wanted: AtomicI32::new(0),
            done: AtomicU32::new(0),
            pc: AtomicUsize::new(0),
            values: [const { AtomicUsize::new(0) }; REGISTERS],
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            words: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Makes room for copies.
    pub fn prepare(&self) {
        if self.words.load(Acquire).is_null() {
            // Zeroed memory that nobody touches costs nothing.
            let words: Box<[usize]> = vec![0; ROOM].into();
            self.words.store(Box::leak(words).as_mut_ptr(), Release);
        }
    }

    /// Lets `thread` make a copy: `wake` sends it to the handler. `None` where it does not come
    /// within `limit`, or there is no such thread. Only one thread at a time may ask.
    pub fn of(
        &self,
        thread: i32,
        limit: Duration,
        wake: impl FnOnce() -> bool,
    ) -> Option<Snapshot<'_>> {
        let deadline = raw::now().saturating_add(limit.as_nanos() as u64);
        let before = self.done.load(SeqCst);
        self.wanted.store(thread, SeqCst);
        if !wake() {
            self.wanted.store(0, SeqCst);
            return None;
        }
        while self.done.load(SeqCst) == before {
            let left = deadline.saturating_sub(raw::now());
            if left == 0 && self.wanted.compare_exchange(thread, 0, SeqCst, SeqCst).is_ok() {
                return None;
            }
            raw::wait(&self.done, before, Some(Duration::from_nanos(left.max(1_000_000))));
        }
        Some(self.read())
    }

    /// The copy that was made last. Nobody may ask for another one while it is in use.
    pub fn read(&self) -> Snapshot<'_> {
        let values = self.values.each_ref().map(|value| Some(value.load(SeqCst)));
        let registers = Registers { pc: self.pc.load(SeqCst), values };
        let length = self.length.load(SeqCst).min(ROOM);
        let from = self.words.load(Acquire);
        let words = if from.is_null() {
            &[][..]
        } else {
            // SAFETY: the room was allocated by `prepare` and is never freed; nobody writes to it
            // before the next copy is asked for.
            unsafe { std::slice::from_raw_parts(from, length) }
        };
        Snapshot { registers, words, start: self.start.load(SeqCst) }
    }

    /// Makes the copy where it is the calling thread that is asked for one. For signal handlers.
    pub fn take(&self, thread: i32, context: &Context) {
        if self.wanted.load(SeqCst) == thread
            && self.wanted.compare_exchange(thread, BUSY, SeqCst, SeqCst).is_ok()
        {
            self.copy(context);
            self.wanted.store(0, SeqCst);
            self.done.fetch_add(1, SeqCst);
            raw::wake(&self.done);
        }
    }

    /// Makes the copy. For signal handlers, and for one thread at a time.
    pub fn copy(&self, context: &Context) {
        let registers = context.registers();
        self.pc.store(registers.pc, SeqCst);
        for (to, from) in self.values.iter().zip(registers.values) {
            to.store(from.unwrap_or(0), SeqCst);
        }
        let mut start = registers.value(STACK_POINTER).unwrap_or(0) & !(WORD - 1);
        let to = self.words.load(Acquire);
        let mut length = 0;
        for _ in 0..GUARDS {
            if !to.is_null() {
                // SAFETY: the room has as many bytes, and is this thread's until it is done.
                length = unsafe { memory::read(start, to.cast(), ROOM * WORD) };
            }
            if length != 0 {
                break;
            }
            start = (start & !(PAGE - 1)).wrapping_add(PAGE);
        }
        self.start.store(start, SeqCst);
        self.length.store(length / WORD, SeqCst);
    }
}
