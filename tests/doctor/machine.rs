//! Machines with limits: mounts, networks and system call filters that only the tested process
//! sees.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::package::{Package, Report};
use super::support::{plain_command, refuse_call, run};
use crate::skip;

/// The tool with these arguments, where a script has first changed what is mounted; `flags` are
/// those of unshare. None where that is not permitted.
pub fn after(package: &Package, flags: &[&str], script: &str, args: &[&str]) -> Option<Command> {
    let allowed = Command::new("unshare").args(flags).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let script = format!("set -e; {script}; exec \"$@\"");
    let tool = env!("CARGO_BIN_EXE_cargo-hotpatch");
    let before = [flags, &["sh", "-c", &script, "sh", tool, "hotpatch"]].concat();
    let mut command = plain_command("unshare", &[&before, args].concat());
    command.current_dir(package.path(""));
    Some(command)
}

/// Runs `doctor` so.
pub fn doctor_after(package: &Package, flags: &[&str], script: &str) -> Option<Report> {
    let mut command = after(package, flags, script, &["doctor"])?;
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
pub fn refuse_writable_code() -> std::io::Result<()> {
    const PR_SET_MDWE: libc::c_int = 65;
    // SAFETY: takes numbers only.
    match unsafe { libc::prctl(PR_SET_MDWE, 1_u64, 0_u64, 0_u64, 0_u64) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// /proc/self/mem is written through this call.
pub fn refuse_pwrite() -> std::io::Result<()> {
    refuse_call(libc::SYS_pwrite64)
}

/// Sets limits before a command starts; whether the system has such.
fn limited(command: &mut Command, limits: &[fn() -> std::io::Result<()>]) -> bool {
    let limit = |command: &mut Command| {
        for limit in limits {
            // SAFETY: the limits are system calls only.
            unsafe { command.pre_exec(*limit) };
        }
    };
    let mut test = Command::new("true");
    limit(&mut test);
    limit(command);
    test.output().is_ok()
}

/// The tool with limits that are set before it starts; none where the system has no such.
pub fn doctor_with_limits(
    package: &Package,
    limits: &[fn() -> std::io::Result<()>],
    args: &[&str],
) -> Option<Command> {
    let mut command = package.command(args);
    limited(&mut command, limits).then_some(command)
}

/// Runs `doctor` so.
fn doctor_with(package: &Package, limits: &[fn() -> std::io::Result<()>]) -> Option<Report> {
    let mut command = doctor_with_limits(package, limits, &["doctor"])?;
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

#[test]
fn a_system_whose_security_rules_forbid_it() {
    let package = Package::new();
    let script =
        "mount -t tmpfs tmpfs /sys/fs; mkdir /sys/fs/selinux; echo 1 > /sys/fs/selinux/enforce";
    let Some(mut command) = after(&package, &["-m"], script, &["doctor"]) else {
        skip!("mounts are not permitted");
    };
    command.env("RUSTC", "/bin/false");
    if !limited(&mut command, &[refuse_writable_code, refuse_pwrite]) {
        skip!("the system has no filters for system calls");
    }
    package
        .run(command)
        .expect_check("fail", "code-pages", "(SELinux is enforcing)")
        .expect_text("sudo setsebool selinuxuser_execmod 1");
}

/// Answers like a file system of another kind.
const SHIM: &str = "#include <stdlib.h>
#include <sys/vfs.h>
int statfs(const char *path, struct statfs *found) {
    (void)path;
    found->f_type = strtol(getenv(\"KIND\"), 0, 16);
    return 0;
}
int statfs64(const char *path, struct statfs64 *found) {
    return statfs(path, (struct statfs *)found);
}
";

#[test]
fn file_systems_that_do_not_tell_of_every_save() {
    let package = Package::new();
    // The loader takes a space for the end of a name.
    let folder = tempfile::tempdir().expect("a folder");
    let (source, shim) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
    std::fs::write(&source, SHIM).expect("a source file");
    let paths = [&source, &shim].map(|path| path.display().to_string());
    let cc = plain_command("cc", &["-shared", "-fPIC", &paths[0], "-o", &paths[1]]);
    run(cc).expect_code(0);
    for (kind, status, told) in [
        ("6969", "warn", "on NFS: a save from its other side is not told"),
        ("01021997", "warn", "on 9p"),
        ("ef53", "ok", "local"),
        ("794c7630", "ok", "an overlay"),
    ] {
        let mut command = package.command(&["doctor"]);
        command.env("LD_PRELOAD", &shim).env("KIND", kind).env("RUSTC", "/bin/false");
        let report = package.run(command).expect_check(status, "file-system", told);
        if status == "warn" {
            report.expect_text("fix: cargo hotpatch watch --poll, or keep the sources on a disk");
        }
    }
}
