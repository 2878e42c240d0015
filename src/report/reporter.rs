//! Where events go: the terminal, a log file, or a script that reads JSON from stdout.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Event;
use super::human::Human;
use crate::cli::{CargoSelection, Color, MessageFormat};
use crate::env;
use crate::error::Failure;

/// How to tell about things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Lines for people, or JSON.
    pub format: MessageFormat,
    /// When to use colors.
    pub color: Color,
    /// Results and problems only.
    pub quiet: bool,
    /// Also what is of interest only now and then.
    pub verbose: bool,
    /// Takes everything in place of the terminal.
    pub log: Option<PathBuf>,
}

impl Style {
    /// What the flags say.
    pub fn new(format: MessageFormat, flags: &CargoSelection, log: Option<PathBuf>) -> Style {
        let color = flags.color.unwrap_or(Color::Auto);
        Style { format, color, quiet: flags.quiet, verbose: flags.verbose > 0, log }
    }
}

/// Prints events, from any thread.
pub struct Reporter {
    format: MessageFormat,
    color: bool,
    state: Mutex<State>,
}

struct State {
    human: Human,
    sink: Sink,
    /// Whether a spinner may be drawn.
    lively: bool,
    spinner: Option<ProgressBar>,
}

enum Sink {
    Stdout,
    Stderr,
    File(File),
}

impl Reporter {
    /// A reporter of this style.
    ///
    /// # Errors
    /// A [`Failure`] where the log file cannot be written.
    pub fn new(style: &Style) -> Result<Reporter, Failure> {
        let sink = match (&style.log, style.format) {
            (Some(log), _) => Sink::File(create(log)?),
            (None, MessageFormat::Json) => Sink::Stdout,
            (None, MessageFormat::Human) => Sink::Stderr,
        };
        let terminal = matches!(sink, Sink::Stderr) && io::stderr().is_terminal();
        let color = match style.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && colors_are_welcome(),
        };
        let human = Human::new(color, style.quiet, style.verbose);
        let state = State { human, sink, lively: terminal && !style.quiet, spinner: None };
        Ok(Reporter { format: style.format, color, state: Mutex::new(state) })
    }

    /// How results are printed.
    pub fn format(&self) -> MessageFormat {
        self.format
    }

    /// Whether text for people may have colors.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Tells of an event.
    pub fn emit(&self, event: &Event) {
        let mut state = self.state();
        let text = match self.format {
            MessageFormat::Json => serde_json::to_string(event).ok().map(|json| json + "\n"),
            MessageFormat::Human => state.human.line(event),
        };
        if let Some(text) = text {
            state.write(&text);
        }
    }

    /// Passes on a line of a program's output that has come by another way than our own streams.
    /// `name` stands in front of it for people.
    pub fn output(
        &self,
        stream: &'static str,
        device: Option<&str>,
        name: Option<&str>,
        line: String,
    ) {
        if self.format == MessageFormat::Json {
            let device = device.map(String::from);
            return self.emit(&Event::ProgramOutput { stream, line, device });
        }
        self.state().hide_spinner();
        let line = name.map_or_else(|| line.clone(), |name| format!("{name} | {line}"));
        // Nobody reads it.
        let _ = match stream {
            "stdout" => writeln!(io::stdout(), "{line}"),
            _ => writeln!(io::stderr(), "{line}"),
        };
    }

    /// Prints text that is meant for people as it is; nothing where a script reads.
    pub fn text(&self, text: &str) {
        if self.format == MessageFormat::Human {
            self.state().write(text);
        }
    }

    /// Prints a line on stderr in any case: what a user must see to go on.
    pub fn instruct(&self, line: &str) {
        let mut state = self.state();
        state.hide_spinner();
        // There is no better place to tell that stderr is gone.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Prints the result of a command on stdout, for people and for shells.
    pub fn result(&self, line: &str) {
        if self.format == MessageFormat::Human {
            self.state().hide_spinner();
            // Nobody reads it.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }

    /// Shows on a terminal that something takes a while.
    pub fn show_work(&self, what: &str) {
        let mut state = self.state();
        if state.lively && state.spinner.is_none() {
            let style = ProgressStyle::with_template("{prefix:>12.cyan.bold} {msg} {spinner}");
            let spinner = ProgressBar::new_spinner().with_prefix("Building");
            spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            spinner.set_message(what.to_string());
            spinner.enable_steady_tick(Duration::from_millis(120));
            state.spinner = Some(spinner);
        }
    }

    /// The work is done.
    pub fn hide_work(&self) {
        self.state().hide_spinner();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, text: &str) {
        self.hide_spinner();
        // Somebody who closed the other end does not want to know, and the program goes on.
        let _ = match &mut self.sink {
            Sink::Stdout => io::stdout().lock().write_all(text.as_bytes()),
            Sink::Stderr => io::stderr().lock().write_all(text.as_bytes()),
            Sink::File(file) => file.write_all(text.as_bytes()),
        };
    }

    fn hide_spinner(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

fn create(log: &PathBuf) -> Result<File, Failure> {
    File::create(log).map_err(|e| Failure::io("write", log, &e))
}

fn colors_are_welcome() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let term = set(env::cargo::TERM_COLOR);
    match term.as_ref().and_then(|value| value.to_str()) {
        Some("always") => true,
        Some("never") => false,
        _ => set(env::NO_COLOR).is_none() && set(env::TERM).is_none_or(|term| term != "dumb"),
    }
}
