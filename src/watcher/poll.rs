//! Looking at folders again and again, for file systems that do not tell of changes: those that
//! other machines write to, and the other side of a virtual machine or a container.
//!
//! `notify` has a watcher that does this. It compares times by the second, or else reads every file
//! of the folders each time; two saves in a second are usual here, and so is a large file beside
//! `Cargo.toml`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use notify_debouncer_full::notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind};
use notify_debouncer_full::notify::{
    self, Config, Event, EventHandler, EventKind, RecursiveMode, WatcherKind,
};

/// From one look to the next.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same while something is changing, so that a save is not told before it is complete.
const WHILE_CHANGING: Duration = Duration::from_millis(20);

/// What tells one state of a file from another without reading it.
type Stamp = (Option<SystemTime>, u64, u64);
/// The entries of a folder; none for a folder that is gone.
type Entries = Option<HashMap<PathBuf, (Stamp, bool)>>;
type Folders = HashMap<PathBuf, Entries>;

/// Looks at the folders that it watches until it is dropped.
pub(super) struct Poller {
    folders: Arc<Mutex<Folders>>,
}

impl notify::Watcher for Poller {
    fn new<F: EventHandler>(mut handler: F, _: Config) -> notify::Result<Self> {
        let folders = Arc::new(Mutex::new(Folders::new()));
        let seen = Arc::downgrade(&folders);
        let look = move || {
            let mut pause = INTERVAL;
            loop {
                std::thread::sleep(pause);
                let Some(folders) = seen.upgrade() else { return };
                let events = look_again(&mut locked(&folders));
                pause = if events.is_empty() { INTERVAL } else { WHILE_CHANGING };
                events.into_iter().for_each(|event| handler.handle_event(Ok(event)));
            }
        };
        std::thread::Builder::new().name("poller".into()).spawn(look).map_err(notify::Error::io)?;
        Ok(Poller { folders })
    }

    fn watch(&mut self, path: &Path, _: RecursiveMode) -> notify::Result<()> {
        let entries = std::fs::read_dir(path).map_err(notify::Error::io)?;
        locked(&self.folders).insert(path.into(), Some(stamps(entries)));
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        let found = locked(&self.folders).remove(path);
        found.map(drop).ok_or_else(notify::Error::watch_not_found)
    }

    fn configure(&mut self, _: Config) -> notify::Result<bool> {
        Ok(false)
    }

    fn kind() -> WatcherKind {
        WatcherKind::PollWatcher
    }
}

/// A panic in between leaves the folders as they were seen last.
fn locked(folders: &Mutex<Folders>) -> MutexGuard<'_, Folders> {
    folders.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamps(entries: std::fs::ReadDir) -> HashMap<PathBuf, (Stamp, bool)> {
    use std::os::unix::fs::MetadataExt;
    let paths = entries.flatten().map(|entry| entry.path());
    // A file that has just gone is no entry; of a link, what it leads to counts as well.
    let stamped = paths.filter_map(|path| {
        let own = std::fs::symlink_metadata(&path).ok()?;
        let data = std::fs::metadata(&path).unwrap_or(own);
        let is_folder = data.is_dir();
        // What is in a folder is not its own news.
        let (time, length) = match is_folder {
            true => (None, 0),
            false => (data.modified().ok(), data.len()),
        };
        Some((path, ((time, length, data.ino()), is_folder)))
    });
    stamped.collect()
}

fn look_again(folders: &mut Folders) -> Vec<Event> {
    let mut events = Vec::new();
    for (folder, before) in folders {
        let now = std::fs::read_dir(folder).ok().map(stamps);
        match (before.as_ref(), now.as_ref()) {
            (Some(before), Some(now)) => compare(before, now, &mut events),
            (Some(_), None) => {
                events.push(event(EventKind::Remove(RemoveKind::Folder), folder));
            }
            _ => {}
        }
        *before = now;
    }
    events
}

fn compare(
    before: &HashMap<PathBuf, (Stamp, bool)>,
    now: &HashMap<PathBuf, (Stamp, bool)>,
    events: &mut Vec<Event>,
) {
    for (path, state) in now {
        let kind = match before.get(path) {
            None if state.1 => EventKind::Create(CreateKind::Folder),
            None => EventKind::Create(CreateKind::File),
            Some(before) if before != state => EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            Some(_) => continue,
        };
        events.push(event(kind, path));
    }
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    events.extend(gone.map(|path| event(EventKind::Remove(RemoveKind::Any), path)));
}

fn event(kind: EventKind, path: &Path) -> Event {
    Event::new(kind).add_path(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_folder_is_compared_with_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        write("a", "1");
        write("b", "1");
        let entries = stamps(std::fs::read_dir(folder.path()).unwrap());
        let mut folders = Folders::from([(folder.path().into(), Some(entries))]);
        let mut told = || {
            let events = look_again(&mut folders).into_iter();
            let mut told: Vec<_> = events.map(|e| (e.paths[0].clone(), e.kind)).collect();
            told.sort_by(|(a, _), (b, _)| a.cmp(b));
            told
        };
        assert_eq!(told(), []);

        write("a", "22");
        std::fs::remove_file(path("b")).unwrap();
        write("c", "");
        std::fs::create_dir(path("d")).unwrap();
        assert_eq!(
            told(),
            [
                (path("a"), EventKind::Modify(ModifyKind::Data(DataChange::Any))),
                (path("b"), EventKind::Remove(RemoveKind::Any)),
                (path("c"), EventKind::Create(CreateKind::File)),
                (path("d"), EventKind::Create(CreateKind::Folder)),
            ]
        );
        write("d/in it", "");
        assert_eq!(told(), [], "what is in a folder is not watched with it");

        std::fs::remove_dir_all(folder.path()).unwrap();
        let gone = (folder.path().to_path_buf(), EventKind::Remove(RemoveKind::Folder));
        assert_eq!(told(), [gone]);
        assert_eq!(told(), []);
    }
}
