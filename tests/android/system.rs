//! A stand-in for Android's own libraries, with which its programs run under an emulator here:
//! `system.c` over glibc.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const COMPILER: &str = "aarch64-linux-gnu-gcc";
/// The emulator.
pub const EMULATOR: &str = "qemu-aarch64";
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// What this machine lacks to run them, if anything.
pub fn missing() -> Option<String> {
    let tools = [COMPILER, EMULATOR].into_iter().filter(|tool| which::which(tool).is_err());
    let mut lacking: Vec<&str> = tools.collect();
    if !Path::new(LOADER).exists() {
        lacking.push("libc6:arm64");
    }
    let names = lacking.join(", ");
    (!lacking.is_empty()).then(|| format!("no {names}; `cargo xtask setup-cross` brings it"))
}

/// The folder of the libraries, made once.
pub fn libraries() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::Builder::new()
            .prefix("android-system-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable")
            .keep();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/android/system.c");
        let nothing = folder.join("nothing.c");
        std::fs::write(&nothing, "").expect("a file");
        build(&folder, "c", &source, &[]);
        build(&folder, "unwind", &nothing, &["-l:libgcc_s.so.1"]);
        for name in ["m", "dl", "log"] {
            build(&folder, name, &nothing, &[]);
        }
        folder
    })
}

fn build(folder: &Path, name: &str, source: &Path, more: &[&str]) {
    let soname = format!("-Wl,-soname,lib{name}.so");
    let mut gcc = Command::new(COMPILER);
    gcc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wno-builtin-declaration-mismatch", &soname]);
    gcc.arg("-o").arg(folder.join(format!("lib{name}.so"))).arg(source);
    let output = gcc.arg("-Wl,--no-as-needed").args(more).output().expect("a compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
