//! A target directory in which everything that all fixtures share is already compiled. It is
//! filled once and hard-linked into each fixture's copy, so that a test compiles only its own
//! few crates, and no two tests share a target directory or its locks.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::target;

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Gives `target` the compiled dependencies of every fixture.
pub fn prime(target: &Path) {
    static PRIMED: OnceLock<PathBuf> = OnceLock::new();
    link_tree(PRIMED.get_or_init(build), target);
}

/// A folder in which a program with dependencies of its own was built, and the target directory
/// that it shares with others of its kind.
pub struct PrimedGuest {
    home: PathBuf,
    target: PathBuf,
    _lock: File,
}

impl PrimedGuest {
    /// Gives a copy of the program the same versions, compiled.
    pub fn give_to(&self, root: &Path) {
        fs::copy(self.home.join("Cargo.lock"), root.join("Cargo.lock")).expect("a lock file");
        link_tree(&self.target, &root.join("target"));
    }
}

/// Builds a program once for all its copies, with what cargo gets from the registry.
pub fn prime_guest(name: &str, copy: impl FnOnce(&Path)) -> Result<PrimedGuest, String> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("primed-guests");
    let (home, target) = (all.join(name), all.join("target"));
    let lock = locked(&all);
    copy(&home);
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new("cargo");
        clean_environment(&mut cargo);
        cargo.args(args).env("CARGO_TARGET_DIR", &target).current_dir(&home);
        let output = cargo.output().expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(text) }
    };
    cargo(&["fetch"]).map_err(|text| {
        let line = text.lines().find(|line| line.starts_with("error")).unwrap_or("cargo fetch");
        format!("its dependencies cannot be fetched ({line})")
    })?;
    cargo(&["build"]).unwrap_or_else(|text| panic!("{text}"));
    Ok(PrimedGuest { home, target, _lock: lock })
}

/// Keeps others out of a folder for as long as the file is open.
fn locked(folder: &Path) -> File {
    fs::create_dir_all(folder.join("src")).expect("the target directory is writable");
    let lock = File::create(folder.join("lock")).expect("the target directory is writable");
    // SAFETY: the descriptor is open for as long as `lock` lives.
    assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0, "flock");
    lock
}

/// Gives `target` the runtime that the tool brings into programs that do not depend on it.
pub fn prime_runtime(target: &Path) {
    static PRIMED: OnceLock<PathBuf> = OnceLock::new();
    let runtime = Path::new("hotpatch/runtime");
    for entry in fs::read_dir(PRIMED.get_or_init(build_runtime).join(runtime)).expect("a runtime") {
        let entry = entry.expect("a runtime").path();
        let to = target.join(runtime).join(entry.file_name().expect("a name"));
        link_tree(&entry.join("lib"), &to.join("lib"));
        fs::copy(entry.join("runtime.json"), to.join("runtime.json")).expect("a copy");
    }
}

fn build_runtime() -> PathBuf {
    let name = format!("primed runtime {}", target::name());
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _lock = locked(&home);
    write_if_changed(&home.join("Cargo.toml"), &super::project::package("primed", "[workspace]"));
    write_if_changed(&home.join("src/main.rs"), "fn main() {}\n");
    super::run(super::command(&home, &["fat"])).expect_code(0);
    home.join("target")
}

fn build() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("primed-{}", target::name()));
    let _lock = locked(&home);
    let runtime = repository().join("crates/runtime");
    let manifest = format!(
        "[workspace]\n[package]\nname = \"primed\"\nedition = \"2024\"\n[dependencies]\nlibc = \"0.2\"\nhotpatch-runtime = {{ path = {runtime:?} }}\n"
    );
    write_if_changed(&home.join("Cargo.toml"), &manifest);
    write_if_changed(&home.join("src/lib.rs"), "");
    copy_lock_file(&home);
    let mut cargo = Command::new(target::cargo());
    clean_environment(&mut cargo);
    target::configure(&mut cargo);
    let output = cargo.arg("build").current_dir(&home).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    home.join("target")
}

/// The same versions of all dependencies as in the repository; cargo drops what is too much.
pub fn copy_lock_file(folder: &Path) {
    fs::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
}

/// Takes away what the `cargo test` around us has set and no user would have.
pub fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let from_cargo = text.starts_with("CARGO_") && !KEPT.contains(&text);
        let of_wrapper = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"].contains(&text);
        if from_cargo || of_wrapper || text.starts_with("HOTPATCH_") || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
}

const KEPT: [&str; 3] = ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TERM_COLOR"];

fn write_if_changed(file: &Path, text: &str) {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        fs::write(file, text).expect("the target directory is writable");
    }
}

fn link_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a target directory");
    for entry in fs::read_dir(from).expect("a primed target directory").flatten() {
        let (source, name) = (entry.path(), entry.file_name());
        let target = to.join(&name);
        if source.is_dir() {
            if !["incremental", "hotpatch"].iter().any(|n| name == *n) {
                link_tree(&source, &target);
            }
        } else if name.to_string_lossy().starts_with('.') {
            // Cargo locks or rewrites these in place.
            if name != ".cargo-lock" {
                fs::copy(&source, &target).expect("a copy");
            }
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}
