//! Tells the crate which compiler and which target it is built with, since a patch must have the
//! same, and whether functions can be redirected at their entries there.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rustc-env=HOTPATCH_BUILT_WITH={}", compiler().unwrap_or_default());
    println!("cargo::rustc-env=HOTPATCH_BUILT_FOR={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-check-cfg=cfg(hotpatch_detours)");
    let processor = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if ["x86_64", "aarch64"].contains(&&*processor) {
        println!("cargo::rustc-cfg=hotpatch_detours");
    }
    if std::env::var_os("CARGO_FEATURE_SOURCES").is_some() {
        write_sources();
    }
}

/// Writes the list of this crate's files, with what is in them.
fn write_sources() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = vec![root.join("Cargo.toml"), root.join("build.rs")];
    collect(&root.join("src"), &mut files);
    files.sort();
    let entries = files.iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        format!("({name:?}, include_str!({:?})),\n", file.display().to_string())
    });
    let list = format!("&[\n{}]", entries.collect::<String>());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("sources.rs");
    if let Err(e) = std::fs::write(&out, list) {
        println!("cargo::error={}: {e}", out.display());
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The commit hash that `rustc -vV` prints.
fn compiler() -> Option<String> {
    let rustc = std::env::var_os("RUSTC")?;
    let output = Command::new(rustc).arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("commit-hash: ")).map(|hash| hash.trim().into())
}
