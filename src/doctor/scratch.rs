//! The one thing that is written: a directory for a trial, which goes away however that ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

/// How often it is tried to remove a directory that some tool may still be writing to.
const ATTEMPTS: u32 = 20;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(20);

/// A directory that is made when it is needed.
#[derive(Debug, Default)]
pub struct Scratch {
    made: Mutex<Option<TempDir>>,
}

impl Scratch {
    /// The directory, made in `folder`.
    ///
    /// # Errors
    /// Why it cannot be made, for people.
    pub fn make_in(&self, folder: &Path) -> Result<PathBuf, String> {
        let mut builder = tempfile::Builder::new();
        let made = builder.prefix("hotpatch-doctor-").tempdir_in(folder);
        let made =
            made.map_err(|e| format!("no directory can be made in {}: {e}", folder.display()))?;
        let path = made.path().to_path_buf();
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(path)
    }

    /// Removes it, where it was made, with all that is in it.
    pub fn remove(&self) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(made) = made else { return };
        let path = made.keep();
        for _ in 0..ATTEMPTS {
            std::fs::remove_dir_all(&path).ok();
            if !path.exists() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_removed_when_asked_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let left = || std::fs::read_dir(folder.path()).unwrap().count();
        for by_hand in [true, false] {
            let scratch = Scratch::default();
            let made = scratch.make_in(folder.path()).unwrap();
            std::fs::write(made.join("file"), "x").unwrap();
            assert_eq!(left(), 1);
            if by_hand {
                scratch.remove();
                assert_eq!(left(), 0);
                scratch.remove();
            }
            drop(scratch);
            assert_eq!(left(), 0);
        }
        assert!(Scratch::default().make_in(&folder.path().join("none")).is_err());
    }
}
