//! One file a subcommand; each reads as a list of steps.

use crate::cli::Command;

mod chain;
pub mod doctor;
pub mod fat;
mod ledger;
mod lock;
pub mod patch;
mod serving;
mod tell;
pub mod watch;
mod workshop;

/// Runs a command; the result is the process's exit code.
///
/// # Errors
/// Whatever ends the command; a [`crate::error::Failure`] in it decides the exit code.
pub fn run(command: &Command) -> anyhow::Result<u8> {
    match command {
        Command::Fat(args) => fat::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Patch(args) => patch::run(args),
        Command::Doctor(args) => doctor::run(args),
    }
}
