//! What a test cannot do to the machine that it runs on, it does to the facts.

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
fn the_toolchain_is_judged() {
    expect(&[
        (|f| compiler(f).release = "1.84.1".into(), "fail rustc", "rustup update"),
        (
            |f| compiler(f).has_std = false,
            "fail target-std",
            "rustup target add --toolchain stable-x86_64-unknown-linux-gnu x86_64",
        ),
        (
            |f| (compiler(f).has_std, compiler(f).sysroot) = (false, "/usr".into()),
            "fail target-std",
            "install the standard library for x86_64-unknown-linux-gnu where",
        ),
        (
            |f| f.target = Some("x86_64-pc-windows-msvc".into()),
            "fail target",
            "cannot be patched yet",
        ),
        (
            |f| {
                f.target = Some("x86_64-pc-windows-msvc".into());
                compiler(f).host = "x86_64-pc-windows-msvc".into();
            },
            "fail target",
            "use an x86-64 Linux machine",
        ),
        (|f| wrapped(f, "/opt/sccache"), "warn rustc-wrapper", "RUSTC_WRAPPER= cargo hotpatch"),
    ]);
    let from_source = |f: &mut Facts| {
        compiler(f).has_std = false;
        f.settings.build_std = true;
    };
    assert_eq!(verdicts(from_source), [""; 0]);
    assert_eq!(verdicts(|f| wrapped(f, "/opt/other")), [""; 0]);
}

#[test]
fn a_linker_is_told_from_a_driver_as_rustc_does() {
    const GCC: &str = "cc (GCC) 12 Copyright (C) 2022 Free Software Foundation, Inc.";
    const LD: &str = "GNU ld (GNU Binutils) 2.40 Free Software Foundation";
    for (program, flavor, version, good) in [
        ("cc", None, GCC, true),
        ("/x/link.sh", None, GCC, false),
        ("/x/link.sh", Some("gcc"), GCC, true),
        ("x86_64-linux-gnu-ld", None, LD, true),
        ("ld.lld", None, "Debian LLD 14.0.6 (compatible with GNU linkers)", true),
        ("ld.lld-14", None, "Debian LLD 14.0.6", true),
        ("mold", None, "mold 1.10.1 (compatible with GNU ld)", false),
        ("mold", Some("ld"), "mold 1.10.1 (compatible with GNU ld)", true),
        ("clang-17", None, "Debian clang version 17", true),
        ("cc", Some("ld.lld"), GCC, false),
        ("zig-cc", None, "who knows", true),
    ] {
        let mut facts = healthy();
        facts.settings.linker.program = program.into();
        facts.settings.linker.flavor = flavor.map(String::from);
        facts.settings.linker.version = Some(version.into());
        let status = linking::linker_flavor(&facts).status;
        assert_eq!(status == Status::Ok, good, "{program} {flavor:?}");
    }
}

#[test]
fn flags_are_judged() {
    for (flags, name, fail) in [
        ("-C relocation-model=static", "relocation-model", true),
        ("-Crelocation-model=pic", "", false),
        ("-C target-feature=+avx,+crt-static", "c-library", false),
        ("-C target-feature=+crt-static -C target-feature=-crt-static", "", false),
        ("-C link-arg=-static-pie", "c-library", false),
        ("-C link-arg=-no-pie", "", false),
        ("-C prefer-dynamic", "prefer-dynamic", false),
        ("-C prefer-dynamic=no", "", false),
        ("-C link-arg=-Wl,--gc-sections,-s", "symbols", true),
        ("-C link-args=-O1", "", false),
        ("-C link-arg=-Wl,--icf=all", "identical-code", false),
        ("-C link-arg=-Wl,--icf=none", "", false),
    ] {
        let mut facts = healthy();
        facts.settings.rustflags = flags.split(' ').map(String::from).collect();
        let checks = all(&facts).into_iter().map(|check| check(&facts));
        let bad: Vec<_> = checks.filter(|c| c.status != Status::Ok).collect();
        let told: Vec<_> = bad.iter().map(|c| c.name).collect();
        assert_eq!(told.join(" "), name, "{flags}");
        assert_eq!(bad.iter().any(|c| c.status == Status::Fail), fail, "{flags}");
    }
}

#[test]
fn the_profile_of_each_package_is_judged_and_the_runtimes_is_not() {
    for (key, value, wanted) in [
        ("strip", "true", "warn strip: `strip = true` ([profile.dev]"),
        ("strip", "symbols", "warn strip: `strip = \"symbols\"`"),
        ("strip", "none", ""),
        ("lto", "thin", "fail lto"),
        ("lto", "false", ""),
        ("lto", "off", ""),
        ("opt-level", "1", ""),
        ("opt-level", "s", "warn opt-level"),
        ("codegen-units", "1", "warn codegen-units"),
        ("codegen-units", "16", ""),
        ("debug", "line-tables-only", "warn debug"),
        ("debug", "0", "warn debug"),
        ("debug", "full", ""),
        ("split-debuginfo", "packed", "warn split-debuginfo"),
        ("panic", "abort", ""),
        ("codegen-backend", "cranelift", "warn code-generation"),
        ("instrument-coverage", "true", "fail code-generation"),
        ("symbol-mangling-version", "v0", ""),
    ] {
        let mut facts = healthy();
        package(&mut facts, "p", key, value);
        let failing = all(&facts).into_iter().map(|check| check(&facts));
        let told: Vec<_> = failing.filter(|c| c.status != Status::Ok).collect();
        let told = told.first().map_or(String::new(), |c| {
            format!("{} {}: {}", format!("{:?}", c.status).to_lowercase(), c.name, c.detail)
        });
        assert!(told.starts_with(wanted) && told.is_empty() == wanted.is_empty(), "{key}: {told}");
        let mut facts = healthy();
        package(&mut facts, "hotpatch-runtime", key, value);
        assert!(all(&facts).into_iter().all(|check| check(&facts).status == Status::Ok), "{key}");
    }
}

#[test]
fn the_packages_with_a_setting_are_named_where_not_all_have_it() {
    let mut facts = healthy();
    for (name, value) in [("a", "3"), ("b", "0"), ("c", "3")] {
        package(&mut facts, name, "opt-level", value);
    }
    let check = profile::opt_level(&facts);
    assert!(check.detail.starts_with("`opt-level = 3` for a, c ([profile.dev]"), "{check:?}");
    let fix = check.fix.unwrap_or_default();
    assert_eq!(fix, "set `opt-level = 1` in [profile.dev] of Cargo.toml");
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
                let newer_settings = vec!["/w/Cargo.toml".into()];
                project(f).captured = Some(Ok(Captured { newer_settings, ..Captured::default() }));
            },
            "warn fat-build: `/w/Cargo.toml` is newer",
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
