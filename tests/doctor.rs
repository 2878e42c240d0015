//! `cargo hotpatch doctor` on packages and machines in which something is wrong, for real.

mod support;

#[path = "doctor/building.rs"]
mod building;
#[path = "doctor/cross.rs"]
mod cross;
#[path = "doctor/early.rs"]
mod early;
#[path = "doctor/linkers.rs"]
mod linkers;
#[path = "doctor/machine.rs"]
mod machine;
#[path = "doctor/package.rs"]
mod package;
#[path = "doctor/places.rs"]
mod places;
#[path = "doctor/snapshots.rs"]
mod snapshots;
#[path = "doctor/traces.rs"]
mod traces;

use std::fs;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use package::{Package, script};
use support::{Fixture, Save, Watch, command, run};

#[test]
fn settings_are_found_wherever_they_are_made() {
    let package = Package::new();
    package.manifest("[profile.dev]\nlto = true\n[profile.dev.package.p]\nopt-level = 2\n");
    package.doctor(&[]).expect_check("fail", "lto", "`lto = true` ([profile.dev] of Cargo.toml)");
    let flag = ["--config", "profile.dev.lto=false"];
    let output = package.doctor(&flag).expect_check("ok", "lto", "off");
    output.expect_check(
        "warn",
        "opt-level",
        "`opt-level = 2` ([profile.dev.package.p] of Cargo.toml)",
    );
    package.config("[profile.dev]\ncodegen-units = 1\n[build]\nrustflags = \"-C debuginfo=1\"\n");
    let mut command = package.command(&["doctor"]);
    command.env("CARGO_PROFILE_DEV_PACKAGE_P_OPT_LEVEL", "s");
    package
        .run(command)
        .expect_check("warn", "codegen-units", "([profile.dev] of <package>/.cargo/config.toml)")
        .expect_check("warn", "debug", "`debug = 1` (<package>/.cargo/config.toml)")
        .expect_check("warn", "opt-level", "(the variable CARGO_PROFILE_DEV_PACKAGE_P_OPT_LEVEL)");
}

#[test]
fn wrappers_of_the_compiler() {
    let package = Package::new();
    let passing = package.path("passing");
    script(&passing, "exec \"$@\"");
    let silent = package.path("silent");
    script(&silent, "exit 3");
    for (variable, program, status, told) in [
        ("RUSTC_WRAPPER", passing.as_path(), "ok", "passing is called too"),
        ("RUSTC_WRAPPER", &silent, "fail", "does not run rustc"),
        ("RUSTC_WORKSPACE_WRAPPER", "/no/such/wrapper".as_ref(), "fail", "is not there"),
    ] {
        let mut command = package.command(&["doctor"]);
        command.env(variable, program);
        package.run(command).expect_check(status, "rustc-wrapper", told);
    }
    package.config("[build]\nrustc-wrapper = \"./silent\"\n");
    package
        .doctor(&[])
        .expect_check("fail", "rustc-wrapper", "(from <package>/.cargo/config.toml)")
        .expect_code(4);
}

#[test]
fn compilers_that_are_too_old_or_none() {
    let package = Package::new();
    let old = "echo 'rustc 1.70.0 (90c541806 2023-05-31)'; echo 'release: 1.70.0'; echo 'host: x86_64-unknown-linux-gnu'";
    for (text, told) in
        [(old, "1.85 or newer"), ("echo hello", "does not answer as a Rust compiler")]
    {
        let folder = package.path("bin");
        fs::create_dir_all(&folder).expect("a folder");
        script(&folder.join("rustc"), text);
        let mut command = package.command(&["doctor"]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.display()));
        package.run(command).expect_check("fail", "rustc", told).expect_code(4);
    }
    let mut command = package.command(&["doctor"]);
    command.env("CARGO", "/no/such/cargo");
    let output = package.run(command).expect_check("fail", "cargo", "cannot run `/no/such/cargo`");
    output.expect_check("fail", "program", "/no/such/cargo").expect_code(4);
}

#[test]
fn targets_that_cannot_be_patched_or_are_not_installed() {
    let package = Package::new();
    for target in ["x86_64-unknown-linux-musl", "x86_64-pc-windows-msvc"] {
        package
            .doctor(&["--target", target])
            .expect_check("fail", "target", "cannot be patched yet")
            .expect_code(4);
    }
    let rustc = "case \"$*\" in *--print=sysroot*) echo /t; echo /t/lib;; \
                 *) exec \"$REAL_RUSTC\" \"$@\";; esac";
    let empty = package.path("rustc-without-std");
    script(&empty, rustc);
    let mut command = package.command(&["doctor"]);
    command.env("RUSTC", &empty).env("REAL_RUSTC", "rustc");
    package.run(command).expect_check("fail", "target-std", "there is none in `/t/lib`");
}

#[test]
fn programs_without_the_runtime() {
    let package = Package::new();
    package.source("fn main() {} // hotpatch_runtime::start();\n");
    package
        .doctor(&[])
        .expect_check("warn", "runtime-call", "no source file calls")
        .expect_text("fix: hotpatch_runtime::start(); as the first line of `main` in src/main.rs")
        .expect_code(0);
    package.without_runtime();
    for _ in 0..2 {
        package
            .doctor(&[])
            .expect_check("ok", "runtime", "linked into the program by this tool")
            .expect_check("ok", "runtime-call", "not needed")
            .expect_code(0);
        package
            .doctor(&["--no-inject"])
            .expect_check("warn", "runtime", "`p` does not depend on hotpatch-runtime, and")
            .expect_code(0);
        package.lock();
    }
}

#[test]
fn what_is_not_a_program() {
    let package = Package::new();
    package.doctor(&["--bin", "q"]).expect_check("fail", "program", "no binary named `q`");
    package.doctor(&["--profile", "q"]).expect_check("fail", "program", "").expect_code(4);
    let output = run(command(std::path::Path::new("/"), &["doctor"]));
    output.expect_code(4).expect_text("could not find `Cargo.toml`").expect_text("--manifest-path");
}

#[test]
fn files_from_the_future() {
    let package = Package::new();
    let file = fs::File::options().append(true).open(package.path("src/main.rs")).expect("a file");
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).expect("a time");
    package.doctor(&[]).expect_check("warn", "clock", "in the future").expect_code(0);
}

#[test]
fn another_watch() {
    let package = Package::new();
    let lock = package.path("target/hotpatch/watch.lock");
    fs::create_dir_all(lock.parent().expect("a folder")).expect("a folder");
    fs::write(&lock, std::process::id().to_string()).expect("a file");
    package.doctor(&[]).expect_check("ok", "other-watch", "none");
    let held = fs::File::open(&lock).expect("a file");
    // SAFETY: the descriptor is open for as long as `held` lives.
    assert_eq!(unsafe { libc::flock(held.as_raw_fd(), libc::LOCK_EX) }, 0);
    let told = format!("process {} already watches", std::process::id());
    package.doctor(&[]).expect_check("warn", "other-watch", &told);
}

#[test]
fn two_that_watch_one_target_directory() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start(&fixture);
    let pid = watch.pid();
    for name in ["watch", "patch"] {
        let second = run(command(fixture.root(), &[name])).expect_code(4);
        second
            .expect_text(&format!("error: process {pid} is already at work in `"))
            .expect_text("hint: end it, or use another directory with --target-dir");
    }
    let report = package::Report::of(run(command(fixture.root(), &["doctor"])), fixture.root());
    report
        .expect_check("warn", "other-watch", &format!("process {pid} already watches"))
        .expect_text("fix: end it, or use another directory with --target-dir");
    fixture.set("src/main.rs", "extra", "\"none\"", "\"some\"");
    watch.applied();
    watch.stop();
}

#[test]
fn an_earlier_fat_build() {
    let fixture = Fixture::copy("growing");
    let doctor = || package::Report::of(run(command(fixture.root(), &["doctor"])), fixture.root());
    run(command(fixture.root(), &["fat"])).expect_code(0);
    doctor().expect_check("ok", "fat-build", "by rustc").expect_no_text("newer").expect_code(0);
    fixture.touch("src/main.rs");
    doctor().expect_check("ok", "fat-build", "1 source file is newer");
    let manifest = fixture.read("Cargo.toml") + "# nothing new\n";
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let changed = "Cargo.toml` has changed since the program was built";
    doctor().expect_check("warn", "fat-build", changed);
    stripped(&fixture);
    let programs = fixture.store().join("programs");
    let record = fs::read_dir(&programs).expect("records").flatten().next().expect("a record");
    fs::write(record.path(), "{\"version\":").expect("a record");
    doctor().expect_check("warn", "fat-build", "cut short").expect_text("cargo hotpatch fat");
}

/// Stripping leaves the build id as it is.
fn stripped(fixture: &Fixture) {
    let program = fixture.path("target/debug/growing");
    let symbols = fs::read(&program).expect("a program");
    run(support::plain_command("strip", &[program.to_str().expect("a path")])).expect_code(0);
    let report = package::Report::of(run(command(fixture.root(), &["doctor"])), fixture.root());
    report.expect_check("warn", "fat-build", "its symbol table was stripped").expect_code(0);
    let patch = run(command(fixture.root(), &["patch"])).expect_code(4);
    patch.expect_text("its symbol table was stripped").expect_text("hint: remove `-s` and `strip`");
    fs::write(&program, symbols).expect("the program as it was");
}

#[test]
fn a_target_that_is_not_set_up_is_named_before_anything_is_built() {
    const ARM: &str = "aarch64-unknown-linux-gnu";
    let package = Package::new();
    package
        .doctor(&["--target", ARM])
        .expect_code(4)
        .expect_check("fail", "target-std", &format!("no standard library for {ARM}"))
        .expect_check("fail", "linker", &format!("no linker is configured for {ARM}"))
        .expect_check("fail", "runner", &format!("nothing starts programs for {ARM}"))
        .expect_text("rustup target add")
        .expect_text(&format!("linker = \"aarch64-linux-gnu-gcc\" in [target.{ARM}]"))
        .expect_text(&format!("runner = \"qemu-aarch64\" in [target.{ARM}]"));
    for command in ["fat", "watch"] {
        let said = run(package.command(&[command, "--target", ARM])).expect_code(4);
        said.expect_text(&format!("no standard library for {ARM}"));
    }
    assert!(!package.path("target").join(ARM).exists(), "nothing was built");

    // With everything but a runner.
    package.config(&format!("[target.{ARM}]\nlinker = \"cc\"\nrunner = \"./is not there\"\n"));
    let report = package.doctor(&["--target", ARM]);
    report.expect_check("fail", "runner", "is not found").expect_check("ok", "linker", "cc");
}
