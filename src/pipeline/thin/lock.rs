//! One thin build at a time: two would share incremental folders and each other's results.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::error::Failure;

/// Held while a thin build runs; another one waits, in this process or in another.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for its turn.
    ///
    /// # Errors
    /// A [`Failure`] that names the file.
    pub fn take(file: &Path) -> Result<Lock, Failure> {
        let cannot = |e: std::io::Error| Failure::io("lock", file, &e);
        let open = File::options().create(true).append(true).open(file).map_err(cannot)?;
        loop {
            // SAFETY: the descriptor is open for as long as `open` lives.
            if unsafe { libc::flock(open.as_raw_fd(), libc::LOCK_EX) } == 0 {
                return Ok(Lock { _file: open });
            }
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(cannot(error));
            }
        }
    }
}
