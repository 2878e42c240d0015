//! This binary in its other role: the rustc wrapper of a fat build. It runs the rustc that cargo
//! asked for, through the wrappers that the user has, and leaves a record of how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::args::Call;
use super::inject::{self, Asked, Runtime};
use super::record::{self, Artifact, LinkCapture, Unit, VERSION};
use super::rewrite::{self, Places};
use super::{argfile, baseline, dep_info, link_args};
use crate::env;
use crate::error::{Failure, failure};
use crate::session::Store;
use crate::target::linking;

/// The package of the runtime.
pub const RUNTIME: &str = "hotpatch-runtime";

/// Packages that are part of this tool and that no patch changes.
pub const OWN_PACKAGES: &[&str] = &[RUNTIME, "hotpatch-protocol"];

/// The beginning of the names of folders with the objects of one capture.
const BASELINE: &str = "baseline-";

/// A call by cargo.
#[derive(Debug)]
pub struct Invocation {
    store: Store,
    itself: OsString,
    args: Vec<OsString>,
}

/// Why a capture failed, left for `fat`, since cargo only sees an exit code.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The file name of [`Trouble`], next to the link through which cargo calls us.
pub const TROUBLE: &str = "trouble.json";

/// The call, where the process was started as a rustc wrapper.
pub fn requested() -> Option<Invocation> {
    let root = PathBuf::from(std::env::var_os(env::WRAPPER_DIR)?);
    let mut args = std::env::args_os();
    let itself = args.next()?;
    let args: Vec<_> = args.collect();
    let called_by_cargo = Path::new(&itself).starts_with(&root) && !args.is_empty();
    called_by_cargo.then(|| Invocation { store: Store::at(root), itself, args })
}

/// Runs rustc and captures how; ends as rustc ended.
pub fn run(invocation: &Invocation) -> ExitCode {
    let route = Route::of(invocation);
    let Some(job) = Job::of(&invocation.store, &route) else {
        let error = route.command().args(&route.args).exec();
        eprintln!("error: cannot run `{}`: {error}", route.program().display());
        return ExitCode::FAILURE;
    };
    match job.run(invocation, &route) {
        Ok(status) => exit_as(status),
        Err(error) => {
            leave_trouble(invocation, &error);
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The same exit code, or the same death.
fn exit_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        // SAFETY: raising a signal in the own process has no preconditions.
        unsafe { libc::raise(signal) };
    }
    ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1))
}

fn leave_trouble(invocation: &Invocation, error: &anyhow::Error) {
    let hint = failure(error).and_then(|f| f.hint.clone());
    let trouble = Trouble { message: format!("{error:#}"), hint };
    // Where this fails as well, cargo's output has the message.
    _ = record::write(&Path::new(&invocation.itself).with_file_name(TROUBLE), &trouble);
}

/// Whom cargo wants to be called, and how.
struct Route {
    /// The user's own wrappers, outermost first.
    chain: Vec<OsString>,
    rustc: OsString,
    args: Vec<OsString>,
    /// Whether it is a crate that a patch may change.
    ours: bool,
}

impl Route {
    /// Where we are the wrapper of all crates, cargo calls us for a workspace member with our
    /// own path as first argument, since we are its workspace wrapper as well.
    fn of(invocation: &Invocation) -> Route {
        let mut args = invocation.args.clone();
        let outside = std::env::var_os(env::OUTSIDE_PACKAGES);
        let member = outside.is_none() || args[0] == invocation.itself;
        if args[0] == invocation.itself && args.len() > 1 {
            args.remove(0);
        }
        let chained = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let chain = [
            chained(env::CHAINED_WRAPPER),
            chained(env::CHAINED_WORKSPACE_WRAPPER).filter(|_| member),
        ];
        let package = std::env::var_os(env::cargo::PACKAGE_NAME).unwrap_or_default();
        let own = OWN_PACKAGES.iter().any(|own| package == *own);
        let ours = !own && (member || outside.is_some_and(|list| is_outside_package(&list)));
        let rustc = args.remove(0);
        Route { chain: chain.into_iter().flatten().collect(), rustc, args, ours }
    }

    fn program(&self) -> &Path {
        Path::new(self.chain.first().unwrap_or(&self.rustc))
    }

    /// The command, up to and including rustc itself.
    fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        if !self.chain.is_empty() {
            command.args(&self.chain[1..]).arg(&self.rustc);
        }
        command
    }
}

fn is_outside_package(list: &OsStr) -> bool {
    let current = std::env::var_os(env::cargo::MANIFEST_DIR).unwrap_or_default();
    list.to_str().is_some_and(|list| list.lines().any(|folder| current == folder))
}

/// One capture.
struct Job {
    key: String,
    folder: PathBuf,
    args: Vec<String>,
}

impl Job {
    /// The capture that the call asks for; `None` where rustc is just to be run.
    fn of(store: &Store, route: &Route) -> Option<Job> {
        if !route.ours {
            return None;
        }
        let args: Vec<String> =
            route.args.iter().map(|a| a.to_str().map(String::from)).collect::<Option<_>>()?;
        let args = argfile::expand(args).ok()?;
        let call = Call::new(&args);
        // A build script of cargo's has no BIN_NAME, but other than a test it has a crate type;
        // what a build script itself has rustc compile has no `-C metadata`.
        let build_script = call.value("--crate-type") == Some("bin")
            && std::env::var_os(env::cargo::BIN_NAME).is_none()
            && call.value("--crate-name").is_some_and(|name| name.starts_with("build_script_"));
        if call.codegen("metadata").is_none() || !rewrite::is_captured(&call, build_script) {
            return None;
        }
        let key = unit_key(&call)?;
        Some(Job { folder: store.unit(&key), key, args })
    }

    fn run(&self, invocation: &Invocation, route: &Route) -> anyhow::Result<ExitStatus> {
        if let Some(obstacle) = rewrite::obstacle(&Call::new(&self.args)) {
            let hint = "set `lto = false` in the profile, or choose another one with `--profile`";
            return Err(Failure::environment(obstacle).hint(hint).into());
        }
        let link_args = self.folder.join("link-args");
        let incremental = self.incremental();
        std::fs::create_dir_all(&self.folder)
            .map_err(|e| Failure::io("create", &self.folder, &e))?;
        _ = std::fs::remove_file(&link_args);
        let places = Places { incremental: &incremental, link_args: &link_args };
        let args = rewrite::fat_args(&self.args, places);
        let args = argfile::shorten(args, &self.folder.join("fat-args"))?;
        let started = SystemTime::now();
        let rustc = || {
            let mut command = route.command();
            command.args(&args);
            command
        };
        let done = match self.runtime(invocation, route)? {
            Some(runtime) => {
                let flags =
                    inject::flags(&runtime, &Call::new(&self.args), Path::new(&route.rustc))
                        .map_err(|e| Failure::io("run", route.program(), &e))?;
                let linked = inject::link(&rustc, (&runtime, &flags), &link_args);
                linked.map(|(status, injected)| (status, Some(injected)))
            }
            None => rustc().status().map(|status| (status, None)),
        };
        let (status, injected) = done.map_err(|e| Failure::io("run", route.program(), &e))?;
        if status.success() {
            let mut unit = self.capture(invocation, route, &link_args, started)?;
            unit.injected = injected;
            record::write(&invocation.store.unit_record(&self.key), &unit)?;
            self.remove_older_baselines(&unit.baseline);
        }
        Ok(status)
    }

    /// The runtime that the crate is to be linked with.
    fn runtime(&self, invocation: &Invocation, route: &Route) -> anyhow::Result<Option<Runtime>> {
        let Some(network) = std::env::var_os(env::INJECT) else { return Ok(None) };
        let call = Call::new(&self.args);
        let wanted = match std::env::var_os(env::INJECT_LIBRARY) {
            Some(folder) => {
                let own = std::env::var_os(env::cargo::MANIFEST_DIR);
                rewrite::makes_shared_library(&call) && own == Some(folder)
            }
            None => rewrite::makes_program(&call),
        };
        if !wanted {
            return Ok(None);
        }
        let asked = Asked {
            rustc: Path::new(&route.rustc),
            target: call.value("--target"),
            panic: call.codegen("panic").unwrap_or("unwind"),
            linker: call.codegen("linker"),
            offline: network == env::OFFLINE,
        };
        inject::ensure(&invocation.store, &asked).map(Some)
    }

    fn incremental(&self) -> PathBuf {
        self.folder.join("fat-incremental")
    }

    fn capture(
        &self,
        invocation: &Invocation,
        route: &Route,
        link_args: &Path,
        started: SystemTime,
    ) -> anyhow::Result<Unit> {
        let call = Call::new(&self.args);
        let cwd = std::env::current_dir().map_err(|e| Failure::io("read", Path::new("."), &e))?;
        let crate_name = call.value("--crate-name").unwrap_or_default().replace('-', "_");
        let started_ns = record::nanoseconds(started);
        let kept = self.folder.join(format!("{BASELINE}{started_ns:x}"));
        let objects = baseline::keep(&self.incremental(), &crate_name, started_ns, &kept)
            .map_err(|e| Failure::io("keep objects in", &kept, &e))?;
        let outputs = Outputs::of(&call, &cwd);
        Ok(Unit {
            version: VERSION,
            key: self.key.clone(),
            crate_name,
            package: variable(env::cargo::PACKAGE_NAME),
            package_id: String::new(),
            target: serde_json::Value::Null,
            manifest_dir: PathBuf::from(variable(env::cargo::MANIFEST_DIR)),
            crate_types: call.crate_types().into_iter().map(String::from).collect(),
            rustc: which::which(&route.rustc).unwrap_or_else(|_| PathBuf::from(&route.rustc)),
            args: self.args.clone(),
            dependencies: Vec::new(),
            inputs: outputs.inputs(&cwd),
            started_ns,
            baseline: kept,
            objects,
            artifact: outputs.artifact(),
            generation: generation(Path::new(&invocation.itself)),
            link: link_capture(link_args, &cwd)?,
            env: environment(),
            cwd,
            injected: None,
        })
    }

    /// Whoever still works with an older capture must find its objects gone, not others.
    fn remove_older_baselines(&self, current: &Path) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_baseline = entry.file_name().to_string_lossy().starts_with(BASELINE);
            if is_baseline && entry.path() != current {
                _ = baseline::remove(&entry.path());
            }
        }
    }
}

/// What names a unit in the store. Without an extra file name (libraries that are also linked as
/// shared ones) cargo's metadata hash tells one profile's from another's.
pub fn unit_key(call: &Call) -> Option<String> {
    let stem = call.file_stem()?;
    match call.codegen("extra-filename").filter(|e| !e.is_empty()) {
        Some(_) => Some(stem),
        None => Some(format!("{stem}-m{}", call.codegen("metadata")?)),
    }
}

/// The generation in `<hotpatch>/wrapper/<generation>/cargo-hotpatch`.
fn generation(itself: &Path) -> String {
    let folder = itself.parent().and_then(Path::file_name);
    folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The environment for a replay: without what belongs to this one build.
fn environment() -> BTreeMap<String, String> {
    let utf8 = |(key, value): (OsString, OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    let dropped = |key: &str| {
        env::OWN.contains(&key)
            || env::JOBSERVER.contains(&key)
            || key == env::cargo::RUSTC_WORKSPACE_WRAPPER
    };
    std::env::vars_os().filter_map(utf8).filter(|(key, _)| !dropped(key)).collect()
}

fn link_capture(file: &Path, cwd: &Path) -> anyhow::Result<Option<LinkCapture>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::io("read", file, &e).into()),
    };
    let link = link_args::parse(&text, cwd).map_err(|why| {
        Failure::environment(format!("cannot understand `{}`: {why}", file.display()))
    })?;
    Ok(Some(link))
}

/// What the call wrote.
struct Outputs {
    folder: PathBuf,
    stem: String,
    crate_types: Vec<String>,
    target: Option<String>,
}

impl Outputs {
    fn of(call: &Call, cwd: &Path) -> Outputs {
        Outputs {
            folder: cwd.join(call.value("--out-dir").unwrap_or_default()),
            stem: call.file_stem().unwrap_or_default(),
            crate_types: call.crate_types().into_iter().map(String::from).collect(),
            target: call.value("--target").map(String::from),
        }
    }

    fn inputs(&self, cwd: &Path) -> Vec<PathBuf> {
        let file = self.folder.join(format!("{}.d", self.stem));
        dep_info::inputs(&std::fs::read_to_string(file).unwrap_or_default(), cwd)
    }

    fn artifact(&self) -> Option<Artifact> {
        let is = |kind: &str| self.crate_types.iter().any(|t| t == kind);
        let name = match () {
            () if is("bin") => self.stem.clone(),
            () if is("cdylib") || is("dylib") => {
                linking::shared_library(&self.stem, self.target.as_deref())
            }
            () => format!("lib{}.rlib", self.stem),
        };
        Artifact::of(&self.folder.join(name)).ok()
    }
}
