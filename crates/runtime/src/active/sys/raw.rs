//! System calls that touch neither `errno` nor any lock: all that may be used while threads stand
//! still, and in the signal handler.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::active::arch::syscall;

/// The calling thread's id.
pub fn thread_id() -> i32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) as i32 }
}

/// The process's id.
pub fn process_id() -> i32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) as i32 }
}

/// Sends `signal` to one thread of this process; 0 only asks whether it is there.
/// False where there is no such thread.
pub fn signal_thread(thread: i32, signal: i32) -> bool {
    // SAFETY: the call reads no memory.
    let result = unsafe {
        let arguments = [process_id() as usize, thread as usize, signal as usize, 0, 0, 0];
        syscall(libc::SYS_tgkill, arguments)
    };
    result != -(libc::ESRCH as isize)
}

/// Sleeps until `word` is woken, but not where it is no longer `seen`.
pub fn wait(word: &AtomicU32, seen: u32, limit: Option<Duration>) {
    let limit = limit.map(|d| libc::timespec {
        tv_sec: d.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(d.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let arguments = [word.as_ptr() as usize, operation, seen as usize, limit as usize, 0, 0];
    // SAFETY: the word and the time outlive the call.
    unsafe { syscall(libc::SYS_futex, arguments) };
}

/// Wakes all that wait for `word`.
pub fn wake(word: &AtomicU32) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    let arguments = [word.as_ptr() as usize, operation, i32::MAX as usize, 0, 0, 0];
    // SAFETY: the word outlives the call.
    unsafe { syscall(libc::SYS_futex, arguments) };
}

/// Nanoseconds of a clock that never goes back.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`; it is one that a signal handler may make.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Sends all of `bytes` through a socket, or what it takes.
pub fn send(socket: i32, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let flags = libc::MSG_NOSIGNAL as usize;
        let arguments = [socket as usize, rest.as_ptr() as usize, rest.len(), flags, 0, 0];
        // SAFETY: the kernel reads no more than the slice's length.
        let sent = unsafe { syscall(libc::SYS_sendto, arguments) };
        match usize::try_from(sent).ok().and_then(|sent| rest.get(sent..)) {
            Some(left) if sent > 0 => rest = left,
            _ => return,
        }
    }
}

/// A file descriptor that is closed when it goes.
pub struct Descriptor(i32);

impl Descriptor {
    /// Opens the file whose name is `path`, which ends with a zero byte.
    pub fn open(path: &[u8], flags: i32) -> Option<Descriptor> {
        if path.last() != Some(&0) {
            return None;
        }
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags, 0, 0, 0];
        // SAFETY: the path ends with a zero byte and outlives the call.
        let result = unsafe { syscall(libc::SYS_openat, arguments) };
        (result >= 0).then_some(Descriptor(result as i32))
    }

    /// Reads from `offset` on; what was read.
    pub fn read_at<'a>(&self, buffer: &'a mut [u8], offset: u64) -> &'a [u8] {
        let to = buffer.as_mut_ptr() as usize;
        let arguments = [self.0 as usize, to, buffer.len(), offset as usize, 0, 0];
        // SAFETY: the kernel writes no more than the buffer's length.
        let result = unsafe { syscall(libc::SYS_pread64, arguments) };
        buffer.get(..result.max(0) as usize).unwrap_or_default()
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> bool {
        let from = bytes.as_ptr() as usize;
        let arguments = [self.0 as usize, from, bytes.len(), offset as usize, 0, 0];
        // SAFETY: the kernel reads no more than the slice's length.
        let result = unsafe { syscall(libc::SYS_pwrite64, arguments) };
        result == bytes.len() as isize
    }

    /// Goes back to a directory's first entry.
    pub fn rewind(&self) {
        let arguments = [self.0 as usize, 0, libc::SEEK_SET as usize, 0, 0, 0];
        // SAFETY: the call reads no memory.
        unsafe { syscall(libc::SYS_lseek, arguments) };
    }

    /// The next records of a directory; none at its end.
    pub fn next_records<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let to = buffer.as_mut_ptr() as usize;
        let arguments = [self.0 as usize, to, buffer.len(), 0, 0, 0];
        // SAFETY: the kernel writes no more than the buffer's length.
        let result = unsafe { syscall(libc::SYS_getdents64, arguments) };
        buffer.get(..result.max(0) as usize).unwrap_or_default()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { syscall(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Asks the kernel, once, to be ready for [`serialize_all`]. False where it cannot.
pub fn prepare_to_serialize() -> bool {
    #[cfg(target_os = "android")]
    if !super::android::allows_new_calls() {
        return false;
    }
    let command = libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE as usize;
    // SAFETY: the call reads no memory.
    unsafe { syscall(libc::SYS_membarrier, [command, 0, 0, 0, 0, 0]) == 0 }
}

/// Makes every processor that runs a thread of this process throw away what it has fetched ahead.
pub fn serialize_all() -> bool {
    let command = libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE as usize;
    // SAFETY: the call reads no memory.
    unsafe { syscall(libc::SYS_membarrier, [command, 0, 0, 0, 0, 0]) == 0 }
}
