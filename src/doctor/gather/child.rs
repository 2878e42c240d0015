//! Trying something that may end the process, in a process made for it.

use std::io;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Runs `action` in a copy of this process; what it returns is the copy's exit code.
///
/// # Errors
/// Where there can be no more processes.
pub fn run(action: impl FnOnce() -> u8) -> io::Result<End> {
    // SAFETY: the copy has this one thread only, and `action` does no more than look at memory
    // and make system calls; it takes no lock that another thread may have had.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let code = action();
        // SAFETY: ends the process without running anything that was registered for its end.
        unsafe { libc::_exit(i32::from(code)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was just made; `status` is a place for the result.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(match libc::WIFSIGNALED(status) {
        true => End::Signal(libc::WTERMSIG(status)),
        false => End::Code(libc::WEXITSTATUS(status)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_end_are_told() {
        assert_eq!(run(|| 7).unwrap(), End::Code(7));
        let killed = run(|| {
            // SAFETY: ends this process.
            unsafe { libc::raise(libc::SIGKILL) };
            0
        });
        assert_eq!(killed.unwrap(), End::Signal(libc::SIGKILL));
    }
}
