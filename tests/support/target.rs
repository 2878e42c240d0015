//! The target that the fixtures are built for: the host, or the one that
//! `HOTPATCH_TEST_TARGET` names, so that the same tests run on another processor.

use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "HOTPATCH_TEST_TARGET";

/// How programs for another processor are built and run here: what `cargo xtask setup-cross`
/// sets up.
pub struct Foreign {
    pub triple: &'static str,
    linker: &'static str,
    pub runner: &'static str,
    rustc: &'static str,
    cargo: &'static str,
}

const FOREIGN: &[Foreign] = &[Foreign {
    triple: "aarch64-unknown-linux-gnu",
    linker: "aarch64-linux-gnu-gcc",
    runner: "qemu-aarch64",
    rustc: "/usr/bin/rustc",
    cargo: "/usr/bin/cargo",
}];

/// The foreign target; none where programs are built for the host.
pub fn foreign() -> Option<&'static Foreign> {
    let wanted = std::env::var(VARIABLE).ok().filter(|v| !v.is_empty())?;
    let found = FOREIGN.iter().find(|f| f.triple == wanted);
    let found = found.unwrap_or_else(|| panic!("{VARIABLE}={wanted} is not known"));
    assert!(found.libraries().is_dir(), "{wanted} is not set up: run `cargo xtask setup-cross`");
    Some(found)
}

/// The compiler that programs are built with.
pub fn rustc() -> &'static str {
    foreign().map_or("rustc", |f| f.rustc)
}

/// The cargo that programs are built with.
pub fn cargo() -> &'static str {
    foreign().map_or("cargo", |f| f.cargo)
}

/// What starts programs, where they do not start by themselves.
pub fn runner() -> Option<&'static str> {
    foreign().map(|f| f.runner)
}

/// The foreign target's name.
pub fn triple() -> String {
    foreign().expect("a foreign target").triple.into()
}

/// A tool that makes programs for the target, by its name for the host's own (`cc`, `strip`).
pub fn tool(name: &str) -> String {
    let Some(foreign) = foreign() else { return name.into() };
    match name {
        "cc" => foreign.linker.into(),
        other => foreign.linker.replace("gcc", other),
    }
}

/// Where cargo puts what it builds with the `dev` profile, from the workspace's folder.
pub fn output() -> String {
    foreign().map_or("target/debug".into(), |f| format!("target/{}/debug", f.triple))
}

/// Where the primed target directory is kept: another one for each std, since cargo does not notice
/// when that is exchanged.
pub fn name() -> String {
    let Some(foreign) = foreign() else { return "host".into() };
    let entries = std::fs::read_dir(foreign.libraries()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let std = names.filter_map(|n| Some(n.strip_prefix("libstd-")?.strip_suffix(".rlib")?.into()));
    let std: String = std.min().unwrap_or_default();
    format!("{}-{std}", foreign.triple)
}

/// Sets what a user with a foreign target has in the environment or in cargo's configuration.
pub fn configure(command: &mut Command) {
    let Some(foreign) = foreign() else { return };
    command.env("CARGO_BUILD_TARGET", foreign.triple);
    command.env("CARGO", foreign.cargo).env("RUSTC", foreign.rustc);
    command.env(foreign.key("LINKER"), foreign.linker);
    command.env(foreign.key("RUNNER"), foreign.runner);
}

/// Takes the runner away again.
pub fn without_runner(command: &mut Command) {
    if let Some(foreign) = foreign() {
        command.env_remove(foreign.key("RUNNER"));
    }
}

impl Foreign {
    fn libraries(&self) -> PathBuf {
        let all = Path::new(self.rustc).with_file_name("../lib/rustlib");
        all.join(self.triple).join("lib")
    }

    fn key(&self, name: &str) -> String {
        let table = self.triple.to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{table}_{name}")
    }
}
