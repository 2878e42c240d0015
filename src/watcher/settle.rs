//! When a file is written to its end: pure bookkeeping over times, without clocks or files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify_debouncer_full::notify::event::{
    AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode,
};
use notify_debouncer_full::notify::{Event, EventKind};

/// Nothing may happen for this long after a file was closed or renamed into place.
const QUIET: Duration = Duration::from_millis(5);
/// Or for this long where it was written and not closed, or where it is gone.
const OPEN: Duration = Duration::from_millis(50);
/// A save that never comes to rest is told after this long.
const LONGEST: Duration = Duration::from_secs(1);

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Somebody is writing it.
    Writing,
    /// It is complete: closed after writing, or renamed into place.
    Written,
    /// It was removed, or renamed to another name.
    Gone,
    /// A folder appeared.
    Folder,
}

/// Whether an event never means a change of content.
pub(super) fn is_noise(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => true,
        _ => false,
    }
}

/// Whether an event means that there is a file where none was.
pub(super) fn is_new(kind: &EventKind) -> bool {
    match kind {
        EventKind::Create(_) => true,
        EventKind::Modify(ModifyKind::Name(mode)) => *mode != RenameMode::From,
        _ => false,
    }
}

/// The paths of an event and what happened to each.
pub(super) fn read(event: &Event) -> Vec<(PathBuf, What)> {
    let all = |what: What| event.paths.iter().map(|path| (path.clone(), what)).collect();
    match event.kind {
        EventKind::Access(_) => all(What::Written),
        EventKind::Create(CreateKind::Folder) => all(What::Folder),
        EventKind::Remove(RemoveKind::Any | RemoveKind::File)
        | EventKind::Remove(RemoveKind::Folder | RemoveKind::Other)
        | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => all(What::Gone),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => all(What::Written),
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            // Both ends, in this order; each was also told alone where the system does so.
            event.paths.iter().cloned().zip([What::Gone, What::Written]).collect()
        }
        _ => all(What::Writing),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    first: Instant,
    last: Instant,
    what: What,
}

impl Pending {
    fn due(&self) -> Instant {
        self.last + if self.what == What::Written { QUIET } else { OPEN }
    }
}

/// Files that something happened to, until all of them are at rest.
#[derive(Debug, Default)]
pub(super) struct Settle {
    pending: BTreeMap<PathBuf, Pending>,
}

impl Settle {
    /// Something happened to a file.
    pub fn note(&mut self, file: &Path, what: What, at: Instant) {
        match self.pending.get_mut(file) {
            Some(pending) => {
                pending.what = what;
                pending.last = pending.last.max(at);
            }
            None => {
                self.pending.insert(file.into(), Pending { first: at, last: at, what });
            }
        }
    }

    /// Whether something happened to this file.
    pub fn has(&self, file: &Path) -> bool {
        self.pending.contains_key(file)
    }

    /// When all files will be at rest, if nothing more happens.
    pub fn due(&self) -> Option<Instant> {
        let rest = self.pending.values().map(Pending::due).max()?;
        let first = self.pending.values().map(|pending| pending.first).min()?;
        Some(rest.min(first + LONGEST))
    }

    /// Gives the files more time that are `unfinished`, unless they have had it; whether any has.
    pub fn hold(&mut self, now: Instant, unfinished: impl Fn(&Path) -> bool) -> bool {
        for (file, pending) in &mut self.pending {
            if pending.what == What::Written && now < pending.last + OPEN && unfinished(file) {
                pending.what = What::Writing;
            }
        }
        self.due().is_some_and(|due| due > now)
    }

    /// The files with the time of the first thing that happened to each; starts anew.
    pub fn take(&mut self) -> Vec<(PathBuf, Instant)> {
        std::mem::take(&mut self.pending)
            .into_iter()
            .map(|(file, pending)| (file, pending.first))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn file(name: &str) -> PathBuf {
        name.into()
    }

    #[test]
    fn a_closed_file_rests_soon_and_an_open_one_later() {
        let (mut s, t) = (Settle::default(), Instant::now());
        s.note(&file("a"), What::Writing, t);
        assert_eq!(s.due(), Some(t + OPEN));
        s.note(&file("a"), What::Written, t + ms(1));
        assert_eq!(s.due(), Some(t + ms(1) + QUIET));
    }

    #[test]
    fn all_files_of_a_save_are_told_together_with_their_first_times() {
        let (mut s, t) = (Settle::default(), Instant::now());
        s.note(&file("a"), What::Written, t);
        s.note(&file("b"), What::Written, t + ms(4));
        s.note(&file("a"), What::Written, t + ms(6));
        assert_eq!(s.due(), Some(t + ms(6) + QUIET));
        assert_eq!(s.take(), [(file("a"), t), (file("b"), t + ms(4))]);
        assert_eq!(s.due(), None);
    }

    #[test]
    fn a_file_that_is_written_without_end_is_told_in_between() {
        let (mut s, t) = (Settle::default(), Instant::now());
        for n in 0..200 {
            s.note(&file("a"), What::Writing, t + ms(n * 10));
        }
        assert_eq!(s.due(), Some(t + LONGEST));
    }

    #[test]
    fn an_emptied_file_gets_more_time_once() {
        let (mut s, t) = (Settle::default(), Instant::now());
        s.note(&file("a"), What::Written, t);
        assert!(s.hold(t + QUIET, |_| true));
        assert_eq!(s.due(), Some(t + OPEN));
        assert!(!s.hold(t + OPEN, |_| true));
    }

    #[test]
    fn finished_files_are_not_held() {
        let (mut s, t) = (Settle::default(), Instant::now());
        s.note(&file("a"), What::Written, t);
        assert!(!s.hold(t + QUIET, |_| false));
    }
}
