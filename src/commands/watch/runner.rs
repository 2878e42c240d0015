//! What cargo's configuration puts in front of a program to run it: an emulator, a debugger, a
//! script that takes it to another machine.

use std::ffi::OsString;
use std::process::Command;

use cargo_metadata::cargo_platform::Cfg;

use crate::cargo_config::Sources;
use crate::pipeline::capture::{FatBuild, Unit};
use crate::session::Session;

/// The command and its arguments, which come before the program; empty where there is none. The
/// host of a library runs as it is: it need not even be for the library's target.
pub fn of(fat: &FatBuild, session: &Session) -> Vec<OsString> {
    if fat.is_library() {
        return Vec::new();
    }
    let config = Sources::current(&session.selection.config).read();
    let root = fat.root_unit();
    let cfg = || root.map(|root| cfg(root, &fat.target)).unwrap_or_default();
    let runner = config.of_target(&fat.target, cfg, "runner");
    runner.and_then(|value| value.command()).unwrap_or_default()
}

fn cfg(root: &Unit, target: &str) -> Vec<Cfg> {
    let output = Command::new(&root.rustc)
        .args(["--print", "cfg", "--target", target])
        .current_dir(&root.cwd)
        .env_clear()
        .envs(&root.env)
        .output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
