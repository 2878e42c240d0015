//! The connection to the server, as a descriptor that the program may take away at any moment.
//!
//! Where the runtime shares the program's table of open files, a program that closes all
//! descriptors closes this one too, and the next file that it opens may get its number. So it has
//! a high number, and is looked at before each use: what is another file by now is the program's,
//! and left alone.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::time::Duration;

use super::{apart, owner};

/// Programs that open few files never get here.
const HIGH: libc::rlim_t = 1000;
/// How far below the limit of descriptors it stays.
const DISTANCE: libc::rlim_t = 24;

/// The connection. Only `read` and `write` are called on it, which also the strictest of filters
/// let pass.
pub struct Line {
    /// Nothing once it is lost.
    stream: Option<TcpStream>,
    /// Device and inode, where somebody else could take the number.
    identity: Option<(u64, u64)>,
    /// The limit that reads have.
    limit: Option<Option<Duration>>,
}

/// The descriptor of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its number.
    pub descriptor: i32,
    /// Device and inode, where somebody else could take the number.
    pub identity: Option<(u64, u64)>,
}

impl Line {
    /// Takes a connection over.
    pub fn new(stream: TcpStream) -> Line {
        if apart::is_apart() {
            return Line { stream: Some(stream), identity: None, limit: None };
        }
        let stream = raised(stream);
        let identity = identity(stream.as_raw_fd());
        Line { stream: Some(stream), identity, limit: None }
    }

    /// Where it is, for whoever sends without it; nothing once it is lost.
    pub fn place(&self) -> Option<Place> {
        let descriptor = self.stream.as_ref()?.as_raw_fd();
        Some(Place { descriptor, identity: self.identity })
    }

    /// The user at the other end, where that is on this machine and known.
    pub fn user_at_other_end(&self) -> Option<u32> {
        owner::of_other_end(self.stream.as_ref()?)
    }

    /// How long a read may take.
    ///
    /// # Errors
    /// Where the connection is lost.
    pub fn set_read_timeout(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.limit != Some(limit) {
            self.checked()?.set_read_timeout(limit)?;
            self.limit = Some(limit);
        }
        Ok(())
    }

    /// The connection, where it still is one.
    fn checked(&mut self) -> io::Result<&TcpStream> {
        let ours = match (&self.stream, self.identity) {
            (Some(stream), Some(known)) => identity(stream.as_raw_fd()) == Some(known),
            (stream, _) => stream.is_some(),
        };
        if !ours {
            // Not closed: the number belongs to the program.
            let _ = self.stream.take().map(IntoRawFd::into_raw_fd);
        }
        self.stream.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.checked();
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let descriptor = self.checked()?.as_raw_fd();
        // SAFETY: the kernel writes no more than the buffer's length.
        result(unsafe { libc::read(descriptor, buffer.as_mut_ptr().cast(), buffer.len()) })
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let descriptor = self.checked()?.as_raw_fd();
        // SAFETY: the kernel reads no more than the slice's length. A signal that tells of a lost
        // connection is blocked on the runtime's thread.
        result(unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn result(count: isize) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The same connection under a high number, where there is one.
fn raised(stream: TcpStream) -> TcpStream {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the calls write one `rlimit`, and make a descriptor that nobody else knows.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr());
        let lowest = limit.assume_init().rlim_cur.saturating_sub(DISTANCE).min(HIGH);
        libc::fcntl(stream.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest as libc::c_int)
    };
    if raised < 0 {
        return stream;
    }
    // SAFETY: the descriptor was just made.
    unsafe { TcpStream::from_raw_fd(raised) }
}

/// What tells an open file from others, device and inode: sockets have these too.
pub fn identity(descriptor: i32) -> Option<(u64, u64)> {
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the call writes one `stat`, of which all bytes zero is a valid value.
    unsafe {
        let known = libc::fstat(descriptor, found.as_mut_ptr()) == 0;
        known.then(|| found.assume_init()).map(|found| (found.st_dev, found.st_ino))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_number_that_the_program_has_taken_is_left_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let low = stream.as_raw_fd();
        let mut line = Line::new(stream);
        let number = line.checked().unwrap().as_raw_fd();
        assert!(number > low);
        line.write_all(b"hello").unwrap();
        let path = std::env::temp_dir().join(format!("hotpatch-line-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        // SAFETY: this puts the file where the connection was, as a program could.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
        assert!(line.write_all(b"not into the file").is_err());
        drop(line);
        // SAFETY: the number is still the file's.
        assert_eq!(unsafe { libc::write(number, b"own".as_ptr().cast(), 3) }, 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"own");
        std::fs::remove_file(&path).unwrap();
    }
}
