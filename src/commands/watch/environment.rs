//! The environment that `cargo run`, or `cargo test`, would give the program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env;
use crate::pipeline::capture::{FatBuild, Unit};

/// The variables to set on top of the caller's environment. `cwd` is where the program starts.
pub fn of(fat: &FatBuild, cwd: &Path) -> BTreeMap<String, OsString> {
    let mut found = BTreeMap::new();
    let Some(root) = fat.root_unit() else { return found };
    configured(root, cwd, &mut found);
    from_build_script(root, &mut found);
    for (name, value) in &root.env {
        if is_of_package(name) {
            found.insert(name.clone(), value.into());
        }
    }
    let own = std::env::var_os(env::LIBRARY_PATH);
    if let Some(path) = library_path(fat, root, own) {
        found.insert(env::LIBRARY_PATH.into(), path);
    }
    found
}

/// The package by which programs for `dioxus-devtools` read their environment.
pub const DEVTOOLS: &str = "dioxus-cli-config";

/// The variables with which `dioxus-devtools` in the program finds our server.
pub fn of_devtools(server: SocketAddr) -> [(&'static str, String); 4] {
    [
        (env::devtools::ENABLED, "true".into()),
        (env::devtools::SERVER_IP, server.ip().to_string()),
        (env::devtools::SERVER_PORT, server.port().to_string()),
        (env::devtools::BUILD, "0".into()),
    ]
}

/// Whether cargo sets the variable both for rustc and for a program that it runs.
fn is_of_package(name: &str) -> bool {
    let prefixes =
        [env::cargo::PACKAGE_PREFIX, env::cargo::MANIFEST_PREFIX, env::cargo::BIN_EXE_PREFIX];
    name == env::cargo::CARGO
        || name == env::cargo::OUT_DIR
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// What the package's build script asked to be set.
fn from_build_script(root: &Unit, found: &mut BTreeMap<String, OsString>) {
    let Some(out) = root.env.get(env::cargo::OUT_DIR) else { return };
    let output = Path::new(out).with_file_name("output");
    // Without that file there is nothing that it asked for.
    let text = std::fs::read_to_string(output).unwrap_or_default();
    for line in text.lines() {
        let line = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"));
        let setting = line.and_then(|line| line.strip_prefix("rustc-env="));
        if let Some((name, value)) = setting.and_then(|setting| setting.split_once('=')) {
            found.insert(name.into(), value.into());
        }
    }
}

/// The `[env]` tables of cargo's configuration: cargo has worked out their values for rustc.
fn configured(root: &Unit, cwd: &Path, found: &mut BTreeMap<String, OsString>) {
    let home = root.env.get(env::cargo::CARGO_HOME).map(PathBuf::from);
    let folders = cwd.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    for file in folders.flat_map(|folder| [folder.join("config.toml"), folder.join("config")]) {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        let Some(names) = table.get("env").and_then(toml::Value::as_table) else { continue };
        for name in names.keys() {
            if let Some(value) = root.env.get(name) {
                found.insert(name.clone(), value.into());
            }
        }
    }
}

/// The folders in which the program may look for libraries of the build and the toolchain.
fn library_path(fat: &FatBuild, root: &Unit, own: Option<OsString>) -> Option<OsString> {
    let mut folders = Vec::new();
    // An example or a test is in a folder below the profile's.
    let profile = fat.program.parent().map(|folder| match folder.file_name() {
        Some(name) if name == "examples" || name == "deps" => folder.parent().unwrap_or(folder),
        _ => folder,
    });
    if let Some(profile) = profile {
        folders.extend([profile.join("deps"), profile.to_path_buf()]);
    }
    folders.extend(standard_library(fat, root));
    folders.extend(own.iter().flat_map(std::env::split_paths));
    std::env::join_paths(folders).ok()
}

fn standard_library(fat: &FatBuild, root: &Unit) -> Option<PathBuf> {
    let output = Command::new(&root.rustc)
        .args(["--print", "target-libdir", "--target", &fat.target])
        .current_dir(&root.cwd)
        .env_clear()
        .envs(&root.env)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_rustc_alone_is_not_for_the_program() {
        let kept = [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_VERSION_MAJOR",
            "CARGO_BIN_EXE_x",
            "OUT_DIR",
        ];
        for name in kept {
            assert!(is_of_package(name), "{name}");
        }
        for name in ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_BIN_NAME", "PATH", "HOME"]
        {
            assert!(!is_of_package(name), "{name}");
        }
    }
}
