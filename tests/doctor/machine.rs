//! Machines with limits: mounts, networks and system call filters that only the tested process
//! sees.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::package::{Package, Report};
use super::support::{plain_command, refuse_call};
use crate::skip;

/// Runs `doctor` where a script has first changed what is mounted; `flags` are those of unshare.
/// None where that is not permitted.
fn doctor_after(package: &Package, flags: &[&str], script: &str) -> Option<Report> {
    let allowed = Command::new("unshare").args(flags).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let script = format!("set -e; {script}; exec \"$@\"");
    let tool = env!("CARGO_BIN_EXE_cargo-hotpatch");
    let mut args = flags.to_vec();
    args.extend(["sh", "-c", &script, "sh", tool, "hotpatch", "doctor"]);
    let mut command = plain_command("unshare", &args);
    command.current_dir(package.path(""));
    // A compiler that does not answer saves the time of the trial patch.
    command.env("RUSTC", "/bin/false");
    Some(package.run(command))
}

#[test]
fn target_directories_with_limits() {
    let package = Package::new();
    std::fs::create_dir(package.path("target")).expect("a folder");
    let read_only = "mount --bind target target; mount -o remount,ro,bind target";
    for (script, status, name, told) in [
        ("mount -t tmpfs -o size=50m tmpfs target", "fail", "disk-space", "50 MiB free"),
        ("mount -t tmpfs -o size=500m tmpfs target", "warn", "disk-space", "500 MiB free"),
        ("mount -t tmpfs -o noexec tmpfs target", "fail", "target-dir", "noexec"),
        (read_only, "fail", "target-dir", "Read-only file system"),
    ] {
        let Some(report) = doctor_after(&package, &["-m"], script) else {
            skip!("mounts are not permitted");
        };
        report.expect_check(status, name, told);
    }
}

#[test]
fn limits_of_inotify() {
    let package = Package::new();
    std::fs::write(package.path("limit"), "1\n").expect("a file");
    for (file, told) in
        [("max_user_watches", "inotify-watches"), ("max_user_instances", "inotify-instances")]
    {
        let file = format!("/proc/sys/fs/inotify/{file}");
        if !Path::new(&file).exists() {
            skip!("no inotify");
        }
        // One instance is enough for a machine on which nobody watches; none is not.
        std::fs::write(package.path("limit"), "0\n").expect("a file");
        let script = format!("mount --bind limit {file}");
        let Some(report) = doctor_after(&package, &["-m"], &script) else {
            skip!("mounts are not permitted");
        };
        report.expect_check("fail", told, "0").expect_text("sudo sysctl fs.inotify.");
    }
}

#[test]
fn a_machine_without_a_loopback_device() {
    let package = Package::new();
    let Some(report) = doctor_after(&package, &["-n"], ":") else {
        skip!("namespaces are not permitted");
    };
    report.expect_check("fail", "loopback", "cannot connect").expect_code(4);
}

/// Keeps the process and its children from making writable code.
fn refuse_writable_code() -> std::io::Result<()> {
    const PR_SET_MDWE: libc::c_int = 65;
    // SAFETY: takes numbers only.
    match unsafe { libc::prctl(PR_SET_MDWE, 1_u64, 0_u64, 0_u64, 0_u64) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// /proc/self/mem is written through this call.
fn refuse_pwrite() -> std::io::Result<()> {
    refuse_call(libc::SYS_pwrite64)
}

/// Runs `doctor` with limits that are set before it starts; none where the system has no such.
fn doctor_with(package: &Package, limits: &[fn() -> std::io::Result<()>]) -> Option<Report> {
    let with_limits = |mut command: Command| {
        for limit in limits {
            // SAFETY: the limits are system calls only.
            unsafe { command.pre_exec(*limit) };
        }
        command
    };
    with_limits(Command::new("true")).output().ok()?;
    let mut command = with_limits(package.command(&["doctor"]));
    command.env("RUSTC", "/bin/false");
    Some(package.run(command))
}

#[test]
fn systems_that_keep_code_as_it_is() {
    let package = Package::new();
    let Some(report) = doctor_with(&package, &[refuse_writable_code]) else {
        skip!("the system cannot be made to refuse writable code");
    };
    report.expect_check("ok", "code-pages", "through /proc/self/mem");
    let Some(report) = doctor_with(&package, &[refuse_writable_code, refuse_pwrite]) else {
        skip!("the system has no filters for system calls");
    };
    report
        .expect_check("fail", "code-pages", "(a seccomp filter is on)")
        .expect_text("seccomp=unconfined")
        .expect_code(4);
}
