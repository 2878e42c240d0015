//! The folders that are watched, and which inputs are found where.
//!
//! The system reports a path below the folder's name as it was given, once for each folder. So
//! folders are watched under their canonical names, and an input is looked up by its canonical
//! folder and its own name; a symbolic link is found both where it is and where it leads.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use notify_debouncer_full::notify::{self, RecursiveMode, Watcher};

use crate::error::Failure;

/// How many folders that appear beside inputs are looked into.
const MAX_VISITED: usize = 256;

/// Watched folders and the inputs in them.
pub(super) struct Places {
    notify: Box<dyn Watcher + Send>,
    watched: HashSet<PathBuf>,
    visited: HashSet<PathBuf>,
    inputs: BTreeSet<PathBuf>,
    by_place: HashMap<PathBuf, BTreeSet<PathBuf>>,
    missing: BTreeSet<PathBuf>,
}

impl Places {
    /// Nothing is watched yet.
    pub fn new(notify: Box<dyn Watcher + Send>) -> Self {
        Places {
            notify,
            watched: HashSet::new(),
            visited: HashSet::new(),
            inputs: BTreeSet::new(),
            by_place: HashMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Watches the folders of these inputs instead of those before.
    pub fn replace(&mut self, inputs: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
        if self.inputs == *inputs {
            return Ok(());
        }
        self.inputs = inputs.clone();
        self.resolve_all()
    }

    /// Whether the path is a folder that is watched.
    pub fn is_watched(&self, path: &Path) -> bool {
        self.watched.contains(path)
    }

    /// The inputs that are found at a path, as they were given.
    pub fn inputs_at(&self, path: &Path) -> Vec<PathBuf> {
        self.by_place.get(path).map(|inputs| inputs.iter().cloned().collect()).unwrap_or_default()
    }

    /// A watched folder was removed or has another name now; the inputs that were in it.
    pub fn lost(&mut self, folder: &Path) -> Vec<PathBuf> {
        // Fails where the system has dropped it by itself, which is as well.
        let _ = self.notify.unwatch(folder);
        self.watched.remove(folder);
        self.visited.remove(folder);
        let here = self.by_place.iter().filter(|(place, _)| place.parent() == Some(folder));
        let lost: Vec<_> = here.flat_map(|(_, inputs)| inputs.iter().cloned()).collect();
        self.missing.extend(lost.iter().cloned());
        lost
    }

    /// Tries the inputs again whose folders were missing; those whose folders are back.
    pub fn find_again(&mut self) -> Vec<PathBuf> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.missing);
        // A folder that cannot be watched stays missing; an error has no one to go to here.
        let _ = self.resolve_all();
        before.difference(&self.missing).cloned().collect()
    }

    /// A symbolic link may lead elsewhere now.
    pub fn resolve_again(&mut self, input: &Path) {
        if std::fs::symlink_metadata(input).is_ok_and(|data| data.is_symlink()) {
            // The link's own folder is watched already.
            let _ = self.place(input, &mut HashMap::new());
        }
    }

    /// Watches a folder that appeared beside inputs; the files in it.
    pub fn visit(&mut self, folder: &Path) -> Vec<PathBuf> {
        if self.visited.len() < MAX_VISITED
            && !self.watched.contains(folder)
            && self.watch(folder).is_ok()
        {
            self.visited.insert(folder.into());
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
    }

    fn resolve_all(&mut self) -> anyhow::Result<()> {
        self.by_place.clear();
        self.missing.clear();
        let mut folders = HashMap::new();
        let mut first_error = Ok(());
        for input in self.inputs.clone() {
            if let Err(error) = self.place(&input, &mut folders) {
                self.missing.insert(input);
                first_error = first_error.and(Err(error));
            }
        }
        let wanted: HashSet<_> = folders.into_values().collect();
        let unwanted: Vec<_> = self
            .watched
            .iter()
            .filter(|folder| !wanted.contains(*folder) && !self.visited.contains(*folder))
            .cloned()
            .collect();
        for folder in unwanted {
            let _ = self.notify.unwatch(&folder);
            self.watched.remove(&folder);
        }
        first_error
    }

    /// Finds an input's places and watches their folders. `folders` has the canonical names of the
    /// folders that were looked up in this round.
    fn place(
        &mut self,
        input: &Path,
        folders: &mut HashMap<PathBuf, PathBuf>,
    ) -> anyhow::Result<()> {
        self.place_one(input, input, folders)?;
        if std::fs::symlink_metadata(input).is_ok_and(|data| data.is_symlink())
            && let Ok(target) = input.canonicalize()
        {
            self.place_one(input, &target, folders)?;
        }
        Ok(())
    }

    fn place_one(
        &mut self,
        input: &Path,
        path: &Path,
        folders: &mut HashMap<PathBuf, PathBuf>,
    ) -> anyhow::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let folder = match folders.get(parent) {
            Some(folder) => folder.clone(),
            None => {
                let Some(folder) = self.watch_nearest(parent)? else { return Ok(()) };
                folders.insert(parent.into(), folder.clone());
                folder
            }
        };
        if parent.canonicalize().is_ok_and(|parent| parent == folder) {
            self.by_place.entry(folder.join(name)).or_default().insert(input.into());
        } else {
            self.missing.insert(input.into());
        }
        Ok(())
    }

    /// Watches a folder, or the nearest one above it where it is waited for; its canonical name.
    fn watch_nearest(&mut self, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
        // What appears before its parent is watched causes no event, and what disappears before
        // cannot be watched: in both cases there is another nearest folder afterwards.
        let mut nearest_now = nearest(folder);
        loop {
            let Some(found) = nearest_now else { return Ok(None) };
            let watched = self.watch(&found);
            nearest_now = nearest(folder);
            if nearest_now.as_ref() == Some(&found) {
                return watched.map(|()| Some(found));
            }
        }
    }

    fn watch(&mut self, folder: &Path) -> anyhow::Result<()> {
        if self.watched.contains(folder) {
            return Ok(());
        }
        match self.notify.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.into());
                Ok(())
            }
            Err(error) => Err(failure(folder, &error).into()),
        }
    }
}

/// The canonical name of a folder, or of the nearest existing one above it.
fn nearest(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find_map(|folder| folder.canonicalize().ok())
}

fn failure(folder: &Path, error: &notify::Error) -> Failure {
    let failure = Failure::environment(format!("cannot watch {}: {error}", folder.display()));
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => failure.hint(
            "raise the system's limit, such as with `sudo sysctl fs.inotify.max_user_watches=524288`, \
             or use `watch --poll`",
        ),
        _ => failure,
    }
}
