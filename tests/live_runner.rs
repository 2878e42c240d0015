//! Programs that are started by something else: what cargo's configuration calls a runner.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::{Fixture, Save, Watch, target};

const MAIN: &str = "src/main.rs";

/// Writes a runner that notes its arguments and hands them on, and the configuration for it.
fn with_runner(fixture: &Fixture, table: &str) {
    fs::create_dir(fixture.path(".cargo")).expect("a folder");
    let emulator = target::foreign().map_or("", |f| f.runner);
    let script = format!("#!/bin/sh\necho \"$@\" >> noted\nshift\nexec {emulator} \"$@\"\n");
    fixture.write("run it.sh", &script, Save::InPlace);
    let file = fixture.path("run it.sh");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a script to run");
    let config = format!("[target.{table}]\nrunner = [\"./run it.sh\", \"--flag\"]\n");
    fixture.write(".cargo/config.toml", &config, Save::InPlace);
}

#[test]
fn a_runner_starts_the_program_and_patches_reach_it_through_it() {
    let fixture = Fixture::copy("counters");
    with_runner(&fixture, "'cfg(all(unix, not(windows)))'");
    let mut command = support::command(
        fixture.root(),
        &["watch", "--message-format", "json", "--", "an argument"],
    );
    target::without_runner(&mut command);
    let mut watch = Watch::spawn_command(command);
    watch.wait("client-connected");
    watch.wait_values(&[("version", "0")]);
    fixture.edit(MAIN, "VERSION: u64 = 0;", "VERSION: u64 = 1;");
    watch.applied();
    watch.wait_values(&[("version", "1")]);
    let program = watch.started().program.display().to_string();
    assert_eq!(fixture.read("noted"), format!("--flag {program} an argument\n"));
    watch.stop();
}

#[test]
fn a_program_for_another_processor_without_a_runner_says_what_is_missing() {
    let fixture = Fixture::copy("growing");
    with_runner(&fixture, "'cfg(windows)'");
    let mut command = support::command(fixture.root(), &["watch"]);
    if target::foreign().is_none() {
        skip!("programs are for the host; run with HOTPATCH_TEST_TARGET");
    }
    if fs::read_dir("/proc/sys/fs/binfmt_misc")
        .is_ok_and(|d| d.flatten().any(|e| e.file_name().to_string_lossy().contains("qemu")))
    {
        skip!("the system runs programs for other processors by itself");
    }
    target::without_runner(&mut command);
    let said = support::run(command).expect_code(4);
    said.expect_text("nothing starts programs for").expect_text("watch --no-run");
    assert!(!fixture.store().join("programs").exists(), "nothing was built");
}
