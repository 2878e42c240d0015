//! What a user does to have the program built and started again: a key of the terminal, or a signal.
//!
//! stdin is the program's, so that the key is one of which the terminal makes a signal: Ctrl-\,
//! SIGQUIT for everybody who runs in it. The program is started such that it does not mind, unless
//! it asks for that signal itself.

use std::io::{IsTerminal, stdin};
use std::os::unix::process::CommandExt;
use std::process::Command;

use signal_hook::consts::signal::{SIGQUIT, SIGUSR1};

use crate::cli::Restart;

/// Whether there is such a key.
pub(super) fn is_there(restart: Restart) -> bool {
    restart == Restart::Ask && stdin().is_terminal()
}

/// The signals that ask for a restart.
pub(super) fn signals(restart: Restart) -> impl Iterator<Item = i32> {
    [SIGUSR1].into_iter().chain(is_there(restart).then_some(SIGQUIT))
}

/// Whether this signal does.
pub(super) fn is_asked_by(signal: i32) -> bool {
    matches!(signal, SIGUSR1 | SIGQUIT)
}

/// Lets the key pass by a program that is about to be started.
pub(super) fn spare(command: &mut Command) {
    // SAFETY: the closure makes one call, which is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGQUIT, libc::SIG_IGN);
            Ok(())
        });
    }
}

/// A line that says how to have `what` done.
pub(super) fn line(restart: Restart, what: &str) -> String {
    let key = if is_there(restart) { "Ctrl-\\ or " } else { "" };
    format!("{:>12} to {what}: {key}kill -USR1 {}", "", std::process::id())
}
