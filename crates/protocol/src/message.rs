//! The conversation: the client says [`ClientMessage::Hello`], the server answers
//! [`ServerMessage::Welcome`] or [`ServerMessage::Reject`]; then patches go one way
//! (binary frames, see [`crate::frame`]) and answers the other. All else is JSON in text frames.

use serde::{Deserialize, Serialize};

use crate::manifest::Canary;

/// What the program says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first message of a connection.
    Hello(Hello),
    /// A patch runs: every function in it was switched.
    Applied(Applied),
    /// A patch was not applied; the program goes on with the code it had.
    Refused(Refused),
    /// Functions that a patch has changed and that still run in old code: a call that began before
    /// does not come to its end.
    StillRunning {
        /// The patch's id.
        patch: u32,
        /// Their names.
        functions: Vec<String>,
    },
    /// The types whose values the program carries over when their layout changes, all of them.
    CarriesOver {
        /// Their full names.
        types: Vec<String>,
    },
    /// The program crashes, or panics, in code that a patch has brought a short time ago. Whether
    /// that is its end is not known yet.
    Crashed(Crashed),
    /// A line for the developer, such as a thread that could not be stopped at the first try.
    Log {
        /// `info`, `warn` or `error`.
        level: String,
        /// The text, one line.
        text: String,
    },
}

/// What a tool says to a program that waits for one: where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// `HOST:PORT`.
    pub address: String,
    /// The secret that the server asks for.
    pub token: String,
}

/// Who the program is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL_VERSION`] of the runtime.
    pub protocol: u32,
    /// The runtime crate's version.
    pub runtime: String,
    /// The secret from [`crate::ENV_TOKEN`].
    pub token: String,
    /// The process id in the program's own namespace.
    pub pid: u32,
    /// The GNU build id of the file that the runtime is linked into, lower-case hex.
    pub build_id: String,
    /// Where that file is loaded: the difference between run-time and static addresses.
    pub load_address: u64,
    /// What the program was compiled by and for.
    pub canary: Canary,
    /// The ids of the patches that already run, oldest first; not empty after a reconnect.
    pub applied: Vec<u32>,
}

/// What happened in the code of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashed {
    /// The patch's id.
    pub patch: u32,
    /// How long it had run, in milliseconds.
    pub after_ms: u64,
    /// The signal; none where it is a panic.
    pub signal: Option<i32>,
    /// The functions that the patch has changed and that were running, the innermost one first.
    pub functions: Vec<String>,
}

/// How a patch went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The patch's id.
    pub patch: u32,
    /// How many function entries were switched.
    pub functions: u32,
    /// How long the program's threads stood still, in microseconds.
    pub pause_us: u64,
    /// From the received frame to running code, in microseconds.
    pub apply_us: u64,
    /// How many other threads were stopped for the switch.
    pub threads: u32,
    /// True where the same content was applied before and nothing had to be done.
    pub duplicate: bool,
}

/// Why a patch did not go in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The patch's id.
    pub patch: u32,
    /// The kind of reason, for scripts.
    pub kind: RefusalKind,
    /// The reason, for people.
    pub error: String,
}

/// The kinds of reasons for which a program does not take a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The frame or the manifest could not be read.
    Malformed,
    /// The patch was made for another build of the program.
    WrongBuild,
    /// The patch builds on one that this program does not have.
    OutOfOrder,
    /// The dynamic loader did not take the library.
    LoadFailed,
    /// The library could not be written to a file.
    NoSpace,
    /// A `before` hook of the program said no.
    Vetoed,
    /// A thread could not be stopped.
    ThreadNotStopped,
    /// The operating system does not allow code to be changed.
    CodeNotWritable,
    /// A value could not be carried over to the new layout of its type; it is as it was.
    NotCarriedOver,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The hello was accepted.
    Welcome {
        /// A directory that the program may write patch libraries to, where both run on one machine.
        cache_dir: Option<String>,
    },
    /// The hello was not accepted; the connection closes.
    Reject {
        /// The reason, for people.
        reason: String,
        /// True where dialing again cannot help (another build, a wrong token).
        permanent: bool,
    },
}
