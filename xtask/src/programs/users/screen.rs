//! Keys, and what the terminal shows.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{ANSWER_WITHIN, User};
use crate::programs::terminal::Terminal;

/// How long a program may take to read a key before the next one comes: Escape and another key at
/// once would be one.
const BETWEEN_KEYS: Duration = Duration::from_millis(120);

/// The terminal.
pub struct Screen {
    terminal: Terminal,
    wide: bool,
}

impl Screen {
    /// Waits until the program shows this; keys that come earlier may be lost.
    pub fn open(terminal: Terminal, ready: &str) -> anyhow::Result<Screen> {
        let until = Instant::now() + ANSWER_WITHIN;
        while !terminal.shows()?.contains(ready) {
            ensure!(Instant::now() < until, "no {ready:?} on the screen: {}", terminal.shows()?);
            std::thread::sleep(BETWEEN_KEYS);
        }
        Ok(Screen { terminal, wide: false })
    }
}

impl User for Screen {
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        for word in what.split_whitespace() {
            match word {
                "resize" => {
                    self.wide = !self.wide;
                    self.terminal.resize(if self.wide { 101 } else { 100 })?;
                }
                key => self.terminal.press(key)?,
            }
            std::thread::sleep(BETWEEN_KEYS);
        }
        std::thread::sleep(BETWEEN_KEYS);
        self.terminal.shows()
    }

    fn words(&self, what: &str) -> String {
        match what {
            "" => "the screen shows".into(),
            what => format!("the screen shows, after {what}"),
        }
    }
}
