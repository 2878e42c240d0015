//! What a program is built from beside its code: manifests, build scripts, proc macros, cargo's
//! configuration. Only a new build brings a change of these into the program.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cargo_metadata::{Metadata, Package, PackageId, TargetKind};
use serde::{Deserialize, Serialize};

use super::record::{Unit, nanoseconds};
use crate::env;

/// Larger files are told apart by length and time alone, which is as good as ever for what build
/// scripts read.
const LARGE: u64 = 16 << 20;

/// Something that the program was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surrounding {
    /// Why a change of it needs a restart.
    pub cause: Cause,
    /// What was in it; nothing where there was no such file.
    content: Option<String>,
}

impl Surrounding {
    /// What is in the file now, after a build that was begun at `since`.
    fn read(file: &Path, cause: Cause, since: SystemTime) -> Surrounding {
        let is_late = !cause.is_written_by_builds()
            && file.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= since);
        // The build may have read it before it was written: no content is this one.
        let content = if is_late { Some(String::new()) } else { content(file) };
        Surrounding { cause, content }
    }

    /// Whether this is in the file now.
    pub fn is_current(&self, file: &Path) -> bool {
        self.content == content(file)
    }
}

fn content(file: &Path) -> Option<String> {
    let data = file.metadata().ok().filter(|data| data.is_file())?;
    if data.len() > LARGE {
        return Some(format!("{} {}", data.len(), nanoseconds(data.modified().ok()?)));
    }
    Some(blake3::hash(&std::fs::read(file).ok()?).to_hex().to_string())
}

/// Why a change needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// A `Cargo.toml`.
    Manifest,
    /// `Cargo.lock`.
    Lockfile,
    /// A build script, or a file that it reads.
    BuildScript,
    /// A proc macro, or another crate that runs at build time only.
    ProcMacro,
    /// A crate of the workspace that the program loads as a shared library.
    SharedLibrary,
    /// A `.cargo/config.toml`.
    CargoConfig,
    /// A `rust-toolchain.toml`.
    Toolchain,
}

impl Cause {
    /// Whether a build may write such a file, so that a new one is no reason to build again.
    pub fn is_written_by_builds(self) -> bool {
        matches!(self, Cause::Lockfile | Cause::BuildScript)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Manifest => "a Cargo.toml changed",
            Cause::Lockfile => "Cargo.lock changed",
            Cause::BuildScript => "a build script or one of its inputs changed",
            Cause::ProcMacro => "a proc macro or another build-time crate changed",
            Cause::SharedLibrary => "a crate that is a shared library of its own (dylib) changed",
            Cause::CargoConfig => "cargo's configuration (.cargo/config.toml) changed",
            Cause::Toolchain => "the toolchain file (rust-toolchain.toml) changed",
        })
    }
}

/// What these units were built from beside their code, by a build that was begun at `since`.
pub fn surroundings(
    units: &[Unit],
    metadata: &Metadata,
    cwd: &Path,
    since: SystemTime,
) -> BTreeMap<PathBuf, Surrounding> {
    let read = |(file, cause): (PathBuf, Cause)| {
        let surrounding = Surrounding::read(&file, cause, since);
        (file, surrounding)
    };
    causes(units, metadata, cwd).into_iter().map(read).collect()
}

fn causes(units: &[Unit], metadata: &Metadata, cwd: &Path) -> BTreeMap<PathBuf, Cause> {
    let mut found = BTreeMap::new();
    for unit in units {
        found.insert(unit.manifest_dir.join("Cargo.toml"), Cause::Manifest);
        let out_dir = unit.env.get(env::cargo::OUT_DIR);
        script_inputs(out_dir.map(Path::new), &unit.manifest_dir, &mut found);
    }
    let root = metadata.workspace_root.as_std_path();
    found.insert(root.join("Cargo.toml"), Cause::Manifest);
    found.insert(root.join("Cargo.lock"), Cause::Lockfile);
    build_time(units, metadata, &mut found);
    configuration(root, true, &mut found);
    for folder in cwd.ancestors() {
        configuration(folder, false, &mut found);
    }
    found
}

/// The files with which a folder may configure cargo and rustup; `expected` adds them also where
/// they do not exist yet.
fn configuration(folder: &Path, expected: bool, found: &mut BTreeMap<PathBuf, Cause>) {
    for (name, cause) in [
        (".cargo/config.toml", Cause::CargoConfig),
        (".cargo/config", Cause::CargoConfig),
        ("rust-toolchain.toml", Cause::Toolchain),
        ("rust-toolchain", Cause::Toolchain),
    ] {
        let file = folder.join(name);
        if expected || file.is_file() {
            found.insert(file, cause);
        }
    }
}

/// The files that a package's build script asked to be run again for.
fn script_inputs(out_dir: Option<&Path>, package: &Path, found: &mut BTreeMap<PathBuf, Cause>) {
    let Some(output) = out_dir.map(|dir| dir.with_file_name("output")) else { return };
    // Without it, the build script itself is still an input.
    let text = std::fs::read_to_string(output).unwrap_or_default();
    let asked = text.lines().filter_map(|line| {
        let line = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"))?;
        line.strip_prefix("rerun-if-changed=")
    });
    for path in asked {
        for file in files_below(&package.join(path)) {
            found.insert(file, Cause::BuildScript);
        }
    }
}

/// Manifests of all path packages that the program is built from, their build scripts, and the
/// sources of those that run at build time only or are loaded when the program starts.
fn build_time(units: &[Unit], metadata: &Metadata, found: &mut BTreeMap<PathBuf, Cause>) {
    for package in reachable(units, metadata) {
        let folder = package.manifest_path.parent().map(|dir| dir.as_std_path().to_path_buf());
        let Some(folder) = folder else { continue };
        found.insert(package.manifest_path.clone().into(), Cause::Manifest);
        let mut in_program = false;
        for target in &package.targets {
            if target.kind.contains(&TargetKind::CustomBuild) {
                found.insert(target.src_path.clone().into(), Cause::BuildScript);
            }
            let name = target.name.replace('-', "_");
            in_program |= units
                .iter()
                .any(|unit| unit.crate_name == name && unit.package == package.name.as_str());
        }
        if !in_program {
            let is_dylib = package.targets.iter().any(|target| target.is_dylib());
            let cause = if is_dylib { Cause::SharedLibrary } else { Cause::ProcMacro };
            for file in files_below(&folder.join("src")) {
                found.insert(file, cause);
            }
        }
    }
}

/// The packages without a registry that the program's package depends on, with itself.
fn reachable<'a>(units: &[Unit], metadata: &'a Metadata) -> Vec<&'a Package> {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let edges: HashMap<&PackageId, &[PackageId]> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, &*node.dependencies))
        .collect();
    let root_package = units.last().map(|root| root.package.as_str());
    let mut todo: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_none() && Some(package.name.as_str()) == root_package)
        .map(|package| &package.id)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if seen.insert(id) {
            todo.extend(edges.get(id).copied().unwrap_or_default());
        }
    }
    let mut found: Vec<_> = seen.into_iter().filter_map(|id| packages.get(id).copied()).collect();
    found.retain(|package| package.source.is_none());
    found
}

/// A file, or all files in a folder; hidden ones and other packages' output are left out.
fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![path.to_path_buf()];
    while let Some(path) = todo.pop() {
        if path.is_file() {
            files.push(path);
            continue;
        }
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            // A link to a folder may lead back up.
            if !name.starts_with('.') && name != "target" && !(is_link && entry.path().is_dir()) {
                todo.push(entry.path());
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_build_scripts_own_inputs_need_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let build = dir.path().join("target/debug/build/prog-1");
        std::fs::create_dir_all(build.join("out")).unwrap();
        std::fs::create_dir_all(dir.path().join("proto/deep")).unwrap();
        let text = "cargo:rerun-if-changed=schema.txt\ncargo::rerun-if-changed=proto\nnoise\n";
        std::fs::write(build.join("output"), text).unwrap();
        for file in ["schema.txt", "proto/a.proto", "proto/deep/b.proto", "proto/.hidden"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let mut found = BTreeMap::new();
        script_inputs(Some(&build.join("out")), dir.path(), &mut found);
        let names: Vec<_> =
            found.keys().map(|file| file.strip_prefix(dir.path()).unwrap().to_path_buf()).collect();
        assert_eq!(names, ["proto/a.proto", "proto/deep/b.proto", "schema.txt"].map(PathBuf::from));
    }

    #[test]
    fn what_a_file_had_is_told_by_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Cargo.toml");
        let read = |cause, since| Surrounding::read(&file, cause, since);
        let (past, future) = (SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(60));
        let absent = read(Cause::Manifest, future);
        assert!(absent.is_current(&file));
        std::fs::write(&file, "a").unwrap();
        assert!(!absent.is_current(&file));
        let written = read(Cause::Manifest, future);
        std::fs::write(&file, "b").unwrap();
        assert!(!written.is_current(&file));
        std::fs::write(&file, "a").unwrap();
        assert!(written.is_current(&file));
        // What was written while the build ran may not be in it, unless the build wrote it.
        assert!(!read(Cause::Manifest, past).is_current(&file));
        assert!(read(Cause::Lockfile, past).is_current(&file));
    }
}
