//! A terminal of its own for a program, by tmux.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};

/// One tmux server with one window.
#[derive(Debug, Clone)]
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs the command in a new terminal of 100 columns and 30 rows.
    ///
    /// # Errors
    /// Where tmux is missing or does not start.
    pub fn start(name: &str, folder: &Path, command: &[String]) -> anyhow::Result<Terminal> {
        let terminal = Terminal { socket: format!("hotpatch-{name}-{}", std::process::id()) };
        let folder = folder.display().to_string();
        let mut args = vec!["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30"];
        args.extend(["-s", "program", "-c", &folder, "--"]);
        args.extend(command.iter().map(String::as_str));
        terminal.tmux(&args)?;
        Ok(terminal)
    }

    /// Presses a key, or types a word that is no key's name.
    pub fn press(&self, key: &str) -> anyhow::Result<()> {
        self.tmux(&["send-keys", "-t", "program", key]).map(drop)
    }

    /// Gives the terminal so many columns.
    pub fn resize(&self, columns: usize) -> anyhow::Result<()> {
        self.tmux(&["resize-window", "-t", "program", "-x", &columns.to_string()]).map(drop)
    }

    /// The text on the screen.
    pub fn shows(&self) -> anyhow::Result<String> {
        let output = self.tmux(&["capture-pane", "-p", "-t", "program"])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends everything in it.
    pub fn stop(&self) {
        let _ = self.tmux(&["kill-server"]);
    }

    fn tmux(&self, args: &[&str]) -> anyhow::Result<Output> {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(args).output();
        let output = output.context("tmux cannot be run")?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "tmux {}: {said}", args.join(" "));
        Ok(output)
    }
}

/// Whether there is tmux; as root on a Debian system it is installed where it is missing.
pub fn is_there() -> bool {
    let found = || Command::new("tmux").arg("-V").output().is_ok_and(|o| o.status.success());
    if found() {
        return true;
    }
    for args in [&["update", "-q"][..], &["install", "-q", "-y", "tmux"]] {
        let _ = Command::new("apt-get").args(args).output();
    }
    found()
}
