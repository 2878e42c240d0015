//! What `doctor` leaves behind: nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::machine::doctor_after;
use super::package::{Package, TARGET, script};
use super::support::PATIENCE;
use crate::skip;

type Files = BTreeMap<PathBuf, (u64, SystemTime)>;

/// A command of the tool with a directory for temporary files that is its own.
fn with_own_temporary(package: &Package, args: &[&str]) -> Command {
    let folder = package.path("temporary");
    fs::create_dir_all(&folder).expect("a folder");
    let mut command = package.command(args);
    command.env("TMPDIR", folder);
    command
}

#[test]
fn nothing_is_written() {
    let package = Package::new();
    let command = || with_own_temporary(&package, &["doctor"]);
    drop(command());
    let before = package.files();
    package.run(command()).expect_check("ok", "trial-patch", "called").expect_code(0);
    assert_eq!(package.files(), without_times_of_folders(before, &package));
    package.lock();
    fs::create_dir(package.path("target")).expect("a folder");
    let locked = package.files();
    package.run(command()).expect_code(0);
    assert_eq!(package.files(), without_times_of_folders(locked, &package));
}

/// The folder of temporary files had something in it for a while, and keeps the time of that.
fn without_times_of_folders(mut files: Files, package: &Package) -> Files {
    let folder = package.path("temporary");
    let now = package.files().get(&folder).copied();
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    files.extend(now.map(|now| (folder, now)));
    files
}

#[test]
fn a_project_that_cannot_be_written_to_is_looked_at_as_any_other() {
    let package = Package::new();
    package.lock();
    // Without a `RUSTC` that is none: all that is written is written in the trial.
    let script = "mount --bind . .; mount -o remount,ro,bind .; cd \"$PWD\"; touch x && exit 9; \
                  unset RUSTC";
    let Some(report) = doctor_after(&package, &["-m"], script) else {
        skip!("mounts are not permitted");
    };
    report
        .expect_check("fail", "target-dir", "Read-only file system")
        .expect_check("ok", "program", "`p`")
        .expect_check("ok", "runtime", "hotpatch-runtime")
        .expect_check("ok", "trial-patch", "loaded and called")
        .expect_code(4);
    let elsewhere = format!("{script}; export CARGO_TARGET_DIR=/tmp");
    let report = doctor_after(&package, &["-m"], &elsewhere).expect("mounts");
    report.expect_check("ok", "target-dir", "writable").expect_code(0);
}

#[test]
fn a_signal_during_the_trial_leaves_nothing() {
    let package = Package::new();
    let linker = package.path("slow");
    script(
        &linker,
        "[ \"$1\" = --version ] && exit; touch \"$TMPDIR/half-written\"; : > \"$STARTED\"; exec sleep 1000",
    );
    let linker = format!("target.{TARGET}.linker={:?}", linker.display().to_string());
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let started = package.path(&format!("started {signal}"));
        let mut command = with_own_temporary(&package, &["doctor", "--config", &linker]);
        command.env("STARTED", &started).stdout(Stdio::null()).process_group(0);
        // The tests may have been started with `nohup`.
        // SAFETY: between `fork` and `exec` nothing but a system call is made.
        unsafe {
            command.pre_exec(move || {
                libc::signal(signal, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut doctor = command.spawn().expect("the tool");
        let begun = Instant::now();
        while !started.exists() {
            assert!(doctor.try_wait().expect("a status").is_none(), "it has ended");
            assert!(begun.elapsed() < PATIENCE, "the linker is not called");
            std::thread::sleep(Duration::from_millis(20));
        }
        let group = -i32::try_from(doctor.id()).expect("a process id");
        // SAFETY: takes numbers only; the group is the one that was just made.
        assert_eq!(unsafe { libc::kill(group, signal) }, 0);
        let end = doctor.wait().expect("an end");
        // The linker is ended as well, and its failure may be told first.
        assert!(end.signal() == Some(signal) || end.code() == Some(4), "{end}");
        let left: Vec<_> = fs::read_dir(package.path("temporary")).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
