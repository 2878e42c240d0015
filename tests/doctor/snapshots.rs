//! The whole of what `doctor` says, for people and for scripts, compared with the files below
//! `tests/snapshots`. What differs from machine to machine has a name in angle brackets there.
//! `SNAPSHOTS=1 cargo test --test doctor snapshots` writes the files anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::package::{Package, Report, TARGET, script};
use super::support::{plain_command, run};

/// Checks that tell a number of the machine.
const COUNTED: [&str; 3] = ["inotify-watches", "inotify-instances", "disk-space"];
/// Checks that may tell one thing or another of a machine without anything wrong.
const OF_THE_MACHINE: [&str; 4] = ["cargo", "rustc", "file-system", "code-pages"];

/// Runs `doctor` in both forms and compares what it says with the files of this name.
#[track_caller]
fn compare(name: &str, package: &Package, args: &[&str], env: &[(&str, &Path)], code: i32) {
    let report = |more: &[&str]| {
        let mut command = package.command(&[&["doctor"], args, more].concat());
        for variable in ["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "NDK_HOME"] {
            command.env_remove(variable);
        }
        command.env_remove("ANDROID_HOME").env_remove("ANDROID_SDK_ROOT");
        command.envs(env.iter().copied());
        package.run(command).expect_code(code)
    };
    same_as(&format!("{name}.txt"), &human(report(&[])));
    same_as(&format!("{name}.json"), &json(report(&["--json"])));
}

#[track_caller]
fn same_as(name: &str, text: &str) {
    let file = folder().join(name);
    if std::env::var_os("SNAPSHOTS").is_some() {
        fs::create_dir_all(folder()).expect("a folder");
        fs::write(&file, text).expect("a snapshot");
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text,
        wanted,
        "{} is another; if that is right: SNAPSHOTS=1 cargo test --test doctor snapshots",
        file.display()
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/doctor")
}

fn human(report: Report) -> String {
    let lines = report.stdout.lines().map(|line| {
        let mut words = line.split_whitespace();
        let (status, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let columns = line.find(name).map_or(0, |at| {
            let after = &line[at + name.len()..];
            at + name.len() + (after.len() - after.trim_start().len())
        });
        match status {
            "ok" | "warn" | "fail" => {
                format!("{}{}\n", &line[..columns], neutral(name, status, &line[columns..]))
            }
            _ => format!("{}\n", neutral("", "", line)),
        }
    });
    lines.collect()
}

fn json(report: Report) -> String {
    let mut json: Value = serde_json::from_str(&report.stdout).expect("one object");
    for check in json["checks"].as_array_mut().expect("a list") {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_string();
        let detail = neutral(&text("name"), &text("status"), &text("detail"));
        let fix = check["fix"].as_str().map(|fix| neutral("", "", fix));
        check["detail"] = detail.into();
        check["fix"] = fix.into();
    }
    serde_json::to_string_pretty(&json).expect("JSON") + "\n"
}

/// The text without what differs from machine to machine.
fn neutral(name: &str, status: &str, text: &str) -> String {
    let sysroot = run(plain_command("rustc", &["--print", "sysroot"])).stdout;
    let sysroot = Path::new(sysroot.trim());
    let toolchain = sysroot.file_name().unwrap_or_default().to_string_lossy();
    let text = text.replace(&sysroot.display().to_string(), "<sysroot>");
    let text = text.replace(&format!("--toolchain {toolchain} "), "--toolchain <toolchain> ");
    let text = text.replace(
        concat!("hotpatch-runtime ", env!("CARGO_PKG_VERSION")),
        "hotpatch-runtime <version>",
    );
    match status {
        "ok" if OF_THE_MACHINE.contains(&name) => format!("<{name}>"),
        "ok" if COUNTED.contains(&name) => numbered(&text),
        _ => text,
    }
}

/// Each number becomes `<n>`.
fn numbered(text: &str) -> String {
    let mut numbered = String::new();
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if numbered.ends_with("<n>") => {}
            true => numbered.push_str("<n>"),
            false => numbered.push(character),
        }
    }
    numbered
}

#[test]
fn a_healthy_host() {
    let package = Package::new();
    package.lock();
    compare("healthy", &package, &[], &[], 0);
}

#[test]
fn a_missing_linker() {
    let package = Package::new();
    package.lock();
    package.config(&format!("[target.{TARGET}]\nlinker = \"no-such-cc\"\n"));
    compare("missing-linker", &package, &[], &[], 4);
}

#[test]
fn a_stripped_release_profile() {
    let package = Package::new();
    package.lock();
    package.manifest("[profile.release]\nstrip = true\n");
    compare("stripped-release", &package, &["--release"], &[], 0);
}

#[test]
fn a_missing_ndk() {
    let package = Package::new();
    package.lock();
    // A toolchain that has the target, so that the kit is all that is missing.
    let library = package.path("toolchain/lib/libstd-0.rlib");
    fs::create_dir_all(library.parent().expect("a folder")).expect("a folder");
    fs::write(&library, "").expect("a file");
    let rustc = package.path("rustc");
    let answer = "case \"$*\" in *--print=sysroot*) echo \"$PWD/toolchain\"; \
                  echo \"$PWD/toolchain/lib\";; *) exec rustc \"$@\";; esac";
    script(&rustc, answer);
    // A home without a kit in it, and the compiler where it is.
    let real = |variable: &str, folder: &str| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        std::env::var_os(variable).map_or(home.join(folder), PathBuf::from)
    };
    let (cargo, rustup) = (real("CARGO_HOME", ".cargo"), real("RUSTUP_HOME", ".rustup"));
    let home = package.path("home");
    // One that does not work, whether this machine has another or not.
    fs::create_dir_all(package.path("tools")).expect("a folder");
    script(&package.path("tools/adb"), "echo 'adb: no daemon' >&2; exit 1");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [package.path("tools")].into_iter().chain(std::env::split_paths(&path));
    let path = PathBuf::from(std::env::join_paths(folders).expect("folders without colons"));
    let env = [
        ("PATH", path.as_path()),
        ("RUSTC", rustc.as_path()),
        ("HOME", &home),
        ("CARGO_HOME", &cargo),
        ("RUSTUP_HOME", &rustup),
    ];
    let args = ["--target", "aarch64-linux-android"];
    compare("missing-ndk", &package, &args, &env, 4);
}

#[test]
fn without_a_lock_file_the_manifests_tell_as_much() {
    let package = Package::new();
    let healthy = fs::read_to_string(folder().join("healthy.txt")).expect("a snapshot");
    let now = human(package.doctor(&[]));
    let changed: Vec<_> = now.lines().filter(|l| !healthy.lines().any(|h| h == *l)).collect();
    assert_eq!(changed, ["ok    runtime             hotpatch-runtime is a dependency"]);
}
