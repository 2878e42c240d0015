//! The trial patch for another processor, where `cargo xtask setup-cross` has been run.

use std::path::Path;

use super::package::{Package, Report, script};
use crate::skip;

const ARM: &str = "aarch64-unknown-linux-gnu";
const RUSTC: &str = "/usr/bin/rustc";

fn is_set_up() -> bool {
    let tools = ["aarch64-linux-gnu-gcc", "qemu-aarch64"];
    let std = Path::new("/usr/lib/rustlib").join(ARM).join("lib");
    std.is_dir() && tools.iter().all(|tool| Path::new("/usr/bin").join(tool).is_file())
}

fn doctor(package: &Package, runner: &str) -> Report {
    package.config(&format!("[target.{ARM}]\nlinker = \"aarch64-linux-gnu-gcc\"\n{runner}\n"));
    let mut command = package.command(&["doctor", "--target", ARM]);
    command.env("RUSTC", RUSTC).env("CARGO", "/usr/bin/cargo");
    package.run(command)
}

#[test]
fn a_patch_for_another_processor_is_tried_with_its_linker_and_its_runner() {
    if !is_set_up() {
        skip!("{ARM} is not set up: cargo xtask setup-cross");
    }
    let package = Package::new();
    let linked = "compiled, linked by aarch64-linux-gnu-gcc";
    doctor(&package, "runner = [\"qemu-aarch64\", \"-s\", \"8388608\"]").expect_check(
        "ok",
        "trial-patch",
        &format!("{linked}, loaded and called in a program run by qemu-aarch64"),
    );
    let broken = package.path("runner");
    script(&broken, "echo 'error: the board is not connected' >&2; exit 1");
    doctor(&package, "runner = \"./runner\"")
        .expect_check("fail", "trial-patch", "cannot be loaded: error: the board is not connected")
        .expect_code(4);
    // The system may run such programs by itself.
    doctor(&package, "").expect_check("ok", "trial-patch", linked);
}
