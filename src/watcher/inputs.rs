//! What each input is for: code that a patch can carry, or something that only a new build can
//! bring into the program.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cargo_metadata::{Metadata, Package, PackageId, TargetKind};

use super::Watched;
use crate::env;
use crate::pipeline::capture::FatBuild;

/// Why a change needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    fn is_written_by_builds(self) -> bool {
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

/// All inputs of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    code: BTreeSet<PathBuf>,
    restart: BTreeMap<PathBuf, Cause>,
}

/// Changed files, sorted by what they need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Files that a patch can carry.
    pub code: Vec<PathBuf>,
    /// Files that need a restart, by cause.
    pub restart: BTreeMap<Cause, Vec<PathBuf>>,
}

impl Inputs {
    /// The source files of the program's crates, and what else is an input ([`surroundings`]). A
    /// file that is both is code: a patch brings what the program itself uses of it.
    pub fn new(
        code: impl IntoIterator<Item = PathBuf>,
        surroundings: BTreeMap<PathBuf, Cause>,
    ) -> Inputs {
        Inputs { code: code.into_iter().collect(), restart: surroundings }
    }

    /// Takes another list of source files; whether it is another one.
    pub fn replace_code(&mut self, code: impl IntoIterator<Item = PathBuf>) -> bool {
        let code = code.into_iter().collect();
        let differs = code != self.code;
        self.code = code;
        differs
    }

    /// What to watch after a build that began at `since` and wrote its own files below `target_dir`.
    pub fn watched(&self, since: SystemTime, target_dir: &Path) -> Watched {
        let files = self.code.iter().chain(self.restart.keys()).cloned().collect();
        let manual = self.restart.iter().filter(|(_, cause)| !cause.is_written_by_builds());
        let doubtful = self.code.iter().chain(manual.map(|(file, _)| file));
        let doubtful = doubtful.filter(|file| !file.starts_with(target_dir)).cloned().collect();
        Watched { files, doubtful, since }
    }

    /// Sorts changed files.
    pub fn classify(&self, files: &[PathBuf]) -> Change {
        let mut change = Change::default();
        for file in files {
            match self.restart.get(file) {
                Some(cause) if !self.code.contains(file) => {
                    change.restart.entry(*cause).or_default().push(file.clone());
                }
                _ => change.code.push(file.clone()),
            }
        }
        change
    }
}

/// The inputs of a program that are no code of it.
pub fn surroundings(fat: &FatBuild, metadata: &Metadata, cwd: &Path) -> BTreeMap<PathBuf, Cause> {
    let mut found = BTreeMap::new();
    for unit in &fat.units {
        found.insert(unit.manifest_dir.join("Cargo.toml"), Cause::Manifest);
        let out_dir = unit.env.get(env::cargo::OUT_DIR);
        script_inputs(out_dir.map(Path::new), &unit.manifest_dir, &mut found);
    }
    let root = metadata.workspace_root.as_std_path();
    found.insert(root.join("Cargo.toml"), Cause::Manifest);
    found.insert(root.join("Cargo.lock"), Cause::Lockfile);
    build_time(fat, metadata, &mut found);
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
fn build_time(fat: &FatBuild, metadata: &Metadata, found: &mut BTreeMap<PathBuf, Cause>) {
    for package in reachable(fat, metadata) {
        let folder = package.manifest_path.parent().map(|dir| dir.as_std_path().to_path_buf());
        let Some(folder) = folder else { continue };
        found.insert(package.manifest_path.clone().into(), Cause::Manifest);
        let mut in_program = false;
        for target in &package.targets {
            if target.kind.contains(&TargetKind::CustomBuild) {
                found.insert(target.src_path.clone().into(), Cause::BuildScript);
            }
            let name = target.name.replace('-', "_");
            in_program |= fat
                .units
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
fn reachable<'a>(fat: &FatBuild, metadata: &'a Metadata) -> Vec<&'a Package> {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let edges: HashMap<&PackageId, &[PackageId]> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, &*node.dependencies))
        .collect();
    let root_package = fat.root_unit().map(|unit| unit.package.as_str());
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
    use super::*;

    fn inputs() -> Inputs {
        let around = [
            ("/w/Cargo.toml", Cause::Manifest),
            ("/w/build.rs", Cause::BuildScript),
            ("/w/src/shared.rs", Cause::BuildScript),
        ];
        let around = around.into_iter().map(|(file, cause)| (file.into(), cause)).collect();
        Inputs::new(["/w/src/main.rs", "/w/src/shared.rs"].map(PathBuf::from), around)
    }

    #[test]
    fn code_and_what_needs_a_restart_are_told_apart() {
        let files = ["/w/src/main.rs", "/w/Cargo.toml", "/w/build.rs"].map(PathBuf::from);
        let change = inputs().classify(&files);
        assert_eq!(change.code, [PathBuf::from("/w/src/main.rs")]);
        let restart: Vec<_> = change.restart.into_iter().collect();
        assert_eq!(
            restart,
            [
                (Cause::Manifest, vec![PathBuf::from("/w/Cargo.toml")]),
                (Cause::BuildScript, vec![PathBuf::from("/w/build.rs")]),
            ]
        );
    }

    #[test]
    fn a_file_that_the_program_and_its_build_script_use_is_code() {
        let change = inputs().classify(&["/w/src/shared.rs".into()]);
        assert_eq!(change.code.len(), 1);
        assert!(change.restart.is_empty());
    }

    #[test]
    fn what_a_build_has_written_itself_is_not_doubtful() {
        let mut inputs = inputs();
        inputs.replace_code(["/w/src/main.rs", "/w/target/out/made.rs"].map(PathBuf::from));
        inputs.restart.insert("/w/Cargo.lock".into(), Cause::Lockfile);
        let watched = inputs.watched(SystemTime::now(), Path::new("/w/target"));
        let doubtful: Vec<_> = watched.doubtful.into_iter().collect();
        assert_eq!(doubtful, ["/w/Cargo.toml", "/w/src/main.rs"].map(PathBuf::from));
        assert_eq!(watched.files.len(), 6);
    }

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
}
