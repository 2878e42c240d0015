//! A process of the program that `watch` has not started.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::{Fixture, PATIENCE, Started, plain_command, target};

/// The process, and its lines.
pub struct Second {
    child: Child,
    lines: Receiver<String>,
}

impl Second {
    /// Starts the program with these variables.
    #[track_caller]
    pub fn start(fixture: &Fixture, started: &Started, variables: &[(&str, String)]) -> Self {
        let program = started.program.display().to_string();
        let words: Vec<&str> = target::runner().into_iter().chain([program.as_str()]).collect();
        Self::start_as(fixture, &words, variables)
    }

    /// The same, where a script has first changed what is mounted for it alone.
    #[track_caller]
    pub fn start_after(
        script: &str,
        fixture: &Fixture,
        started: &Started,
        variables: &[(&str, String)],
    ) -> Self {
        let script = format!("set -e; {script}; exec \"$@\"");
        let program = started.program.display().to_string();
        Self::start_as(fixture, &["unshare", "-m", "sh", "-c", &script, "sh", &program], variables)
    }

    #[track_caller]
    fn start_as(fixture: &Fixture, words: &[&str], variables: &[(&str, String)]) -> Self {
        let mut command = plain_command(words[0], &words[1..]);
        command.envs(variables.iter().map(|(n, v)| (n, v))).current_dir(fixture.root());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a second program");
        let (send, lines) = channel();
        let stdout = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Second { child, lines }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line with this text in it.
    #[track_caller]
    pub fn wait_text(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|e| panic!("waiting for {text:?}: {e}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A line that is printed from now on.
    #[track_caller]
    pub fn next_line(&self) -> String {
        while self.lines.try_recv().is_ok() {}
        self.wait_text("")
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
