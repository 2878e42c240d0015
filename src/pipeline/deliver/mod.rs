//! The patch on its way to the programs that run it.
//!
//! [`Server`] listens; every program dials in, says hello, is checked ([`admission`]) and then
//! gets each patch of the [`chain`] that it lacks, one at a time, in order. A connection has two
//! threads: one reads ([`connection`]), one decides and writes ([`driver`]). Whatever happens on
//! one connection is told as a [`Notice`] and concerns no other.

mod admission;
mod cache;
mod chain;
mod connection;
mod driver;
mod guest;
mod registry;
mod server;
mod stream;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::{Applied, RefusalKind};

pub use hotpatch_protocol::message::Crashed as Crash;

pub use guest::{CARGO_HOT_ADDRESS, Protocol};
pub use registry::Process;
pub use server::{Config, Listener, Past, Server};
pub use token::Token;

/// What a program must be to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The program's GNU build id, lower-case hex.
    pub build_id: String,
    /// What it was compiled by and for.
    pub canary: Canary,
    /// Below it, each program on this machine gets a folder for patch libraries.
    pub live: PathBuf,
}

/// How long and how much a connection may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted connection to a complete hello.
    pub hello: Duration,
    /// From a patch that was sent to its answer, before it is reported as unanswered.
    pub answer: Duration,
    /// For each piece of a patch that the program's socket does not take.
    pub write: Duration,
    /// The largest message before the hello was accepted, in bytes.
    pub hello_size: usize,
    /// The largest message afterwards, in bytes.
    pub message_size: usize,
    /// How many connections may be waiting for their hello at a time.
    pub strangers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            hello: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            write: Duration::from_secs(30),
            hello_size: 64 * 1024,
            message_size: 1024 * 1024,
            strangers: 64,
        }
    }
}

/// Something that happened on a connection.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A program said hello and was accepted.
    Connected {
        /// The connection's number, counted from 1 and never used again.
        client: u32,
        /// The process id that the program gave.
        pid: u32,
        /// Where it dials from.
        peer: SocketAddr,
        /// What it speaks.
        protocol: Protocol,
    },
    /// A program with another tool's client was told to load the library of a patch.
    Sent {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
    },
    /// Such a program has loaded it; whether it runs any of its code cannot be seen.
    Loaded {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
        /// When it was sent.
        sent: Instant,
    },
    /// Such a program could not be sent the library of a patch.
    NotSent {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
        /// Why.
        error: String,
    },
    /// Such a program, in which our runtime runs a patch, was told to look again.
    ToldAgain {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
    },
    /// A program runs the patch.
    Applied {
        /// The connection.
        client: u32,
        /// When the patch was sent.
        sent: Instant,
        /// What the program said of it.
        answer: Applied,
    },
    /// A program did not take the patch; it gets it again before the next one.
    Refused {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
        /// The kind of reason.
        kind: RefusalKind,
        /// The reason.
        error: String,
    },
    /// A program has not answered yet; it may still do so, and gets nothing more until it does.
    NoAnswer {
        /// The connection.
        client: u32,
        /// The patch that was published for it.
        patch: u32,
        /// What it is busy with.
        detail: String,
    },
    /// Some of the functions that a patch has changed still run in old code.
    StillRunning {
        /// The connection.
        client: u32,
        /// The patch's id.
        patch: u32,
        /// Their names.
        functions: Vec<String>,
    },
    /// A program has said which types it carries over.
    CarriesOver {
        /// The connection.
        client: u32,
        /// Their full names.
        types: Vec<String>,
    },
    /// A program crashes in the code of a patch, or panics there.
    Crashed {
        /// The connection.
        client: u32,
        /// What happened.
        crash: Crash,
    },
    /// A line for the developer, from the program.
    Log {
        /// The connection.
        client: u32,
        /// `info`, `warn` or `error`.
        level: String,
        /// The text.
        text: String,
    },
    /// The connection ended.
    Disconnected {
        /// The connection.
        client: u32,
        /// Why.
        reason: String,
        /// The patch that was sent and never answered.
        unanswered: Option<u32>,
    },
    /// A connection was turned away before it became a client.
    Rejected {
        /// Where it came from.
        peer: SocketAddr,
        /// Why.
        reason: String,
    },
}

/// Takes the notices, from any thread; must not block.
pub type Sink = Arc<dyn Fn(Notice) + Send + Sync>;
