//! What the live tests share: a server, patch libraries made by hand, and the program that takes
//! them, which is the test's own file started again.
#![allow(dead_code)]

pub mod library;
pub mod program;
pub mod server;
pub mod victim;

pub use library::Template;
pub use program::Program;
#[allow(unused_imports)]
pub use server::{Client, Server};

/// What makes libraries for the processor of the tests.
#[cfg(target_arch = "x86_64")]
pub const COMPILER: &str = "cc";
#[cfg(target_arch = "aarch64")]
pub const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Whether a program has to be looked at before a function is redirected for the first time.
pub const STOPS_THREADS: bool = cfg!(target_arch = "x86_64");

use hotpatch_protocol::message::{Applied, ClientMessage, RefusalKind, Refused};

/// The answer, which must say that the patch runs.
#[track_caller]
pub fn applied(answer: ClientMessage) -> Applied {
    match answer {
        ClientMessage::Applied(applied) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

/// The answer, which must be a refusal of this kind.
#[track_caller]
pub fn refused(answer: ClientMessage, kind: RefusalKind) -> Refused {
    match answer {
        ClientMessage::Refused(refused) if refused.kind == kind => refused,
        other => panic!("not refused as {kind:?}: {other:?}"),
    }
}

/// A number out of a sorted list, such as 0.99 for the one that is larger than 99 % of them.
pub fn percentile(sorted: &[u64], part: f64) -> u64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}
