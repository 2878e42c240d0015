//! What depends on the operating system. Only Linux for now, with Android's own things in
//! `android`: `raw`, `memory`, `tasks` and `maps` know its system calls and its `/proc`, `signals`
//! and `mask` its signals, `code` how it lets code be changed.

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_os = "android")]
pub mod android;
#[cfg_attr(any(target_os = "android", not(feature = "inject")), allow(dead_code))]
pub mod apart;
#[cfg(feature = "inject")]
mod constructor;
#[cfg(feature = "inject")]
pub mod door;
pub mod line;
pub mod mask;
mod owner;

#[cfg(hotpatch_detours)]
pub mod code;
#[cfg(hotpatch_detours)]
pub mod faults;
#[cfg(hotpatch_detours)]
pub mod maps;
#[cfg(hotpatch_detours)]
pub mod memory;
#[cfg(hotpatch_detours)]
pub mod raw;
#[cfg(hotpatch_detours)]
pub mod signals;
#[cfg(hotpatch_detours)]
pub mod tasks;

/// The size of a page of memory, which differs between kernels of one processor.
pub fn page_size() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: the call only reads.
    let said = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let size = usize::try_from(said).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096);
    KNOWN.store(size, Ordering::Relaxed);
    size
}

/// Whether the program has rights that the user who started it has not.
#[cfg(not(target_os = "android"))]
pub fn is_privileged() -> bool {
    // SAFETY: the call only reads what the kernel has left for the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The same where the kernel's word says nothing: it is true of every app, since the process that
/// apps are forked from has changed its SELinux domain when it was started.
#[cfg(target_os = "android")]
pub fn is_privileged() -> bool {
    // SAFETY: the calls have no arguments and cannot fail.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

/// Notes what the runtime's thread is like at first.
pub fn enter() {
    #[cfg(hotpatch_detours)]
    tasks::enter();
}

/// Whether the program has put a filter on the system calls of the runtime's thread.
pub fn is_confined() -> bool {
    #[cfg(hotpatch_detours)]
    return tasks::is_confined();
    #[cfg(not(hotpatch_detours))]
    false
}
