//! The program that `watch` starts.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::devices::Remote;
use super::{key, runner};
use crate::cli::MessageFormat;
use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::report::{Event, Reporter};
use crate::session::{ProgramKind, Session};

/// How long a program on a device whose end was seen may take to be told of.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// What `cargo bench` says to each benchmark, which without it only checks that it runs.
const MEASURE: &str = "--bench";

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// What runs it, where it does not run by itself: a command and its arguments.
    pub runner: Vec<OsString>,
    /// Its file, where it is known.
    pub file: Option<OsString>,
    /// What the user gave it.
    pub args: Vec<OsString>,
    /// Variables on top of our own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it is started, where that is not where we are.
    pub folder: Option<PathBuf>,
    /// Whether a key of the terminal is meant for us.
    pub spared: bool,
}

impl Start {
    /// The program of a fat build as cargo would start it, with what the user gives it.
    pub fn of(fat: &FatBuild, session: &Session, mut args: Vec<OsString>) -> Start {
        let program = session.selection.program().map(|(kind, _)| kind);
        let folder = fat.root_unit().map(|root| root.manifest_dir.clone());
        if program == Some(ProgramKind::Bench) {
            args.push(MEASURE.into());
        }
        Start {
            runner: runner::of(fat, session),
            file: (!fat.is_library()).then(|| fat.program.clone().into()),
            args,
            env: Vec::new(),
            folder: folder.filter(|_| program.is_some_and(ProgramKind::is_test)),
            spared: false,
        }
    }

    /// The command line.
    fn words(&self) -> impl Iterator<Item = &OsStr> {
        let runner = self.runner.iter().map(OsString::as_os_str);
        let file = self.file.iter().map(OsString::as_os_str);
        runner.chain(file).chain(self.args.iter().map(OsString::as_os_str))
    }
}

fn not_started(first: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::io("start", first, error);
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => failure.hint(
            "it is for another processor: name what runs it as `runner` in the target's table of \
             cargo's configuration, or start it elsewhere and use `--no-run` here",
        ),
        _ => failure,
    }
}

/// A running program.
pub(super) enum Program {
    /// On this machine.
    Here(Process),
    /// On devices.
    There(Remote),
}

impl Program {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        match self {
            Program::Here(process) => process.child.id(),
            Program::There(remote) => remote.pid(),
        }
    }

    /// Whether a process is the program's.
    pub fn has_pid(&self, pid: u32) -> bool {
        match self {
            Program::Here(process) => process.child.id() == pid,
            Program::There(remote) => remote.has_pid(pid),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        match self {
            Program::Here(process) => process.signal(signal),
            Program::There(remote) => remote.signal(signal),
        }
    }

    /// Whether a terminal's Ctrl-C reaches it without us.
    pub fn hears_the_terminal(&self) -> bool {
        matches!(self, Program::Here(_)) && is_in_the_foreground()
    }

    /// Waits for its end and for all that it has printed.
    ///
    /// # Errors
    /// Where the system knows nothing of the program.
    pub fn finish(self) -> std::io::Result<ExitStatus> {
        match self {
            Program::Here(process) => process.finish(),
            Program::There(remote) => {
                remote.finish(FINISH_LIMIT).ok_or_else(|| ErrorKind::TimedOut.into())
            }
        }
    }

    /// Asks it to end, and makes it end where it does not within `patience`.
    ///
    /// # Errors
    /// As [`Program::finish`].
    pub fn terminate(self, patience: Duration) -> std::io::Result<ExitStatus> {
        match self {
            Program::Here(process) => process.terminate(patience),
            Program::There(remote) => {
                remote.signal(libc::SIGTERM);
                let status = remote.finish(patience).or_else(|| {
                    remote.signal(libc::SIGKILL);
                    remote.finish(FINISH_LIMIT)
                });
                status.ok_or_else(|| ErrorKind::TimedOut.into())
            }
        }
    }
}

/// A running program on this machine.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Ends when the program's output does.
    output: Receiver<()>,
}

impl Process {
    /// Starts it with our stdin. `ended` is called once it has ended, from another
    /// thread, with its process id.
    ///
    /// # Errors
    /// A [`Failure`] of kind environment where the file cannot be run.
    pub fn start(
        start: &Start,
        reporter: &Arc<Reporter>,
        ended: impl FnOnce(u32) + Send + 'static,
    ) -> Result<Process, Failure> {
        let mut words = start.words();
        let first = words.next().unwrap_or_default();
        let mut command = Command::new(first);
        command.args(words).envs(start.env.iter().map(|(name, value)| (name, value)));
        if reporter.format() == MessageFormat::Json {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        if let Some(folder) = &start.folder {
            command.current_dir(folder);
        }
        if start.spared {
            key::spare(&mut command);
        }
        let mut child = command.spawn().map_err(|e| not_started(Path::new(first), &e))?;
        let pid = child.id();
        reporter.emit(&Event::ProgramStarted { pid, device: None });
        let (open, output) = mpsc::channel();
        pass_on(child.stdout.take(), "stdout", reporter, &open);
        pass_on(child.stderr.take(), "stderr", reporter, &open);
        std::thread::spawn(move || {
            wait_without_reaping(pid);
            ended(pid);
        });
        Ok(Process { child, output })
    }

    /// Sends a signal. The process id is the program's for as long as we have not seen it end.
    fn signal(&self, signal: i32) {
        if let Ok(pid) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: `kill` takes numbers; the child is not reaped, so that the id is still its.
            unsafe { libc::kill(pid, signal) };
        }
    }

    fn finish(mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait()?;
        // A process that the program has left behind may hold the pipes open for ever.
        let _ = self.output.recv_timeout(Duration::from_secs(1));
        Ok(status)
    }

    fn terminate(mut self, patience: Duration) -> std::io::Result<ExitStatus> {
        self.signal(libc::SIGTERM);
        let deadline = Instant::now() + patience;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
        }
        self.finish()
    }
}

/// The event of a program's end.
pub fn exited(pid: u32, status: ExitStatus) -> Event {
    Event::ProgramExited { pid, code: status.code(), signal: status.signal() }
}

/// The exit code with which a shell would tell of a program's end.
pub fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    // A code has 8 bits; the cast takes the lower ones, as the system does.
    code.map_or(1, |code| code as u8)
}

/// The exit code with which a shell tells of a signal.
pub fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

/// Whether we are what the terminal's Ctrl-C goes to, and the program with us.
pub fn is_in_the_foreground() -> bool {
    let streams = [
        std::io::stdin().as_raw_fd(),
        std::io::stdout().as_raw_fd(),
        std::io::stderr().as_raw_fd(),
    ];
    streams.into_iter().any(|stream| {
        // SAFETY: both calls only ask; a stream that is no terminal is answered with an error.
        unsafe { libc::tcgetpgrp(stream) == libc::getpgrp() }
    })
}

/// The line with which the program can be started elsewhere.
pub fn command_line(start: &Start) -> String {
    let folder = start.folder.as_ref().map(|f| format!("cd {} &&", quoted(f.as_os_str())));
    let variables = start
        .env
        .iter()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), quoted(value)));
    let words = variables.chain(start.words().map(quoted));
    folder.into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn pass_on(
    stream: Option<impl Read + Send + 'static>,
    name: &'static str,
    reporter: &Arc<Reporter>,
    open: &Sender<()>,
) {
    let Some(stream) = stream else { return };
    let (reporter, open) = (reporter.clone(), open.clone());
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let line = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
            let (stream, line) = (name, line.into_owned());
            reporter.emit(&Event::ProgramOutput { stream, line, device: None });
            bytes.clear();
        }
        drop(open);
    });
}

/// Waits for a child's end and leaves it to be waited for again, so that its process id stays
/// its own until then.
fn wait_without_reaping(pid: u32) {
    loop {
        // SAFETY: all zeros is a valid `siginfo_t`, and the call writes nothing else.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        let interrupted = std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if result == 0 || !interrupted {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let start = Start {
            runner: Vec::new(),
            file: Some("/t/my prog".into()),
            args: vec!["-x".into(), "it's".into(), "".into()],
            env: vec![("HOTPATCH_ADDR".into(), "127.0.0.1:99".into())],
            folder: None,
            spared: false,
        };
        assert_eq!(
            command_line(&start),
            r"HOTPATCH_ADDR=127.0.0.1:99 '/t/my prog' -x 'it'\''s' ''"
        );
        let emulated = Start { runner: vec!["qemu".into(), "-g".into()], env: Vec::new(), ..start };
        assert_eq!(command_line(&emulated), r"qemu -g '/t/my prog' -x 'it'\''s' ''");
        let test = Start { args: Vec::new(), folder: Some("/my package".into()), ..emulated };
        assert_eq!(command_line(&test), "cd '/my package' && qemu -g '/t/my prog'");
    }

    #[test]
    fn a_signal_ends_with_the_code_of_a_shell() {
        assert_eq!(shell_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(shell_code(ExitStatus::from_raw(9)), 137);
    }
}
