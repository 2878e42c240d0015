//! Reading memory that may not be there, in a signal handler too: without `errno`, locks or faults.

use super::raw::process_id;
use crate::active::arch::syscall;

/// No page is smaller.
const PAGE: usize = 4096;

/// Copies memory of this process that may not be there; how many bytes were there.
///
/// # Safety
/// `to` has room for `length` bytes.
pub unsafe fn read(from: usize, to: *mut u8, length: usize) -> usize {
    let local = libc::iovec { iov_base: to.cast(), iov_len: length };
    let remote = libc::iovec { iov_base: from as *mut libc::c_void, iov_len: length };
    let (local, remote) = (std::ptr::from_ref(&local), std::ptr::from_ref(&remote));
    let arguments = [process_id() as usize, local as usize, 1, remote as usize, 1, 0];
    // SAFETY: the kernel checks what it reads; what it writes is the caller's.
    let result = unsafe { syscall(libc::SYS_process_vm_readv, arguments) };
    match usize::try_from(result) {
        Ok(read) => read,
        Err(_) if result == -(libc::EFAULT as isize) => 0,
        // Filters of system calls leave it out, and emulators do not have it.
        // SAFETY: as for this function.
        Err(_) => unsafe { through_pipe(from, to, length) },
    }
}

/// The kernel also checks what it is to write to a pipe.
///
/// # Safety
/// As [`read`].
unsafe fn through_pipe(from: usize, to: *mut u8, length: usize) -> usize {
    let mut ends = [-1i32; 2];
    let flags = (libc::O_CLOEXEC | libc::O_NONBLOCK) as usize;
    // SAFETY: the kernel writes two descriptors.
    let made = unsafe { syscall(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, flags, 0, 0, 0, 0]) };
    if made != 0 {
        return 0;
    }
    let [out, into] = ends.map(|end| end as usize);
    let mut done = 0;
    while done < length {
        let at = from.wrapping_add(done);
        let wanted = (length - done).min(PAGE - at % PAGE);
        // SAFETY: the kernel checks what it reads.
        let there = unsafe { syscall(libc::SYS_write, [into, at, wanted, 0, 0, 0]) };
        let Ok(there @ 1..) = usize::try_from(there) else { break };
        let place = to.wrapping_add(done) as usize;
        // SAFETY: `there` is at most what is left of the room at `to`.
        let read = unsafe { syscall(libc::SYS_read, [out, place, there, 0, 0, 0]) };
        if read != there as isize {
            break;
        }
        done += there;
    }
    for end in [out, into] {
        // SAFETY: nobody else knows these descriptors.
        unsafe { syscall(libc::SYS_close, [end, 0, 0, 0, 0, 0]) };
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pages of which the last cannot be read.
    fn pages() -> *mut u8 {
        let all = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, of which a part is then closed.
        unsafe {
            let start = libc::mmap(std::ptr::null_mut(), 3 * PAGE, all, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.byte_add(2 * PAGE), PAGE, libc::PROT_NONE), 0);
            start.cast()
        }
    }

    #[test]
    fn both_ways_read_as_far_as_there_is_memory() {
        let start = pages();
        // SAFETY: the first two pages are there, and nobody else knows them.
        let known = unsafe { std::slice::from_raw_parts_mut(start, 2 * PAGE) };
        known.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
        let mut room = vec![0; 3 * PAGE];
        for way in [read, through_pipe] {
            room.fill(0);
            // SAFETY: the room is as large as what is asked for.
            let there = unsafe { way(start as usize + 100, room.as_mut_ptr(), 2 * PAGE) };
            assert_eq!(there, 2 * PAGE - 100);
            assert_eq!(room[..there], known[100..]);
            // SAFETY: as above.
            let there = unsafe { way(start as usize + 2 * PAGE, room.as_mut_ptr(), 8) };
            assert_eq!(there, 0);
        }
    }
}
