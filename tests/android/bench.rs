//! A library's project, the app that it is in, and devices for both.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use super::adb::Adb;
use super::ndk::{self, Kit};
use super::setup::with_path;
use super::support::project::{Project, package};
use super::support::{Event, Watch, end_at_call, lack_call, refuse_call, values};
use super::system::Machine;
use super::{project_with, tool};

pub const FILE: &str = "main/src/lib.rs";
/// What the app has in Java's place.
const HOST: &str = include_str!("app.c");
/// What it loads: one function that is found by its name, one that is registered.
const LIB: &str = include_str!("app_lib.rs");
pub const PACKAGE: &str = "com.example.app";

/// A library's project, and devices for the app that it is in.
pub struct Bench {
    /// The kind of its devices.
    pub machine: &'static Machine,
    /// The library's package.
    pub project: Project,
    /// What compiles it.
    pub kit: Kit,
    /// What reaches the devices.
    pub adb: Adb,
    /// What the app is told and finds in its environment, beside what every app does.
    pub more: Vec<(&'static str, String)>,
}

impl Bench {
    pub fn new(machine: &'static Machine, serials: &[&str]) -> Bench {
        let manifest = package("native", "[workspace]\n[lib]\ncrate-type = [\"cdylib\"]");
        let project = project_with(&[("main/Cargo.toml", &manifest), (FILE, LIB)]);
        Bench::of(machine, project, serials)
    }

    pub fn of(machine: &'static Machine, project: Project, serials: &[&str]) -> Bench {
        project.write("app.c", HOST);
        let devices: Vec<String> =
            serials.iter().map(|serial| format!("{serial} device")).collect();
        let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
        let adb = Adb::of(machine, &devices);
        let bench = Bench { machine, project, kit: Kit::new(), adb, more: Vec::new() };
        static PRIMED: Once = Once::new();
        if machine.target != ndk::TARGET {
            PRIMED.call_once(|| drop(ndk::build_empty(&bench.kit, machine.target)));
        }
        let process = bench.project.path("app");
        bench.kit.compile(machine.target, &bench.project.path("app.c"), &process);
        bench
    }

    /// `watch` for a library that nobody here loads.
    pub fn watch(&self, args: &[&str]) -> Watch {
        let mut command = self.without_adb(args);
        command.env("PATH", with_path(&self.adb));
        Watch::spawn_command(command)
    }

    pub fn without_adb(&self, args: &[&str]) -> Command {
        let all = ["watch", "--message-format", "json", "--target", self.machine.target];
        let mut command = tool(&self.project, Some(&self.kit), &[&all, args].concat());
        command.env_remove("ANDROID_SERIAL");
        command
    }

    /// The library that was built last.
    pub fn library(&self, watch: &Watch) -> PathBuf {
        let built = watch.events("fat-built");
        built.last().expect("a build").text("program").into()
    }

    /// Makes several changes of the library's code in one save.
    pub fn edit(&self, changes: &[(&str, &str)]) {
        let mut text = std::fs::read_to_string(self.project.path(FILE)).expect("a file");
        for (from, to) in changes {
            assert_eq!(text.matches(from).count(), 1, "{FILE} says {from:?} once:\n{text}");
            text = text.replace(from, to);
        }
        self.project.write(FILE, &text);
    }

    /// A file of a device, by its path there.
    pub fn on(&self, serial: &str, path: &str) -> PathBuf {
        self.adb.path(&format!("{serial}{path}"))
    }

    /// Puts an app with this library on a device.
    pub fn install(&self, serial: &str, library: &Path) {
        let app = self.on(serial, &format!("/data/app/{PACKAGE}"));
        std::fs::create_dir_all(app.join("lib")).expect("a folder");
        std::fs::create_dir_all(self.cache(serial)).expect("a folder");
        // Not written over: the one that is loaded is a file of its own.
        let _ = std::fs::remove_file(app.join("lib/libnative.so"));
        std::fs::copy(library, app.join("lib/libnative.so")).expect("a library");
        std::fs::copy(self.project.path("app"), app.join("process")).expect("a program");
    }

    /// The app's cache directory.
    pub fn cache(&self, serial: &str) -> PathBuf {
        self.on(serial, &format!("/data/data/{PACKAGE}/cache"))
    }

    /// Starts the app as the device does: by the package's name, with nothing of ours in its
    /// environment, and with a filter on its system calls.
    pub fn start(&self, serial: &str, filter: Filter) -> App {
        const LINE: &str = "log=$1; shift; exec -a \"$APP\" \"$@\" >>\"$log.$$\" 2>&1";
        let app = self.on(serial, &format!("/data/app/{PACKAGE}"));
        let libraries = self.machine.libraries().display().to_string();
        let mut command = Command::new("bash");
        command.args(["-c", LINE, "app"]).arg(self.on(serial, "/log")).env_clear();
        command.env("APP", PACKAGE).env("ANDROID_STAND_IN_DATA", self.on(serial, ""));
        command.env("ANDROID_STAND_IN_PROPERTIES", self.on(serial, "/properties"));
        match self.machine.emulator {
            Some(emulator) => {
                let emulator = which::which(emulator).expect("an emulator");
                command.arg(emulator).args(["-0", PACKAGE, "-E"]);
                command.arg(format!("LD_LIBRARY_PATH={libraries}"));
            }
            None => {
                command.env("LD_LIBRARY_PATH", libraries);
            }
        }
        command.arg(app.join("process")).arg(app.join("lib/libnative.so")).stdin(Stdio::null());
        for (name, value) in &self.more {
            match *name {
                "" => command.arg(value),
                name => command.env(name, value),
            };
        }
        // SAFETY: the function only makes system calls.
        unsafe { command.pre_exec(move || filter.set()) };
        App(command.spawn().expect("an app"))
    }
}

/// What an app may not call.
#[derive(Clone, Copy)]
pub enum Filter {
    /// What no app calls.
    Usual,
    /// Files in memory, which an old kernel does not have (the emulator takes no other answer).
    NoMemoryFiles,
    /// What versions before Android 10 end an app for.
    Old,
}

impl Filter {
    fn set(self) -> std::io::Result<()> {
        match self {
            Filter::Usual => refuse_call(libc::SYS_acct),
            Filter::NoMemoryFiles => lack_call(libc::SYS_memfd_create),
            Filter::Old => {
                end_at_call(libc::SYS_memfd_create)?;
                end_at_call(libc::SYS_membarrier)
            }
        }
    }
}

/// A running app; it ends with this value.
pub struct App(Child);

impl App {
    pub fn pid(&self) -> u64 {
        self.0.id().into()
    }

    /// The user swipes it away.
    pub fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// The signal that it ends by.
    pub fn signal(mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        self.0.wait().expect("a child").signal()
    }

    /// The files that it has mapped.
    pub fn maps(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/maps", self.0.id())).expect("a running app")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The next line in the log that one of the app's threads has written with these values.
#[track_caller]
pub fn said(watch: &mut Watch, thread: &str, expected: &[(&str, &str)]) -> Event {
    watch.wait_event("program-output", |event| {
        let line = event.text("line");
        let found = values(line);
        let all = expected.iter().all(|(name, value)| found.get(*name).is_some_and(|v| v == value));
        event.text("stream") == "logcat" && line.starts_with(thread) && all
    })
}

/// Both threads of the app run this version, and neither has lost a count.
#[track_caller]
pub fn both_said(watch: &mut Watch, step: &str) {
    for thread in ["ui ", "render "] {
        said(watch, thread, &[("step", step), ("same", "true")]);
    }
}

/// What this machine lacks for an app on such a device, if anything.
pub fn missing(machine: &Machine) -> Option<String> {
    ndk::missing().or_else(|| machine.missing())
}
