//! A small package to be looked at, and what `doctor` says of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::support::{Output, command, plain_command, run};

/// The target of these tests.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Writes a shell script that can be run.
pub fn script(file: &Path, text: &str) {
    fs::write(file, format!("#!/bin/sh\n{text}\n")).expect("a script");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a script to run");
}

/// A package in a folder of its own, which goes away with it.
pub struct Package {
    folder: tempfile::TempDir,
}

impl Package {
    /// A package with a program that starts the runtime.
    pub fn new() -> Package {
        let folder = tempfile::Builder::new().prefix("doctor ü ").tempdir();
        let package = Package { folder: folder.expect("a folder") };
        package.manifest("");
        fs::create_dir(package.path("src")).expect("a folder");
        package.source("fn main() {\n    hotpatch_runtime::start();\n}\n");
        package
    }

    fn write_manifest(&self, dependencies: &str, more: &str) {
        let text = format!(
            "[workspace]\n[package]\nname = \"p\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n{more}"
        );
        fs::write(self.path("Cargo.toml"), text).expect("a manifest");
    }

    /// Writes the manifest with something more in it.
    pub fn manifest(&self, more: &str) {
        let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/runtime");
        self.write_manifest(&format!("hotpatch-runtime = {{ path = {runtime:?} }}"), more);
    }

    /// Writes the manifest without the dependency.
    pub fn without_runtime(&self) {
        self.write_manifest("", "");
    }

    /// Writes the program's source.
    pub fn source(&self, text: &str) {
        fs::write(self.path("src/main.rs"), text).expect("a source file");
    }

    /// Writes cargo's configuration for the package.
    pub fn config(&self, text: &str) {
        fs::create_dir_all(self.path(".cargo")).expect("a folder");
        fs::write(self.path(".cargo/config.toml"), text).expect("a configuration");
    }

    /// Has cargo write the lock file, with the versions that the repository has.
    pub fn lock(&self) {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(repository.join("Cargo.lock"), self.path("Cargo.lock")).expect("a lock file");
        let mut cargo = plain_command("cargo", &["metadata", "--format-version=1"]);
        cargo.current_dir(self.folder.path());
        run(cargo).expect_code(0);
    }

    /// A file by its path in the package.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// All files with their sizes and times.
    pub fn files(&self) -> BTreeMap<PathBuf, (u64, SystemTime)> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let meta = entry.metadata().expect("a file");
                let time = meta.modified().expect("a time");
                files.insert(entry.path(), (meta.len(), time));
                if meta.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        files
    }

    /// A command of the tool in the package's folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path(), args);
        command.env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    /// Runs a command that reports.
    pub fn run(&self, command: Command) -> Report {
        Report::of(run(command), self.folder.path())
    }

    /// Runs `doctor`.
    pub fn doctor(&self, args: &[&str]) -> Report {
        self.run(self.command(&[&["doctor"], args].concat()))
    }
}

/// What `doctor` said.
pub struct Report {
    output: Output,
    /// Standard output with the package's folder as `<package>`.
    pub stdout: String,
}

impl Report {
    /// The report of a run in a folder.
    pub fn of(output: Output, folder: &Path) -> Report {
        let stdout = output.stdout.replace(&folder.display().to_string(), "<package>");
        Report { output, stdout }
    }

    /// Fails the test unless a check has this status and this in its detail.
    #[track_caller]
    pub fn expect_check(self, status: &str, name: &str, detail: &str) -> Report {
        let found = self.stdout.lines().any(|line| {
            let mut words = line.split_whitespace();
            (words.next(), words.next()) == (Some(status), Some(name)) && line.contains(detail)
        });
        assert!(
            found,
            "no {status} {name} with {detail:?}:\n{}{}",
            self.stdout, self.output.stderr
        );
        self
    }

    /// Fails the test unless this is in the report.
    #[track_caller]
    pub fn expect_text(self, text: &str) -> Report {
        assert!(self.stdout.contains(text), "no {text:?}:\n{}", self.stdout);
        self
    }

    /// Fails the test where this is in the report.
    #[track_caller]
    pub fn expect_no_text(self, text: &str) -> Report {
        assert!(!self.stdout.contains(text), "there is {text:?}:\n{}", self.stdout);
        self
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Report {
        Report { output: self.output.expect_code(code), stdout: self.stdout }
    }
}
