//! One captured rustc invocation replayed with the fewest possible edits, to objects.
//!
//! [`plan`] rewrites the command line, [`state`] says which units must be replayed, [`run`] does
//! it, [`prime`] does it ahead of the first change.

pub mod diagnostic;
mod lock;
pub mod plan;
mod prime;
mod process;
mod results;
mod run;
mod state;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::capture::{FatBuild, Unit};
use crate::error::Failure;

pub use prime::{Primer, prime};
pub use run::build;

/// The objects of the rebuilt units.
#[derive(Debug, Clone)]
pub struct ThinBuild {
    /// Each rebuilt unit, in the order of the fat build.
    pub units: Vec<ThinUnit>,
    /// How long rustc took for all of them, in milliseconds.
    pub elapsed_ms: f64,
}

/// One unit's objects.
#[derive(Debug, Clone)]
pub struct ThinUnit {
    /// The unit (with `inputs` as the new dep-info has them).
    pub unit: Unit,
    /// All of its objects, changed or not; the part of the file name that names the codegen unit
    /// is the same as in the baseline's file names.
    pub objects: Vec<ThinObject>,
}

/// One codegen unit's object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThinObject {
    /// The codegen unit's stable name.
    pub cgu: String,
    /// The object file.
    pub path: PathBuf,
}

impl ThinBuild {
    /// Takes the new lists of inputs over, for [`affected`] to work on.
    pub fn update_inputs(&self, fat: &mut FatBuild) {
        for thin in &self.units {
            if let Some(unit) = fat.units.iter_mut().find(|u| u.key == thin.unit.key) {
                unit.inputs.clone_from(&thin.unit.inputs);
            }
        }
    }
}

/// A unit that rustc did not accept; the [`Failure`] that decides the exit code is its source.
#[derive(Debug)]
pub struct Rejected {
    /// The unit's key.
    pub key: String,
    /// The crate's name.
    pub crate_name: String,
    /// The files that the diagnostics point to. A file that is new in this save may be in no list
    /// of inputs yet, and yet its next change may be the repair.
    pub files: Vec<PathBuf>,
    /// Why, as an exit code.
    pub failure: Failure,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not compile `{}`", self.crate_name)
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure)
    }
}

/// The keys of the units that must be rebuilt when files changed: those that read one of them,
/// and all that depend on these, in the order of the fat build.
pub fn affected(fat: &FatBuild, changed_files: &[PathBuf]) -> Vec<String> {
    let changed: BTreeSet<PathBuf> = changed_files.iter().map(|f| real(f)).collect();
    let mut found: Vec<String> = Vec::new();
    for unit in &fat.units {
        // Inputs were resolved in the same way when they were read.
        let reads = || unit.inputs.iter().any(|input| changed.contains(input));
        if unit.dependencies.iter().any(|d| found.contains(d)) || reads() {
            found.push(unit.key.clone());
        }
    }
    found
}

/// A file by its real folder; the file itself may be gone.
fn real(file: &Path) -> PathBuf {
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, file.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => file.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pipeline::capture::record::VERSION;

    /// A fat build of units with the given keys and dependencies.
    pub fn fat(units: &[(&str, &[&str])]) -> FatBuild {
        let unit = |(key, dependencies): &(&str, &[&str])| Unit {
            version: VERSION,
            key: key.to_string(),
            crate_name: key.to_string(),
            package: key.to_string(),
            package_id: String::new(),
            target: serde_json::Value::Null,
            manifest_dir: PathBuf::from("/w"),
            crate_types: vec!["lib".into()],
            rustc: PathBuf::from("rustc"),
            args: Vec::new(),
            cwd: PathBuf::from("/w"),
            env: BTreeMap::new(),
            dependencies: dependencies.iter().map(|d| d.to_string()).collect(),
            inputs: vec![PathBuf::from(format!("/w/{key}.rs")), PathBuf::from("/w/shared.rs")],
            started_ns: 0,
            baseline: PathBuf::from(format!("/u/{key}/baseline")),
            objects: 0,
            artifact: None,
            generation: String::new(),
            link: None,
            injected: None,
        };
        FatBuild {
            version: VERSION,
            program: PathBuf::from("/p"),
            build_id: String::new(),
            target: String::new(),
            rustc_version: String::new(),
            rustc_commit: String::new(),
            panic: "unwind".into(),
            root: units.last().map(|(key, _)| key.to_string()).unwrap_or_default(),
            units: units.iter().map(unit).collect(),
            surroundings: BTreeMap::new(),
            cargo_args: Vec::new(),
        }
    }

    #[test]
    fn a_change_affects_its_readers_and_all_that_use_them() {
        let fat = fat(&[("a", &[]), ("b", &["a"]), ("c", &[]), ("root", &["b", "c"])]);
        for (changed, wanted) in [
            ("/w/a.rs", "a b root"),
            ("/w/b.rs", "b root"),
            ("/w/c.rs", "c root"),
            ("/w/root.rs", "root"),
            ("/w/shared.rs", "a b c root"),
            ("/w/other.rs", ""),
        ] {
            assert_eq!(affected(&fat, &[changed.into()]).join(" "), wanted, "{changed}");
        }
        assert_eq!(affected(&fat, &["/w/b.rs".into(), "/w/c.rs".into()]), ["b", "c", "root"]);
    }
}
