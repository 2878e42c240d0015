//! What each input is for: code that a patch can carry, or something that only a new build can
//! bring into the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Watched;
use crate::pipeline::capture::{Cause, FatBuild};

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
    /// The source files of the program's crates, and what else it was built from. A file that is
    /// both is code: a patch brings what the program itself uses of it.
    pub fn of(fat: &FatBuild) -> Inputs {
        let code = fat.units.iter().flat_map(|unit| unit.inputs.iter().cloned()).collect();
        let around = fat.surroundings.iter().map(|(file, what)| (file.clone(), what.cause));
        Inputs { code, restart: around.collect() }
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
        let code = ["/w/src/main.rs", "/w/src/shared.rs"].map(PathBuf::from);
        Inputs { code: code.into(), restart: around }
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
}
