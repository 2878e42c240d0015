//! The threads of this process, as `/proc/self/task` tells them. Nothing here allocates.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::raw::Descriptor;
use super::signals;
use crate::active::arch::Call;

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It runs, or is about to.
    Running,
    /// It sleeps in a system call.
    Call(Call),
    /// It sleeps elsewhere, such as while a page is read; where it will go on.
    Elsewhere(usize),
}

/// What `/proc` says of a thread's signals and life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The thread has ended and is only waited for.
    pub dead: bool,
    /// The signals that it blocks, the first one in the lowest bit.
    pub blocked: u64,
    /// The signals that were sent to it alone and have not reached it.
    pub pending: u64,
    /// How many filters its system calls have to pass.
    filters: u32,
}

impl Status {
    /// True where the thread must not be sent `signal`: it blocks it for good, or has taken on a
    /// filter that may end the program for the handler's system calls.
    pub fn is_deaf(&self, signal: i32) -> bool {
        signals::blocks_for_good(self.blocked, signal) || self.filters > FILTERS.load(Relaxed)
    }
}

/// The `status` file of the runtime's thread, open from before there could be a filter.
static OWN: OnceLock<Option<Descriptor>> = OnceLock::new();
/// How many filters the process was started with.
static FILTERS: AtomicU32 = AtomicU32::new(0);

/// Notes what the calling thread, which is the runtime's, is like at first.
pub fn enter() {
    let own = OWN.get_or_init(|| Descriptor::open(b"/proc/thread-self/status\0", libc::O_RDONLY));
    FILTERS.store(filters_of(own.as_ref()), Relaxed);
}

/// Whether the program has put a filter on this thread too since [`enter`].
pub fn is_confined() -> bool {
    filters_of(OWN.get().and_then(Option::as_ref)) > FILTERS.load(Relaxed)
}

fn filters_of(status: Option<&Descriptor>) -> u32 {
    let mut buffer = [0u8; 4096];
    let status = status.and_then(|file| parse_status(file.read_at(&mut buffer, 0)));
    status.map_or(0, |status| status.filters)
}

/// The directory of this process's threads.
pub struct Tasks(Descriptor);

impl Tasks {
    /// Opens the directory.
    pub fn open() -> Option<Tasks> {
        Descriptor::open(b"/proc/self/task\0", libc::O_DIRECTORY).map(Tasks)
    }

    /// Calls `each` with every thread's id until it says false; false where it did.
    pub fn each(&self, buffer: &mut [u8], mut each: impl FnMut(i32) -> bool) -> bool {
        self.0.rewind();
        loop {
            let mut records = self.0.next_records(buffer);
            if records.is_empty() {
                return true;
            }
            while let Some((name, rest)) = split_record(records) {
                records = rest;
                if let Some(thread) = decimal(name) {
                    if !each(thread as i32) {
                        return false;
                    }
                }
            }
        }
    }
}

/// Takes one directory record off: its name and what follows it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_le_bytes([*records.get(16)?, *records.get(17)?]) as usize;
    let (record, rest) = records.split_at_checked(length)?;
    let name = record.get(19..)?;
    let end = name.iter().position(|&b| b == 0)?;
    Some((name.get(..end)?, rest))
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| u64::from(b - b'0'));
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(digit(b)?))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, &b| {
        Some(n.checked_mul(16)?.wrapping_add(u64::from((b as char).to_digit(16)?)))
    })
}

/// Opens `/proc/self/task/<thread>/<file>`.
pub fn open(thread: i32, file: &str) -> Option<Descriptor> {
    let mut path = Path { bytes: [0; 64], length: 0 };
    path.push(b"/proc/self/task/");
    let mut digits = [0u8; 10];
    let mut rest = thread.unsigned_abs();
    let mut from = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        from = at;
        if rest == 0 {
            break;
        }
    }
    path.push(digits.get(from..)?);
    path.push(b"/");
    path.push(file.as_bytes());
    path.push(b"\0");
    Descriptor::open(path.bytes.get(..path.length)?, libc::O_RDONLY)
}

struct Path {
    bytes: [u8; 64],
    length: usize,
}

impl Path {
    fn push(&mut self, part: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(part) {
            *to = *from;
        }
        self.length = self.length.wrapping_add(part.len());
    }
}

/// What the thread whose `syscall` file this is is doing.
pub fn doing(file: &Descriptor) -> Doing {
    let mut buffer = [0u8; 256];
    parse_doing(file.read_at(&mut buffer, 0)).unwrap_or(Doing::Running)
}

/// `running`, or the system call's number, its six arguments where there is a call, the stack
/// pointer and the address.
fn parse_doing(text: &[u8]) -> Option<Doing> {
    let mut words = text.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
    let number = words.next()?;
    let mut word = || hexadecimal(words.next()?.strip_prefix(b"0x")?).map(|n| n as usize);
    if number.starts_with(b"-") {
        let _stack = word()?;
        return Some(Doing::Elsewhere(word()?));
    }
    let number = decimal(number)? as usize;
    let [argument, ..] = [word()?, word()?, word()?, word()?, word()?, word()?];
    Some(Doing::Call(Call { number, argument, stack: word()?, pc: word()? }))
}

/// The thread's state and signals; `None` where it is no longer there.
pub fn status(thread: i32) -> Option<Status> {
    let file = open(thread, "status")?;
    let mut buffer = [0u8; 4096];
    parse_status(file.read_at(&mut buffer, 0))
}

fn parse_status(text: &[u8]) -> Option<Status> {
    let field = |name: &[u8]| {
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_ascii())
    };
    let state = *field(b"State:")?.first()?;
    Some(Status {
        dead: matches!(state, b'Z' | b'X'),
        blocked: hexadecimal(field(b"SigBlk:")?)?,
        pending: hexadecimal(field(b"SigPnd:")?)?,
        filters: filters(field(b"Seccomp:"), field(b"Seccomp_filters:")),
    })
}

/// The strict mode, which lets next to nothing pass, counts more than any filters. Kernels before
/// 5.9 do not count.
fn filters(mode: Option<&[u8]>, count: Option<&[u8]>) -> u32 {
    match (mode, count.and_then(decimal)) {
        (Some(b"1"), _) => u32::MAX,
        (Some(b"2"), None) => 1,
        (_, count) => u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX),
    }
}

/// The thread's name, for people.
pub fn name(thread: i32) -> String {
    let mut buffer = [0u8; 64];
    let name = open(thread, "comm").map(|file| {
        String::from_utf8_lossy(file.read_at(&mut buffer, 0).trim_ascii()).into_owned()
    });
    match name {
        Some(name) if !name.is_empty() => format!("{name:?} ({thread})"),
        _ => thread.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_three_shapes_are_told_apart() {
        assert_eq!(parse_doing(b"running\n"), None);
        assert_eq!(parse_doing(b"-1 0x7ffd 0x55aa\n"), Some(Doing::Elsewhere(0x55aa)));
        let text = b"232 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n";
        let call = Call { number: 232, argument: 1, stack: 7, pc: 8 };
        assert_eq!(parse_doing(text), Some(Doing::Call(call)));
    }

    #[test]
    fn a_status_tells_the_state_and_the_blocked_signals() {
        let text = b"Name:\tx\nState:\tS (sleeping)\nSigPnd:\t4\nSigBlk:\tfffffffe7ffbfeff\n";
        let expected =
            Status { dead: false, blocked: 0xffff_fffe_7ffb_feff, pending: 4, filters: 0 };
        assert_eq!(parse_status(text), Some(expected));
    }

    #[test]
    fn filters_are_counted() {
        let filters = |text: &[u8]| {
            let text = [&b"State:\tS\nSigPnd:\t0\nSigBlk:\t0\n"[..], text].concat();
            parse_status(&text).map(|status| status.filters)
        };
        assert_eq!(filters(b"Seccomp:\t0\nSeccomp_filters:\t0\n"), Some(0));
        assert_eq!(filters(b"Seccomp:\t2\nSeccomp_filters:\t3\n"), Some(3));
        assert_eq!(filters(b"Seccomp:\t2\n"), Some(1));
        assert_eq!(filters(b"Seccomp:\t1\nSeccomp_filters:\t0\n"), Some(u32::MAX));
    }

    #[test]
    fn this_thread_is_among_the_processs_threads() {
        let mut found = false;
        let me = super::super::raw::thread_id();
        let tasks = Tasks::open().unwrap();
        assert!(tasks.each(&mut [0; 4096], |thread| {
            found |= thread == me;
            true
        }));
        assert!(found);
        assert!(status(me).is_some_and(|s| !s.dead));
        assert!(matches!(doing(&open(me, "syscall").unwrap()), Doing::Call(_)));
    }
}
