//! What a command works on: the user's project as cargo sees it, and the store: where things
//! live below `<target-dir>/hotpatch`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use cargo_metadata::{Metadata, MetadataCommand};

use crate::cargo_config::Sources;
use crate::env;
use crate::error::Failure;
use crate::target::support;

pub mod android;
pub(crate) mod selection;

pub use selection::{CargoSelection, Color, ProgramKind};

/// The user's project, by the command line's selection flags.
#[derive(Debug, Clone)]
pub struct Session {
    /// The flags.
    pub selection: CargoSelection,
    /// What `cargo metadata` says.
    pub metadata: Metadata,
    /// Where our files live.
    pub store: Store,
    /// The kit for an Android target, or why there is none.
    pub android: Option<Result<android::Kit, String>>,
    /// The target that is asked for; none is this machine.
    pub target: Option<String>,
}

impl Session {
    /// Asks cargo about the whole project, dependencies included: what a build needs.
    ///
    /// # Errors
    /// A [`Failure`] where cargo does not answer; cargo's own words are on stderr by then.
    pub fn open(selection: &CargoSelection) -> anyhow::Result<Session> {
        Self::ask(selection, metadata_args(selection))
    }

    /// Asks cargo about the workspace only, which is quicker: enough to find an earlier build.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_workspace(selection: &CargoSelection) -> anyhow::Result<Session> {
        let mut args = metadata_args(selection);
        args.push("--no-deps".into());
        Self::ask(selection, args)
    }

    /// Asks cargo without letting it print, use the network or write its lock file: as much as can
    /// be known that way, and at least the workspace.
    ///
    /// # Errors
    /// A [`Failure`] with cargo's words where it does not even know the workspace.
    pub fn look(selection: &CargoSelection) -> Result<Session, Failure> {
        let args = metadata_args(selection);
        let ask = |more: &[&str]| {
            let more = more.iter().filter(|flag| !args.iter().any(|arg| arg == *flag));
            let mut command = Command::new(cargo());
            command.args(["metadata", "--format-version", "1"]).args(&args).args(more);
            command.env(env::cargo::CACHE_RUSTC_INFO, "0");
            let output =
                command.output().map_err(|e| Failure::io("run", Path::new(&cargo()), &e))?;
            match output.status.success() {
                true => Ok(output.stdout),
                false => Err(Failure::environment(cargos_error(&output.stderr))),
            }
        };
        let read = |json: Vec<u8>| {
            let parsed = MetadataCommand::parse(String::from_utf8_lossy(&json));
            parsed.map_err(|e| Failure::environment(format!("output of `cargo metadata`: {e}")))
        };
        let workspace = read(ask(&["--no-deps"])?)?;
        let all = match workspace.workspace_root.join("Cargo.lock").exists() {
            true => ask(&["--locked", "--offline"]).and_then(read).ok(),
            false => None,
        };
        Ok(Self::of(selection, all.unwrap_or(workspace)))
    }

    fn ask(selection: &CargoSelection, args: Vec<String>) -> anyhow::Result<Session> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1"])
            .args(args)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| Failure::io("run", Path::new(&cargo()), &e))?;
        if !output.status.success() {
            return Err(Failure::environment("`cargo metadata` failed").into());
        }
        let text = String::from_utf8(output.stdout).context("output of `cargo metadata`")?;
        let metadata = MetadataCommand::parse(text).context("output of `cargo metadata`")?;
        Ok(Self::of(selection, metadata))
    }

    fn of(selection: &CargoSelection, metadata: Metadata) -> Session {
        let target_dir = match &selection.target_dir {
            Some(given) => given.clone(),
            None => metadata.target_directory.clone().into_std_path_buf(),
        };
        let mut selection = selection.clone();
        let android = android::configure(&mut selection, &metadata);
        let target = android::target(&selection, &Sources::current(&selection.config).read());
        Session { selection, metadata, store: Store::new(&target_dir), android, target }
    }
}

/// The flags for `cargo metadata`. Without a platform it wants the packages of every platform, most
/// of which no build here has ever fetched.
fn metadata_args(selection: &CargoSelection) -> Vec<String> {
    let config = Sources::current(&selection.config).read();
    let here = Some(support::here()).filter(|triple| support::runs_here(triple));
    let platform = android::target(selection, &config).or_else(|| here.map(String::from));
    let mut args = selection.metadata_args();
    args.extend(platform.into_iter().flat_map(|triple| ["--filter-platform".into(), triple]));
    args
}

/// What cargo says is wrong, without its advice.
fn cargos_error(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let error = text.lines().skip_while(|line| !line.starts_with("error"));
    let lines: Vec<_> = error.take_while(|line| !line.trim().is_empty()).collect();
    match lines.is_empty() {
        true => "`cargo metadata` failed".into(),
        false => lines.join("\n").trim_start_matches("error: ").into(),
    }
}

/// The cargo to call: the one that called us, where one did.
pub fn cargo() -> OsString {
    std::env::var_os(crate::env::cargo::CARGO).unwrap_or_else(|| "cargo".into())
}

/// The folder that holds all files of this tool for one target directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The name of the folder in a target directory.
    pub const FOLDER: &str = "hotpatch";

    /// The name of the folder of compiled runtimes.
    pub const RUNTIMES: &str = "runtime";

    /// The store of a cargo target directory; nothing is created.
    pub fn new(target_dir: &Path) -> Self {
        Store { root: target_dir.join(Self::FOLDER) }
    }

    /// The store whose folder is `root` itself.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Store { root: root.into() }
    }

    /// `<target-dir>/hotpatch`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of all captured units.
    pub fn units(&self) -> PathBuf {
        self.root.join("units")
    }

    /// The folder of one captured unit.
    pub fn unit(&self, key: &str) -> PathBuf {
        self.units().join(key)
    }

    /// The record of one captured unit.
    pub fn unit_record(&self, key: &str) -> PathBuf {
        self.unit(key).join("unit.json")
    }

    /// The folder of the runtimes that were compiled for programs.
    pub fn runtimes(&self) -> PathBuf {
        self.root.join(Self::RUNTIMES)
    }

    /// The folder of the records of programs.
    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// The folder of the links through which cargo calls this tool as a rustc wrapper.
    pub fn wrappers(&self) -> PathBuf {
        self.root.join("wrapper")
    }

    /// The file that a running `watch` holds a lock on; its text is the process's id.
    pub fn watch_lock(&self) -> PathBuf {
        self.root.join("watch.lock")
    }

    /// The folder below which running programs keep the patches that they have loaded.
    pub fn live(&self) -> PathBuf {
        self.root.join("live")
    }

    /// The folder that remembers what one-shot patches have brought to a program's processes.
    pub fn chain(&self, build_id: &str) -> PathBuf {
        self.all_chains().join(build_id)
    }

    /// The folder of what is remembered of all programs' one-shot patches.
    pub fn all_chains(&self) -> PathBuf {
        self.root.join("chain")
    }

    /// The folder of all programs' patches.
    pub fn all_patches(&self) -> PathBuf {
        self.root.join("patches")
    }

    /// The folder that patches of one program go to, by its build id.
    pub fn patches(&self, build_id: &str) -> PathBuf {
        self.all_patches().join(build_id)
    }
}
