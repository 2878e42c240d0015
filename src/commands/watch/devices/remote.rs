//! A program that `watch` has started on devices, one process on each.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::commands::watch::program::{Start, quoted};
use crate::device::{Device, Running};
use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::report::{Event, Reporter};

/// What the line begins with that tells a program's process id.
const MARK: &str = "hotpatch-process ";
/// How long a device may take to start a program.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What a call of `adb` ends with, beside 1, where it loses the device.
const LOST: i32 = 255;
/// Where a shell's exit codes for signals begin.
const BY_SIGNAL: i32 = 128;
/// The highest signal.
const LAST_SIGNAL: i32 = 64;

/// The program on all devices.
pub(in crate::commands::watch) struct Remote {
    instances: Vec<Arc<Instance>>,
    finished: Receiver<ExitStatus>,
}

/// The program on one device.
struct Instance {
    shared: Arc<Shared>,
    device: Device,
    /// The line of the device's shell that starts it.
    line: String,
    /// The device's name in front of each line, where there are several.
    shown: bool,
    state: Mutex<Call>,
}

#[derive(Default)]
struct Call {
    pid: u32,
    running: Option<Running>,
    /// Whether it has been asked to end.
    ending: bool,
}

impl Remote {
    /// Puts the program on the devices where it is not there, and starts it. `ended` is called once
    /// the last one has ended, with the process id of one of them.
    ///
    /// # Errors
    /// A [`Failure`] of kind environment where a device does not run it.
    pub fn start(
        shared: &Arc<Shared>,
        (start, fat): (&Start, &FatBuild),
        ended: impl FnOnce(u32) + Send + 'static,
    ) -> Result<Remote, Failure> {
        let (devices, shown) = (shared.ready(), shared.are_many());
        let (done, all_done) = mpsc::channel();
        let (give, finished) = mpsc::channel();
        let mut remote = Remote { instances: Vec::new(), finished };
        let file = Path::new(start.file.as_deref().unwrap_or_default());
        // The host of a library finds it beside itself.
        let files = if fat.is_library() { vec![file, &fat.program] } else { vec![file] };
        for device in devices {
            let folder = shared.push(&device, &fat.build_id, &files)?;
            let line = start_line(&folder, start);
            let (shared, state) = (shared.clone(), Mutex::default());
            let instance = Arc::new(Instance { shared, device, line, shown, state });
            let (started, begun) = mpsc::channel();
            let (thread, done) = (instance.clone(), done.clone());
            std::thread::spawn(move || {
                let status = thread.run(started);
                // The receiver is there for as long as the program is.
                let _ = done.send((status, thread.call().pid));
            });
            let told = begun.recv_timeout(START_LIMIT);
            remote.instances.push(instance);
            told.unwrap_or_else(|_| Err("it does not say that it was started".into())).map_err(
                |why| {
                    remote.signal(libc::SIGKILL);
                    Failure::environment(format!("the device does not start the program: {why}"))
                },
            )?;
        }
        let (count, reporter) = (remote.instances.len(), shared.reporter.clone());
        drop(done);
        std::thread::spawn(move || gather(&all_done, (count, &reporter), &give, ended));
        Ok(remote)
    }

    /// The process id on the first device.
    pub fn pid(&self) -> u32 {
        self.instances.first().map_or(0, |instance| instance.call().pid)
    }

    /// Whether this is one of its process ids.
    pub fn has_pid(&self, pid: u32) -> bool {
        self.instances.iter().any(|instance| instance.call().pid == pid)
    }

    /// Sends a signal that asks it to end, on all devices.
    pub fn signal(&self, signal: i32) {
        for instance in &self.instances {
            let mut call = instance.call();
            call.ending = true;
            let pid = call.pid;
            drop(call);
            // Where the device is gone, there is nobody to be told.
            let told = pid != 0 && instance.device.kill(pid, signal).is_ok();
            if !told || signal == libc::SIGKILL {
                drop(instance.call().running.take());
            }
        }
    }

    /// Waits for its end, for at most so long.
    pub fn finish(&self, patience: Duration) -> Option<ExitStatus> {
        self.finished.recv_timeout(patience).ok()
    }
}

/// Tells of each end; the last one is told by whoever waits for the program.
fn gather(
    all: &Receiver<(ExitStatus, u32)>,
    (count, reporter): (usize, &Reporter),
    give: &Sender<ExitStatus>,
    ended: impl FnOnce(u32),
) {
    for at in 1..=count {
        let Ok((status, pid)) = all.recv() else { return };
        if at < count {
            reporter.emit(&crate::commands::watch::program::exited(pid, status));
            continue;
        }
        // Nobody waits where the program was ended because it could not be started.
        let _ = give.send(status);
        return ended(pid);
    }
}

/// The shell becomes the program, so that the process id is its own.
fn start_line(folder: &str, start: &Start) -> String {
    let file = Path::new(start.file.as_deref().unwrap_or_default());
    let name = file.file_name().unwrap_or_default();
    let variables = start.env.iter();
    let variables = variables.map(|(n, v)| format!("{}={} ", n.to_string_lossy(), quoted(v)));
    let args = start.args.iter().map(|arg| format!(" {}", quoted(arg)));
    format!(
        "cd {folder} && echo {MARK}$$ && {}exec ./{}{}",
        variables.collect::<String>(),
        quoted(name),
        args.collect::<String>()
    )
}

/// Lasts as long as a process whose own call was lost.
fn wait_line(pid: u32) -> String {
    format!("echo {MARK}{pid} && while test -d /proc/{pid}; do sleep 1; done")
}

impl Instance {
    fn call(&self) -> MutexGuard<'_, Call> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From its start to its end, also where the device goes and comes back meanwhile.
    fn run(&self, started: Sender<Result<(), String>>) -> ExitStatus {
        let mut started = Some(started);
        let mut line = self.line.clone();
        loop {
            let losses = self.shared.losses(&self.device.serial);
            let status = self.run_line(&line, &mut started);
            // It may be back already: what was seen meanwhile is asked for last.
            let is_lost =
                || !self.device.answers() || self.shared.losses(&self.device.serial) != losses;
            if started.is_some() || self.call().ending || !(may_be_lost(status) && is_lost()) {
                return status_on_device(status);
            }
            self.shared.lose(&self.device.serial);
            if !self.shared.await_ready(&self.device.serial, || !self.call().ending) {
                return status;
            }
            let pid = self.call().pid;
            line = match self.device.has_process(pid) {
                true => {
                    let message = format!(
                        "process {pid} on device {} has gone on meanwhile; its output can no \
                         longer be shown",
                        self.device.serial
                    );
                    self.shared.reporter.emit(&Event::Warning { message });
                    wait_line(pid)
                }
                false => self.line.clone(),
            };
        }
    }

    /// Runs a line and shows what comes of it. `started` is told, once, that the program runs, or
    /// why it does not, and stays where it does not.
    fn run_line(&self, line: &str, started: &mut Option<Sender<Result<(), String>>>) -> ExitStatus {
        let mut running = match self.device.run(line) {
            Ok(running) => running,
            Err(why) => {
                // Nobody waits for it any more.
                let _ = started.as_ref().map(|started| started.send(Err(why)));
                return ExitStatus::from_raw(1 << 8);
            }
        };
        let (stdout, stderr) = (running.stdout(), running.stderr());
        self.call().running = Some(running);
        let mut complaint = String::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for line in lines(stderr) {
                    complaint.clone_from(&line);
                    self.show("stderr", line);
                }
            });
            for line in lines(stdout) {
                match line.strip_prefix(MARK).and_then(|pid| pid.trim().parse().ok()) {
                    Some(pid) => self.begin(pid, started.take()),
                    None => self.show("stdout", line),
                }
            }
        });
        if let Some(started) = started {
            let why = format!("{}: {complaint}", self.device.serial);
            let _ = started.send(Err(why));
        }
        let running = self.call().running.take();
        let status = running.and_then(|mut running| running.wait().ok());
        // We have ended the call ourselves.
        status.unwrap_or_else(|| ExitStatus::from_raw(libc::SIGKILL))
    }

    fn begin(&self, pid: u32, started: Option<Sender<Result<(), String>>>) {
        let is_new = std::mem::replace(&mut self.call().pid, pid) != pid;
        if is_new {
            let device = Some(self.device.serial.clone());
            self.shared.reporter.emit(&Event::ProgramStarted { pid, device });
        }
        // Nobody waits for it where it was started again.
        let _ = started.map(|started| started.send(Ok(())));
    }

    fn show(&self, stream: &'static str, line: String) {
        let serial = &*self.device.serial;
        let name = self.shown.then_some(serial);
        self.shared.reporter.output(stream, Some(serial), name, line);
    }
}

fn lines(stream: Option<impl Read>) -> impl Iterator<Item = String> {
    let mut stream = stream.map(BufReader::new);
    std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        let length = stream.as_mut()?.read_until(b'\n', &mut bytes).ok()?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (length > 0).then(|| String::from_utf8_lossy(line).into_owned())
    })
}

/// Whether a call that ended so may have lost the device, and then tells nothing of what it ran.
fn may_be_lost(status: ExitStatus) -> bool {
    matches!(status.code(), Some(1 | LOST) | None)
}

/// The end of a program as its device tells it: a signal as a shell does.
fn status_on_device(status: ExitStatus) -> ExitStatus {
    let signal = status.code().map(|code| code - BY_SIGNAL);
    match signal.filter(|signal| (1..=LAST_SIGNAL).contains(signal)) {
        Some(signal) => ExitStatus::from_raw(signal),
        None => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_in_its_folder_with_its_variables() {
        let start = Start {
            runner: Vec::new(),
            file: Some("/t/debug/my app".into()),
            args: vec!["a b".into()],
            env: vec![("HOTPATCH_ADDR".into(), "127.0.0.1:9".into())],
            folder: None,
            spared: false,
        };
        assert_eq!(
            start_line("/data/x", &start),
            "cd /data/x && echo hotpatch-process $$ && HOTPATCH_ADDR=127.0.0.1:9 exec ./'my app' \
             'a b'"
        );
    }

    #[test]
    fn a_signal_on_the_device_is_one_here() {
        let told = |code: i32| status_on_device(ExitStatus::from_raw(code << 8));
        assert_eq!(told(7).code(), Some(7));
        assert_eq!(told(139).signal(), Some(libc::SIGSEGV));
        assert_eq!(told(255).code(), Some(255));
    }

    #[test]
    fn lines_are_those_of_the_device() {
        let found: Vec<_> = lines(Some(&b"a\r\nb\n\nc"[..])).collect();
        assert_eq!(found, ["a", "b", "", "c"]);
    }
}
