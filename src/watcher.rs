//! Tells of saved files: which inputs have other content than before, once they are written.
//!
//! The folders of the inputs are watched, not the files, so that a file that is replaced by a
//! rename is still seen. A save is told when every file of it has settled ([`settle`]) and only if
//! the content differs from what was told last ([`contents`]). [`inputs`] says what a file is for.
//!
//! This uses the notifications of `notify` as they come, and not the debouncer's own queue: that
//! one wakes up at every tick for as long as it lives (hundreds of times a second for a delay of a
//! few milliseconds), reports a new file before it is written to its end, and keeps the time of a
//! file's last event, where a user waits since the first.

mod contents;
pub mod inputs;
mod places;
mod poll;
mod settle;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use notify_debouncer_full::notify::{self, RecommendedWatcher};

use contents::{Contents, News};
use places::Places;
use poll::Poller;
use settle::{Settle, What};

/// Files that were saved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// When the first of them was touched.
    pub at: Instant,
    /// The inputs with new content, in order, as they were given to [`Watcher::watch`].
    pub files: Vec<PathBuf>,
    /// The inputs among `files` that do not exist any more.
    pub gone: Vec<PathBuf>,
    /// The inputs that were saved with the content that they had.
    pub same: Vec<PathBuf>,
    /// Files that are no inputs and appeared in the inputs' folders, or Rust sources that changed
    /// there: what a build may have been missing.
    pub strangers: Vec<PathBuf>,
}

impl Saved {
    fn at(at: Instant) -> Saved {
        Saved { at, files: vec![], gone: vec![], same: vec![], strangers: vec![] }
    }
}

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The inputs, absolute.
    pub files: BTreeSet<PathBuf>,
    /// Those that are told as saved at once where they were written after `since`, as nobody knows
    /// which content the build has read. Only files that were not watched before are looked at.
    pub doubtful: BTreeSet<PathBuf>,
    /// When the build began.
    pub since: SystemTime,
}

/// How it becomes known that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// The system tells.
    #[default]
    Events,
    /// The folders are looked at several times a second.
    Polling,
}

/// Watches inputs from its own thread, until it is dropped.
pub struct Watcher {
    orders: Sender<Order>,
}

enum Order {
    Watch(Watched, Sender<anyhow::Result<()>>),
    Event(Instant, notify::Event),
    Rescan(Instant),
    Stop,
}

impl Watcher {
    /// Starts with nothing to watch; `tell` is called from the watcher's thread and must not block.
    ///
    /// # Errors
    /// Where the system's file notifications are not available.
    pub fn start(by: By, tell: impl Fn(Saved) + Send + 'static) -> anyhow::Result<Watcher> {
        let (orders, inbox) = mpsc::channel();
        let raw = orders.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            let at = Instant::now();
            let order = match event {
                // Most events are rustc reading its sources.
                Ok(event) if settle::is_noise(&event.kind) => return,
                Ok(event) if event.need_rescan() => Order::Rescan(at),
                Ok(event) => Order::Event(at, event),
                Err(_) => Order::Rescan(at),
            };
            // After the end there is nobody to tell.
            let _ = raw.send(order);
        };
        let places = Places::new(watcher(by, handler).context(UNAVAILABLE)?);
        let work = Work {
            places,
            contents: Contents::default(),
            inputs: Settle::default(),
            strangers: Settle::default(),
        };
        std::thread::Builder::new()
            .name("watcher".into())
            .spawn(move || work.run(&inbox, &tell))
            .context("starting the watcher's thread")?;
        Ok(Watcher { orders })
    }

    /// Watches these inputs instead of those before.
    ///
    /// # Errors
    /// Where a folder cannot be watched, such as for the system's limit.
    pub fn watch(&self, watched: Watched) -> anyhow::Result<()> {
        let (reply, answer) = mpsc::channel();
        self.orders.send(Order::Watch(watched, reply)).context(ENDED)?;
        answer.recv().context(ENDED)?
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
    }
}

fn watcher(
    by: By,
    handler: impl notify::EventHandler,
) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    use notify::Watcher;
    let config = notify::Config::default();
    Ok(match by {
        By::Events => Box::new(RecommendedWatcher::new(handler, config)?),
        By::Polling => Box::new(Poller::new(handler, config)?),
    })
}

const UNAVAILABLE: &str = "the system's file notifications are not available; `--poll` does \
                           without them";
const ENDED: &str = "the watcher's thread has ended";

/// The watcher's thread: everything it owns is used by it alone.
struct Work {
    places: Places,
    contents: Contents,
    inputs: Settle,
    /// Apart from the inputs, which must not wait for somebody who writes a log file beside them.
    strangers: Settle,
}

impl Work {
    fn run(mut self, inbox: &Receiver<Order>, tell: &dyn Fn(Saved)) {
        loop {
            let order = match self.inputs.due().into_iter().chain(self.strangers.due()).min() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok(Order::Watch(watched, reply)) => {
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(self.watch(&watched));
                }
                Ok(Order::Event(at, event)) => self.event(at, &event),
                Ok(Order::Rescan(at)) => self.check_all(at),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also after an event: in a folder where somebody writes all the time, the inbox may
            // never be empty.
            for saved in [self.collect_inputs(), self.collect_strangers()].into_iter().flatten() {
                tell(saved);
            }
        }
    }

    fn watch(&mut self, watched: &Watched) -> anyhow::Result<()> {
        let new = self.contents.replace(watched);
        self.places.replace(&watched.files)?;
        let now = Instant::now();
        for file in new {
            self.inputs.note(&file, What::Written, now);
        }
        Ok(())
    }

    fn event(&mut self, at: Instant, event: &notify::Event) {
        for (path, what) in settle::read(event) {
            if self.places.is_watched(&path) {
                if what == What::Gone {
                    for file in self.places.lost(&path) {
                        self.inputs.note(&file, What::Gone, at);
                    }
                    self.find_again(at);
                }
                continue;
            }
            let inputs = self.places.inputs_at(&path);
            let known = !inputs.is_empty();
            for input in inputs {
                self.inputs.note(&input, what, at);
            }
            if known {
                continue;
            }
            if matches!(what, What::Folder | What::Written) && path.is_dir() {
                self.new_folder(&path, at);
            } else if is_likely_source(&path) && (settle::is_new(&event.kind) || is_rust(&path)) {
                self.strangers.note(&path, what, at);
            }
        }
    }

    /// A folder appeared next to inputs: it may be one that was lost, or have files that the next
    /// build reads.
    fn new_folder(&mut self, folder: &Path, at: Instant) {
        self.find_again(at);
        for file in self.places.visit(folder) {
            if is_likely_source(&file) {
                self.strangers.note(&file, What::Written, at);
            }
        }
    }

    fn find_again(&mut self, at: Instant) {
        for file in self.places.find_again() {
            self.inputs.note(&file, What::Written, at);
        }
    }

    /// Events were lost, so that any file may have changed.
    fn check_all(&mut self, at: Instant) {
        self.find_again(at);
        for file in self.contents.files() {
            self.inputs.note(&file, What::Written, at);
        }
    }

    /// The inputs that have settled.
    fn collect_inputs(&mut self) -> Option<Saved> {
        let now = Instant::now();
        let is_due = |inputs: &Settle| inputs.due().is_some_and(|due| due <= now);
        if !is_due(&self.inputs) || self.hold_unfinished(now) {
            return None;
        }
        self.note_untold(now);
        if !is_due(&self.inputs) {
            return None;
        }
        let mut saved = Saved::at(now);
        for (file, first) in self.inputs.take() {
            self.places.resolve_again(&file);
            match self.contents.news(&file) {
                News::Same => {
                    saved.same.push(file);
                    continue;
                }
                News::None => continue,
                News::Gone => saved.gone.push(file.clone()),
                News::Changed => {}
            }
            saved.at = saved.at.min(first);
            saved.files.push(file);
        }
        (!saved.files.is_empty() || !saved.same.is_empty()).then_some(saved)
    }

    /// On a busy machine a save's events come in pieces, the next one when the last has settled, and
    /// some changes have none, such as those through another name of the file. All that is there now
    /// is one save, of which no half may become a patch.
    fn note_untold(&mut self, now: Instant) {
        for file in self.contents.touched() {
            if !self.inputs.has(&file) {
                let what = if file.exists() { What::Written } else { What::Gone };
                self.inputs.note(&file, what, now);
            }
        }
    }

    /// The others that have settled. Most are an editor's, and gone by now.
    fn collect_strangers(&mut self) -> Option<Saved> {
        let now = Instant::now();
        if self.strangers.due().is_none_or(|due| due > now) {
            return None;
        }
        let files = self.strangers.take().into_iter().map(|(file, _)| file);
        let strangers: Vec<_> = files.filter(|file| file.is_file()).collect();
        (!strangers.is_empty()).then(|| Saved { strangers, ..Saved::at(now) })
    }

    /// Whether a file is in the middle of being written, by the look of it: emptied, or removed to
    /// make room for a new one. It is given a little more time.
    fn hold_unfinished(&mut self, now: Instant) -> bool {
        let unfinished = |file: &Path| std::fs::metadata(file).map_or(true, |data| data.len() == 0);
        self.inputs.hold(now, unfinished)
    }
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Whether a build may want to read the file: not an editor's backup, swap or temporary file.
fn is_likely_source(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let temporary = name.starts_with(['.', '#'])
        || name.ends_with('~')
        || [".swp", ".swx", ".tmp", ".bak", ".lock", ".log"].iter().any(|end| name.ends_with(end))
        || name.bytes().all(|byte| byte.is_ascii_digit());
    !temporary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_temporary_files_are_nobodys_source() {
        for name in ["4913", ".main.rs.swp", "main.rs~", "#main.rs#", ".#main.rs", "x.tmp"] {
            assert!(!is_likely_source(Path::new("/src").join(name).as_path()), "{name}");
        }
        for name in ["main.rs", "shader.wgsl", "mod.rs", "über.rs"] {
            assert!(is_likely_source(Path::new("/src").join(name).as_path()), "{name}");
        }
    }
}
