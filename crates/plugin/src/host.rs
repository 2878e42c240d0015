//! The host's side: one plugin, in its newest version that works.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::abi::Interface;
use crate::error::{Error, Reloaded};
use crate::file::{self, Versions};
use crate::instance::Instance;
use crate::slot::{Reader, Slot};

/// A plugin that can be loaded anew.
pub struct PluginHost<I: ?Sized + Interface> {
    shared: Arc<Shared<I>>,
    watching: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared<I: ?Sized + Interface> {
    file: PathBuf,
    versions: Versions,
    state: Mutex<State<I>>,
}

struct State<I: ?Sized + Interface> {
    current: Arc<Instance<I>>,
    /// How many versions have run.
    version: u64,
    /// How many files were tried, for their names.
    tried: u64,
    /// The content that was tried last.
    content: u64,
    slots: Vec<Arc<Slot<I>>>,
}

impl<I: ?Sized + Interface> PluginHost<I> {
    /// Loads the plugin.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(file: impl AsRef<Path>) -> Result<PluginHost<I>, Error> {
        let file = file.as_ref().to_owned();
        let fail = |why: String| Error::new(&file, why);
        let versions = Versions::new().map_err(|e| fail(format!("no folder for copies: {e}")))?;
        let bytes = read(&file)?;
        let current = load(&versions, &file, 1, &bytes)?;
        let state = State {
            current: Arc::new(current),
            version: 1,
            tried: 1,
            content: hash(&bytes),
            slots: Vec::new(),
        };
        let shared = Arc::new(Shared { versions, state: Mutex::new(state), file });
        Ok(PluginHost { shared, watching: None })
    }

    /// A way to the newest instance for a thread that must not wait.
    pub fn reader(&self) -> Reader<I> {
        let mut state = self.shared.state();
        let (reader, slot) = Reader::new(state.current.clone());
        state.slots.push(slot);
        reader
    }

    /// Uses the newest instance, on a thread that may wait.
    pub fn with<R>(&self, body: impl FnOnce(&I) -> R) -> R {
        let current = self.shared.state().current.clone();
        body(current.get())
    }

    /// Looks at the file now, and loads it where it is another one.
    ///
    /// # Errors
    /// Why the new file cannot be used; the old instance goes on.
    pub fn reload(&self) -> Result<Reloaded, Error> {
        self.shared.reload()
    }

    /// Frees the old instances that readers no longer use. A watch does so by itself.
    pub fn collect(&self) {
        self.shared.collect();
    }

    /// Watches the file on a thread of its own, which loads each new version as soon as its file has
    /// stayed the same for as long as one look to the next. `tell` hears of each.
    pub fn watch(
        &mut self,
        each: Duration,
        mut tell: impl FnMut(&dyn std::fmt::Display) + Send + 'static,
    ) {
        self.stop();
        let (stop, stopped) = mpsc::channel();
        let shared = self.shared.clone();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut done) = (None, None);
            while stopped.recv_timeout(each) == Err(RecvTimeoutError::Timeout) {
                shared.collect();
                let now = stamp(&shared.file);
                if now.is_some() && now == seen && now != done {
                    match shared.reload() {
                        Ok(Reloaded::Same) => {}
                        Ok(reloaded) => tell(&reloaded),
                        Err(error) => tell(&error),
                    }
                    done = now;
                }
                seen = now;
            }
        });
        self.watching = Some((stop, thread));
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.watching.take() {
            drop(stop);
            // A panic in `tell` was printed.
            let _ = thread.join();
        }
    }
}

impl<I: ?Sized + Interface> Drop for PluginHost<I> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<I: ?Sized + Interface> Shared<I> {
    fn state(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload(&self) -> Result<Reloaded, Error> {
        let bytes = read(&self.file)?;
        let content = hash(&bytes);
        let mut state = self.state();
        if content == state.content {
            return Ok(Reloaded::Same);
        }
        // One that fails is not tried again before it changes.
        state.content = content;
        state.tried += 1;
        let fail = |why: String| Error::new(&self.file, why);
        let instance = load(&self.versions, &self.file, state.tried, &bytes)?;
        let saved = state.current.save().map_err(fail)?;
        instance.go_on_with(&saved).map_err(fail)?;
        state.current = Arc::new(instance);
        state.version += 1;
        for slot in &state.slots {
            slot.offer(&state.current);
        }
        Ok(Reloaded::Version(state.version))
    }

    fn collect(&self) {
        self.state().slots.retain(|slot| !slot.collect());
    }
}

impl<I: ?Sized + Interface> Drop for Shared<I> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for slot in state.slots.drain(..) {
            if !slot.collect() {
                // Its reader would be the last to have it, and must not free anything: what it uses
                // at its end is never dropped.
                slot.withdraw();
                std::mem::forget(slot);
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let fail = |why: String| Error::new(file, why);
    let bytes = fs::read(file).map_err(|e| fail(format!("it cannot be read: {e}")))?;
    file::check_whole(&bytes).map_err(fail)?;
    Ok(bytes)
}

fn load<I: ?Sized + Interface>(
    versions: &Versions,
    original: &Path,
    version: u64,
    bytes: &[u8],
) -> Result<Instance<I>, Error> {
    let fail = |why: String| Error::new(original, why);
    let file = versions.write(version, original, bytes);
    let file = file.map_err(|e| fail(format!("it cannot be copied: {e}")))?;
    Instance::load(&file).map_err(fail)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What changes when somebody writes to the file.
fn stamp(file: &Path) -> Option<(u64, Option<SystemTime>)> {
    let data = fs::metadata(file).ok()?;
    Some((data.len(), data.modified().ok()))
}
