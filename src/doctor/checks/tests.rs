//! What a test cannot do to the machine that it runs on, it does to the facts.

mod building;

use std::time::Duration;

use super::*;
use crate::cargo_config::Origin;
use crate::doctor::Status;
use crate::doctor::facts::{
    Captured, CodePages, FileSystem, Host, Inotify, Linker, Runner, Runtime, Setting, Settings,
    TargetDir, Toolchain, Wrapper,
};
use crate::error::Failure;

const LINUX: &str = "x86_64-unknown-linux-gnu";
const ARM: &str = "aarch64-unknown-linux-gnu";

/// A change of a fact.
type Change = fn(&mut Facts);

fn healthy() -> Facts {
    let rustc = Rustc {
        program: "rustc".into(),
        version: "rustc 1.95.0".into(),
        release: "1.95.0".into(),
        host: LINUX.into(),
        sysroot: "/home/u/.rustup/toolchains/stable-x86_64-unknown-linux-gnu".into(),
        libdir: "/lib".into(),
        has_std: true,
    };
    let linker = Linker {
        program: "cc".into(),
        found: Some("/usr/bin/cc".into()),
        version: Some("cc (Debian 12.2.0) Copyright Free Software Foundation".into()),
        ..Linker::default()
    };
    let project = Project {
        package: "p".into(),
        program: "p".into(),
        runtime: Runtime {
            dependency: true,
            version: Some(env!("CARGO_PKG_VERSION").into()),
            call: Some(("/w/src/main.rs".into(), 1)),
            ..Runtime::default()
        },
        root: "/w".into(),
        folders: 10,
        ..Project::default()
    };
    let target_dir = TargetDir { free: u64::MAX, ..TargetDir::default() };
    let inotify = Inotify { max_watches: 100, max_instances: 10, ..Inotify::default() };
    Facts {
        apple: None,
        android: None,
        devices: None,
        target: Some(LINUX.into()),
        toolchain: Some(Toolchain { cargo: Ok("cargo 1.95.0".into()), rustc: Ok(rustc) }),
        settings: Settings { linker, ..Settings::default() },
        project: Some(Ok(project)),
        trial: None,
        host: Host {
            inotify: Some(inotify),
            sources_on: Some(FileSystem::Local),
            target_dir: Some(target_dir),
            code: Some(CodePages::Pages),
            loopback: Some(Ok(())),
            ..Host::default()
        },
    }
}

fn project(facts: &mut Facts) -> &mut Project {
    facts.project.as_mut().unwrap().as_mut().unwrap()
}

fn compiler(facts: &mut Facts) -> &mut Rustc {
    facts.toolchain.as_mut().unwrap().rustc.as_mut().unwrap()
}

fn wrapped(facts: &mut Facts, program: &str) {
    facts.settings.wrappers.push(Wrapper {
        program: program.into(),
        origin: Origin::CommandLine,
        found: Some("/w".into()),
        answer: None,
    });
}

fn package(facts: &mut Facts, name: &str, key: &str, value: &str) {
    project(facts).profile.packages.push(PackageProfile {
        package: name.into(),
        is_runtime: name == "hotpatch-runtime",
        settings: [(key.to_string(), Setting::new(value, "[profile.dev] of Cargo.toml"))].into(),
    });
}

/// The checks that are not `ok`, as `status name: detail | fix`.
fn verdicts(change: Change) -> Vec<String> {
    let mut facts = healthy();
    change(&mut facts);
    let checks = all(&facts).into_iter().map(|check| check(&facts));
    let told = checks.filter(|check| check.status != Status::Ok).map(|check| {
        let (status, name) = (format!("{:?}", check.status).to_lowercase(), check.name);
        format!("{status} {name}: {} | {}", check.detail, check.fix.unwrap_or_default())
    });
    told.collect()
}

/// Each change gives one verdict, which begins and has in it what the table says.
#[track_caller]
fn expect(table: &[(Change, &str, &str)]) {
    for (row, (change, begin, part)) in table.iter().enumerate() {
        let told = verdicts(*change);
        assert_eq!(told.len(), 1, "row {row} ({begin}): {told:#?}");
        assert!(told[0].starts_with(begin), "row {row}: {} does not begin with {begin}", told[0]);
        assert!(told[0].contains(part), "row {row}: {} does not have {part}", told[0]);
    }
}

#[test]
fn nothing_is_wrong_with_a_healthy_machine() {
    assert_eq!(verdicts(|_| ()), [""; 0]);
}

#[test]
fn every_check_has_a_name_of_its_own() {
    let facts = healthy();
    let mut names: Vec<_> = all(&facts).into_iter().map(|check| check(&facts).name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_program_and_its_runtime_are_judged() {
    expect(&[
        (|f| project(f).profile.unknown = true, "fail program", "there is no profile"),
        (
            |f| f.project = Some(Err(Failure::environment("no such thing\n  in two lines"))),
            "fail program: no such thing; in two lines",
            "--manifest-path",
        ),
        (
            |f| {
                project(f).runtime.dependency = false;
                project(f).runtime.no_inject = true;
            },
            "warn runtime",
            "leave `--no-inject` out",
        ),
        (|f| project(f).runtime.version = Some("9.1.0".into()), "warn runtime", "cargo update -p"),
        (
            |f| project(f).runtime.call = None,
            "warn runtime-call",
            "hotpatch_runtime::start(); as the first line of `main`",
        ),
        (
            |f| package(f, "hotpatch-runtime", "debug-assertions", "false"),
            "warn runtime-profile",
            "features = [\"release\"]",
        ),
        (|f| project(f).other_watch = Some(42), "warn other-watch", "process 42 already watches"),
        (
            |f| project(f).from_the_future = Some(("/w/a.rs".into(), Duration::from_secs(60))),
            "warn clock: `/w/a.rs` was modified 60 s in the future",
            "touch '/w/a.rs'",
        ),
    ]);
    let linked_in = |f: &mut Facts| {
        project(f).runtime = Runtime::default();
        package(f, "hotpatch-runtime", "debug-assertions", "false");
    };
    assert_eq!(verdicts(linked_in), [""; 0]);
    let kept = |f: &mut Facts| {
        package(f, "hotpatch-runtime", "debug-assertions", "false");
        project(f).runtime.in_release = true;
    };
    assert_eq!(verdicts(kept), [""; 0]);
}

#[test]
fn an_earlier_fat_build_is_judged() {
    expect(&[
        (
            |f| project(f).captured = Some(Err(Failure::environment("cut short").hint("again"))),
            "warn fat-build: cut short | again",
            "",
        ),
        (
            |f| {
                let outdated = vec!["/w/Cargo.toml".into()];
                project(f).captured = Some(Ok(Captured { outdated, ..Captured::default() }));
            },
            "warn fat-build: `/w/Cargo.toml` has changed",
            "cargo hotpatch fat",
        ),
    ]);
    let newer_sources = |f: &mut Facts| {
        let newer_sources = vec!["/w/src/main.rs".into()];
        project(f).captured = Some(Ok(Captured { newer_sources, ..Captured::default() }));
    };
    assert_eq!(verdicts(newer_sources), [""; 0]);
}

#[test]
fn the_machine_is_judged() {
    expect(&[
        (
            |f| f.host.inotify.as_mut().unwrap().used_watches = 95,
            "fail inotify-watches",
            "fs.inotify.max_user_watches",
        ),
        (
            |f| f.host.inotify.as_mut().unwrap().used_instances = 10,
            "fail inotify-instances",
            "fs.inotify.max_user_instances",
        ),
        (|f| f.host.sources_on = Some(FileSystem::Shared("NFS")), "warn file-system", "NFS"),
        (
            |f| f.host.target_dir.as_mut().unwrap().unwritable = Some("Read-only".into()),
            "fail target-dir: cannot write to ``: Read-only",
            "--target-dir",
        ),
        (|f| f.host.target_dir.as_mut().unwrap().no_exec = true, "fail target-dir", "noexec"),
        (|f| f.host.target_dir.as_mut().unwrap().free = 99 << 20, "fail disk-space: 99 MiB", ""),
        (|f| f.host.target_dir.as_mut().unwrap().free = 1 << 29, "warn disk-space: 512 MiB", ""),
        (
            |f| {
                f.host.code = Some(CodePages::Refused("no".into()));
                f.host.selinux_enforcing = true;
            },
            "fail code-pages",
            "setsebool",
        ),
        (
            |f| {
                f.host.code = Some(CodePages::Refused("no".into()));
                f.host.seccomp_filter = true;
            },
            "fail code-pages",
            "seccomp=unconfined",
        ),
        (|f| f.host.loopback = Some(Err("down".into())), "fail loopback", "ip link set lo up"),
    ]);
}

#[test]
fn what_another_target_needs_is_judged() {
    expect(&[
        (
            |f| {
                f.target = Some(ARM.into());
                f.settings.linker.origin = Some("a".into());
            },
            "fail runner",
            "runner = \"qemu-aarch64\" in [target.aarch64-unknown-linux-gnu] of",
        ),
        (
            |f| {
                f.target = Some(ARM.into());
                f.host.runs_others = true;
            },
            "fail linker",
            "linker = \"aarch64-linux-gnu-gcc\" in [target.aarch64-unknown-linux-gnu] of",
        ),
        (
            |f| {
                let origin = Origin::CommandLine;
                f.settings.runner = Some(Runner {
                    program: "q".into(),
                    command: vec!["q".into()],
                    origin,
                    found: false,
                });
            },
            "fail runner",
            "install `q`",
        ),
        (
            |f| f.android = Some(Err("no Android NDK is found".into())),
            "fail ndk",
            "export ANDROID_NDK_HOME=",
        ),
    ]);
}
