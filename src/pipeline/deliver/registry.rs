//! What the connections of one server share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::Patch;
use super::driver::ToDriver;
use super::guest::Supply;
use super::{Expected, Token};
use crate::pipeline::relink::GuestLibrary;

/// One fat build's program and its chain of patches.
#[derive(Debug)]
pub(super) struct Session {
    /// What a program must be.
    pub expected: Expected,
    /// Tells the files of this session's guests from those of others.
    pub stamp: String,
    /// What guests are sent.
    pub supply: Mutex<Supply>,
    chain: Mutex<Vec<Arc<Patch>>>,
    sent: Mutex<Sent>,
}

/// A process, as far as the server can tell two apart: its id and its load address.
pub type Process = (u32, u64);

#[derive(Debug, Default)]
struct Sent {
    process_of: HashMap<u32, Process>,
    patches: HashMap<Process, usize>,
}

impl Session {
    /// A session without patches.
    pub fn new(expected: Expected) -> Arc<Session> {
        // Two sessions without random numbers are told apart by when they began.
        let now = || format!("{:?}", std::time::SystemTime::now());
        let stamp = Token::random().map_or_else(|_| now(), |token| token.as_str()[..8].to_owned());
        Arc::new(Session {
            expected,
            stamp,
            supply: Mutex::default(),
            chain: Mutex::default(),
            sent: Mutex::default(),
        })
    }

    /// Appends a patch.
    pub fn push(&self, patch: Arc<Patch>) -> anyhow::Result<()> {
        let mut chain = lock(&self.chain);
        let newest = chain.last().map_or(0, |patch| patch.id);
        anyhow::ensure!(patch.id > newest, "patch {} cannot follow patch {newest}", patch.id);
        chain.push(patch);
        Ok(())
    }

    /// Takes the patch off the end of the chain, where it is the last one and went to no more
    /// than one process.
    fn take_back(&self, id: u32) -> bool {
        let mut chain = lock(&self.chain);
        let is_last = chain.last().is_some_and(|patch| patch.id == id);
        let length = chain.len();
        let seen = lock(&self.sent).patches.values().filter(|n| **n >= length).count();
        if is_last && seen <= 1 {
            chain.pop();
        }
        is_last && seen <= 1
    }

    /// Takes the patch and all later ones off the chain, which no process is left to run.
    fn give_up(&self, id: u32) {
        let mut chain = lock(&self.chain);
        chain.retain(|patch| patch.id < id);
        for known in lock(&self.sent).patches.values_mut() {
            *known = chain.len().min(*known);
        }
    }

    /// How many patches there are.
    pub fn len(&self) -> usize {
        lock(&self.chain).len()
    }

    /// The patch at an index of the chain.
    pub fn get(&self, index: usize) -> Option<Arc<Patch>> {
        lock(&self.chain).get(index).cloned()
    }

    /// The id of the patch at an index.
    pub fn id(&self, index: usize) -> Option<u32> {
        self.get(index).map(|patch| patch.id)
    }

    /// Where in the chain the patch with this id is.
    pub fn index(&self, id: u32) -> Option<usize> {
        lock(&self.chain).binary_search_by_key(&id, |patch| patch.id).ok()
    }

    /// The ids, oldest first.
    pub fn ids(&self) -> Vec<u32> {
        lock(&self.chain).iter().map(|patch| patch.id).collect()
    }

    /// Remembers which process a connection belongs to.
    pub fn note_process(&self, client: u32, process: Process) {
        lock(&self.sent).process_of.insert(client, process);
    }

    /// The process that a connection belongs to.
    pub fn pid_of(&self, client: u32) -> Option<u32> {
        lock(&self.sent).process_of.get(&client).map(|(pid, _)| *pid)
    }

    /// Remembers that the first `patches` of the chain went to a client's process.
    pub fn note_sent(&self, client: u32, patches: usize) {
        let mut sent = lock(&self.sent);
        if let Some(process) = sent.process_of.get(&client).copied() {
            let known = sent.patches.entry(process).or_default();
            *known = patches.max(*known);
        }
    }

    /// Processes that were sent the first patches of the chain, and how many.
    pub fn sent(&self) -> Vec<(Process, usize)> {
        let mut sent: Vec<_> = lock(&self.sent).patches.iter().map(|(p, n)| (*p, *n)).collect();
        sent.sort_unstable();
        sent
    }

    /// Takes over what an earlier server has sent.
    pub fn resume(&self, sent: Vec<(Process, usize)>) {
        lock(&self.sent).patches.extend(sent);
    }

    /// How many patches of the chain ever went to a process.
    pub fn sent_to(&self, process: Process) -> usize {
        lock(&self.sent).patches.get(&process).copied().unwrap_or(0)
    }
}

/// The connected clients, and the session that new ones belong to.
#[derive(Debug)]
pub(super) struct Registry {
    state: Mutex<State>,
    last_client: AtomicU32,
}

#[derive(Debug)]
struct State {
    session: Arc<Session>,
    clients: HashMap<u32, Sender<ToDriver>>,
    /// Each with its process.
    guests: HashMap<u32, (u32, Sender<ToDriver>)>,
}

impl Registry {
    /// A registry without clients.
    pub fn new(session: Arc<Session>) -> Registry {
        let state = State { session, clients: HashMap::new(), guests: HashMap::new() };
        Registry { state: Mutex::new(state), last_client: AtomicU32::new(0) }
    }

    /// A number for a new client.
    pub fn number(&self) -> u32 {
        self.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The session that programs are checked against now.
    pub fn session(&self) -> Arc<Session> {
        lock(&self.state).session.clone()
    }

    /// Adds a client, unless its session ended while it was being checked.
    pub fn add(&self, client: u32, session: &Arc<Session>, driver: Sender<ToDriver>) -> bool {
        let mut state = lock(&self.state);
        let current = Arc::ptr_eq(&state.session, session);
        if current {
            state.clients.insert(client, driver);
        }
        current
    }

    /// Adds a guest in process `pid`, unless its session ended while it was being checked.
    pub fn add_guest(
        &self,
        (client, pid): (u32, u32),
        session: &Arc<Session>,
        driver: Sender<ToDriver>,
    ) -> bool {
        let mut state = lock(&self.state);
        let current = Arc::ptr_eq(&state.session, session);
        if current {
            state.guests.insert(client, (pid, driver));
        }
        current
    }

    /// Tells the guests in a process that our runtime there runs a patch now.
    pub fn tell_guests_of(&self, pid: u32, patch: u32) {
        let state = lock(&self.state);
        for (_, driver) in state.guests.values().filter(|(of, _)| *of == pid) {
            let _ = driver.send(ToDriver::RunsPatch(patch));
        }
    }

    /// Makes the library with which guests look again.
    pub fn supply_again(&self, library: Arc<GuestLibrary>) {
        lock(&lock(&self.state).session.supply).again = Some(library);
    }

    /// Appends a library to what guests load and wakes every guest; how many there are.
    pub fn publish_to_guests(&self, patch: u32, library: Arc<GuestLibrary>) -> usize {
        let state = lock(&self.state);
        lock(&state.session.supply).chain.push((patch, library));
        for (_, driver) in state.guests.values() {
            let _ = driver.send(ToDriver::Published);
        }
        state.guests.len()
    }

    /// Forgets a client or guest.
    pub fn remove(&self, client: u32) {
        let mut state = lock(&self.state);
        state.clients.remove(&client);
        state.guests.remove(&client);
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        lock(&self.state).clients.len()
    }

    /// Appends a patch to the session's chain and wakes every client; how many there are.
    pub fn publish(&self, patch: Arc<Patch>) -> anyhow::Result<usize> {
        let state = lock(&self.state);
        state.session.push(patch)?;
        for driver in state.clients.values() {
            // A client that is just ending no longer listens, and needs nothing.
            let _ = driver.send(ToDriver::Published);
        }
        Ok(state.clients.len())
    }

    /// Takes back the newest patch, which the only client has refused; false where others may
    /// have it.
    pub fn take_back(&self, patch: u32) -> bool {
        let state = lock(&self.state);
        let taken = state.clients.len() == 1 && state.session.take_back(patch);
        if taken {
            for driver in state.clients.values() {
                let _ = driver.send(ToDriver::TakenBack);
            }
        }
        taken
    }

    /// Takes a patch and those after it off the chain, where no program is connected.
    pub fn give_up(&self, patch: u32) -> bool {
        let state = lock(&self.state);
        let alone = state.clients.is_empty();
        if alone {
            state.session.give_up(patch);
        }
        alone
    }

    /// Ends all connections; new ones belong to `session`, or to the one before.
    pub fn restart(&self, session: Option<Arc<Session>>, reason: &str) {
        let mut state = lock(&self.state);
        if let Some(session) = session {
            state.session = session;
        }
        let State { clients, guests, .. } = &mut *state;
        let drivers = clients.drain().map(|(_, driver)| driver);
        for driver in drivers.chain(guests.drain().map(|(_, (_, driver))| driver)) {
            let _ = driver.send(ToDriver::End(reason.into()));
        }
    }
}

/// A lock that outlives a panic elsewhere: the data are valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
