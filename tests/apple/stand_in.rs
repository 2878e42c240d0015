//! What stands in for Apple's tools: the distribution's clang as `cc`, LLVM's linker for Mach-O, a
//! script for `xcrun`, and an SDK that is nothing but the names that std asks for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

/// The compiler that has std for these targets.
pub const RUSTC: &str = "/usr/bin/rustc";
/// Its cargo.
pub const CARGO: &str = "/usr/bin/cargo";

/// One of the targets.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As rustc calls it.
    pub triple: &'static str,
    /// As clang does.
    clang: &'static str,
    /// Its processor.
    pub architecture: object::Architecture,
}

/// Macs with Apple's own processors.
pub const ARM: Target = Target {
    triple: "aarch64-apple-darwin",
    clang: "arm64-apple-macos11",
    architecture: object::Architecture::Aarch64,
};

/// Older ones.
pub const INTEL: Target = Target {
    triple: "x86_64-apple-darwin",
    clang: "x86_64-apple-macos11",
    architecture: object::Architecture::X86_64,
};

/// The simulator of phones on Macs with Apple's own processors.
pub const SIMULATOR: Target = Target {
    triple: "aarch64-apple-ios-sim",
    clang: "arm64-apple-ios14.0-simulator",
    architecture: object::Architecture::Aarch64,
};

const LINKER: &str = "ld64.lld";

/// What this machine lacks, if anything.
pub fn missing() -> Option<String> {
    let mut lacking = Vec::new();
    if which::which("clang").is_err() {
        lacking.push("clang".to_string());
    }
    if linker().is_none() {
        lacking.push(LINKER.to_string());
    }
    for target in [ARM, INTEL, SIMULATOR] {
        if !libraries(target.triple).is_some_and(|folder| folder.is_dir()) {
            lacking.push(format!("std for {}", target.triple));
        }
    }
    let names = lacking.join(", ");
    (!lacking.is_empty()).then(|| format!("no {names}; `cargo xtask setup-cross` brings it"))
}

/// The linker: the one that comes with rustup's compiler, or the distribution's, whose name may end
/// in a version.
fn linker() -> Option<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(sysroot.stdout).ok()?;
    let of_rustup = Path::new(sysroot.trim())
        .join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld")
        .join(LINKER);
    let of_system = fs::read_dir("/usr/bin").into_iter().flatten().flatten().map(|e| e.path());
    let versioned = |path: &PathBuf| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("ld64.lld-"))
    };
    Some(of_rustup)
        .filter(|file| file.is_file())
        .or_else(|| which::which(LINKER).ok())
        .or_else(|| of_system.filter(versioned).max())
}

fn libraries(triple: &str) -> Option<PathBuf> {
    let args = ["--print", "target-libdir", "--target", triple];
    let output = Command::new(RUSTC).args(args).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

/// The tools and the SDK, in a folder of their own.
pub struct Tools {
    folder: tempfile::TempDir,
    target: Target,
}

impl Tools {
    /// Makes them.
    pub fn new(target: Target) -> Tools {
        let folder = tempfile::Builder::new()
            .prefix("apple tools ")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable");
        let tools = Tools { folder, target };
        for below in ["bin", "sdk/usr/lib"] {
            fs::create_dir_all(tools.path(below)).expect("a folder");
        }
        tools.write_libraries();
        let called = tools.path("called");
        let record = |words: &str| format!("echo {words} >> '{}'", called.display());
        let sdk = tools.path("sdk");
        tools.script("xcrun", &format!("{}\necho '{}'", record("xcrun \"$@\""), sdk.display()));
        let linker = linker().expect("a linker");
        // Clang looks for it by this name.
        let folder = match linker.file_name().is_some_and(|name| name == LINKER) {
            true => linker.parent().expect("a folder").to_path_buf(),
            false => {
                let link = tools.path("bin").join(LINKER);
                std::os::unix::fs::symlink(&linker, link).expect("a link");
                tools.path("bin")
            }
        };
        let clang = format!(
            "{}\nexec clang --target={} -fuse-ld=lld '-B{}' \"$@\"",
            record("cc"),
            target.clang,
            folder.display()
        );
        tools.script("apple-cc", &clang);
        tools
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn script(&self, name: &str, lines: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{lines}\n")).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script to run");
    }

    /// Every library has all that std asks for.
    fn write_libraries(&self) {
        let names: Vec<String> =
            wanted_by_std(self.target.triple).iter().map(|name| format!("'{name}'")).collect();
        let text = format!(
            "--- !tapi-tbd\ntbd-version:     4\ntargets:         [ x86_64-macos, arm64-macos, arm64-ios-simulator ]\n\
             install-name:    '/usr/lib/libSystem.B.dylib'\ncurrent-version: 1311\nexports:\n  \
             - targets:     [ x86_64-macos, arm64-macos, arm64-ios-simulator ]\n    symbols:     [ {} ]\n...\n",
            names.join(", ")
        );
        for name in ["System", "c", "m", "iconv", "objc"] {
            let file = self.path("sdk/usr/lib").join(format!("lib{name}.tbd"));
            fs::write(file, &text).expect("a library");
        }
    }

    /// Has a command use these tools; `xcrun` only `with_sdk`.
    pub fn apply(&self, command: &mut Command, with_sdk: bool) {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&old).collect();
        if with_sdk {
            folders.insert(0, self.path("bin"));
        }
        command.env("PATH", std::env::join_paths(folders).expect("a list of folders"));
        let target = self.target.triple.to_uppercase().replace('-', "_");
        let linker = self.path("bin").join("apple-cc");
        command.env(format!("CARGO_TARGET_{target}_LINKER"), linker);
        command.env("RUSTC", RUSTC).env("CARGO", CARGO).env_remove("SDKROOT");
    }

    /// How often a tool was called so far.
    pub fn calls(&self, tool: &str) -> usize {
        let text = fs::read_to_string(self.path("called")).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').next() == Some(tool)).count()
    }
}

/// What std's libraries use and none of them has, and what linkers ask for themselves.
fn wanted_by_std(triple: &str) -> BTreeSet<String> {
    let (mut wanted, mut had) = (BTreeSet::new(), BTreeSet::from(["_main".to_string()]));
    wanted.extend(["dyld_stub_binder", "__Unwind_Resume", "__tlv_bootstrap"].map(String::from));
    let folder = libraries(triple).expect("a folder");
    for entry in fs::read_dir(folder).expect("std").flatten() {
        if entry.path().extension().is_none_or(|e| e != "rlib") {
            continue;
        }
        let data = fs::read(entry.path()).expect("a library");
        let archive = ArchiveFile::parse(&*data).expect("an archive");
        for member in archive.members().flatten() {
            let Ok(file) = member.data(&*data).and_then(object::File::parse) else { continue };
            for symbol in file.symbols().filter(|s| s.is_global()) {
                let name = symbol.name().expect("a name").to_string();
                let set = if symbol.is_undefined() { &mut wanted } else { &mut had };
                set.insert(name);
            }
        }
    }
    wanted.difference(&had).filter(|name| !name.is_empty()).cloned().collect()
}
