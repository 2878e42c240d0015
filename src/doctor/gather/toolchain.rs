//! Asking cargo and rustc about themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::cargo_platform::Cfg;

use crate::cargo_config::Config;
use crate::doctor::facts::{Rustc, Toolchain};
use crate::env::cargo as names;
use crate::session;

/// Asks both for their versions.
pub fn ask(config: &Config) -> Toolchain {
    let cargo = output(Command::new(session::cargo()).arg("--version"));
    Toolchain { cargo: cargo.map(|text| text.trim().to_string()), rustc: ask_rustc(config) }
}

fn ask_rustc(config: &Config) -> Result<Rustc, String> {
    let value = config.variable(names::RUSTC).or_else(|| config.get(&["build", "rustc"]));
    let program = value.and_then(|v| v.program()).unwrap_or_else(|| "rustc".into());
    let text = output(Command::new(&program).arg("-vV"))?;
    let line = |key: &str| {
        let mut lines = text.lines().filter_map(|l| l.strip_prefix(key));
        lines.next().unwrap_or_default().trim().to_string()
    };
    let version = text.lines().next().unwrap_or_default().to_string();
    let rustc = Rustc {
        version,
        release: line("release:"),
        host: line("host:"),
        program,
        ..Rustc::default()
    };
    match rustc.host.is_empty() {
        true => {
            let program = Path::new(&rustc.program).display();
            Err(format!("`{program} -vV` does not answer as a Rust compiler does"))
        }
        false => Ok(rustc),
    }
}

/// Asks the compiler about a target; the answer's configuration values are returned.
pub fn ask_about(rustc: &mut Rustc, target: &str) -> Vec<Cfg> {
    let mut command = Command::new(&rustc.program);
    command.args(["--print=sysroot", "--print=target-libdir", "--print=cfg", "--target", target]);
    let Ok(text) = output(&mut command) else { return Vec::new() };
    let mut lines = text.lines();
    rustc.sysroot = lines.next().map(PathBuf::from).unwrap_or_default();
    rustc.libdir = lines.next().map(PathBuf::from).unwrap_or_default();
    rustc.has_std = has_std(&rustc.libdir);
    lines.filter_map(|line| line.parse().ok()).collect()
}

fn has_std(libdir: &Path) -> bool {
    let entries = std::fs::read_dir(libdir).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|e| e.file_name().into_string().ok());
    names.any(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
}

/// What a command prints; the text of its failure where it fails.
pub fn output(command: &mut Command) -> Result<String, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(|e| format!("cannot run `{program}`: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words.lines().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    Err(format!("`{program} {}` failed: {words}", args.join(" ")))
}
