//! A small project that a test writes, for the stages that need no running program.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_hotpatch::pipeline::capture::{self, FatBuild, Unit};
use cargo_hotpatch::session::{CargoSelection, Session};

use super::primed::{clean_environment, copy_lock_file};
use super::{Output, command, plain_command, run};

/// A folder with `main` (the workspace) and whatever else a test puts next to it. Its name has a
/// space and a letter that is not ASCII.
pub struct Project {
    folder: tempfile::TempDir,
}

/// The manifest of a package without dependencies.
pub fn package(name: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}\n")
}

impl Project {
    /// Writes the files, by their paths from the folder.
    pub fn new(files: &[(&str, &str)]) -> Project {
        let folder = tempfile::Builder::new()
            .prefix("prøject ")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable");
        let project = Project { folder };
        for (file, text) in files {
            project.write(file, text);
        }
        copy_lock_file(&project.main());
        project
    }

    /// A program of one package, and libraries next to its source.
    pub fn program(main: &str) -> Project {
        Project::new(&[
            ("main/Cargo.toml", &package("app", "[workspace]")),
            ("main/src/main.rs", main),
        ])
    }

    /// A file or folder by its path from the folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("a folder").join(file)
    }

    /// The workspace's folder.
    pub fn main(&self) -> PathBuf {
        self.path("main")
    }

    /// `<target-dir>/hotpatch`.
    pub fn store(&self) -> PathBuf {
        self.path("main/target/hotpatch")
    }

    /// Writes a file.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Replaces a text in a file.
    #[track_caller]
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).expect("a file");
        assert_eq!(text.matches(from).count(), 1, "{file} says {from:?} once:\n{text}");
        self.write(file, &text.replace(from, to));
    }

    /// Runs `cargo hotpatch fat` for a program that is never to be patched while it runs.
    pub fn fat(&self, args: &[&str]) -> Output {
        run(command(&self.main(), &[&["fat", "--no-inject"], args].concat()))
    }

    /// Runs cargo itself.
    pub fn cargo(&self, args: &[&str]) -> Output {
        let mut command = plain_command("cargo", args);
        command.current_dir(self.main());
        run(command)
    }

    /// Runs a program that `fat` built.
    pub fn output_of(&self, program: &Path) -> String {
        let mut command = plain_command(&program.display().to_string(), &[]);
        clean_environment(&mut command);
        run(command).expect_code(0).stdout
    }

    /// What the earlier fat build left, as other commands read it.
    pub fn load_with(&self, selection: CargoSelection) -> anyhow::Result<FatBuild> {
        let manifest_path = Some(self.path("main/Cargo.toml"));
        let selection = CargoSelection { manifest_path, offline: true, ..selection };
        capture::load(&Session::open_workspace(&selection)?)
    }

    /// The same for the program that no flags select.
    #[track_caller]
    pub fn load(&self) -> FatBuild {
        self.load_with(CargoSelection::default()).expect("a fat build")
    }

    /// The message with which a fat build is not accepted.
    #[track_caller]
    pub fn refusal(&self) -> String {
        match self.load_with(CargoSelection::default()) {
            Ok(fat) => panic!("{} was accepted", fat.program.display()),
            Err(error) => format!("{error:#}"),
        }
    }

    /// The crates of all captures in the store, sorted.
    pub fn captured(&self) -> Vec<String> {
        let units = fs::read_dir(self.store().join("units")).into_iter().flatten().flatten();
        let records = units.map(|unit| unit.path().join("unit.json")).filter(|r| r.exists());
        let unit = |file: PathBuf| -> Unit {
            let text = fs::read_to_string(file).expect("a record");
            serde_json::from_str(&text).expect("a record")
        };
        let mut names: Vec<String> = records.map(|file| unit(file).crate_name).collect();
        names.sort();
        names
    }
}

/// The crates of a fat build, in order.
pub fn crates(fat: &FatBuild) -> Vec<&str> {
    fat.units.iter().map(|u| u.crate_name.as_str()).collect()
}

/// The unit of a crate.
#[track_caller]
pub fn unit<'a>(fat: &'a FatBuild, name: &str) -> &'a Unit {
    fat.units.iter().find(|u| u.crate_name == name).unwrap_or_else(|| panic!("no unit `{name}`"))
}
