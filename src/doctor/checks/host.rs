//! The machine.

use super::{Facts, program};
use crate::doctor::Check;
use crate::doctor::facts::{CodePages, FileSystem};

const MIB: u64 = 1024 * 1024;
/// Less than this is not enough for a build.
const TOO_LITTLE: u64 = 100 * MIB;
/// Less than this is soon used up.
const LITTLE: u64 = 1024 * MIB;

/// Whether all folders with sources can be watched.
pub fn inotify_watches(facts: &Facts) -> Check {
    const NAME: &str = "inotify-watches";
    let Some(inotify) = facts.host.inotify else { return Check::ok(NAME, "no inotify here") };
    let need = program(facts).map_or(0, |p| p.folders) as u64;
    let free = inotify.max_watches.saturating_sub(inotify.used_watches);
    let max = inotify.max_watches;
    let told = match free {
        0 => format!("none of {max} is free, and each folder with sources takes one"),
        _ => format!("folders to watch: {need}; free: {free} of {max}"),
    };
    if need < free {
        return Check::ok(NAME, told);
    }
    let fix = "sudo sysctl fs.inotify.max_user_watches=524288, or use `watch --poll`";
    Check::fail(NAME, told, fix)
}

/// Whether one more program may watch.
pub fn inotify_instances(facts: &Facts) -> Check {
    const NAME: &str = "inotify-instances";
    let Some(inotify) = facts.host.inotify else { return Check::ok(NAME, "no inotify here") };
    let (used, max) = (inotify.used_instances, inotify.max_instances);
    match used < max {
        true => Check::ok(NAME, format!("{used} of {max} in use")),
        false => Check::fail(
            NAME,
            format!("all {max} are in use, and `watch` takes one"),
            "sudo sysctl fs.inotify.max_user_instances=512, or use `watch --poll`",
        ),
    }
}

/// Whether saves are told to those who watch.
pub fn file_system(facts: &Facts) -> Check {
    const NAME: &str = "file-system";
    match facts.host.sources_on {
        Some(FileSystem::Shared(kind)) => Check::warn(
            NAME,
            format!("the sources are on {kind}: a save from its other side is not told to `watch`"),
            "cargo hotpatch watch --poll, or keep the sources on a disk of this machine (on WSL: not below /mnt)",
        ),
        Some(FileSystem::Overlay) => Check::ok(
            NAME,
            "an overlay; only `watch --poll` sees saves from outside of the container",
        ),
        Some(FileSystem::Local) => Check::ok(NAME, "local"),
        None => Check::ok(NAME, "not known"),
    }
}

/// Whether programs can be written to the target directory, and run there.
pub fn target_dir(facts: &Facts) -> Check {
    const NAME: &str = "target-dir";
    const FIX: &str = "choose another directory with `--target-dir`";
    let Some(target) = &facts.host.target_dir else { return Check::ok(NAME, "not looked for") };
    let existing = target.existing.display();
    if let Some(why) = &target.unwritable {
        return Check::fail(NAME, format!("cannot write to `{existing}`: {why}"), FIX);
    }
    if target.no_exec {
        let detail =
            format!("`{existing}` is mounted with `noexec`: nothing there can be run or loaded");
        return Check::fail(NAME, detail, FIX);
    }
    Check::ok(NAME, "writable")
}

/// Whether there is room for a build and its patches.
pub fn disk_space(facts: &Facts) -> Check {
    const NAME: &str = "disk-space";
    let Some(target) = &facts.host.target_dir else { return Check::ok(NAME, "not looked for") };
    let free = format!("{} MiB free under `{}`", target.free / MIB, target.existing.display());
    let fix = "free some space, or choose another directory with `--target-dir`";
    match target.free {
        n if n < TOO_LITTLE => Check::fail(NAME, free, fix),
        n if n < LITTLE => Check::warn(NAME, free, fix),
        n => Check::ok(NAME, format!("{} GiB free", n / (1024 * MIB))),
    }
}

/// Whether a program may change its own code.
pub fn code_pages(facts: &Facts) -> Check {
    const NAME: &str = "code-pages";
    let host = &facts.host;
    let why = match &host.code {
        None => return Check::ok(NAME, "not tried"),
        Some(CodePages::Pages) => return Check::ok(NAME, "a program can change its code"),
        Some(CodePages::MemoryFile) => {
            return Check::ok(NAME, "a program can change its code (through /proc/self/mem)");
        }
        Some(CodePages::Refused(why)) => why,
    };
    let (by, fix) = match (host.selinux_enforcing, host.seccomp_filter) {
        (true, _) => (" (SELinux is enforcing)", "sudo setsebool selinuxuser_execmod 1"),
        (_, true) => (
            " (a seccomp filter is on)",
            "start the container with `--security-opt seccomp=unconfined`",
        ),
        _ => ("", "allow processes to make their code writable; a hardened kernel forbids it"),
    };
    Check::fail(NAME, format!("a program cannot change its own code: {why}{by}"), fix)
}

/// Whether programs here can connect to a server here.
pub fn loopback(facts: &Facts) -> Check {
    match &facts.host.loopback {
        None => Check::ok("loopback", "not tried"),
        Some(Ok(())) => Check::ok("loopback", "a program can connect to 127.0.0.1"),
        Some(Err(why)) => Check::fail(
            "loopback",
            format!("a program cannot connect to a server on 127.0.0.1: {why}"),
            "sudo ip link set lo up",
        ),
    }
}
