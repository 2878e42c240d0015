//! What a fat build leaves behind; written by `fat` and its wrapper, read by every later stage.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::inject::Injected;
use super::surroundings::{Cause, Surrounding};
use crate::error::Failure;

/// The version of these records; another one means "build again".
pub const VERSION: u32 = 3;

/// One compiled crate of the program that a patch may change: the replayable rustc invocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// `<crate name><extra-filename>`, such as `naga-0a1b2c3d4e5f6071`: unique in a target directory.
    pub key: String,
    /// The crate's name, with `_`.
    pub crate_name: String,
    /// The package's name.
    pub package: String,
    /// The package's id as cargo's messages have it; filled in when the build is complete.
    #[serde(default)]
    pub package_id: String,
    /// The target's description as cargo's messages have it; filled in when the build is complete.
    #[serde(default)]
    pub target: serde_json::Value,
    /// The folder of the package's `Cargo.toml`.
    pub manifest_dir: PathBuf,
    /// The values of `--crate-type`, such as `bin` or `lib`.
    pub crate_types: Vec<String>,
    /// The compiler itself (no wrapper).
    pub rustc: PathBuf,
    /// Its arguments as cargo gave them, before the wrapper changed any.
    pub args: Vec<String>,
    /// Where it ran.
    pub cwd: PathBuf,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// The keys of the units among its `--extern` crates.
    pub dependencies: Vec<String>,
    /// The source files it read, absolute, from its dep-info.
    pub inputs: Vec<PathBuf>,
    /// When rustc was started, in nanoseconds since 1970. It tells one capture of the unit from
    /// another; an input that was modified later may not be in the program as it is now.
    pub started_ns: u64,
    /// The folder with the objects that went into the program (`<codegen unit>.o`). Each capture
    /// has its own; it goes away when the unit is captured again.
    pub baseline: PathBuf,
    /// How many objects that folder has.
    pub objects: usize,
    /// The library or program that this rustc call made, to find out when another call made it anew.
    pub artifact: Option<Artifact>,
    /// The generation of the wrapper that captured it.
    pub generation: String,
    /// How it was linked, where it was.
    pub link: Option<LinkCapture>,
    /// What became of the runtime, where it does not bring that along.
    #[serde(default)]
    pub injected: Option<Injected>,
}

/// A file, and what it looked like when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its time of modification, in nanoseconds since 1970.
    pub modified_ns: u64,
}

/// A linker invocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkCapture {
    /// The driver, such as `cc`, as rustc names it.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The variables that rustc sets for it (on top of the unit's environment).
    pub env: BTreeMap<String, String>,
    /// The variables that rustc takes out of its environment.
    #[serde(default)]
    pub env_removed: Vec<String>,
    /// Where it ran.
    pub cwd: PathBuf,
}

/// A program, and the units it was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FatBuild {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The program's file.
    pub program: PathBuf,
    /// Its GNU build id, lower-case hex.
    pub build_id: String,
    /// The target triple.
    pub target: String,
    /// The output of `rustc -vV`.
    pub rustc_version: String,
    /// The commit hash in it.
    pub rustc_commit: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// The key of the unit that is the program itself.
    pub root: String,
    /// The units, each after the ones it depends on; the last is the root.
    pub units: Vec<Unit>,
    /// What else it was built from.
    pub surroundings: BTreeMap<PathBuf, Surrounding>,
    /// The command of cargo and its flags that built it.
    pub cargo_args: Vec<String>,
}

impl Unit {
    /// Whether it is a library that a loader, and not only rustc, can use.
    pub fn is_shared_library(&self) -> bool {
        let is = |kind: &str| self.crate_types.iter().any(|t| t == kind);
        (is("cdylib") || is("dylib")) && !is("bin")
    }

    /// The unit's folder in the store.
    pub fn folder(&self) -> &Path {
        self.baseline.parent().unwrap_or(&self.baseline)
    }
}

impl Artifact {
    /// What the file at `path` looks like now.
    ///
    /// # Errors
    /// When the file cannot be seen.
    pub fn of(path: &Path) -> io::Result<Artifact> {
        let meta = path.metadata()?;
        let modified_ns = nanoseconds(meta.modified()?);
        Ok(Artifact { path: path.to_path_buf(), bytes: meta.len(), modified_ns })
    }

    /// Whether the file is still the same.
    pub fn is_current(&self) -> bool {
        Artifact::of(&self.path).is_ok_and(|now| now == *self)
    }
}

/// A moment, in nanoseconds since 1970.
pub fn nanoseconds(time: SystemTime) -> u64 {
    let age = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
}

impl FatBuild {
    /// The inputs that were modified after the units that read them were compiled, or are gone.
    pub fn changed_inputs(&self) -> Vec<PathBuf> {
        let changed = |unit: &Unit, input: &Path| match input.metadata().and_then(|m| m.modified())
        {
            Ok(time) => nanoseconds(time) >= unit.started_ns,
            Err(_) => true,
        };
        let all = self.units.iter().flat_map(|u| u.inputs.iter().map(move |i| (u, i)));
        let mut found: Vec<PathBuf> =
            all.filter(|(unit, input)| changed(unit, input)).map(|(_, i)| i.clone()).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Files that only a new build can bring into the program and that have changed since this one,
    /// by what they are. What is code as well is none of them.
    pub fn outdated(&self) -> BTreeMap<Cause, Vec<PathBuf>> {
        let code: BTreeSet<_> = self.units.iter().flat_map(|unit| &unit.inputs).collect();
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for (file, known) in &self.surroundings {
            if !code.contains(file) && !known.is_current(file) {
                found.entry(known.cause).or_default().push(file.clone());
            }
        }
        found
    }

    /// Why the program was linked without the runtime, where that was not wanted.
    pub fn without_runtime(&self) -> Option<&str> {
        self.root_unit()?.injected.as_ref()?.refused.as_deref()
    }

    /// Whether the runtime was linked into the program without its doing.
    pub fn is_injected(&self) -> bool {
        let injected = self.root_unit().and_then(|root| root.injected.as_ref());
        injected.is_some_and(|injected| injected.refused.is_none())
    }

    /// Whether the program is a shared library, which another program loads.
    pub fn is_library(&self) -> bool {
        self.root_unit().is_some_and(Unit::is_shared_library)
    }

    /// The unit that is the program itself.
    pub fn root_unit(&self) -> Option<&Unit> {
        self.units.iter().find(|u| u.key == self.root)
    }
}

/// Writes a record so that a reader finds the old one or the new one, never a part. Only the
/// user can read it, since environment variables hold secrets.
///
/// # Errors
/// A [`Failure`] that names the file.
pub fn write<T: Serialize>(path: &Path, record: &T) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(record)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        // The temporary file has mode 0600 on Unix.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&json)?;
        file.persist(path).map_err(|e| e.error).map(drop)
    });
    written.map_err(|e| Failure::io("write", path, &e).into())
}

/// Reads a record of this [`VERSION`].
///
/// # Errors
/// A [`Failure`] that names the file and the next step, where it is absent, cut short or of
/// another version.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let unreadable = |why: String| {
        Failure::environment(format!("cannot read the capture `{}`: {why}", path.display()))
            .hint("run `cargo hotpatch fat`")
    };
    let json = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let value: serde_json::Value = serde_json::from_slice(&json)
        .map_err(|e| unreadable(format!("it is damaged or cut short ({e})")))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(unreadable(format!("it has version {version}, this tool has {VERSION}")));
        }
        None => return Err(unreadable("it has no version".into())),
    }
    serde_json::from_value(value).map_err(|e| unreadable(format!("it is damaged ({e})")))
}
