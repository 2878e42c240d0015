//! Events as lines for people, in cargo's manner: a verb at the right of 12 columns, then what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Event, Timings};

const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";

/// The name of our own runtime's protocol, of which nothing is said.
const OWN: &str = "hotpatch";

/// How many names are listed before the rest is only counted.
const LISTED: usize = 3;

/// Turns events into lines. A patch is told when a program runs it, so what was said of it before
/// is remembered until then.
#[derive(Debug, Default)]
pub(super) struct Human {
    color: bool,
    quiet: bool,
    verbose: bool,
    files: Vec<PathBuf>,
    built: BTreeMap<u32, Built>,
    pids: BTreeMap<u32, u32>,
}

#[derive(Debug)]
struct Built {
    files: Vec<PathBuf>,
    functions: Vec<String>,
    timings: Timings,
}

impl Human {
    pub fn new(color: bool, quiet: bool, verbose: bool) -> Human {
        Human { color, quiet, verbose, ..Human::default() }
    }

    /// The event's line, with its end, if people want to know.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        self.remember(event);
        let line = match event {
            Event::PatchApplied { .. }
            | Event::PatchLoaded { .. }
            | Event::PatchRefused { .. }
            | Event::PatchFailed { .. }
            | Event::StillRunning { .. }
            | Event::ProgramCrashed { .. }
            | Event::NothingChanged { .. }
            | Event::RestartRequired { .. }
            | Event::DeviceGone { .. }
            | Event::Warning { .. } => self.result(event),
            _ if self.quiet => None,
            _ => self.progress(event),
        };
        self.forget(event);
        line
    }

    /// What a user waits for, or must know.
    fn result(&self, event: &Event) -> Option<String> {
        let (verb, color, text) = match event {
            Event::PatchApplied { patch, client, apply_ms, total_ms, .. } => {
                ("Patched", GREEN, self.applied(*patch, *client, *apply_ms, *total_ms))
            }
            Event::PatchLoaded { patch, client, total_ms } => {
                ("Loaded", GREEN, self.loaded(*patch, *client, *total_ms))
            }
            Event::PatchRefused { detail, .. } => ("Refused", YELLOW, detail.clone()),
            Event::PatchFailed { patch, client, error } => {
                let name = self.program(*client);
                ("Failed", RED, format!("{name} does not run patch {patch}: {error}"))
            }
            Event::StillRunning { client, functions, .. } => {
                ("Old code", YELLOW, self.still_running(*client, functions))
            }
            Event::ProgramCrashed { .. } => ("Crashed", RED, crashed(event)?),
            Event::NothingChanged { files } if files.is_empty() => {
                ("Unchanged", CYAN, "nothing has changed since the build".into())
            }
            Event::NothingChanged { files } => {
                ("Unchanged", CYAN, format!("{}: nothing to patch in", list(&names(files))))
            }
            Event::RestartRequired { cause, files } if files.is_empty() => {
                ("Restart", YELLOW, format!("needed: {cause}"))
            }
            Event::RestartRequired { cause, files } => {
                ("Restart", YELLOW, format!("needed: {cause} ({})", list(&places(files))))
            }
            Event::DeviceGone { device } => (
                "Device",
                YELLOW,
                format!("{device} is gone; it is set up again when it comes back"),
            ),
            Event::Warning { message } if self.color => {
                return Some(format!("{YELLOW}warning{PLAIN}: {message}\n"));
            }
            Event::Warning { message } => return Some(format!("warning: {message}\n")),
            _ => return None,
        };
        Some(self.status(verb, color, &text))
    }

    /// What goes on.
    fn progress(&self, event: &Event) -> Option<String> {
        let (verb, text) = match event {
            Event::FatBuilt { crates, build_id, elapsed_ms, .. } => {
                let (crates, seconds) = (count(crates.len(), "crate"), *elapsed_ms as f64 / 1e3);
                let id = build_id.get(..12).unwrap_or(build_id);
                ("Captured", format!("{crates} in {seconds:.1} s (build {id})"))
            }
            Event::Serving { addr } => ("Serving", format!("patches at {addr}")),
            Event::DeviceReady { name, addr, .. } => {
                ("Device", format!("{name} finds us at {addr}"))
            }
            Event::ProgramStarted { pid, device: None } => {
                ("Running", format!("the program, process {pid}"))
            }
            Event::ProgramStarted { pid, device: Some(device) } => {
                ("Running", format!("the program, process {pid} on device {device}"))
            }
            Event::ClientConnected { pid, protocol: OWN, .. } => {
                ("Connected", format!("process {pid}"))
            }
            Event::ClientConnected { pid, protocol, .. } => {
                ("Connected", format!("process {pid} by {protocol}"))
            }
            Event::RefreshSent { client, .. } if self.verbose => {
                ("Refreshed", self.program(*client))
            }
            Event::ChangeDetected { files, .. } if self.verbose => ("Changed", list(&names(files))),
            Event::PatchBuilt { patch, functions, timings_ms: t, .. } if self.verbose => {
                let (number, names) = (count(functions.len(), "function"), list(functions));
                let parts = format!("rustc {:.0}, link {:.0}", t.thin, t.relink + t.diff);
                (
                    "Built",
                    format!("patch {patch}: {number} ({names}) in {:.0} ms ({parts})", t.total),
                )
            }
            Event::ClientDisconnected { client } => ("Disconnected", self.program(*client)),
            Event::ProgramExited { pid, code: Some(code), .. } => {
                ("Exited", format!("process {pid} with code {code}"))
            }
            Event::ProgramExited { pid, signal: Some(signal), .. } => {
                ("Exited", format!("process {pid} by signal {signal}"))
            }
            _ => return None,
        };
        Some(self.status(verb, GREEN, &text))
    }

    fn applied(&self, patch: u32, client: u32, apply_ms: f64, total_ms: f64) -> String {
        let whose = self.whose(client);
        let Some(built) = self.built.get(&patch) else {
            return format!("patch {patch}{whose} in {apply_ms:.0} ms");
        };
        let parts = format!("{}, apply {apply_ms:.0}", built.parts());
        format!("{} in {total_ms:.0} ms ({parts}){whose}", built.what())
    }

    fn loaded(&self, patch: u32, client: u32, total_ms: f64) -> String {
        let whose = self.program(client);
        let Some(built) = self.built.get(&patch) else {
            return format!("patch {patch} by {whose} in {total_ms:.0} ms");
        };
        format!("{} by {whose} in {total_ms:.0} ms ({})", built.what(), built.parts())
    }

    fn still_running(&self, client: u32, functions: &[String]) -> String {
        let names: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
        let (names, whose) = (list(&names), self.whose(client));
        let what = match functions.len() {
            1 => "its running call finishes in old code; restart to run it",
            _ => "their running calls finish in old code; restart to run them",
        };
        format!("{names} changed, but {what}{whose}")
    }

    /// Which program it is about, where there are several.
    fn whose(&self, client: u32) -> String {
        let others = self.pids.values().any(|pid| Some(pid) != self.pids.get(&client));
        if others { format!(" ({})", self.program(client)) } else { String::new() }
    }

    fn program(&self, client: u32) -> String {
        match self.pids.get(&client) {
            Some(pid) => format!("process {pid}"),
            None => format!("program {client}"),
        }
    }

    fn status(&self, verb: &str, color: &str, text: &str) -> String {
        if self.color {
            format!("{color}{verb:>12}{PLAIN} {text}\n")
        } else {
            format!("{verb:>12} {text}\n")
        }
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::ChangeDetected { files, .. } => self.files.clone_from(files),
            Event::PatchBuilt { patch, functions, timings_ms, .. } => {
                let (files, functions) = (std::mem::take(&mut self.files), functions.clone());
                self.built.insert(*patch, Built { files, functions, timings: *timings_ms });
            }
            Event::ClientConnected { client, pid, .. } => {
                self.pids.insert(*client, *pid);
            }
            Event::FatBuilt { .. } => self.built.clear(),
            _ => {}
        }
    }

    fn forget(&mut self, event: &Event) {
        if let Event::ClientDisconnected { client } = event {
            self.pids.remove(client);
        }
    }
}

/// What a patch has done, and what is left.
fn crashed(event: &Event) -> Option<String> {
    let Event::ProgramCrashed { pid, patch, functions, signal, after_ms, last_good, held_back } =
        event
    else {
        return None;
    };
    let what = signal.map_or("a panic".into(), name_of_signal);
    let place = match functions.first() {
        Some(function) => format!("`{function}`"),
        None => "code".to_string(),
    };
    let seconds = *after_ms as f64 / 1e3;
    let text = format!(
        "process {pid} by {what} in {place}, new in patch {patch}, {seconds:.1} s after it came"
    );
    let Some(last_good) = last_good else { return Some(text) };
    let good = match last_good {
        0 => "the program as it was built".to_string(),
        patch => format!("the program with patch {patch}"),
    };
    let files = list(&names(held_back));
    Some(format!("{text}\n{:>12} {good}; {files} is held back until the next save", "Last good"))
}

fn name_of_signal(signal: i32) -> String {
    match signal {
        libc::SIGSEGV => "SIGSEGV".into(),
        libc::SIGABRT => "SIGABRT".into(),
        libc::SIGILL => "SIGILL".into(),
        libc::SIGBUS => "SIGBUS".into(),
        libc::SIGFPE => "SIGFPE".into(),
        other => format!("signal {other}"),
    }
}

impl Built {
    /// Which functions changed where.
    fn what(&self) -> String {
        let number = count(self.functions.len(), "function");
        // Instances of one generic function have one name.
        let mut seen = BTreeSet::new();
        let mut functions = self.functions.clone();
        functions.retain(|name| seen.insert(name.clone()));
        format!("{}: {number} ({})", list(&names(&self.files)), list(&functions))
    }

    /// How long its parts took.
    fn parts(&self) -> String {
        let t = &self.timings;
        format!("rustc {:.0}, link {:.0}", t.thin, t.relink + t.diff)
    }
}

/// Files as seen from where we are.
fn places(files: &[PathBuf]) -> Vec<String> {
    let here = std::env::current_dir().unwrap_or_default();
    let place = |file: &PathBuf| file.strip_prefix(&here).unwrap_or(file).display().to_string();
    files.iter().map(place).collect()
}

/// Files as people call them: by name, with the folder where the name alone says little.
fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = file.parent().and_then(Path::file_name);
        match (name, folder) {
            (Some(name), Some(folder)) if name == "mod.rs" => {
                format!("{}/{name}", folder.to_string_lossy())
            }
            (Some(name), _) => name,
            (None, _) => file.display().to_string(),
        }
    };
    files.iter().map(name).collect()
}

fn list(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests;
