//! The tool that the chores run, and the machine they run on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

/// Builds the tool as a user installs it, and says where it is.
///
/// # Errors
/// Where it does not build.
pub fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--bin", "cargo-hotpatch"]).current_dir(root);
    ensure!(cargo.status()?.success(), "the tool does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("release/cargo-hotpatch"))
}

/// The date, the size of the machine and the compiler, for the head of a table.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("-V").output().map(|o| o.stdout).unwrap_or_default();
    let date = Command::new("date").arg("+%F").output().map(|o| o.stdout).unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    format!("{}, {cores} cores, {}", text(date), text(rustc))
}
