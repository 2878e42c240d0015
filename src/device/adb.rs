//! Calling `adb`.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::listed::{Listed, parse_list};
use crate::target::android::{self, Host};

/// How long a question may take: the first call starts a server.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a file of a gigabyte may take.
const PUSH_LIMIT: Duration = Duration::from_secs(600);

/// The program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adb {
    /// Its file.
    pub program: PathBuf,
}

/// A device that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    adb: Adb,
    /// The name that it has for `adb`.
    pub serial: String,
}

/// A call that goes on until it is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// What it prints; can be taken once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// What it complains of; can be taken once.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// Its end, where it has come.
    ///
    /// # Errors
    /// Where the system knows nothing of it.
    pub fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where the system knows nothing of it.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait()
    }

    /// Ends it.
    pub fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Adb {
    /// Finds it in PATH, or else among the SDK's tools.
    ///
    /// # Errors
    /// A text that says where it was looked for.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Adb, String> {
        if let Ok(program) = which::which("adb") {
            return Ok(Adb { program });
        }
        let host = Host::current();
        let tools = android::sdks(host, variable).into_iter().map(|s| s.join("platform-tools"));
        let files: Vec<PathBuf> = tools.map(|folder| folder.join(host.program("adb"))).collect();
        match files.iter().find(|file| file.is_file()) {
            Some(file) => Ok(Adb { program: file.clone() }),
            None => {
                let looked: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
                Err(format!("`adb` is not found: neither in PATH nor as {}", looked.join(", ")))
            }
        }
    }

    /// What it says of its own version.
    ///
    /// # Errors
    /// Where it does not run; the text has its own words.
    pub fn version(&self) -> Result<String, String> {
        let text = self.call(&["version"], LIMIT)?;
        Ok(text.lines().next().unwrap_or_default().to_string())
    }

    /// The devices that it sees.
    ///
    /// # Errors
    /// Where it does not answer; the text has its own words.
    pub fn devices(&self) -> Result<Vec<Listed>, String> {
        self.call(&["devices", "-l"], LIMIT).map(|text| parse_list(&text))
    }

    /// One of them.
    pub fn device(&self, serial: &str) -> Device {
        Device { adb: self.clone(), serial: serial.to_string() }
    }

    /// Tells of each change among the devices, for as long as it runs.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn track(&self) -> Result<Running, String> {
        self.start(&["track-devices"])
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The terminal's Ctrl-C is for us, and for the program on the device by way of us.
        command.process_group(0);
        command
    }

    fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Running, String> {
        self.command(args).spawn().map(Running).map_err(|e| self.not_run(&e))
    }

    fn not_run(&self, error: &std::io::Error) -> String {
        format!("`{}` cannot be run: {error}", self.program.display())
    }

    /// What a call prints.
    fn call<S: AsRef<OsStr>>(&self, args: &[S], limit: Duration) -> Result<String, String> {
        let words: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        let failed = |why: &str| format!("`adb {}` failed: {}", words.join(" "), why.trim());
        let mut child = self.start(args)?;
        let (stdout, stderr) = (child.stdout(), child.stderr());
        let read = |stream: Option<Box<dyn Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                // What was read before an error is still worth something.
                let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let stdout = read(stdout.map(|s| Box::new(s) as _));
        let stderr = read(stderr.map(|s| Box::new(s) as _));
        let deadline = Instant::now() + limit;
        let status = loop {
            match child.try_wait().map_err(|e| failed(&e.to_string()))? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    return Err(failed(&format!("no answer in {} s", limit.as_secs())));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        // A server that the call has started may hold the stream of errors open for ever.
        let stdout = stdout.join().unwrap_or_default();
        match status.success() {
            true => Ok(stdout),
            false => {
                let text = stderr.join().unwrap_or_default() + "\n" + &stdout;
                let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let line = lines.next().map(|line| line.trim_start_matches("adb: "));
                Err(failed(line.unwrap_or("it gives no reason")))
            }
        }
    }
}

impl Device {
    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["-s", &*self.serial], args].concat()
    }

    fn call(&self, args: &[&str]) -> Result<String, String> {
        self.adb.call(&self.args(args), LIMIT)
    }

    /// Runs a line of its shell; what that prints.
    ///
    /// # Errors
    /// Where it fails, with its own words.
    pub fn shell(&self, line: &str) -> Result<String, String> {
        self.call(&["shell", line])
    }

    /// Makes this machine's `port` reachable as its own, and looks whether it is.
    ///
    /// # Errors
    /// Where it does not allow that.
    pub fn reverse(&self, port: u16) -> Result<(), String> {
        let tcp = format!("tcp:{port}");
        self.call(&["reverse", &tcp, &tcp])?;
        match self.reversed()?.lines().any(|line| line.contains(&format!("{tcp} {tcp}"))) {
            true => Ok(()),
            false => Err(format!("`adb reverse --list` does not show {tcp}")),
        }
    }

    /// Which of its ports lead to this machine.
    ///
    /// # Errors
    /// Where it cannot do that at all.
    pub fn reversed(&self) -> Result<String, String> {
        self.call(&["reverse", "--list"])
    }

    /// Takes a port back.
    ///
    /// # Errors
    /// Where the device is gone.
    pub fn unreverse(&self, port: u16) -> Result<(), String> {
        self.call(&["reverse", "--remove", &format!("tcp:{port}")]).map(drop)
    }

    /// Sets a property that its programs can read, and looks whether it is set.
    ///
    /// # Errors
    /// Where it does not allow that.
    pub fn set_property(&self, name: &str, value: &str) -> Result<(), String> {
        self.shell(&format!("setprop {name} '{value}'"))?;
        let found = self.shell(&format!("getprop {name}"))?;
        match found.trim() == value {
            true => Ok(()),
            false => Err(format!("it does not keep the property `{name}`")),
        }
    }

    /// Copies a file to it.
    ///
    /// # Errors
    /// Where there is no room, or it does not allow that.
    pub fn push(&self, file: &Path, to: &str) -> Result<(), String> {
        let file = file.as_os_str();
        let args = ["-s", &self.serial, "push"].map(OsStr::new);
        let args = [&args[..], &[file, OsStr::new(to)]].concat();
        self.adb.call(&args, PUSH_LIMIT).map(drop)
    }

    /// Runs a line of its shell until that ends, with nothing to read. The call ends with its code.
    ///
    /// # Errors
    /// Where `adb` cannot be started.
    pub fn run(&self, line: &str) -> Result<Running, String> {
        self.adb.start(&self.args(&["shell", "-n", line]))
    }

    /// Whether it is there.
    pub fn answers(&self) -> bool {
        self.shell("true").is_ok()
    }

    /// Sends a signal to a process on it.
    ///
    /// # Errors
    /// Where there is none, or the device is gone.
    pub fn kill(&self, pid: u32, signal: i32) -> Result<(), String> {
        self.shell(&format!("kill -{signal} {pid}")).map(drop)
    }

    /// Whether a process is there.
    pub fn has_process(&self, pid: u32) -> bool {
        self.shell(&format!("test -d /proc/{pid}")).is_ok()
    }

    /// What a process writes to the system's log, for as long as the call runs.
    ///
    /// # Errors
    /// Where `adb` cannot be started.
    pub fn follow_log(&self, pid: u32) -> Result<Running, String> {
        self.adb.start(&self.args(&["logcat", "-v", "brief", &format!("--pid={pid}")]))
    }
}
