//! What a running `cargo hotpatch watch` has said so far, readable while it goes on.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// One JSON object of the tool's stdout.
#[derive(Debug, Clone)]
pub struct Event(pub Value);

impl Event {
    /// The event's `reason`.
    pub fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or("")
    }

    /// A field that is a text.
    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("no text {field} in {}", self.0))
    }

    /// A field that is a whole number.
    #[track_caller]
    pub fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {}", self.0))
    }

    /// A field that is a list of texts.
    #[track_caller]
    pub fn list(&self, field: &str) -> Vec<String> {
        let list = self.0[field].as_array();
        let list = list.unwrap_or_else(|| panic!("no list {field} in {}", self.0));
        list.iter().map(|v| v.as_str().unwrap_or("").to_string()).collect()
    }

    /// True where the event is a compiler's error, except for its last one, which only counts.
    pub fn is_compile_error(&self) -> bool {
        let message = &self.0["message"];
        let counts = message["message"].as_str().is_some_and(|m| m.starts_with("aborting due to"));
        self.reason() == "compiler-message" && message["level"] == "error" && !counts
    }
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    /// The program's stdout, line by line.
    lines: Vec<String>,
    /// Lines on the tool's stdout that are no JSON objects.
    garbage: Vec<String>,
    stderr: Vec<String>,
    /// How many of the two streams have ended.
    ended: u32,
}

/// The growing record; clones share it.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Log {
    /// Reads both streams on threads of their own until they end.
    pub fn read(&self, stdout: impl Read + Send + 'static, stderr: impl Read + Send + 'static) {
        self.each_line(stdout, |state, line| match serde_json::from_str::<Value>(&line) {
            Ok(value) if value.is_object() => {
                if value["reason"] == "program-output" && value["stream"] == "stdout" {
                    state.lines.push(value["line"].as_str().unwrap_or("").to_string());
                } else {
                    state.events.push(Event(value));
                }
            }
            _ => state.garbage.push(line),
        });
        self.each_line(stderr, |state, line| state.stderr.push(line));
    }

    fn each_line(&self, stream: impl Read + Send + 'static, take: fn(&mut State, String)) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                take(&mut log.state(), String::from_utf8_lossy(&line).into_owned());
                log.shared.1.notify_all();
            }
            log.state().ended += 1;
            log.shared.1.notify_all();
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until `found` has an answer; an error says why there will be none.
    fn wait<T>(
        &self,
        patience: Duration,
        mut found: impl FnMut(&State) -> Option<Result<T, String>>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(answer) = found(&state) {
                return answer;
            }
            if state.ended == 2 {
                return Err("cargo hotpatch has ended".into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("nothing of the kind came in time".into());
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// The first event from number `*from` on that `wanted` takes; `*from` moves behind it.
    /// `fatal` names events that end the wait.
    pub fn event(
        &self,
        patience: Duration,
        from: &mut usize,
        wanted: impl Fn(&Event) -> bool,
        fatal: impl Fn(&Event) -> bool,
    ) -> Result<Event, String> {
        let start = *from;
        let (at, event) = self.wait(patience, |state| {
            for (n, event) in state.events.iter().enumerate().skip(start) {
                if wanted(event) {
                    return Some(Ok((n, event.clone())));
                }
                if fatal(event) {
                    return Some(Err(format!("this came instead: {}", event.0)));
                }
            }
            None
        })?;
        *from = at + 1;
        Ok(event)
    }

    /// The first line of the program's stdout from number `*from` on that `wanted` takes.
    pub fn line(
        &self,
        patience: Duration,
        from: &mut usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        let mut at = *from;
        let found = self.wait(patience, |state| {
            while let Some(line) = state.lines.get(at) {
                at += 1;
                if wanted(line) {
                    return Some(Ok(line.clone()));
                }
            }
            None
        });
        *from = at;
        found
    }

    /// The first line of the tool's stderr that `wanted` takes, whenever it came.
    pub fn stderr_line(
        &self,
        patience: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        self.wait(patience, |state| {
            state.stderr.iter().find(|l| wanted(l)).map(|line| Ok(line.clone()))
        })
    }

    /// Waits for the end of both streams.
    pub fn ended(&self, patience: Duration) -> bool {
        self.wait(patience, |state| (state.ended == 2).then_some(Ok(()))).is_ok()
    }

    /// How many events and how many lines of the program's stdout there are so far.
    pub fn so_far(&self) -> (usize, usize) {
        let state = self.state();
        (state.events.len(), state.lines.len())
    }

    /// All events so far, without the program's stdout.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// The program's stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    /// What was on stdout and is no JSON object.
    pub fn garbage(&self) -> Vec<String> {
        self.state().garbage.clone()
    }

    /// The tool's stderr so far.
    pub fn stderr(&self) -> String {
        self.state().stderr.join("\n")
    }

    /// Everything, for the message of a failed test; of the program's output only the end.
    pub fn dump(&self) -> String {
        const SHOWN: usize = 12;
        let state = self.state();
        let mut text = String::from("events:\n");
        for event in &state.events {
            text += &format!("  {}\n", event.0);
        }
        let hidden = state.lines.len().saturating_sub(SHOWN);
        text += &format!("program's stdout, without the first {hidden} lines:\n");
        for line in state.lines.iter().skip(hidden) {
            text += &format!("  {line}\n");
        }
        text += &format!("no JSON on stdout: {:?}\n", state.garbage);
        text += &format!("stderr:\n{}\n", state.stderr.join("\n"));
        text
    }
}
