//! One `watch` or `patch` at a time for a target directory: two would overwrite each other's objects.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::AsRawFd;

use crate::error::Failure;
use crate::session::Store;

/// Held for as long as this process runs; the system frees it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a store.
    ///
    /// # Errors
    /// A [`Failure`] of kind environment that names the process that has it.
    pub fn take(store: &Store) -> Result<Lock, Failure> {
        let path = store.watch_lock();
        let failure = |e: std::io::Error| Failure::io("lock", &path, &e);
        std::fs::create_dir_all(store.root()).map_err(failure)?;
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failure)?;
        // SAFETY: the descriptor is open for as long as `file` lives.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = std::io::Error::last_os_error();
            if error.kind() != ErrorKind::WouldBlock {
                return Err(failure(error));
            }
            return Err(taken(&mut file, store));
        }
        let pid = std::process::id().to_string();
        file.set_len(0).and_then(|()| file.rewind()).map_err(failure)?;
        file.write_all(pid.as_bytes()).map_err(failure)?;
        Ok(Lock { _file: file })
    }
}

fn taken(file: &mut File, store: &Store) -> Failure {
    let mut pid = String::new();
    // Who it is helps; that there is somebody is what matters.
    let who = match file.read_to_string(&mut pid) {
        Ok(length) if length > 0 => format!("process {}", pid.trim()),
        _ => "another process".into(),
    };
    let message = format!("{who} is already at work in `{}`", store.root().display());
    Failure::environment(message).hint("end it, or use another directory with --target-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let first = Lock::take(&store).unwrap();
        let second = Lock::take(&store).unwrap_err();
        let pid = std::process::id().to_string();
        assert!(second.message.contains(&pid), "{second}");
        drop(first);
        Lock::take(&store).unwrap();
    }
}
