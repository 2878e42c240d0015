//! Looks for what would prevent patching, and says what mends it.
//!
//! [`gather`] looks at the machine and the project and only reads; [`checks`] are functions from
//! what it found to one verdict each; [`report`] prints these. A check fails where `watch` will
//! not work before something is mended, and warns where it works with limits.
//!
//! The other commands have the few checks that concern them made by [`run_for`], so that nobody
//! needs to know that there is a doctor.

mod checks;
pub mod facts;
mod gather;
mod report;
mod scratch;

use crate::error::Failure;
use crate::session::Session;

use facts::Facts;
pub use gather::gather;
pub use report::{human, json};
pub use scratch::Scratch;

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing stands in the way.
    Ok,
    /// Patching works, with limits.
    Warn,
    /// Patching does not work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The check's name.
    pub name: &'static str,
    /// The verdict.
    pub status: Status,
    /// One line of why.
    pub detail: String,
    /// A command or a line of configuration that mends it.
    pub fix: Option<String>,
}

impl Check {
    /// Nothing stands in the way.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, status: Status::Ok, detail: one_line(&detail.into()), fix: None }
    }

    /// Patching works, with limits.
    pub fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Check {
        let fix = Some(one_line(&fix.into()));
        Check { status: Status::Warn, fix, ..Check::ok(name, detail) }
    }

    /// Patching does not work.
    pub fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { status: Status::Fail, ..Check::warn(name, detail, fix) }
    }
}

/// Each check is one line, whatever words of other tools it quotes.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines.join("; ")
}

/// All checks that have something to look at.
pub fn run(facts: &Facts) -> Vec<Check> {
    checks::all(facts).into_iter().map(|check| check(facts)).collect()
}

/// Makes the quick checks for a command that is about to build or to patch; nothing is compiled.
///
/// # Errors
/// A [`Failure`] with the text of the first check that fails.
pub fn run_for(command: For, session: &Session) -> Result<(), Failure> {
    let facts = gather::quick(command, session);
    for check in checks::quick(command) {
        let check = check(&facts);
        if check.status == Status::Fail {
            let failure = Failure::environment(check.detail);
            return Err(match check.fix {
                Some(fix) => failure.hint(fix),
                None => failure,
            });
        }
    }
    Ok(())
}

/// A command that has its checks made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// `fat`.
    Fat,
    /// `watch`.
    Watch {
        /// Whether it starts the program.
        runs: bool,
        /// Whether it looks for saves itself instead of being told.
        polls: bool,
    },
    /// `patch`.
    Patch,
}
