//! What can be wrong around a program, and what the tool says about it.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use support::{Fixture, Output, Second, Watch, command, plain_command, run};

const MAIN: &str = "src/main.rs";
const NONE: &str = "String::from(\"none\") // EDIT extra";

fn some(text: &str) -> String {
    format!("String::from(\"{text}\") // EDIT extra")
}

fn hotpatch(fixture: &Fixture, args: &[&str]) -> Output {
    run(command(fixture.root(), args))
}

/// A fixture with a fat build and a change since then.
fn captured() -> Fixture {
    let fixture = Fixture::copy("growing");
    hotpatch(&fixture, &["fat"]).expect_code(0);
    fixture.edit(MAIN, NONE, &some("some"));
    fixture
}

/// All JSON files in a folder and those below it.
fn records(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(records(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_capture() {
    let fixture = Fixture::copy("growing");
    hotpatch(&fixture, &["patch"])
        .expect_code(4)
        .expect_text("growing")
        .expect_text("run `cargo hotpatch fat`");
}

#[test]
fn a_capture_of_another_toolchain() {
    let fixture = captured();
    let mut changed = 0;
    for record in records(&fixture.store()) {
        let text = fs::read_to_string(&record).expect("a record");
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if value.get("rustc_commit").is_some() {
            value["rustc_commit"] = "0123456789012345678901234567890123456789".into();
            value["rustc_version"] = "rustc 1.90.0 (012345678 2025-09-14)".into();
            fs::write(&record, value.to_string()).expect("a record");
            changed += 1;
        }
    }
    assert!(changed > 0, "no record has the compiler's commit");
    hotpatch(&fixture, &["patch"])
        .expect_code(4)
        .expect_text("was built by rustc 1.90.0")
        .expect_text("cargo hotpatch fat");
    hotpatch(&fixture, &["fat"]).expect_code(0);
    hotpatch(&fixture, &["patch"]).expect_code(0);
}

#[test]
fn a_truncated_capture() {
    let fixture = captured();
    let all = records(&fixture.store());
    assert!(!all.is_empty(), "no records in {}", fixture.store().display());
    for record in all {
        let whole = fs::read(&record).expect("a record");
        fs::write(&record, &whole[..whole.len() / 2]).expect("a record");
        let output = hotpatch(&fixture, &["patch"]);
        // A record that `patch` does not need may be cut without harm.
        if output.code != 0 {
            output.expect_code(4).expect_text("cargo hotpatch fat");
        }
        fs::write(&record, &whole).expect("a record");
    }
    for record in records(&fixture.store()) {
        fs::write(&record, "{\"version\":").expect("a record");
    }
    hotpatch(&fixture, &["patch"]).expect_code(4).expect_text("cargo hotpatch fat");
    hotpatch(&fixture, &["fat"]).expect_code(0);
    hotpatch(&fixture, &["patch"]).expect_code(0);
}

#[test]
fn a_program_file_that_is_newer_than_its_capture() {
    let fixture = captured();
    let mut cargo = plain_command("cargo", &["build"]);
    cargo.current_dir(fixture.root());
    run(cargo).expect_code(0);
    hotpatch(&fixture, &["patch"])
        .expect_code(4)
        .expect_text("newer than its capture")
        .expect_text("cargo hotpatch fat");
}

#[test]
fn a_program_file_that_is_gone() {
    let fixture = captured();
    fs::remove_file(fixture.path("target/debug/growing")).expect("the program");
    hotpatch(&fixture, &["patch"]).expect_code(4).expect_text("cargo hotpatch fat");
}

#[test]
fn a_port_that_is_taken() {
    let fixture = Fixture::copy("growing");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    hotpatch(&fixture, &["watch", "--bind", &addr]).expect_code(4).expect_text(&addr);
}

#[test]
fn a_folder_without_a_package() {
    let fixture = Fixture::copy("growing");
    let empty = fixture.scratch().join("empty");
    fs::create_dir(&empty).expect("a folder");
    fs::write(empty.join("Cargo.toml"), "[workspace]\n").expect("a manifest");
    for subcommand in ["fat", "watch", "patch"] {
        let output = run(command(&empty, &[subcommand]));
        assert!(
            [1, 2, 4].contains(&output.code),
            "{subcommand}: {}\n{}",
            output.code,
            output.stderr
        );
        assert!(!output.stderr.is_empty(), "{subcommand} says why");
    }
}

#[test]
fn a_program_without_the_runtime() {
    let fixture = Fixture::copy("growing");
    fixture.edit(MAIN, "    hotpatch_runtime::start();\n", "");
    let mut watch = Watch::spawn(&fixture, &[]);
    watch.wait_text("tick 1 ");
    watch.wait_event("warning", |e| e.text("message").contains("hotpatch_runtime::start()"));
    watch.stop();
}

/// Runs the tool where a script has first changed what is mounted.
fn hotpatch_after(fixture: &Fixture, script: &str, args: &[&str]) -> Output {
    let script = format!("set -e; {script}; exec \"$@\"");
    let tool = env!("CARGO_BIN_EXE_cargo-hotpatch");
    let mut all = vec!["-m", "sh", "-c", &script, "sh", tool, "hotpatch"];
    all.extend(args);
    let mut command = plain_command("unshare", &all);
    command.current_dir(fixture.root());
    run(command)
}

#[test]
fn a_target_directory_that_is_read_only() {
    if !support::may_mount() {
        skip!("mounts are not permitted");
    }
    let fixture = captured();
    let script = "mount --bind target target; mount -o remount,ro,bind target";
    hotpatch_after(&fixture, script, &["fat"]).expect_code(4).expect_text("target");
    hotpatch_after(&fixture, script, &["patch"])
        .expect_code(4)
        .expect_text("Read-only file system");
    hotpatch(&fixture, &["patch"]).expect_code(0).expect_text("growing::extra");
}

#[test]
fn a_disk_that_is_full_when_the_patch_is_written() {
    if !support::may_mount() {
        skip!("mounts are not permitted");
    }
    let fixture = captured();
    let out = fixture.scratch().join("out");
    fs::create_dir_all(&out).expect("a folder");
    let mut full = format!("mount -t tmpfs -o size=4k tmpfs '{}'", out.display());
    let patches = fixture.store().join("patches");
    for entry in fs::read_dir(&patches).into_iter().flatten().flatten() {
        full += &format!("; mount -t tmpfs -o size=4k tmpfs '{}'", entry.path().display());
    }
    if !patches.exists() {
        full +=
            &format!("; mkdir -p '{0}'; mount -t tmpfs -o size=4k tmpfs '{0}'", patches.display());
    }
    let out = out.display().to_string();
    hotpatch_after(&fixture, &full, &["patch", "--out", &out])
        .expect_code(4)
        .expect_text("No space left on device");
    hotpatch(&fixture, &["patch", "--out", &out]).expect_code(0).expect_text("growing::extra");
}

#[test]
fn a_disk_that_is_full_where_the_program_writes_the_patch() {
    if !support::may_mount() {
        skip!("mounts are not permitted");
    }
    let fixture = Fixture::copy("growing");
    let (mut watch, started, variables) = Watch::start_without_program(&fixture);
    let full =
        "mount -t tmpfs -o size=4k tmpfs target/hotpatch; mount -t tmpfs -o size=4k tmpfs /tmp";
    let program = Second::start_after(full, &fixture, &started, &variables);
    watch.wait("client-connected");
    fixture.edit(MAIN, NONE, &some("too much"));
    let failed = watch.wait("patch-failed");
    assert!(failed.text("error").contains("No space left on device"), "{failed:?}");
    assert!(program.next_line().contains("extra=none"), "it goes on with the code it had");
    assert!(watch.events("patch-applied").is_empty());
    watch.stop();
}

#[test]
fn a_program_that_is_killed_while_a_patch_is_on_its_way() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("extra", "none")]);
    let pid = watch.started().pid as libc::pid_t;
    // SAFETY: `kill` takes numbers; the program is a child of the running tool.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    fixture.edit(MAIN, NONE, &some("too late"));
    watch.wait("patch-built");
    // SAFETY: as above.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    assert_eq!(watch.wait("program-exited").number("signal"), libc::SIGKILL as u64);
    let code = watch.wait_exit();
    assert_ne!(code, Some(101), "a killed program is no bug of the tool");
    assert_ne!(code, Some(0), "a killed program is no success");
    assert!(watch.events("patch-applied").is_empty());
}
