//! A running `cargo hotpatch watch --message-format json`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};

use super::log::{Event, Log};
use super::oneshot::shown;
use super::{Fixture, PATIENCE, command};

/// The `watch`, its program, and how far the test has read what they say.
pub struct Watch {
    child: Child,
    stdin: Option<ChildStdin>,
    shown: String,
    folder: PathBuf,
    log: Log,
    event: usize,
    line: usize,
    status: Option<ExitStatus>,
}

/// How a program that `watch` started can be found.
#[derive(Debug, Clone)]
pub struct Started {
    /// Its process.
    pub pid: u32,
    /// Where the server listens.
    pub addr: String,
    /// The program's file.
    pub program: PathBuf,
}

impl Watch {
    /// Starts `watch` in the fixture's folder and waits until the program is connected.
    #[track_caller]
    pub fn start(fixture: &Fixture) -> Self {
        Self::start_with(fixture, &[])
    }

    /// The same with further arguments.
    #[track_caller]
    pub fn start_with(fixture: &Fixture, args: &[&str]) -> Self {
        let mut watch = Self::spawn(fixture, args);
        watch.wait("client-connected");
        watch
    }

    /// `watch --no-run`, and the variables that it says a program needs.
    #[track_caller]
    pub fn start_without_program(
        fixture: &Fixture,
    ) -> (Self, Started, Vec<(&'static str, String)>) {
        let mut watch = Self::spawn(fixture, &["--no-run"]);
        let addr = watch.wait("serving").text("addr").to_string();
        let line = watch.wait_stderr(&format!("{ENV_TOKEN}="));
        let variable = |name: &'static str| {
            let words = line.split_whitespace();
            let found = words.filter_map(|w| w.strip_prefix(name)?.strip_prefix('=')).next();
            let value = found.unwrap_or_else(|| watch.fail(&format!("no {name} in {line}")));
            (name, value.trim_matches('\'').to_string())
        };
        let variables = vec![variable(ENV_ADDR), variable(ENV_TOKEN)];
        assert_eq!(variables[0].1, addr);
        let program = watch.events("fat-built").remove(0).text("program").into();
        (watch, Started { pid: 0, addr, program }, variables)
    }

    /// Starts `watch` and waits for nothing.
    #[track_caller]
    pub fn spawn(fixture: &Fixture, args: &[&str]) -> Self {
        let mut all = vec!["watch", "--message-format", "json"];
        all.extend(args);
        Self::spawn_command(command(fixture.root(), &all))
    }

    /// The same for a command that the test has changed.
    #[track_caller]
    pub fn spawn_command(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Log::default();
        let streams = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = streams else { panic!("two piped streams") };
        log.read(stdout, stderr);
        Watch {
            stdin: child.stdin.take(),
            child,
            shown: shown(&command),
            folder: command.get_current_dir().map(PathBuf::from).unwrap_or_default(),
            log,
            event: 0,
            line: 0,
            status: None,
        }
    }

    /// Where everything is; call it once the program is connected.
    #[track_caller]
    pub fn started(&self) -> Started {
        let find = |reason: &str| {
            let event = self.log.events().into_iter().find(|e| e.reason() == reason);
            event.unwrap_or_else(|| self.fail(&format!("there was no {reason}")))
        };
        Started {
            pid: find("program-started").number("pid") as u32,
            addr: find("serving").text("addr").to_string(),
            program: find("fat-built").text("program").into(),
        }
    }

    /// The next event with this reason.
    #[track_caller]
    pub fn wait(&mut self, reason: &str) -> Event {
        self.wait_event(reason, |_| true)
    }

    /// The next event with this reason that the test likes; earlier events are passed over.
    #[track_caller]
    pub fn wait_event(&mut self, reason: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let wanted = |e: &Event| e.reason() == reason && wanted(e);
        let found = self.log.event(PATIENCE, &mut self.event, wanted, |_| false);
        found.unwrap_or_else(|e| self.fail(&format!("waiting for {reason}: {e}")))
    }

    /// The next `patch-applied`; anything that says there will be none fails the test.
    #[track_caller]
    pub fn applied(&mut self) -> Event {
        let fatal = |e: &Event| NO_PATCH.contains(&e.reason()) || e.is_compile_error();
        let wanted = |e: &Event| e.reason() == "patch-applied";
        let found = self.log.event(PATIENCE, &mut self.event, wanted, fatal);
        found.unwrap_or_else(|e| self.fail(&format!("waiting for a patch: {e}")))
    }

    /// The next event that says what became of a change.
    #[track_caller]
    pub fn outcome(&mut self) -> Event {
        let wanted = |e: &Event| e.reason() == "patch-applied" || NO_PATCH.contains(&e.reason());
        let found = self.log.event(PATIENCE, &mut self.event, wanted, Event::is_compile_error);
        found.unwrap_or_else(|e| self.fail(&format!("waiting for an outcome: {e}")))
    }

    /// The change of types that was just saved must not reach the program.
    #[track_caller]
    pub fn refused(&mut self) -> Event {
        let event = self.outcome();
        if event.reason() != "patch-refused" {
            self.fail(&format!("a refusal was expected, not {}", event.0));
        }
        self.wait("restart-required");
        event
    }

    /// The `patch-built` that belongs to a `patch-applied`.
    #[track_caller]
    pub fn built(&self, applied: &Event) -> Event {
        let number = applied.number("patch");
        let found = self.log.events().into_iter();
        let mut found =
            found.filter(|e| e.reason() == "patch-built" && e.number("patch") == number);
        found.next().unwrap_or_else(|| self.fail(&format!("patch {number} was not built")))
    }

    /// The next line of the program's stdout that the test likes.
    #[track_caller]
    pub fn wait_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let found = self.log.line(PATIENCE, &mut self.line, wanted);
        found.unwrap_or_else(|e| self.fail(&format!("waiting for a line: {e}")))
    }

    /// The next line with this text in it.
    #[track_caller]
    pub fn wait_text(&mut self, text: &str) -> String {
        let found = self.log.line(PATIENCE, &mut self.line, |l| l.contains(text));
        found.unwrap_or_else(|e| self.fail(&format!("waiting for a line with {text:?}: {e}")))
    }

    /// The next line that says all of `name=value`, each as a whole.
    #[track_caller]
    pub fn wait_values(&mut self, pairs: &[(&str, &str)]) -> String {
        let wanted = |line: &str| {
            let said = super::values(line);
            pairs.iter().all(|(name, value)| said.get(*name).is_some_and(|v| v == value))
        };
        let found = self.log.line(PATIENCE, &mut self.line, wanted);
        found.unwrap_or_else(|e| self.fail(&format!("waiting for {pairs:?}: {e}")))
    }

    /// A line of the tool's stderr.
    #[track_caller]
    pub fn wait_stderr(&self, text: &str) -> String {
        let found = self.log.stderr_line(PATIENCE, |l| l.contains(text));
        found.unwrap_or_else(|e| self.fail(&format!("waiting for {text:?} on stderr: {e}")))
    }

    /// A line that the program prints from now on.
    #[track_caller]
    pub fn next_line(&mut self, starting_with: &str) -> String {
        self.line = self.log.lines().len();
        self.wait_line(|l| l.starts_with(starting_with))
    }

    /// Lets the program print some ticks, so that whatever could go wrong has had the chance.
    #[track_caller]
    pub fn let_it_run(&mut self, ticks: usize) {
        self.line = self.log.lines().len();
        for _ in 0..ticks {
            self.wait_line(|l| l.starts_with("tick "));
        }
    }

    /// Says a line to the program.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").expect("somebody reads stdin");
    }

    /// The end of the program's input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Everything so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// All events with this reason so far.
    pub fn events(&self, reason: &str) -> Vec<Event> {
        self.log.events().into_iter().filter(|e| e.reason() == reason).collect()
    }

    /// The process id of `cargo hotpatch`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes edits that are one save, however slow the machine is: `cargo hotpatch` stands still
    /// until all of them are made.
    pub fn save_at_once(&self, edits: impl FnOnce()) {
        self.signal(libc::SIGSTOP);
        edits();
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: `kill` takes numbers; the child is not yet reaped.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Sends a signal to `cargo hotpatch` and its program, as a terminal does for Ctrl-C.
    pub fn signal_group(&self, signal: i32) {
        // SAFETY: `kill` takes numbers; the group was made for the child, which is not yet reaped.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), signal) };
    }

    /// Ctrl-C, and the end; fails the test unless every line on stdout was a JSON object.
    #[track_caller]
    pub fn stop(mut self) -> Option<i32> {
        self.signal_group(libc::SIGINT);
        let code = self.wait_exit();
        let garbage = self.log.garbage();
        assert!(garbage.is_empty(), "no JSON on stdout: {garbage:?}");
        code
    }

    /// Waits for the end of `cargo hotpatch`; its exit code.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                self.status = Some(status);
                self.log.ended(Duration::from_secs(5));
                return status.code();
            }
            if Instant::now() > deadline {
                self.fail("cargo hotpatch did not end");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!("{why}") // `drop` shows the rest
    }
}

/// Events after which a patch that a test waits for will not come.
const NO_PATCH: [&str; 5] =
    ["patch-refused", "patch-failed", "nothing-changed", "restart-required", "program-exited"];

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            let status = self.child.try_wait().ok().flatten().or(self.status);
            eprintln!(
                "command: {}\nfolder: {}\nstatus: {status:?}\n{}",
                self.shown,
                self.folder.display(),
                self.log.dump()
            );
        }
        if self.status.is_none() {
            self.signal_group(libc::SIGKILL);
            let _ = self.child.wait();
        }
        // A program in a process group of its own.
        for event in self.events("program-started") {
            let Some(pid) = event.0["pid"].as_i64().filter(|p| *p > 1) else { continue };
            let still_ours = std::fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.starts_with(env!("CARGO_TARGET_TMPDIR")));
            if still_ours {
                // SAFETY: `kill` takes numbers.
                unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
            }
        }
    }
}
