//! Compiling the runtime, once for each compiler, target and panic strategy.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_metadata::MetadataCommand;
use serde::Deserialize;

use super::{Runtime, order, sources};
use crate::env;
use crate::error::Failure;
use crate::pipeline::capture::record::{self, VERSION};
use crate::pipeline::capture::wrapper::RUNTIME;
use crate::session::{Store, cargo};

/// The name of the folder with the libraries.
pub const LIBRARIES: &str = "lib";

/// The file that tells that a runtime is complete.
const RECORD: &str = "runtime.json";

/// Cargo's flag against the use of the network.
pub(super) const OFFLINE: &str = "--offline";

/// What the runtime is wanted for.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The compiler that links the program.
    pub rustc: &'a Path,
    /// The program's target; none is the compiler's own machine.
    pub target: Option<&'a str>,
    /// `unwind` or `abort`.
    pub panic: &'a str,
    /// The linker that the user has set, which build scripts of the same target need too.
    pub linker: Option<&'a str>,
    /// Whether the network must not be used.
    pub offline: bool,
}

/// The record of a finished build.
#[derive(Debug, Default, serde::Serialize, Deserialize)]
struct Finished {
    version: u32,
    runtime: Runtime,
}

/// The runtime, compiled now where it was not before.
///
/// # Errors
/// A [`crate::error::Failure`] with the words of cargo.
pub fn ensure(store: &Store, asked: &Asked) -> anyhow::Result<Runtime> {
    let compiler = Compiler::ask(asked)?;
    let target = asked.target.unwrap_or(&compiler.host);
    let key = sources::key(&compiler.commit, target, asked.panic);
    let folder = store.runtimes().join(&key);
    let cannot = |e: std::io::Error| Failure::io("write to", &folder, &e);
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    let finished = folder.join(RECORD);
    let known = || {
        let known: Finished = record::read(&finished).ok()?;
        let runtime = Runtime { folder: folder.join(LIBRARIES), ..known.runtime };
        let there = |name: &String| runtime.folder.join(name).is_file();
        runtime.libraries.iter().all(there).then_some(runtime)
    };
    if let Some(runtime) = known() {
        return Ok(runtime);
    }
    // Several programs may be linked at the same time.
    let lock = File::create(folder.join("lock")).map_err(cannot)?;
    // SAFETY: the descriptor is open for as long as `lock` lives.
    if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
        return Err(cannot(std::io::Error::last_os_error()).into());
    }
    if let Some(runtime) = known() {
        return Ok(runtime);
    }
    sources::write(&folder.join("src"), asked.panic).map_err(cannot)?;
    let libraries = compile(&folder, target, asked)?;
    let runtime = collect(&folder, key, libraries).map_err(cannot)?;
    record::write(&finished, &Finished { version: VERSION, runtime: runtime.clone() })?;
    remove_other_versions(store);
    Ok(runtime)
}

/// Whether a folder has a compiled runtime.
pub(super) fn is_finished(folder: &Path) -> bool {
    folder.join(RECORD).is_file()
}

/// The compiler, as far as it matters.
struct Compiler {
    commit: String,
    host: String,
}

impl Compiler {
    fn ask(asked: &Asked) -> anyhow::Result<Compiler> {
        let output = Command::new(asked.rustc)
            .arg("-vV")
            .output()
            .map_err(|e| Failure::io("run", asked.rustc, &e))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |key: &str| {
            let found = text.lines().find_map(|l| l.strip_prefix(key));
            found.unwrap_or_default().trim().to_string()
        };
        let commit = line("commit-hash:").chars().take(12).collect();
        Ok(Compiler { commit, host: line("host:") })
    }
}

/// Something that cargo built.
#[derive(Debug, Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The libraries, the runtime's own first, each before the ones that it needs.
fn compile(folder: &Path, target: &str, asked: &Asked) -> anyhow::Result<Vec<PathBuf>> {
    let manifest = folder.join("src").join(sources::MANIFEST);
    let target_dir = folder.join("target");
    let mut command = command_of(asked, target);
    command.args(["build", "--package", RUNTIME, "--features", "inject"]);
    command.args(["--profile", sources::PROFILE_NAME, "--target", target]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command.arg("--target-dir").arg(&target_dir).arg("--manifest-path").arg(&manifest);
    let output = run(command)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let built: Vec<Artifact> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|artifact: &Artifact| artifact.reason == "compiler-artifact")
        .collect();
    // The build has fetched everything; cargo takes the flag only once.
    let mut command = command_of(&Asked { offline: true, ..asked.clone() }, target);
    resolve(&mut command, target, &manifest);
    let output = run(command)?;
    let metadata = MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
        .map_err(|e| Failure::environment(format!("output of `cargo metadata`: {e}")))?;
    let root = metadata.packages.iter().find(|p| p.name.as_str() == RUNTIME);
    let root = root.map(|package| package.id.repr.clone()).unwrap_or_default();
    let mut libraries = Vec::new();
    for package in order::dependents_first(&metadata, &root) {
        let of_package = built.iter().filter(|artifact| artifact.package_id == package);
        // What is only for build scripts is elsewhere.
        let ours = |file: &&PathBuf| {
            file.extension().is_some_and(|e| e == "rlib")
                && file.starts_with(target_dir.join(target_folder(target)))
        };
        libraries.extend(of_package.flat_map(|a| &a.filenames).filter(ours).cloned());
    }
    match libraries.is_empty() {
        false => Ok(libraries),
        true => Err(Failure::environment("cargo built no library of the runtime").into()),
    }
}

/// How cargo names the folder of a target, which may be a file.
fn target_folder(target: &str) -> &str {
    let name = target.rsplit('/').next().unwrap_or(target);
    name.strip_suffix(".json").unwrap_or(name)
}

/// Has cargo tell which packages the runtime consists of; it fetches those that it may.
pub(super) fn resolve(command: &mut Command, target: &str, manifest: &Path) {
    command.args(["metadata", "--format-version", "1", "--features", "inject"]);
    command.args(["--filter-platform", target, "--manifest-path"]).arg(manifest);
}

/// A cargo that is told nothing by the user's own configuration but where packages come from.
pub(super) fn command() -> Command {
    let mut command = Command::new(cargo());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(env::cargo::is_about_a_build) {
            command.env_remove(&name);
        }
    }
    // The files above the program's folder are not read from here.
    command.current_dir("/");
    command.env(env::cargo::RUSTC_WRAPPER, "").env(env::cargo::RUSTC_WORKSPACE_WRAPPER, "");
    command
}

fn command_of(asked: &Asked, target: &str) -> Command {
    let mut command = command();
    command.env(env::cargo::RUSTC, asked.rustc);
    // So that no symbol has the name of one of the program's.
    command.env(
        env::cargo::ENCODED_RUSTFLAGS,
        format!("-C\u{1f}metadata=hotpatch-{}", sources::content()),
    );
    if let Some(linker) = asked.linker {
        let value = serde_json::Value::from(linker);
        command.args(["--config", &format!("target.{target}.linker={value}")]);
    }
    if asked.offline {
        command.arg(OFFLINE);
    }
    command
}

fn run(mut command: Command) -> anyhow::Result<Output> {
    let output = command.output().map_err(|e| Failure::io("run", Path::new(&cargo()), &e))?;
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let error = words.lines().skip_while(|line| !line.starts_with("error")).take(30);
    let error = error.collect::<Vec<_>>().join("\n");
    let failure =
        Failure::environment(format!("the runtime for the program cannot be built: {error}"));
    Err(failure.hint("use --no-inject, and hotpatch-runtime as a dependency").into())
}

/// Links the libraries into a folder of their own.
fn collect(folder: &Path, key: String, libraries: Vec<PathBuf>) -> std::io::Result<Runtime> {
    let to = folder.join(LIBRARIES);
    std::fs::create_dir_all(&to)?;
    let mut runtime = Runtime { key, folder: to.clone(), libraries: Vec::new() };
    for library in libraries {
        // Once with a hash in its name, once without.
        let Some(name) = library.file_name().and_then(|name| name.to_str()) else { continue };
        let target = to.join(name);
        _ = std::fs::remove_file(&target);
        if std::fs::hard_link(&library, &target).is_err() {
            std::fs::copy(&library, &target)?;
        }
        runtime.libraries.push(name.into());
    }
    Ok(runtime)
}

/// Removes what another version of this tool has built.
fn remove_other_versions(store: &Store) {
    for entry in std::fs::read_dir(store.runtimes()).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(sources::made) {
            _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
