//! Lines in, or a file written, and what the program prints then.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::User;
use crate::programs::watched::Pipes;

/// How long the program must have been silent for its answer to be whole.
const SILENCE: Duration = Duration::from_millis(300);
/// How long it may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// The program's standard streams.
pub struct Lines {
    pipes: Pipes,
    touches: Option<PathBuf>,
}

impl Lines {
    /// Writes to the program's input, or this file in its place.
    pub fn new(pipes: Pipes, touches: Option<PathBuf>) -> Lines {
        Lines { pipes, touches }
    }
}

impl User for Lines {
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        let from = self.pipes.printed().len();
        match &self.touches {
            Some(file) => std::fs::write(file, format!("{:?}", Instant::now()))?,
            None => self.pipes.write(format!("{what}\n").as_bytes())?,
        }
        let began = Instant::now();
        let (mut length, mut since) = (from, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.pipes.printed().len();
            if now != length {
                (length, since) = (now, Instant::now());
            }
            let whole = length > from && since.elapsed() > SILENCE;
            if whole || began.elapsed() > BEGINS_WITHIN {
                return Ok(self.pipes.printed().split_off(from));
            }
        }
    }

    fn words(&self, what: &str) -> String {
        match (&self.touches, what) {
            (Some(_), _) => "after the file is written it prints".into(),
            (None, "") => "after Enter it prints".into(),
            (None, what) => format!("after `{what}` it prints"),
        }
    }
}
