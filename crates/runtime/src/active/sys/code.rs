//! Making code writable for a moment, and writing it.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::maps::{self, Mapping};
use super::page_size;
use super::raw::Descriptor;
use crate::active::arch::written;

/// Pages between two places that are unlocked along with them, to keep the number of calls small.
const BRIDGED: usize = 16;

/// Leave to write to some places in code; it ends when this value goes.
pub enum Access {
    /// The pages are writable.
    Pages(Vec<Unlocked>),
    /// The system does not make code writable, but lets it be written through this file.
    Memory(Descriptor),
}

/// A run of pages that was made writable.
pub struct Unlocked {
    start: usize,
    end: usize,
    protection: i32,
}

impl Access {
    /// Asks for leave to write `size` bytes at each of `places`, which are in ascending order.
    ///
    /// # Errors
    /// A text that says what the system did not allow; nothing is changed then.
    pub fn to(places: &[usize], size: usize) -> Result<Access, String> {
        let maps = maps::read().map_err(|e| format!("/proc/self/maps cannot be read: {e}"))?;
        let runs = runs(&maps, places, size)?;
        match unlock(runs) {
            Ok(pages) => {
                // The first write to a page copies it: better now than while callers wait.
                for &place in places {
                    touch(place);
                    touch(place + size - 1);
                }
                Ok(Access::Pages(pages))
            }
            Err(why) => match memory_file(places) {
                Some(file) => Ok(Access::Memory(file)),
                None => Err(why),
            },
        }
    }

    /// True where a write is one store, which other threads may meet while they run.
    pub fn is_immediate(&self) -> bool {
        matches!(self, Access::Pages(_))
    }

    /// Writes code; false where that failed. Neither allocates nor locks.
    pub fn write(&self, place: usize, bytes: &[u8]) -> bool {
        match self {
            Access::Pages(_) => {
                store(place, bytes);
                written(place, bytes.len());
                true
            }
            Access::Memory(file) => file.write_at(bytes, place as u64),
        }
    }
}

/// Lets code be entered anywhere, also where the processor looks after that it is entered at landing
/// pads only: patches come to functions from afar, and compilers leave the pad out where nobody did.
///
/// # Errors
/// A text that says what the system did not allow.
pub fn unguard(code: &[Range<usize>]) -> Result<(), String> {
    let maps = maps::read().map_err(|e| format!("/proc/self/maps cannot be read: {e}"))?;
    let overlaps = |m: &&Mapping| code.iter().any(|c| m.start < c.end && c.start < m.end);
    let executable = |m: &&Mapping| m.protection & libc::PROT_EXEC != 0;
    for mapping in maps.iter().filter(executable).filter(overlaps) {
        let Mapping { start, end, protection, .. } = *mapping;
        // The guard is a right of its own, which a request without it takes away.
        protect(&Unlocked { start, end, protection }, protection).map_err(|e| {
            format!("the guard of code at {start:#x} (BTI) cannot be taken away: {e}")
        })?;
    }
    Ok(())
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Access::Pages(pages) = self {
            lock(pages);
        }
    }
}

fn runs(maps: &[Mapping], places: &[usize], size: usize) -> Result<Vec<Unlocked>, String> {
    let size_of_page = page_size();
    let mut runs: Vec<Unlocked> = Vec::new();
    for &place in places {
        for page in [place, place + size - 1].map(|address| address & !(size_of_page - 1)) {
            let at = maps.partition_point(|m| m.end <= page);
            let Some(mapping) = maps.get(at).filter(|m| m.start <= page) else {
                return Err(format!("there is no memory at {page:#x}"));
            };
            match runs.last_mut() {
                Some(last)
                    if last.start >= mapping.start && page <= last.end + BRIDGED * size_of_page =>
                {
                    last.end = last.end.max(page + size_of_page);
                }
                _ => runs.push(Unlocked {
                    start: page,
                    end: page + size_of_page,
                    protection: mapping.protection,
                }),
            }
        }
    }
    Ok(runs)
}

fn unlock(runs: Vec<Unlocked>) -> Result<Vec<Unlocked>, String> {
    let mut done = Vec::with_capacity(runs.len());
    for run in runs {
        if run.protection & libc::PROT_WRITE != 0 {
            continue;
        }
        if let Err(e) = protect(&run, run.protection | libc::PROT_READ | libc::PROT_WRITE) {
            lock(&done);
            return Err(format!("code at {:#x} cannot be made writable: {e}", run.start));
        }
        done.push(run);
    }
    Ok(done)
}

fn lock(runs: &[Unlocked]) {
    for run in runs {
        // Where this fails the code stays writable, and the program goes on as it was.
        let _ = protect(run, run.protection);
    }
}

fn protect(run: &Unlocked, protection: i32) -> std::io::Result<()> {
    // SAFETY: the pages keep all rights that they had; only the right to write comes and goes.
    let result =
        unsafe { libc::mprotect(run.start as *mut libc::c_void, run.end - run.start, protection) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Opens the file of this process's memory, where it lets code be written.
fn memory_file(places: &[usize]) -> Option<Descriptor> {
    let file = Descriptor::open(b"/proc/self/mem\0", libc::O_RDWR)?;
    let mut byte = [0u8];
    let writable = places.iter().all(|&place| {
        file.read_at(&mut byte, place as u64).len() == 1 && file.write_at(&byte, place as u64)
    });
    writable.then_some(file)
}

/// Writes the byte that is there.
fn touch(place: usize) {
    // SAFETY: the page was just made writable; other threads only execute it.
    let byte = unsafe { AtomicU8::from_ptr(place as *mut u8) };
    let value = byte.load(Ordering::Relaxed);
    // An exchange, since the compiler may turn any other operation that changes nothing into a load.
    let _ = byte.compare_exchange(value, value, Ordering::Relaxed, Ordering::Relaxed);
}

/// Writes the bytes with one store where they lie in one aligned word.
fn store(place: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let within = place % 8;
    if within + bytes.len() <= 8 {
        let word_at = (place - within) as *mut u64;
        // SAFETY: the word is in a page that is writable, aligned, and only executed by others.
        let word = unsafe { AtomicU64::from_ptr(word_at) };
        let mut content = word.load(Ordering::Relaxed).to_ne_bytes();
        for (to, from) in content.iter_mut().skip(within).zip(bytes) {
            *to = *from;
        }
        word.store(u64::from_ne_bytes(content), Ordering::SeqCst);
    } else {
        // SAFETY: the pages are writable, and no thread is about to execute these bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place as *mut u8, bytes.len()) };
    }
}
