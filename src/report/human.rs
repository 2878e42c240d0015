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
            Event::RestartRequired { cause, .. } => ("Restart", YELLOW, format!("needed: {cause}")),
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
mod tests {
    use super::*;

    fn human() -> Human {
        Human::new(false, false, false)
    }

    fn changed(human: &mut Human, files: &[&str]) {
        let files = files.iter().map(PathBuf::from).collect();
        assert_eq!(human.line(&Event::ChangeDetected { files, crates: vec![] }), None);
    }

    fn built(human: &mut Human, patch: u32, functions: &[&str]) {
        let event = Event::PatchBuilt {
            patch,
            crates: vec![],
            functions: functions.iter().map(|name| name.to_string()).collect(),
            library: "x.so".into(),
            bytes: 1,
            timings_ms: Timings { thin: 78.4, relink: 12.0, diff: 2.0, total: 97.0 },
        };
        assert_eq!(human.line(&event), None, "a patch is told when a program runs it");
    }

    fn applied(human: &mut Human, patch: u32) -> String {
        let event = Event::PatchApplied {
            patch,
            client: 1,
            functions: 1,
            pause_us: 90,
            apply_ms: 3.1,
            total_ms: 112.2,
        };
        human.line(&event).unwrap()
    }

    #[test]
    fn a_patch_is_one_line_with_its_times() {
        let mut human = human();
        changed(&mut human, &["/w/src/main.rs"]);
        built(&mut human, 1, &["prog::tick"]);
        assert_eq!(
            applied(&mut human, 1),
            "     Patched main.rs: 1 function (prog::tick) in 112 ms (rustc 78, link 14, apply 3)\n"
        );
    }

    #[test]
    fn long_lists_are_counted() {
        let mut human = human();
        changed(&mut human, &["/w/a.rs", "/w/io/mod.rs", "/w/c.rs", "/w/d.rs"]);
        built(&mut human, 1, &["a", "b", "c", "d", "e"]);
        let line = applied(&mut human, 1);
        assert!(line.contains("a.rs, io/mod.rs, c.rs and 1 more: 5 functions"), "{line}");
        assert!(line.contains("(a, b, c and 2 more)"), "{line}");
    }

    #[test]
    fn instances_of_a_generic_function_are_counted_and_named_once() {
        let mut human = human();
        built(&mut human, 1, &["p::show<T>", "p::tick", "p::show<T>"]);
        let line = applied(&mut human, 1);
        assert!(line.contains("3 functions (p::show<T>, p::tick)"), "{line}");
    }

    #[test]
    fn with_two_programs_the_line_says_which() {
        let mut human = human();
        for (client, pid) in [(1, 41), (2, 42)] {
            human.line(&Event::ClientConnected {
                client,
                pid,
                build_id: String::new(),
                protocol: "hotpatch",
            });
        }
        built(&mut human, 1, &["a"]);
        assert!(applied(&mut human, 1).ends_with("(process 41)\n"));
    }

    #[test]
    fn a_call_that_does_not_end_is_named() {
        let event = Event::StillRunning { patch: 1, client: 1, functions: vec!["x::main".into()] };
        assert_eq!(
            human().line(&event).unwrap(),
            "    Old code `x::main` changed, but its running call finishes in old code; restart to \
             run it\n"
        );
    }

    #[test]
    fn a_crash_names_the_patch_the_function_and_what_is_good() {
        let event = Event::ProgramCrashed {
            pid: 41,
            patch: 3,
            functions: vec!["p::f".into(), "p::g".into()],
            signal: Some(libc::SIGSEGV),
            after_ms: 120,
            last_good: Some(2),
            held_back: vec!["/w/src/main.rs".into()],
        };
        assert_eq!(
            human().line(&event).unwrap(),
            "     Crashed process 41 by SIGSEGV in `p::f`, new in patch 3, 0.1 s after it came\n   \
             Last good the program with patch 2; main.rs is held back until the next save\n"
        );
    }

    #[test]
    fn quiet_leaves_results_and_problems() {
        let mut human = Human::new(false, true, false);
        assert_eq!(human.line(&Event::Serving { addr: "x".into() }), None);
        built(&mut human, 1, &["a"]);
        assert!(applied(&mut human, 1).contains("Patched"));
        let warning = Event::Warning { message: "careful".into() };
        assert_eq!(human.line(&warning).unwrap(), "warning: careful\n");
    }

    #[test]
    fn colors_only_where_asked_for() {
        let event = Event::Serving { addr: "x".into() };
        assert_eq!(human().line(&event).unwrap(), "     Serving patches at x\n");
        let mut colored = Human::new(true, false, false);
        assert_eq!(colored.line(&event).unwrap(), "\x1b[1;32m     Serving\x1b[0m patches at x\n");
    }
}
