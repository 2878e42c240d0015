//! Which patches were published when, and which programs were there: what the times are taken from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Patches and programs of one session.
#[derive(Debug, Default)]
pub struct Ledger {
    patches: BTreeMap<u32, Published>,
    clients: BTreeMap<u32, Client>,
    met: bool,
    met_guest: bool,
    sent_to: BTreeSet<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Client {
    pid: u32,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Published {
    first_event: Instant,
    at: Instant,
}

impl Ledger {
    /// A patch of a change that began at `first_event` was published.
    pub fn published(&mut self, patch: u32, first_event: Instant, at: Instant) {
        self.patches.insert(patch, Published { first_event, at });
    }

    /// A program connected.
    pub fn connected(&mut self, client: u32, pid: u32, at: Instant) {
        self.met = true;
        self.clients.insert(client, Client { pid, at });
    }

    /// The process of a program that is connected.
    pub fn pid(&self, client: u32) -> Option<u32> {
        self.clients.get(&client).map(|client| client.pid)
    }

    /// A program with another tool's client connected.
    pub fn guest_connected(&mut self, client: u32, pid: u32, at: Instant) {
        self.met_guest = true;
        self.clients.insert(client, Client { pid, at });
    }

    /// Whether a program with another tool's client has ever connected.
    pub fn has_met_a_guest(&self) -> bool {
        self.met_guest
    }

    /// Whether this client was never sent a patch until now.
    pub fn is_first_for(&mut self, client: u32) -> bool {
        self.sent_to.insert(client)
    }

    /// A program is gone.
    pub fn disconnected(&mut self, client: u32) {
        self.clients.remove(&client);
    }

    /// Whether any program has ever connected.
    pub fn has_met_a_program(&self) -> bool {
        self.met
    }

    /// Whether a program is connected.
    pub fn is_anybody_there(&self) -> bool {
        !self.clients.is_empty()
    }

    /// When the user began to wait for a patch to run: with the first file event, or, in a program
    /// that came later and catches up, when the patch was sent.
    pub fn waited_since(&self, patch: u32, client: u32, sent: Instant) -> Instant {
        match (self.patches.get(&patch), self.clients.get(&client)) {
            (Some(patch), Some(connected)) if connected.at <= patch.at => patch.first_event,
            _ => sent,
        }
    }

    /// The program was built again: patches count from 1 again.
    pub fn restart(&mut self) {
        self.patches.clear();
        self.met = false;
        self.met_guest = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_program_that_catches_up_does_not_count_the_time_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ledger = Ledger::default();
        ledger.connected(1, 7, at(0));
        ledger.published(1, at(10), at(100));
        ledger.connected(2, 8, at(5000));
        assert_eq!(ledger.waited_since(1, 1, at(100)), at(10));
        assert_eq!(ledger.waited_since(1, 2, at(5001)), at(5001));
    }
}
