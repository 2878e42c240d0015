//! The runtime's thread keeps to itself where it was started before `main`: it has a table of open
//! files and a working directory of its own. So the program may close every descriptor there is,
//! count on the numbers of those that it opens, or lock itself into a folder, and neither notices
//! the other.

#[cfg(not(target_os = "android"))]
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// How long `main` waits for the thread at most.
const LIMIT: Duration = Duration::from_secs(1);

/// Whether the runtime's thread has left.
static APART: AtomicBool = AtomicBool::new(false);
/// 1 once the program need not wait any more.
static READY: AtomicU32 = AtomicU32::new(0);

/// Leaves the calling thread with the program's tables: Android ends an app for some of the system
/// calls that it takes to have others.
#[cfg(target_os = "android")]
pub fn leave() {}

/// Gives the calling thread tables of its own, with nothing of the program's in them. Where that
/// is forbidden (as in some containers), it goes on sharing them.
#[cfg(not(target_os = "android"))]
pub fn leave() {
    // SAFETY: the call concerns this thread only, whose descriptors are not yet in use.
    if unsafe { libc::unshare(libc::CLONE_FILES | libc::CLONE_FS) } == 0 {
        APART.store(true, SeqCst);
        close_all();
    }
}

/// Lets the program begin.
pub fn set_ready() {
    if READY.swap(1, SeqCst) == 0 {
        let word = READY.as_ptr();
        // SAFETY: the word is static.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// Waits until the thread has left and has its connection: nothing that `main` opens is ever in its
/// table, and whatever `main` locks itself out of is no longer needed for it.
pub fn await_ready() {
    let limit = libc::timespec { tv_sec: LIMIT.as_secs() as libc::time_t, tv_nsec: 0 };
    let word = READY.as_ptr();
    // SAFETY: the word is static, and the time outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, 0, &raw const limit) };
}

/// Whether the calling thread, which is the runtime's, has tables of its own.
pub fn is_apart() -> bool {
    APART.load(SeqCst)
}

/// A descriptor that stays open here would keep the other end of the program's pipes waiting.
#[cfg(not(target_os = "android"))]
fn close_all() {
    // SAFETY: nothing in this thread's own table is in use.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) != 0 {
            let open = std::fs::read_dir("/proc/thread-self/fd").into_iter().flatten().flatten();
            let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            for number in numbers.collect::<Vec<i32>>() {
                libc::close(number);
            }
        }
        // So that nothing else gets the numbers of the standard streams.
        for _ in 0..3 {
            libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        }
    }
}

/// Writes to what is the program's standard error now, or where Android has its log.
pub fn tell(text: &str) {
    #[cfg(target_os = "android")]
    return super::android::log(text);
    #[cfg(not(target_os = "android"))]
    write_to_stderr(text);
}

#[cfg(not(target_os = "android"))]
fn write_to_stderr(text: &str) {
    if !is_apart() {
        let _ = io::stderr().write_all(text.as_bytes());
        return;
    }
    // SAFETY: all descriptors here are this function's own, and the text outlives the calls.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
        let stderr = libc::syscall(libc::SYS_pidfd_getfd, process, libc::STDERR_FILENO, 0);
        libc::write(stderr as i32, text.as_ptr().cast(), text.len());
        libc::close(stderr as i32);
        libc::close(process as i32);
    }
}
