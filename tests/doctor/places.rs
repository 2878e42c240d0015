//! `doctor` in workspaces, for each target, and from wherever it is installed.

use std::fs;

use serde_json::Value;

use super::package::Package;
use super::support::{plain_command, run};

/// Makes the package a workspace without a package of its own: two programs, and a library.
fn virtual_workspace(package: &Package) {
    let (one, two) = ("fn main() {}\n", "fn main() { /* the other */ }\n");
    for (member, file, text) in
        [("a", "src/main.rs", one), ("b", "src/bin/first.rs", one), ("b", "src/bin/second.rs", two)]
    {
        let file = package.path(&format!("{member}/{file}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a source file");
        let manifest = format!("[package]\nname = \"{member}\"\nedition = \"2024\"\n");
        fs::write(package.path(&format!("{member}/Cargo.toml")), manifest).expect("a manifest");
    }
    let text = "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"3\"\n\
                [profile.dev.package.b]\nopt-level = 2\n";
    fs::write(package.path("Cargo.toml"), text).expect("a manifest");
    fs::remove_dir_all(package.path("src")).expect("no package of its own");
}

#[test]
fn a_workspace_with_several_programs() {
    let package = Package::new();
    virtual_workspace(&package);
    let report = package.doctor(&[]).expect_code(4);
    let mut report =
        report.expect_check("fail", "program", "could not determine which program to build");
    for name in ["-p a --bin a", "-p b --bin first", "-p b --bin second"] {
        report = report.expect_text(name);
    }
    package
        .doctor(&["-p", "a"])
        .expect_check("ok", "program", "`a` of package `a`")
        .expect_check("ok", "opt-level", "0")
        .expect_code(0);
    package
        .doctor(&["--bin", "second"])
        .expect_check("ok", "program", "`second` of package `b`")
        .expect_check("warn", "opt-level", "[profile.dev.package.b] of Cargo.toml")
        .expect_code(0);
}

#[test]
fn whatever_the_target_each_problem_has_one_line_and_what_mends_it() {
    let package = Package::new();
    package.lock();
    for (target, code) in [
        ("x86_64-unknown-linux-gnu", Some(0)),
        ("aarch64-unknown-linux-gnu", None),
        ("aarch64-linux-android", Some(4)),
        ("x86_64-linux-android", Some(4)),
        ("armv7-linux-androideabi", Some(4)),
        ("aarch64-apple-darwin", Some(4)),
        ("x86_64-apple-darwin", Some(4)),
        ("aarch64-apple-ios-sim", Some(4)),
        ("x86_64-pc-windows-gnu", Some(4)),
        ("no such target", Some(4)),
    ] {
        let mut command = package.command(&["doctor", "--json", "--target", target]);
        // Without kits, SDKs and devices, whatever this machine has.
        for variable in ["ANDROID_HOME", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "NDK_HOME"] {
            command.env(variable, "/nowhere");
        }
        let report = package.run(command);
        let json: Value = serde_json::from_str(&report.stdout).expect("one object");
        let checks = json["checks"].as_array().expect("a list");
        for check in checks {
            let (status, fix) = (&check["status"], check["fix"].as_str());
            let detail = check["detail"].as_str().unwrap_or_default();
            assert!(!detail.is_empty() && !detail.contains('\n'), "{target}: {check}");
            let mends = fix.is_some_and(|fix| !fix.is_empty() && !fix.contains('\n'));
            assert_eq!(mends, status != "ok", "{target}: {check}");
        }
        let failed = checks.iter().any(|check| check["status"] == "fail");
        let report = report.expect_code(if failed { 4 } else { 0 });
        if let Some(code) = code {
            report.expect_code(code);
        }
    }
}

#[test]
fn installed_in_a_folder_with_a_space() {
    let package = Package::new();
    let folder = package.path("my tools");
    fs::create_dir(&folder).expect("a folder");
    let tool = folder.join("cargo-hotpatch");
    fs::copy(env!("CARGO_BIN_EXE_cargo-hotpatch"), &tool).expect("a copy");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [folder].into_iter().chain(std::env::split_paths(&path));
    let mut command = plain_command("cargo", &["hotpatch", "doctor"]);
    command.env("PATH", std::env::join_paths(folders).expect("folders without colons"));
    command.current_dir(package.path(""));
    let report = package.run(command).expect_code(0);
    report.expect_check("ok", "trial-patch", "loaded and called");
    run(plain_command(&tool.display().to_string(), &["hotpatch", "doctor", "--help"]))
        .expect_code(0);
}
