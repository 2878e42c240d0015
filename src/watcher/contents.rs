//! What each input's content was when it was told last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Watched;

/// The inputs, each with what was in it, or nothing where there is no such file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    known: BTreeMap<PathBuf, Option<Content>>,
}

/// What was in a file, and which writing of it that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    hash: blake3::Hash,
    written: Written,
}

/// When a file was written and which file it is, which tells whether it was written again.
type Written = (SystemTime, u64);

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
            let unread = blake3::Hash::from_bytes([0; 32]);
            let unread = Content { hash: unread, written: (SystemTime::UNIX_EPOCH, 0) };
            self.known.insert(file.clone(), if suspect { Some(unread) } else { content(file) });
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

    /// The inputs that were written, made or removed since they were read, by the look of them.
    pub fn touched(&self) -> Vec<PathBuf> {
        let touched = |(file, known): &(&PathBuf, &Option<Content>)| {
            let data = std::fs::metadata(file).ok();
            // A folder has no content, so that nothing is known of it.
            let file = data.as_ref().is_none_or(|data| data.is_file());
            file && data.as_ref().map(written) != known.map(|content| content.written)
        };
        self.known.iter().filter(touched).map(|(file, _)| file.clone()).collect()
    }

    /// What an input's content is now, compared with the last time; remembers it.
    pub fn news(&mut self, file: &Path) -> News {
        let current = content(file);
        let known = self.known.insert(file.into(), current).flatten();
        match (known, current) {
            (None, None) => News::None,
            // A busy system tells of one save in pieces.
            (Some(known), Some(current)) if known == current => News::None,
            (Some(known), Some(current)) if known.hash == current.hash => News::Same,
            (_, None) => News::Gone,
            (_, Some(_)) => News::Changed,
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
    /// Nothing: it was not written since, or did not exist before either.
    None,
}

fn content(file: &Path) -> Option<Content> {
    // Before the content, so that whoever writes in between is noticed the next time.
    let written = written(&std::fs::metadata(file).ok()?);
    let bytes = std::fs::read(file).ok()?;
    Some(Content { hash: blake3::hash(&bytes), written })
}

fn written(data: &Metadata) -> Written {
    (data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.ino())
}
