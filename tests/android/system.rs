//! A stand-in for Android's own libraries, with which its programs run here: `system.c` over glibc,
//! and an emulator where they are for another processor.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A kind of device that programs run on here.
pub struct Machine {
    /// What they are compiled for.
    pub target: &'static str,
    /// What Android calls it.
    pub abi: &'static str,
    /// What runs them, where this machine does not by itself.
    pub emulator: Option<&'static str>,
    /// The loader that they name.
    pub loader: &'static str,
    compiler: &'static str,
    /// What brings the loader where this machine has none.
    package: &'static str,
}

/// A phone.
pub const PHONE: Machine = Machine {
    target: "aarch64-linux-android",
    abi: "arm64-v8a",
    emulator: Some("qemu-aarch64"),
    loader: "/lib/ld-linux-aarch64.so.1",
    compiler: "aarch64-linux-gnu-gcc",
    package: "libc6:arm64",
};
/// What Android Studio emulates on most desks.
pub const DESK: Machine = Machine {
    target: "x86_64-linux-android",
    abi: "x86_64",
    emulator: None,
    loader: "/lib64/ld-linux-x86-64.so.2",
    compiler: "gcc",
    package: "libc6:amd64",
};

/// What this machine lacks to run programs for phones, if anything.
pub fn missing() -> Option<String> {
    PHONE.missing()
}

impl Machine {
    /// What this machine lacks to run such programs, if anything.
    pub fn missing(&self) -> Option<String> {
        let tools = [Some(self.compiler), self.emulator].into_iter().flatten();
        let mut lacking: Vec<&str> = tools.filter(|tool| which::which(tool).is_err()).collect();
        if !Path::new(self.loader).exists() {
            lacking.push(self.package);
        }
        let names = lacking.join(", ");
        (!lacking.is_empty()).then(|| format!("no {names}; `cargo xtask setup-cross` brings it"))
    }

    /// The folder of its libraries, made once.
    pub fn libraries(&self) -> &'static Path {
        static MADE: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        MADE[usize::from(self.emulator.is_none())].get_or_init(|| self.make_libraries())
    }

    fn make_libraries(&self) -> PathBuf {
        let folder = tempfile::Builder::new()
            .prefix("android-system-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable")
            .keep();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/android/system.c");
        let nothing = folder.join("nothing.c");
        std::fs::write(&nothing, "").expect("a file");
        self.build(&folder, "c", &source, &[]);
        self.build(&folder, "unwind", &nothing, &["-l:libgcc_s.so.1"]);
        for name in ["m", "dl", "log"] {
            self.build(&folder, name, &nothing, &[]);
        }
        folder
    }

    fn build(&self, folder: &Path, name: &str, source: &Path, more: &[&str]) {
        let soname = format!("-Wl,-soname,lib{name}.so");
        let mut gcc = Command::new(self.compiler);
        gcc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wno-builtin-declaration-mismatch"]);
        gcc.arg(soname).arg("-o").arg(folder.join(format!("lib{name}.so"))).arg(source);
        let output = gcc.arg("-Wl,--no-as-needed").args(more).output().expect("a compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
