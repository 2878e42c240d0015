//! Tells the crate which compiler and which target it is built with: host and plugin must agree.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rustc-env=HOTPATCH_BUILT_WITH={}", compiler().unwrap_or_default());
    println!("cargo::rustc-env=HOTPATCH_BUILT_FOR={}", std::env::var("TARGET").unwrap_or_default());
}

/// The release and the commit hash that `rustc -vV` prints.
fn compiler() -> Option<String> {
    let rustc = std::env::var_os("RUSTC")?;
    let output = Command::new(rustc).arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(format!("rustc {} ({})", field("release: ")?, field("commit-hash: ")?))
}
