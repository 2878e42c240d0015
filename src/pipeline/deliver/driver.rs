//! One client's conversation after its hello: what it gets, when, and what is told of its answers.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hotpatch_protocol::message::ClientMessage;

use super::chain::Progress;
use super::registry::{Registry, Session};
use super::{Notice, Sink};

/// What the writing thread is told.
#[derive(Debug)]
pub(super) enum ToDriver {
    /// The chain has grown.
    Published,
    /// The patch that the client refused is no longer part of the chain.
    TakenBack,
    /// Our runtime in the process of this guest runs a patch now.
    RunsPatch(u32),
    /// The client said something.
    Said(ClientMessage),
    /// Whole frames to be written between others.
    Raw(Vec<u8>),
    /// The connection ended, or has to end.
    End(String),
}

/// The writing side of one client.
pub(super) struct Driver {
    pub client: u32,
    pub socket: TcpStream,
    pub registry: Arc<Registry>,
    pub session: Arc<Session>,
    pub sink: Sink,
    pub answer_limit: Duration,
    pub progress: Progress,
    /// When the patch in flight was sent.
    pub sent: Instant,
    /// How long the chain was when the program was last reported as not answering.
    pub reported: Option<usize>,
}

impl Driver {
    /// Runs until the connection ends; then tells so.
    pub fn run(mut self, inbox: Receiver<ToDriver>) {
        let reason = loop {
            if let Err(error) = self.send_next() {
                break format!("a patch could not be sent: {error}");
            }
            match self.wait(&inbox) {
                Ok(()) => {}
                Err(reason) => break reason,
            }
        };
        self.registry.remove(self.client);
        // Wakes the thread that reads, if it is not the one that ended this.
        let _ = self.socket.shutdown(Shutdown::Both);
        let unanswered = self.progress.in_flight().and_then(|index| self.session.id(index));
        (self.sink)(Notice::Disconnected { client: self.client, reason, unanswered });
    }

    fn wait(&mut self, inbox: &Receiver<ToDriver>) -> Result<(), String> {
        let waiting = self.progress.in_flight().is_some() && self.reported.is_none();
        let told = if waiting {
            let left = (self.sent + self.answer_limit).saturating_duration_since(Instant::now());
            inbox.recv_timeout(left)
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match told {
            Ok(ToDriver::Published) => self.report_if_stuck(),
            Ok(ToDriver::TakenBack) => self.progress.taken_back(),
            Ok(ToDriver::RunsPatch(_)) => {}
            Ok(ToDriver::Said(message)) => return self.said(message),
            Ok(ToDriver::Raw(frames)) => {
                return self.socket.write_all(&frames).map_err(|error| error.to_string());
            }
            Ok(ToDriver::End(reason)) => return Err(reason),
            Err(RecvTimeoutError::Timeout) => self.report_unanswered(),
            Err(RecvTimeoutError::Disconnected) => return Err("the connection ended".into()),
        }
        Ok(())
    }

    fn send_next(&mut self) -> std::io::Result<()> {
        let Some(index) = self.progress.next(self.session.len()) else { return Ok(()) };
        let Some(patch) = self.session.get(index) else { return Ok(()) };
        self.session.note_sent(self.client, index + 1);
        self.sent = Instant::now();
        self.reported = None;
        self.socket.write_all(&patch.wire)
    }

    fn said(&mut self, message: ClientMessage) -> Result<(), String> {
        let client = self.client;
        match message {
            ClientMessage::Applied(answer) => {
                self.progress
                    .applied(self.session.index(answer.patch))
                    .map_err(|_| unexpected(answer.patch))?;
                let patch = answer.patch;
                self.tell(Notice::Applied { client, sent: self.sent, answer });
                if let Some(pid) = self.session.pid_of(client) {
                    self.registry.tell_guests_of(pid, patch);
                }
            }
            ClientMessage::Refused(answer) => {
                self.progress
                    .refused(self.session.index(answer.patch))
                    .map_err(|_| unexpected(answer.patch))?;
                let (patch, kind, error) = (answer.patch, answer.kind, answer.error);
                self.tell(Notice::Refused { client, patch, kind, error });
            }
            ClientMessage::StillRunning { patch, functions } => {
                self.tell(Notice::StillRunning { client, patch, functions });
            }
            ClientMessage::CarriesOver { types } => {
                self.tell(Notice::CarriesOver { client, types });
            }
            ClientMessage::Crashed(crash) => self.tell(Notice::Crashed { client, crash }),
            ClientMessage::Log { level, text } => self.tell(Notice::Log { client, level, text }),
            ClientMessage::Hello(_) => return Err("the program said hello twice".into()),
        }
        Ok(())
    }

    fn report_unanswered(&mut self) {
        let Some(patch) = self.progress.in_flight().and_then(|i| self.session.id(i)) else {
            return;
        };
        self.reported = Some(self.session.len());
        let detail = format!("no answer for {} s", self.answer_limit.as_secs_f32());
        self.tell(Notice::NoAnswer { client: self.client, patch, detail });
    }

    /// Something new was published for a program that is known not to answer.
    fn report_if_stuck(&mut self) {
        let chain = self.session.len();
        let (Some(index), Some(reported)) = (self.progress.in_flight(), self.reported) else {
            return;
        };
        let (Some(busy), Some(newest)) = (self.session.id(index), self.session.id(chain - 1))
        else {
            return;
        };
        if chain > reported {
            self.reported = Some(chain);
            let detail = format!("it has not answered to patch {busy} yet");
            self.tell(Notice::NoAnswer { client: self.client, patch: newest, detail });
        }
    }

    fn tell(&self, notice: Notice) {
        (self.sink)(notice);
    }
}

fn unexpected(patch: u32) -> String {
    format!("the program answered to patch {patch}, which was not on its way")
}
