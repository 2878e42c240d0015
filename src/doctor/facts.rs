//! What the checks look at: gathered once by [`super::gather`], plain values from then on, so
//! that each check is a function of them and a test can make up any machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::cargo_config::Origin;
use crate::device::{Traits, Trouble};
use crate::error::Failure;
use crate::session::android::Kit;
use crate::target::apple::Sdk;
use crate::target::linking::LeaveOpen;

/// Everything that is known about the machine and the project.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The target triple, as far as it is known.
    pub target: Option<String>,
    /// The kit for an Android target, or why there is none.
    pub android: Option<Result<Kit, String>>,
    /// Where the SDK for one of Apple's targets comes from, or why there is none.
    pub apple: Option<Result<Sdk, String>>,
    /// What a program for Android is to run on; none where something else runs it.
    pub devices: Option<Devices>,
    /// Compiler and cargo; not asked by the quick look of other commands.
    pub toolchain: Option<Toolchain>,
    /// What cargo's configuration says.
    pub settings: Settings,
    /// The user's program, or why there is none.
    pub project: Option<Result<Project, Failure>>,
    /// How a trial patch fared; none where there was no point in trying.
    pub trial: Option<Trial>,
    /// The machine.
    pub host: Host,
}

/// What a program for Android is to run on.
#[derive(Debug, Clone)]
pub struct Devices {
    /// What talks to devices, or why nothing does.
    pub adb: Result<String, String>,
    /// The devices that are meant, as far as they can be asked.
    pub chosen: Option<Result<Vec<Traits>, Trouble>>,
}

/// Compiler and cargo.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// What `cargo --version` prints.
    pub cargo: Result<String, String>,
    /// The compiler.
    pub rustc: Result<Rustc, String>,
}

/// The compiler.
#[derive(Debug, Clone, Default)]
pub struct Rustc {
    /// Its name, or its path.
    pub program: OsString,
    /// The first line of `rustc -vV`.
    pub version: String,
    /// The release, such as `1.95.0`.
    pub release: String,
    /// The host's triple.
    pub host: String,
    /// The folder that everything of the toolchain is in.
    pub sysroot: PathBuf,
    /// Where the target's standard library belongs.
    pub libdir: PathBuf,
    /// Whether it is there.
    pub has_std: bool,
}

/// A value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, as text.
    pub value: String,
    /// Where it was set, for people.
    pub origin: String,
}

impl Setting {
    /// A value with its place.
    pub fn new(value: impl Into<String>, origin: impl ToString) -> Setting {
        Setting { value: value.into(), origin: origin.to_string() }
    }
}

/// The origin of settings that cargo's `release` has by itself.
pub const CARGOS_DEFAULT: &str = "cargo's default for release builds";

/// What cargo's configuration says about compiling and linking for the target.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The flags that cargo adds to each compiler call, with their place.
    pub rustflags: Vec<String>,
    /// Where these flags were set.
    pub rustflags_origin: String,
    /// The linker.
    pub linker: Linker,
    /// What starts programs for the target, where that is configured.
    pub runner: Option<Runner>,
    /// The compiler's wrappers, outermost first.
    pub wrappers: Vec<Wrapper>,
    /// Whether the standard library is built from its source.
    pub build_std: bool,
    /// What is asked for that only a nightly compiler or cargo has, with its place.
    pub unstable: Vec<Setting>,
    /// Whether the compiler is told to take itself for a nightly one.
    pub bootstrap: bool,
}

/// The linker that rustc will call.
#[derive(Debug, Clone, Default)]
pub struct Linker {
    /// Its name or path.
    pub program: String,
    /// Where it was set; none for the compiler's own choice.
    pub origin: Option<String>,
    /// The file.
    pub found: Option<PathBuf>,
    /// The value of `-C linker-flavor`.
    pub flavor: Option<String>,
    /// What it prints about itself; none where it was not asked.
    pub version: Option<String>,
}

/// What cargo starts programs with.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Its name or path.
    pub program: String,
    /// The whole command, to be followed by a program's file.
    pub command: Vec<OsString>,
    /// Where it was set.
    pub origin: Origin,
    /// Whether it is there.
    pub found: bool,
}

/// A program that cargo calls instead of rustc.
#[derive(Debug, Clone)]
pub struct Wrapper {
    /// Its name or path.
    pub program: OsString,
    /// Where it was set.
    pub origin: Origin,
    /// The file.
    pub found: Option<PathBuf>,
    /// What it said when it was asked for the compiler's version; none where it was not asked.
    pub answer: Option<Result<(), String>>,
}

/// The user's program.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// The package's name.
    pub package: String,
    /// The program's name.
    pub program: String,
    /// The profile of the build.
    pub profile: Profile,
    /// What connects the program with the runtime.
    pub runtime: Runtime,
    /// The earlier fat build; none where there was none.
    pub captured: Option<Result<Captured, Failure>>,
    /// Whether it is a library that another program loads.
    pub is_library: bool,
    /// The packages that the program uses as shared libraries of their own.
    pub shared_libraries: Vec<String>,
    /// The folder of the workspace.
    pub root: PathBuf,
    /// Where cargo's output goes.
    pub target_dir: PathBuf,
    /// How many folders have files that `watch` waits for.
    pub folders: usize,
    /// The pid of a `watch` that works on the same target directory.
    pub other_watch: Option<u32>,
    /// Files with a time of modification in the future, with the distance.
    pub from_the_future: Option<(PathBuf, Duration)>,
}

/// The profile of the selected build, as cargo will have it.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Whether there is no such profile.
    pub unknown: bool,
    /// The settings of each package that a patch may change and of the runtime.
    pub packages: Vec<PackageProfile>,
}

/// One package's part of a profile.
#[derive(Debug, Clone, Default)]
pub struct PackageProfile {
    /// The package's name.
    pub package: String,
    /// Whether it is this tool's runtime.
    pub is_runtime: bool,
    /// The settings by their names in a profile, where they are not cargo's own defaults.
    pub settings: BTreeMap<String, Setting>,
}

/// What connects the program with the runtime.
#[derive(Debug, Clone, Default)]
pub struct Runtime {
    /// Whether the program depends on the runtime, directly or not.
    pub dependency: bool,
    /// Whether the runtime may not come along by itself.
    pub no_inject: bool,
    /// The version that it depends on, where that is known.
    pub version: Option<String>,
    /// Whether the runtime is also there without debug assertions (its feature `release`).
    pub in_release: bool,
    /// The file and line of the call that starts it.
    pub call: Option<(PathBuf, usize)>,
    /// The file with `main`.
    pub main: PathBuf,
}

impl Runtime {
    /// Whether the program gets the runtime without its doing.
    pub fn comes_along(&self) -> bool {
        !self.dependency && !self.no_inject
    }
}

/// An earlier fat build that is still what it was.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// The program's file.
    pub program: PathBuf,
    /// Its build id.
    pub build_id: String,
    /// The compiler.
    pub rustc: String,
    /// Why the runtime could not be linked into it.
    pub without_runtime: Option<String>,
    /// The source files that were written after it.
    pub newer_sources: Vec<PathBuf>,
    /// What else it was built from that is no longer as it was: manifests, build scripts, cargo's
    /// configuration.
    pub outdated: Vec<PathBuf>,
}

/// How a trial patch fared: the program is compiled and linked as the user's configuration has
/// it, and the patch as `patch` does it.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The linker that worked.
    pub linker: String,
    /// What started the program that loaded the patch.
    pub started: Started,
    /// What failed.
    pub failed: Option<(Step, String)>,
    /// How each way to leave symbols open fared; empty where it did not come to that.
    pub ways: Vec<(LeaveOpen, Done)>,
}

/// Where a part of a trial failed, and with which words.
pub type Done<T = ()> = Result<T, (Step, String)>;

/// What starts programs for the target in a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// Nothing but the system.
    Here,
    /// A runner of this name.
    By(String),
    /// Nothing can.
    Nowhere,
}

/// A step of the trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Compiling and linking a program.
    Program,
    /// Compiling the patch.
    Compile,
    /// Linking it.
    Link,
    /// Loading it into a process.
    Load,
    /// Calling its function.
    Call,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The limits of inotify, where the system has it.
    pub inotify: Option<Inotify>,
    /// The type of the file system that the sources are on, where it is known.
    pub sources_on: Option<FileSystem>,
    /// The space under the target directory.
    pub target_dir: Option<TargetDir>,
    /// Whether code can be changed.
    pub code: Option<CodePages>,
    /// Whether SELinux forbids what its rules do not allow.
    pub selinux_enforcing: bool,
    /// Whether a seccomp filter is on.
    pub seccomp_filter: bool,
    /// Whether programs for other processors run as well.
    pub runs_others: bool,
    /// Whether a program on this machine can connect to a server on it.
    pub loopback: Option<Result<(), String>>,
}

/// The limits of inotify for one user.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inotify {
    /// How many folders may be watched.
    pub max_watches: u64,
    /// How many of them are, as far as it can be seen.
    pub used_watches: u64,
    /// How many programs may watch.
    pub max_instances: u64,
    /// How many of them do, as far as it can be seen.
    pub used_instances: u64,
}

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// One on a disk of this machine, or in its memory.
    Local,
    /// Layers, as containers have it.
    Overlay,
    /// One that other machines, or the other side of a virtual one, write to as well.
    Shared(&'static str),
}

/// The place of the target directory.
#[derive(Debug, Clone, Default)]
pub struct TargetDir {
    /// The directory, or the nearest one above it that exists.
    pub existing: PathBuf,
    /// Why it cannot be written to.
    pub unwritable: Option<String>,
    /// Whether programs on it cannot be run.
    pub no_exec: bool,
    /// The bytes that are free.
    pub free: u64,
}

/// How the system answered to an attempt to change code, in a process made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodePages {
    /// Code pages become writable.
    Pages,
    /// They do not, but the file of the process's memory does.
    MemoryFile,
    /// Neither; with the system's words.
    Refused(String),
}
