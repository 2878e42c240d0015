//! Where a tool of the same user can find a program that waits for it: a socket in the kernel's
//! table of names, without a file that could be left behind.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
use std::os::fd::AsRawFd;
#[cfg(not(target_os = "android"))]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use super::apart;

/// How long a caller may take to say what it wants.
const LIMIT: Duration = Duration::from_secs(5);
/// No caller has that much to say.
const LONGEST: u64 = 4096;

/// The waiting side.
pub struct Door(UnixListener);

impl Door {
    /// Opens a door of this name.
    ///
    /// # Errors
    /// Where somebody else has the name, or the runtime's thread shares the program's open files:
    /// the program could close this one, and another get its number.
    pub fn open(name: &str) -> io::Result<Door> {
        if !apart::is_apart() {
            return Err(io::Error::other("the system gives a thread no table of files of its own"));
        }
        let address = SocketAddr::from_abstract_name(name)?;
        UnixListener::bind_addr(&address).map(Door)
    }

    /// Waits for a caller of the same user; what it says, up to the end, and where to answer.
    ///
    /// # Errors
    /// Where nobody can come any more.
    pub fn answer(&self) -> io::Result<(String, UnixStream)> {
        loop {
            let caller = match self.0.accept() {
                Ok((caller, _)) => caller,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            if let Some(said) = said(&caller) {
                return Ok((said, caller));
            }
        }
    }
}

/// Tells a caller that it was understood.
pub fn agree(mut caller: UnixStream) {
    // It may have gone.
    let _ = caller.write_all(hotpatch_protocol::AGREED);
}

fn said(caller: &UnixStream) -> Option<String> {
    if !is_same_user(caller) || super::is_confined() {
        return None;
    }
    caller.set_read_timeout(Some(LIMIT)).ok()?;
    caller.set_write_timeout(Some(LIMIT)).ok()?;
    let mut text = String::new();
    caller.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn is_same_user(caller: &UnixStream) -> bool {
    let mut found = MaybeUninit::<libc::ucred>::zeroed();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than one `ucred`, of which all bytes zero is a valid value,
    // and the other calls only ask.
    unsafe {
        let asked = libc::getsockopt(
            caller.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            found.as_mut_ptr().cast(),
            &mut length,
        );
        asked == 0 && found.assume_init().uid == libc::geteuid()
    }
}
