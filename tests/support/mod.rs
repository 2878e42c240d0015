//! The harness of the live tests: a copy of a fixture, a running `cargo hotpatch`, edits of the
//! copy's source, and what the program prints afterwards.
//!
//! Nothing here measures time: waiting has a deadline only so that a broken run ends.

#![allow(dead_code, unused_imports)] // each test file uses its own part

mod client;
mod fixture;
mod limits;
mod log;
mod oneshot;
mod primed;
pub mod project;
mod second;
pub mod target;
mod values;
mod watch;

use std::time::Duration;

pub use client::{Client, Greeting, environment_of, hello_of, network_address};
pub use fixture::{Fixture, Save};
pub use limits::{end_at_call, lack_call, narrow_linker, refuse_call};
pub use log::{Event, Log};
pub use oneshot::{Output, command, may_mount, plain_command, run};
pub use second::Second;
pub use values::{Values, values};
pub use watch::{Started, Watch};

/// How long anything may take before a test gives up on it; a machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Tells why a test has nothing to do on this machine; `.ci/run` counts these lines.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        // Past the test harness, which hides what passing tests print.
        use std::io::Write;
        let line = format!("SKIPPED {}: {}\n", module_path!(), format_args!($($why)*));
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }};
}
