//! Published programs, fetched from the registry by cargo and copied to where they can be edited.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Fetches a package and copies its source to `dir/NAME`; the copy is writable and new.
///
/// # Errors
/// Where cargo cannot fetch it or the copy cannot be made.
pub fn fetch(name: &str, version: &str, dir: &Path) -> anyhow::Result<PathBuf> {
    let source = unpacked(name, version, dir)?;
    let copy = dir.join(name);
    let _ = fs::remove_dir_all(&copy);
    let mut command = Command::new("cp");
    command.args(["-r", "--no-preserve=mode"]).arg(&source).arg(&copy);
    ensure!(command.status()?.success(), "{} cannot be copied", source.display());
    // The author's choice of toolchain is for the author's machine.
    let _ = fs::remove_file(copy.join("rust-toolchain"));
    let _ = fs::remove_file(copy.join("rust-toolchain.toml"));
    separate(&copy)?;
    Ok(copy)
}

/// Where cargo unpacked the package: programs without a library are in no `cargo metadata`, but
/// they are fetched like all others.
fn unpacked(name: &str, version: &str, dir: &Path) -> anyhow::Result<PathBuf> {
    let asking = dir.join(format!("fetch-{name}"));
    fs::create_dir_all(asking.join("src"))?;
    fs::write(asking.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[workspace]\n\n[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{name} = \"={version}\"\n"
    );
    fs::write(asking.join("Cargo.toml"), manifest)?;
    let output = Command::new("cargo").args(["fetch", "--quiet"]).current_dir(&asking).output()?;
    ensure!(
        output.status.success(),
        "cargo cannot fetch {name} {version}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let sources = home.join("registry/src");
    let registries = fs::read_dir(&sources).with_context(|| sources.display().to_string())?;
    let mut folders = registries.flatten().map(|r| r.path().join(format!("{name}-{version}")));
    folders
        .find(|f| f.is_dir())
        .with_context(|| format!("{name} {version} is not below {}", sources.display()))
}

/// Keeps cargo from looking for a workspace above the copy.
fn separate(copy: &Path) -> anyhow::Result<()> {
    let path = copy.join("Cargo.toml");
    let manifest = fs::read_to_string(&path)?;
    if !manifest.contains("[workspace]") {
        fs::write(&path, format!("{manifest}\n[workspace]\n"))?;
    }
    Ok(())
}
