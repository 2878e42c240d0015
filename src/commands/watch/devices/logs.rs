//! What programs on devices write to the system's log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::device::Running;

/// The logs that are being followed, by client.
#[derive(Clone, Default)]
pub(super) struct Logs(Arc<Mutex<Followed>>);

#[derive(Default)]
struct Followed {
    /// Nothing yet where the device is still looked for.
    calls: BTreeMap<u32, Option<Running>>,
}

impl Logs {
    /// Shows from now on what a client's process writes, and what it has written.
    pub fn follow(&self, shared: &Arc<Shared>, client: u32, pid: u32) {
        self.followed().calls.insert(client, None);
        let (logs, shared) = (self.clone(), shared.clone());
        std::thread::spawn(move || {
            let found = shared.ready().into_iter().find(|device| device.has_process(pid));
            let Some(device) = found else { return };
            // Where that cannot be run, nothing else could.
            let Ok(mut call) = device.follow_log(pid) else { return };
            let stdout = call.stdout();
            match logs.followed().calls.get_mut(&client) {
                Some(place) => *place = Some(call),
                // It has gone meanwhile.
                None => return,
            }
            let name = shared.are_many().then_some(&*device.serial);
            for line in stdout.into_iter().flat_map(|s| BufReader::new(s).lines()) {
                let Ok(line) = line else { return };
                if !line.starts_with("--------- ") && !line.trim().is_empty() {
                    shared.reporter.output("logcat", Some(&device.serial), name, line);
                }
            }
        });
    }

    /// A client has gone.
    pub fn forget(&self, client: u32) {
        let call = self.followed().calls.remove(&client);
        drop(call);
    }

    /// Shows no more.
    pub fn end(&self) {
        let calls = std::mem::take(&mut self.followed().calls);
        drop(calls);
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
