//! What each input's content was when it was told last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Watched;

/// The inputs, each with a hash of its content, or nothing where there is no such file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    known: BTreeMap<PathBuf, Option<blake3::Hash>>,
}

impl Contents {
    /// Takes these inputs instead of those before; those that may have changed behind our back.
    pub fn replace(&mut self, watched: &Watched) -> Vec<PathBuf> {
        self.known.retain(|file, _| watched.files.contains(file));
        let mut suspects = Vec::new();
        let new: BTreeSet<_> =
            watched.files.iter().filter(|file| !self.known.contains_key(*file)).collect();
        for file in new {
            let suspect = watched.doubtful.contains(file)
                && std::fs::metadata(file)
                    .and_then(|data| data.modified())
                    .is_ok_and(|modified| modified >= watched.since);
            // No content has this hash, so that whatever is in the file will be news.
            let unread = Some(blake3::Hash::from_bytes([0; 32]));
            self.known.insert(file.clone(), if suspect { unread } else { hash(file) });
            if suspect {
                suspects.push(file.clone());
            }
        }
        suspects
    }

    /// All inputs.
    pub fn files(&self) -> Vec<PathBuf> {
        self.known.keys().cloned().collect()
    }

    /// What an input's content is now, compared with the last time; remembers it.
    pub fn news(&mut self, file: &Path) -> News {
        let current = hash(file);
        let known = self.known.insert(file.into(), current).flatten();
        match current {
            None if known.is_none() => News::StillGone,
            None => News::Gone,
            Some(_) if known == current => News::Same,
            Some(_) => News::Changed,
        }
    }
}

/// What became of an input since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It was written with the content that it had.
    Same,
    /// It has another content.
    Changed,
    /// It exists no more, or cannot be read.
    Gone,
    /// It did not exist before either.
    StillGone,
}

fn hash(file: &Path) -> Option<blake3::Hash> {
    std::fs::read(file).ok().map(|bytes| blake3::hash(&bytes))
}
