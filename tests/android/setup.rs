//! What `watch` and `doctor` find wrong about devices, each with an `adb` that behaves so.

use super::adb::Adb;
use super::ndk::{self, Kit};
use super::support::project::Project;
use super::support::{self, Output};
use super::{TARGET, project, skip, tool};

/// Runs the tool with an `adb` in PATH, or with none.
fn run(project: &Project, kit: &Kit, adb: Option<&Adb>, args: &[&str]) -> Output {
    let mut command = tool(project, Some(kit), &[args, &["--target", TARGET]].concat());
    command.env_remove("ANDROID_SERIAL");
    if let Some(adb) = adb {
        command.env("PATH", with_path(adb));
    }
    support::run(command)
}

/// PATH with an `adb` in front.
pub fn with_path(adb: &Adb) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [adb.folder().to_path_buf()].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("folders without colons")
}

#[test]
fn watch_says_what_is_wrong_with_the_devices_before_it_builds() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit) = (project(), Kit::new());
    let table: [(&[&str], &[&str], &str); 6] = [
        (&[], &[], "no Android device is connected"),
        (&["P1 unauthorized"], &[], "device P1 is unauthorized"),
        (&["P1 offline"], &[], "device P1 is offline"),
        (&["P1 device", "P2 device"], &[], "2 devices are connected: P1, P2"),
        (&["P1 device"], &["--device", "P3"], "device P3 (from --device) is not connected"),
        (&["P1 device", "P2 offline"], &["--device", "P1", "--device", "P2"], "P2 is offline"),
    ];
    for (devices, args, text) in table {
        let adb = Adb::new(devices);
        let args = [&["watch"], args].concat();
        run(&project, &kit, Some(&adb), &args).expect_code(4).expect_text(text);
        assert_eq!(adb.left_behind(), [""; 0]);
    }
    run(&project, &kit, None, &["watch"]).expect_code(4).expect_text("`adb` is not found");
    assert!(kit.called().is_empty(), "nothing was linked");
    for (devices, args, text) in table {
        let (adb, args) = (Adb::new(devices), [&["doctor"], args].concat());
        run(&project, &kit, Some(&adb), &args).expect_code(4).expect_text(text);
        assert_eq!(adb.left_behind(), [""; 0]);
    }
}

#[test]
fn watch_says_which_device_the_program_cannot_run_on() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit) = (project(), Kit::new());
    let table: [(&str, &str, &str); 4] = [
        ("P1/properties/ro.build.version.sdk", "23", "has Android API 23"),
        ("P1/properties/ro.product.cpu.abilist", "x86_64,x86", "--target x86_64-linux-android"),
        ("P1/page", "65536", "has pages of 65536 bytes"),
        ("forbidden/list", "reverse is not for you", "reverse is not for you"),
    ];
    for (file, content, text) in table {
        let adb = Adb::new(&["P1 device"]);
        adb.write(file, content);
        run(&project, &kit, Some(&adb), &["watch"]).expect_code(4).expect_text(text);
        // `doctor` says the same.
        run(&project, &kit, Some(&adb), &["doctor"]).expect_code(4).expect_text(text);
    }
    assert!(!project.path("main/target").join(TARGET).exists(), "nothing was built");
}

#[test]
fn doctor_looks_at_the_device_and_changes_nothing_on_it() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit, adb) = (project(), Kit::new(), Adb::new(&["P1 device model:My_Phone"]));
    let mut told = run(&project, &kit, Some(&adb), &["doctor"]);
    for text in [
        "Android Debug Bridge version",
        "P1 (My Phone)",
        "Android API 34, at least 24 is needed",
        "arm64-v8a",
        "16384 bytes",
        "its ports can lead to this machine",
        "Enforcing, as usual",
        "programs run on the device",
    ] {
        told = told.expect_text(text);
    }
    let changes = ["setprop", "push", "reverse tcp", "mkdir"];
    let changed = |call: &String| changes.iter().any(|change| call.contains(change));
    assert!(!adb.calls().iter().any(changed), "{:#?}", adb.calls());
    assert_eq!(adb.left_behind(), [""; 0]);
}

#[test]
fn a_device_that_refuses_ends_watch_and_is_left_as_it_was() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit) = (project(), Kit::new());
    for (kind, words) in [
        ("reverse", "error: closed"),
        ("setprop", "setprop: failed to set property"),
        ("push", "error: failed to copy: No space left on device"),
    ] {
        let adb = Adb::new(&["P1 device"]);
        adb.forbid(kind, words);
        let told = run(&project, &kit, Some(&adb), &["watch"]).expect_code(4);
        told.expect_text(words.trim_start_matches("error: ")).expect_text("P1");
        assert_eq!(adb.read("P1/reversed"), "", "{kind}");
        assert_eq!(adb.read("P1/properties/debug.hotpatch.token"), "", "{kind}");
        assert_eq!(adb.left_behind(), [""; 0]);
    }
}
