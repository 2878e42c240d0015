//! What a guest is sent, and what can be seen of it afterwards.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Guest;
use super::place::Place;
use crate::pipeline::deliver::Notice;
use crate::pipeline::deliver::connection::Shared;
use crate::pipeline::deliver::driver::ToDriver;
use crate::pipeline::deliver::registry::Session;
use crate::pipeline::relink::GuestLibrary;
use crate::target::process;

/// How often it is looked whether a library that was sent is loaded.
const LOOK: Duration = Duration::from_millis(5);

/// The writing side of one guest.
pub(super) struct Driver {
    guest: Guest,
    socket: TcpStream,
    session: Arc<Session>,
    shared: Arc<Shared>,
    /// For each library of the chain so far, where it is loaded.
    libraries: Vec<Option<u64>>,
    awaited: Option<Awaited>,
}

/// A library that was sent and is not seen in the process yet.
struct Awaited {
    patch: u32,
    file: PathBuf,
    sent: Instant,
    reported: bool,
}

impl Driver {
    pub fn new(
        guest: Guest,
        socket: TcpStream,
        session: Arc<Session>,
        shared: &Arc<Shared>,
    ) -> Driver {
        let shared = shared.clone();
        Driver { guest, socket, session, shared, libraries: Vec::new(), awaited: None }
    }

    /// Runs until the connection ends; then tells so. Before that, a guest that came after patches
    /// of our runtime looks at what these have redirected.
    pub fn run(mut self, inbox: &Receiver<ToDriver>, is_late: bool) {
        if is_late {
            self.tell_again(None);
        }
        let reason = loop {
            if let Err(reason) = self.go_on() {
                break reason;
            }
            let told = match self.awaited {
                Some(_) => inbox.recv_timeout(LOOK),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match told {
                Ok(ToDriver::RunsPatch(patch)) => self.tell_again(Some(patch)),
                Ok(ToDriver::Raw(frames)) => {
                    if let Err(error) = self.socket.write_all(&frames) {
                        break error.to_string();
                    }
                }
                Ok(ToDriver::End(reason)) => break reason,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break "the connection ended".into(),
            }
        };
        self.shared.registry.remove(self.guest.client);
        let _ = self.socket.shutdown(Shutdown::Both);
        let unanswered = self.awaited.as_ref().map(|awaited| awaited.patch);
        self.notice(Notice::Disconnected { client: self.guest.client, reason, unanswered });
    }

    /// Looks whether what was sent is loaded, and sends the next.
    fn go_on(&mut self) -> Result<(), String> {
        if !self.is_loaded() {
            return Ok(());
        }
        while self.awaited.is_none() {
            let index = self.libraries.len();
            let Some((patch, library, newest)) = self.session.guest_library(index) else {
                return Ok(());
            };
            let file = self.guest.folder.join(&library.name);
            match loaded_at(self.guest.pid, &file).filter(|_| !newest) {
                // From an earlier connection of this process.
                Some(at) => self.libraries.push(Some(at)),
                None => self.send_patch(patch, &library, file)?,
            }
        }
        Ok(())
    }

    fn is_loaded(&mut self) -> bool {
        let (client, pid) = (self.guest.client, self.guest.pid);
        let limit = self.shared.limits.answer;
        let Some(awaited) = &mut self.awaited else { return true };
        let patch = awaited.patch;
        if let Some(at) = loaded_at(pid, &awaited.file) {
            let sent = awaited.sent;
            self.libraries.push(Some(at));
            self.awaited = None;
            self.notice(Notice::Loaded { client, patch, sent });
            return true;
        }
        if !awaited.reported && awaited.sent.elapsed() >= limit {
            awaited.reported = true;
            let detail = format!("it has not loaded the library for {} s", limit.as_secs_f32());
            self.notice(Notice::NoAnswer { client, patch, detail });
        }
        false
    }

    fn send_patch(
        &mut self,
        patch: u32,
        library: &GuestLibrary,
        file: PathBuf,
    ) -> Result<(), String> {
        let client = self.guest.client;
        match self.prepare(library, &file) {
            Ok(message) => {
                let sent = Instant::now();
                self.socket.write_all(&message).map_err(|e| format!("it was not sent: {e}"))?;
                self.awaited = Some(Awaited { patch, file, sent, reported: false });
                self.notice(Notice::Sent { client, patch });
            }
            Err(error) => {
                // The next library has all of this one; what needs its statics is not sent either.
                self.libraries.push(None);
                self.notice(Notice::NotSent { client, patch, error });
            }
        }
        Ok(())
    }

    /// The runtime in this process has redirected functions: now the guest has to call them.
    fn tell_again(&mut self, patch: Option<u32>) {
        let Some(library) = self.session.again() else { return };
        let client = self.guest.client;
        let file = self.guest.folder.join(&library.name);
        let told = self
            .prepare(&library, &file)
            .and_then(|message| self.socket.write_all(&message).map_err(|e| e.to_string()));
        match (told, patch) {
            (Ok(()), Some(patch)) => self.notice(Notice::ToldAgain { client, patch }),
            (Ok(()), None) => {}
            (Err(error), patch) => {
                self.notice(Notice::NotSent { client, patch: patch.unwrap_or(0), error });
            }
        }
    }

    /// Writes the library for this process; the message that has it loaded.
    fn prepare(&self, library: &GuestLibrary, file: &Path) -> Result<Vec<u8>, String> {
        let Guest { pid, hello, .. } = self.guest;
        if process::build_id(pid).as_ref() != Some(&self.session.expected.build_id) {
            return Err(format!("process {pid} is not what it was when it connected"));
        }
        let program = hello.anchor.wrapping_sub(library.program_anchor);
        // A program at fixed addresses has no other place.
        if program != 0 && process::program_mapping(pid) != Some(program) {
            return Err("the program is not loaded where its client says".into());
        }
        let read = |address| process::read_word(pid, address);
        let place = Place { program, libraries: &self.libraries, read: &read };
        write_once(file, &place.fill(library)?)?;
        hello.message(&place.table(library, file), pid)
    }

    fn notice(&self, notice: Notice) {
        (self.shared.sink)(notice);
    }
}

fn loaded_at(pid: u32, file: &Path) -> Option<u64> {
    process::mapped_files(pid).into_iter().find(|(path, _)| path == file).map(|(_, at)| at)
}

/// A file that a process has mapped must never change; a new one appears whole or not at all.
fn write_once(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if std::fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let write = || {
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(bytes)?;
        new.persist(file)?;
        Ok::<_, std::io::Error>(())
    };
    write().map_err(|e| format!("cannot write {}: {e}", file.display()))
}
