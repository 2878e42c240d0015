//! One rustc process, whose words come as messages on a channel.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

use serde_json::Value;

use crate::error::Failure;
use crate::pipeline::capture::{Unit, argfile};

/// What happens while units are built.
#[derive(Debug)]
pub enum Message {
    /// The unit's rustc wrote its metadata: its dependents can be compiled.
    Metadata(usize),
    /// The unit's rustc has something to say.
    Diagnostic(usize, Value),
    /// The unit's rustc said something that is no JSON, such as a panic.
    Text(usize, String),
    /// The unit's rustc closed its stderr.
    Ended(usize),
    /// The build is to be given up.
    Cancel,
}

/// A running rustc.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts the unit's rustc, which is number `n` in the messages.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be started.
    pub fn start(
        unit: &Unit,
        args: Vec<String>,
        n: usize,
        messages: Sender<Message>,
    ) -> Result<Process, Failure> {
        let args = argfile::shorten(args, &unit.folder().join("thin-args"))?;
        let mut child = Command::new(&unit.rustc)
            .args(args)
            .current_dir(&unit.cwd)
            .env_clear()
            .envs(&unit.env)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| cannot_start(unit, &e))?;
        let stderr = child.stderr.take();
        std::thread::spawn(move || {
            for line in stderr.map(BufReader::new).into_iter().flat_map(BufRead::lines) {
                let Ok(line) = line else { break };
                if let Some(message) = read(n, line) {
                    _ = messages.send(message);
                }
            }
            _ = messages.send(Message::Ended(n));
        });
        Ok(Process { child })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn wait(mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Ends it.
    pub fn kill(mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn cannot_start(unit: &Unit, error: &std::io::Error) -> Failure {
    // The operating system does not tell which of the two is missing.
    let missing: &Path = if unit.cwd.is_dir() { &unit.rustc } else { &unit.cwd };
    Failure::io("run rustc with", missing, error)
}

fn read(n: usize, line: String) -> Option<Message> {
    let Ok(message) = serde_json::from_str::<Value>(&line) else {
        return (!line.trim().is_empty()).then_some(Message::Text(n, line));
    };
    if message.get("rendered").is_some() {
        return Some(Message::Diagnostic(n, message));
    }
    let metadata = message["emit"] == "metadata" && message.get("artifact").is_some();
    metadata.then_some(Message::Metadata(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_becomes_its_message() {
        let table = [
            (r#"{"$message_type":"artifact","artifact":"/x.rmeta","emit":"metadata"}"#, "metadata"),
            (r#"{"$message_type":"artifact","artifact":"/x.o","emit":"obj"}"#, "nothing"),
            (r#"{"$message_type":"diagnostic","rendered":"error: x","level":"error"}"#, "told"),
            (r#"{"$message_type":"future_incompat","future_incompat_report":[]}"#, "nothing"),
            ("thread 'rustc' panicked", "text"),
            ("", "nothing"),
        ];
        for (line, wanted) in table {
            let found = match read(0, line.to_string()) {
                Some(Message::Metadata(0)) => "metadata",
                Some(Message::Diagnostic(0, _)) => "told",
                Some(Message::Text(0, _)) => "text",
                None => "nothing",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, wanted, "{line}");
        }
    }
}
