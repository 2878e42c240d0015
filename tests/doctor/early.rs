//! `fat`, `watch` and `patch` stop for what `doctor` finds, with the same words and before anything
//! is built.

use std::process::Command;

use super::machine::{after, doctor_with_limits, refuse_pwrite, refuse_writable_code};
use super::package::{Package, TARGET, script};
use super::support::{Output, run};
use crate::skip;

const BUILDING: &[&str] = &["fat", "watch"];
const ALL: &[&str] = &["fat", "watch", "patch"];

/// Has `doctor` and other commands run; what it says of a check that fails is what they say.
#[track_caller]
fn same_words(package: &Package, name: &str, commands: &[&str], tool: impl Fn(&[&str]) -> Command) {
    let json = package.run(tool(&["doctor", "--json"])).expect_code(4).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
    let mut checks = json["checks"].as_array().expect("a list").iter();
    let check = checks.find(|check| check["name"] == name).expect("the check");
    assert_eq!(check["status"], "fail", "{check}");
    let text = |key: &str| check[key].as_str().expect("a text").to_string();
    let (detail, fix) = (text("detail"), text("fix"));
    for command in commands {
        let Output { code, stderr, .. } = run(tool(&[command]));
        let folder = package.path("").display().to_string();
        let said = stderr.replace(folder.trim_end_matches('/'), "<package>");
        assert_eq!(code, 4, "{name} {command}: {said}");
        let wanted = format!("error: {detail}\n");
        assert!(said.contains(&wanted), "{name} {command}: no {wanted:?} in {said}");
        let wanted = format!("hint: {fix}\n");
        assert!(said.contains(&wanted), "{name} {command}: no {wanted:?} in {said}");
    }
    let built = package.path("target/debug").exists() || package.path("target/hotpatch").exists();
    assert!(!built, "{name}: something was built");
}

#[test]
fn for_flags_and_settings() {
    let package = Package::new();
    package.lock();
    let cc = package.path("link.sh");
    script(&cc, "exec cc \"$@\"");
    let linker = format!("target.{TARGET}.linker='no-such-cc'");
    let flavor = format!("target.{TARGET}.linker={:?}", cc.display().to_string());
    for (args, name, commands) in [
        (["--config", "profile.dev.lto='fat'"], "lto", BUILDING),
        (["--config", &linker], "linker", BUILDING),
        (["--config", &flavor], "linker-flavor", BUILDING),
        (["--config", "build.rustflags=['-Clink-arg=-s']"], "symbols", BUILDING),
        (
            ["--config", "build.rustflags=['-Crelocation-model=static']"],
            "relocation-model",
            BUILDING,
        ),
        (["--config", "build.rustflags=['-Cinstrument-coverage']"], "code-generation", BUILDING),
        (["--target", "x86_64-unknown-linux-musl"], "target", ALL),
    ] {
        same_words(&package, name, commands, |command| {
            package.command(&[command, &args[..]].concat())
        });
    }
}

#[test]
fn for_a_target_that_nobody_knows() {
    let package = Package::new();
    package.lock();
    let args = ["--target", "no-such-target"];
    let report = package.doctor(&args).expect_code(4);
    report.expect_check("fail", "target", "programs for `no-such-target` cannot be patched yet");
    for command in ALL {
        // Cargo may be asked first, and says so itself.
        let said = run(package.command(&[&[*command], &args[..]].concat()));
        said.expect_code(4).expect_text("no-such-target");
    }
}

#[test]
fn for_a_compiler_that_is_too_old_or_without_std() {
    let package = Package::new();
    package.lock();
    let old = package.path("old");
    script(
        &old,
        "case \"$*\" in -vV) echo 'rustc 1.70.0 (90c541806 2023-05-31)'; \
         echo 'release: 1.70.0'; echo \"host: x86_64-unknown-linux-gnu\";; \
         *) exec rustc \"$@\";; esac",
    );
    let bare = package.path("bare");
    script(
        &bare,
        "case \"$*\" in *--print=target-libdir*) echo /t; echo /t/lib;; *) exec rustc \"$@\";; esac",
    );
    for (rustc, name) in [(old, "rustc"), (bare, "target-std")] {
        same_words(&package, name, BUILDING, |args| {
            let mut command = package.command(args);
            command.env("RUSTC", &rustc);
            command
        });
    }
}

#[test]
fn for_places_and_limits_of_the_machine() {
    let package = Package::new();
    package.lock();
    std::fs::create_dir(package.path("target")).expect("a folder");
    std::fs::write(package.path("zero"), "0\n").expect("a file");
    let inotify = |name: &str| format!("mount --bind zero /proc/sys/fs/inotify/max_user_{name}");
    let (watches, instances) = (inotify("watches"), inotify("instances"));
    for (flag, script, name, commands) in [
        ("-m", "mount -t tmpfs -o size=50500k tmpfs target", "disk-space", ALL),
        ("-m", "mount -t tmpfs -o noexec tmpfs target", "target-dir", ALL),
        ("-m", "mount --bind target target; mount -o remount,ro,bind target", "target-dir", ALL),
        ("-m", &watches, "inotify-watches", &["watch"]),
        ("-m", &instances, "inotify-instances", &["watch"]),
        ("-n", ":", "loopback", &["watch"]),
    ] {
        if after(&package, &[flag], script, &["doctor"]).is_none() {
            skip!("mounts or namespaces are not permitted");
        }
        same_words(&package, name, commands, |args| {
            after(&package, &[flag], script, args).expect("leave to mount")
        });
    }
    let limits = [refuse_writable_code as fn() -> _, refuse_pwrite];
    if doctor_with_limits(&package, &limits, &["doctor"]).is_none() {
        skip!("the system has no filters for system calls");
    }
    same_words(&package, "code-pages", &["watch"], |args| {
        doctor_with_limits(&package, &limits, args).expect("filters")
    });
}
