//! Published programs, fetched from the registry by cargo and copied to where they can be edited.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// A package of the registry, and what of it is run.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What kind of program it is, for tables.
    pub kind: &'static str,
    /// Cargo's selection of the target.
    pub selection: &'static [&'static str],
}

const fn package(
    name: &'static str,
    version: &'static str,
    kind: &'static str,
    selection: &'static [&'static str],
) -> Package {
    Package { name, version, kind, selection }
}

pub const CSVLENS: Package = package("csvlens", "0.15.1", "terminal UI", &["--bin", "csvlens"]);
pub const SIMPLE_HTTP_SERVER: Package =
    package("simple-http-server", "0.8.1", "web server, tokio", &[]);
pub const MINI_REDIS: Package =
    package("mini-redis", "0.4.1", "async server, tokio", &["--bin", "mini-redis-server"]);
pub const CARGO_WATCH: Package = package("cargo-watch", "8.5.3", "file watcher", &[]);
pub const RUSTY_RAIN: Package =
    package("rusty-rain", "0.5.1", "animation loop", &["--bin", "rusty-rain"]);
pub const HECS: Package =
    package("hecs", "0.11.2", "ECS simulation", &["--example", "ffa_simulation"]);
pub const RHAI: Package = package(
    "rhai",
    "1.27.0",
    "script engine, REPL",
    &["--bin", "rhai-repl", "--features", "bin-features"],
);
pub const BORE: Package = package("bore-cli", "0.6.0", "TCP tunnel, tokio", &[]);
pub const TET_RIS: Package = package("tet-ris", "0.6.3", "terminal game", &[]);
pub const JUST_LSP: Package = package("just-lsp", "0.11.0", "language server", &[]);
pub const SKIM: Package =
    package("skim", "0.16.2", "fuzzy finder, rayon's thread pool", &["--bin", "sk"]);

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

/// Fetches a dependency of an unpacked package to `dir` and makes the package use it by path: one
/// line in its `Cargo.toml`, behind the head of the dependency's table.
///
/// # Errors
/// Where it cannot be fetched, or the package has no such dependency.
pub fn use_by_path(
    copy: &Path,
    (name, version): (&str, &str),
    dir: &Path,
) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let dependency = fetch(name, version, dir)?;
    let path = copy.join("Cargo.toml");
    let manifest = fs::read_to_string(&path)?;
    let heads = [format!("[dependencies.{name}]\n"), format!("[dev-dependencies.{name}]\n")];
    let head = heads.iter().find(|head| manifest.contains(*head));
    let head = head.with_context(|| format!("{} has no {name}", path.display()))?;
    let line = format!("{head}path = {:?}\n", dependency.display().to_string());
    fs::write(&path, manifest.replacen(head, &line, 1))?;
    Ok(dependency)
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
