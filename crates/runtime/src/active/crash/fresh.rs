//! Which code is new.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use crate::active::image::Image;
use crate::active::images::Redirect;
use crate::active::stacks::modules::Modules;
use crate::active::sys::raw;

/// For how long code is new, in nanoseconds.
pub const FRESH: u64 = 10_000_000_000;
/// More patches than this are not new at one time.
const MOST: usize = 16;

/// There may be new code.
pub static ANY: AtomicBool = AtomicBool::new(false);
pub static NEW: Mutex<New> = Mutex::new(New { patches: Vec::new(), modules: Modules::none() });

/// The newest patches, and all files with code.
pub struct New {
    pub patches: Vec<Fresh>,
    pub modules: Modules,
}

/// The code of one patch.
pub struct Fresh {
    /// Its id.
    pub patch: u32,
    code: Vec<Range<usize>>,
    /// The functions that it has changed, with their names as JSON.
    functions: Vec<(Range<usize>, String)>,
    /// When it came; nothing while it may come at any moment.
    since: Option<u64>,
}

impl Fresh {
    /// True where the patch came not long before `now`.
    pub fn is_new(&self, now: u64) -> bool {
        self.since.is_none_or(|since| now.saturating_sub(since) < FRESH)
    }

    /// How long it was there at `now`, in nanoseconds.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.since.unwrap_or(now))
    }

    /// True where the code at `place` came with it.
    pub fn has(&self, place: usize) -> bool {
        self.code.iter().any(|code| code.contains(&place))
    }

    /// The function at `place`, where it is one that the patch has changed, as JSON.
    pub fn function(&self, place: usize) -> Option<&str> {
        let found = self.functions.iter().find(|(code, _)| code.contains(&place));
        found.map(|(_, name)| name.as_str())
    }
}

fn locked(change: impl FnOnce(&mut New)) {
    change(&mut NEW.lock().unwrap_or_else(PoisonError::into_inner));
}

/// A patch is loaded, and is about to come.
pub fn arm(patch: u32, image: &Image, names: &[String], redirects: &[Redirect]) {
    let functions = redirects.iter().filter_map(|redirect| {
        let name = serde_json::to_string(names.get(redirect.function)?).ok()?;
        Some((redirect.new..redirect.new.checked_add(redirect.new_size)?, name))
    });
    let fresh = Fresh { patch, code: image.code(), functions: functions.collect(), since: None };
    let modules = Modules::now();
    locked(|new| {
        if new.patches.len() == MOST {
            new.patches.remove(0);
        }
        new.patches.push(fresh);
        new.modules = modules;
    });
    ANY.store(true, SeqCst);
}

/// The patch runs.
pub fn came(patch: u32) {
    let now = raw::now();
    locked(|new| {
        for fresh in new.patches.iter_mut().filter(|fresh| fresh.patch == patch) {
            fresh.since = Some(now);
        }
    });
}

/// The patch does not come.
pub fn failed(patch: u32) {
    locked(|new| new.patches.retain(|fresh| fresh.patch != patch));
}
