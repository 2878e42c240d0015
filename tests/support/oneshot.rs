//! `cargo hotpatch` commands that end by themselves.

use std::path::Path;
use std::process::{Command, Stdio};

use super::primed::clean_environment;

/// `cargo-hotpatch hotpatch <args>` in `folder`, as cargo would start it.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-hotpatch"));
    clean_environment(&mut command);
    super::target::configure(&mut command);
    command.arg("hotpatch").args(args).current_dir(folder).stdin(Stdio::null());
    command
}

/// Another tool, in the environment that a user would start it in.
pub fn plain_command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    clean_environment(&mut command);
    command.args(args).stdin(Stdio::null());
    command
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| format!("{w:?}")).collect::<Vec<_>>().join(" ")
}

/// What a command that has ended left behind.
pub struct Output {
    /// The exit code; -1 for a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    shown: String,
}

/// Runs a command to its end.
#[track_caller]
pub fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown = format!(
        "command: {}\nfolder: {:?}\nstatus: {}\nstdout:\n{stdout}\nstderr:\n{stderr}",
        shown(&command),
        command.get_current_dir().unwrap_or(Path::new(".")),
        output.status,
    );
    Output { code: output.status.code().unwrap_or(-1), stdout, stderr, shown }
}

impl Output {
    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n{}", self.shown);
        self
    }

    /// Fails the test unless one of the two streams has this text in it.
    #[track_caller]
    pub fn expect_text(self, text: &str) -> Self {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(found, "nowhere is {text:?}\n{}", self.shown);
        self
    }

    /// Fails the test if one of the two streams has this text in it.
    #[track_caller]
    pub fn expect_no_text(self, text: &str) -> Self {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!found, "there is {text:?}\n{}", self.shown);
        self
    }

    /// The last line on stdout.
    pub fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or("")
    }
}

/// Whether this process may make mounts of its own, which nobody else sees.
pub fn may_mount() -> bool {
    let mount = "mount -t tmpfs -o size=64k tmpfs /mnt";
    Command::new("unshare")
        .args(["-m", "sh", "-c", mount])
        .output()
        .is_ok_and(|o| o.status.success())
}
