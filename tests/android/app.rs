//! Libraries as apps have them: they are loaded by code in another language, in a process that the
//! user starts on the device, and of which `watch` knows nothing before it connects.

use std::process::Command;
use std::time::{Duration, Instant};

use super::bench::{App, Bench, FILE, Filter, PACKAGE, both_said, missing, said};
use super::support::{PATIENCE, Watch, network_address};
use super::system::{DESK, Machine, PHONE};
use super::{ndk, project_with, skip};

/// A patch, a second with a thread-local and a static of its own, a third of the function that is
/// registered.
fn three_patches(bench: &Bench, watch: &mut Watch) {
    bench.edit(&[("step=1", "step=2")]);
    watch.applied();
    both_said(watch, "2");
    let counts = "OWN.set(OWN.get() + 1);";
    let more = "thread_local!(static NEW: Cell<u64> = const { Cell::new(0) });
    static ALL: AtomicU64 = AtomicU64::new(0);
    NEW.set(NEW.get() + 1);
    let all = ALL.fetch_add(1, Ordering::SeqCst) + 1;";
    bench.edit(&[
        (counts, &format!("{more}\n    {counts}")),
        ("\"step=2", "\"step=3 new={} sum={}"),
        ("same={}\", ", "same={}\", NEW.get() > 4, all >= NEW.get(), "),
    ]);
    watch.applied();
    both_said(watch, "3");
    for thread in ["ui ", "render "] {
        said(watch, thread, &[("step", "3"), ("new", "true"), ("sum", "true"), ("same", "true")]);
    }
    bench.edit(&[("text(&RENDERED)", "text(&RENDERED) + \" drawn=new\"")]);
    watch.applied();
    said(watch, "render ", &[("step", "3"), ("drawn", "new"), ("same", "true")]);
}

/// An app is started again, and runs all three patches.
fn again(bench: &Bench, watch: &mut Watch, filter: Filter) -> App {
    let app = bench.start("P1", filter);
    watch.wait_event("client-connected", |e| e.number("pid") == app.pid());
    for patch in 1..=3 {
        assert_eq!(watch.applied().number("patch"), patch);
    }
    said(watch, "render ", &[("step", "3"), ("drawn", "new"), ("same", "true")]);
    app
}

fn an_app_is_patched(machine: &'static Machine) {
    if let Some(why) = missing(machine) {
        skip!("{why}");
    }
    let bench = Bench::new(machine, &["P1"]);
    let mut watch = bench.watch(&[]);
    assert_eq!(watch.wait("device-ready").text("device"), "P1");
    let library = bench.library(&watch);
    watch.wait_stderr(&format!("start the app with {}", library.display()));
    bench.install("P1", &library);
    let app = bench.start("P1", Filter::Usual);
    assert_eq!(watch.wait("client-connected").number("pid"), app.pid());
    both_said(&mut watch, "1");
    three_patches(&bench, &mut watch);
    for patch in 1..=3 {
        let name = format!("/memfd:patch-{patch}-");
        assert!(app.maps().contains(&name), "{}", app.maps());
    }
    assert_eq!(std::fs::read_dir(bench.cache("P1")).expect("a folder").count(), 0);

    app.end();
    watch.wait("client-disconnected");
    let app = again(&bench, &mut watch, Filter::Usual);

    // A patch that ends the app is held back until it is mended.
    let bad = "fn bad() -> &'static str {\n    std::process::abort()\n}\n";
    bench.edit(&[("(&UI)", "(&UI) + bad()"), ("fn text(", &format!("{bad}fn text("))]);
    watch.applied();
    let crashed = watch.wait("program-crashed");
    assert_eq!((crashed.number("patch"), crashed.number("signal")), (4, 6), "{crashed:?}");
    assert_eq!(app.signal(), Some(libc::SIGABRT));
    let _app = again(&bench, &mut watch, Filter::Usual);
    bench.edit(&[("std::process::abort()", "\" good=yes\"")]);
    assert_eq!(watch.applied().number("patch"), 4);
    said(&mut watch, "ui ", &[("step", "3"), ("good", "yes"), ("same", "true")]);
    watch.stop();
    bench.adb.expect_clean("P1");
}

#[test]
fn an_app_on_a_phone_is_patched() {
    an_app_is_patched(&PHONE);
}

#[test]
fn an_app_on_an_emulated_device_is_patched() {
    an_app_is_patched(&DESK);
}

fn the_cache_takes_the_place_of_memory(machine: &'static Machine, filter: Filter) {
    if let Some(why) = missing(machine) {
        skip!("{why}");
    }
    let bench = Bench::new(machine, &["P1"]);
    if matches!(filter, Filter::Old) {
        bench.adb.write("P1/properties/ro.build.version.sdk", "28");
    }
    let mut watch = bench.watch(&[]);
    watch.wait("device-ready");
    bench.install("P1", &bench.library(&watch));
    // What an app that was killed has left is not for ever; what is not ours is.
    let cache = bench.cache("P1");
    for name in ["hotpatch-999999999-0/patch-1-0.so", "hotpatch-mine/file", "image"] {
        bench.adb.write(&format!("P1/data/data/{PACKAGE}/cache/{name}"), "");
    }
    let app = bench.start("P1", filter);
    watch.wait("client-connected");
    both_said(&mut watch, "1");
    three_patches(&bench, &mut watch);
    let own = cache.join(format!("hotpatch-{}-", app.pid())).display().to_string();
    let maps = app.maps();
    for patch in 1..=3 {
        let is_it = |line: &&str| line.contains(&own) && line.contains(&format!("/patch-{patch}-"));
        assert!(maps.lines().any(|line| is_it(&line)), "patch {patch} in {own}:\n{maps}");
    }
    assert!(!maps.contains("/memfd:patch"), "{maps}");
    let names = || {
        let entries = std::fs::read_dir(&cache).expect("a folder").flatten();
        let mut names: Vec<_> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let found = names();
    assert_eq!((found.len(), &*found[1], &*found[2]), (3, "hotpatch-mine", "image"), "{found:?}");

    app.end();
    watch.wait("client-disconnected");
    let app = again(&bench, &mut watch, filter);
    let found = names();
    assert!(found[0].starts_with(&format!("hotpatch-{}-", app.pid())), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
    watch.stop();
}

#[test]
fn a_phone_without_memory_files_uses_the_app_s_cache() {
    the_cache_takes_the_place_of_memory(&PHONE, Filter::NoMemoryFiles);
}

#[test]
fn an_emulated_device_without_memory_files_uses_the_app_s_cache() {
    the_cache_takes_the_place_of_memory(&DESK, Filter::NoMemoryFiles);
}

#[test]
fn an_old_android_does_not_end_the_app_for_what_the_runtime_calls() {
    the_cache_takes_the_place_of_memory(&DESK, Filter::Old);
}

/// Gradle takes the symbols out of what it packs, unless it is told not to.
#[test]
fn two_devices_have_the_app_and_one_has_it_without_symbols() {
    if let Some(why) = missing(&DESK) {
        skip!("{why}");
    }
    let bench = Bench::new(&DESK, &["P1", "P2"]);
    let mut watch = bench.watch(&["--device", "P1", "--device", "P2"]);
    watch.wait("device-ready");
    watch.wait("device-ready");
    let (library, stripped) = (bench.library(&watch), bench.project.path("stripped.so"));
    let strip = [library.as_os_str(), "-o".as_ref(), stripped.as_os_str()];
    let status = Command::new("strip").arg("--strip-unneeded").args(strip).status();
    assert!(status.expect("strip").success());
    bench.install("P1", &library);
    bench.install("P2", &stripped);
    let apps = ["P1", "P2"].map(|serial| {
        let app = bench.start(serial, Filter::Usual);
        watch.wait_event("client-connected", |e| e.number("pid") == app.pid());
        said(&mut watch, "ui ", &[("step", "1"), ("same", "true")]);
        app
    });
    bench.edit(&[("step=1", "step=2")]);
    watch.applied();
    watch.applied();
    let (mut first, mut second) = (false, false);
    while !(first && second) {
        let event = said(&mut watch, "ui ", &[("step", "2"), ("same", "true")]);
        first |= event.text("device") == "P1";
        second |= event.text("device") == "P2";
    }
    drop(apps);
    watch.stop();
    bench.adb.expect_clean("P2");
}

#[test]
fn an_app_with_another_library_is_turned_away() {
    if let Some(why) = missing(&DESK) {
        skip!("{why}");
    }
    let bench = Bench::new(&DESK, &["P1"]);
    let mut watch = bench.watch(&[]);
    watch.wait("device-ready");
    let old = bench.project.path("old.so");
    std::fs::copy(bench.library(&watch), &old).expect("a library");
    // What needs a restart is built, and then the app has to be installed again.
    bench.install("P1", &old);
    let app = bench.start("P1", Filter::Usual);
    watch.wait("client-connected");
    bench.project.edit("main/Cargo.toml", "0.1.0", "0.2.0");
    watch.wait("restart-required");
    bench.edit(&[("step=1", "step=2")]);
    watch.stop();
    drop(app);
    let mut watch = bench.watch(&[]);
    watch.wait("device-ready");
    let app = bench.start("P1", Filter::Usual);
    watch.wait_event("warning", |e| e.text("message").contains("turned away"));
    drop(app);
    bench.install("P1", &bench.library(&watch));
    let app = bench.start("P1", Filter::Usual);
    watch.wait("client-connected");
    both_said(&mut watch, "2");
    drop(app);
    watch.stop();
}

#[test]
fn an_app_on_a_device_without_adb_dials_by_the_network() {
    if let Some(why) = missing(&DESK) {
        skip!("{why}");
    }
    let mut bench = Bench::new(&DESK, &["P1"]);
    let mut watch = Watch::spawn_command(bench.without_adb(&["--bind", "0.0.0.0:0"]));
    watch.wait_event("warning", |e| e.text("message").contains("other machines can connect"));
    watch.wait_event("warning", |e| e.text("message").contains("`adb` is not found"));
    bench.install("P1", &bench.library(&watch));
    let variable = |line: String, name: &'static str| {
        let value = line.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        (name, value.unwrap_or_else(|| panic!("no {name} in {line}")).to_string())
    };
    let token = variable(watch.wait_stderr("HOTPATCH_TOKEN="), "HOTPATCH_TOKEN");
    // A machine without a network of its own has no such line.
    let (bound, other) = (watch.events("serving").remove(0), "on another machine");
    let port = bound.text("addr").strip_prefix("0.0.0.0:").expect("all addresses");
    let address = match network_address().is_some() {
        true => variable(watch.wait_stderr(other), "HOTPATCH_ADDR"),
        false => ("HOTPATCH_ADDR", format!("127.0.0.1:{port}")),
    };
    // What the app's own code sets before it loads the library.
    bench.more = vec![address, token];
    let app = bench.start("P1", Filter::Usual);
    watch.wait_event("client-connected", |e| e.number("pid") == app.pid());
    bench.edit(&[("step=1", "step=2")]);
    watch.applied();
    let log = bench.on("P1", &format!("/log.{}", app.pid()));
    let shown = || std::fs::read_to_string(&log).unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    while !shown().lines().any(|l| l.starts_with("ui step=2 same=true")) {
        assert!(Instant::now() < deadline, "{}", shown());
        std::thread::sleep(Duration::from_millis(50));
    }
    watch.stop();
}

/// The page tells how to come from an empty folder to an app that is patched: this does what it
/// says, with its own texts.
#[test]
fn the_page_leads_from_an_empty_folder_to_a_patched_library() {
    if let Some(why) = missing(&PHONE) {
        skip!("{why}");
    }
    let page = include_str!("../../docs/android.md");
    let (_, part) = page.split_once("## A library in an app").expect("the chapter");
    let block = |begin: &str| {
        let (_, rest) = part.split_once(begin).expect("a block");
        rest.split_once("```").expect("its end").0.to_string()
    };
    assert!(part.contains("cargo new --lib native && cd native"));
    let command = format!("cargo hotpatch watch --target {}", PHONE.target);
    assert!(part.contains(&command), "{command}");
    let empty = tempfile::tempdir().expect("a folder");
    let mut new = Command::new(ndk::CARGO);
    new.args(["new", "--lib", "native"]).current_dir(empty.path()).env("RUSTC", ndk::RUSTC);
    assert!(new.output().expect("cargo").status.success());
    let manifest = std::fs::read_to_string(empty.path().join("native/Cargo.toml")).expect("a file");
    let project = project_with(&[
        // Its folder is below another workspace's here.
        ("main/Cargo.toml", &format!("{manifest}\n{}[workspace]\n", block("```toml\n"))),
        (FILE, &block("```rust\n")),
    ]);
    let mut bench = Bench::of(&PHONE, project, &["P1"]);
    let mut watch = bench.watch(&[]);
    watch.wait("device-ready");
    let library = bench.library(&watch);
    assert!(library.ends_with("target/aarch64-linux-android/debug/libnative.so"), "{library:?}");
    assert!(part.contains("target/aarch64-linux-android/debug/libnative.so"));
    bench.install("P1", &library);
    bench.more = vec![("", "Java_com_example_app_Native_answer".into())];
    let _app = bench.start("P1", Filter::Usual);
    watch.wait("client-connected");
    said(&mut watch, "ui ", &[("answer", "41")]);
    bench.edit(&[("    41\n", "    42\n")]);
    watch.applied();
    said(&mut watch, "ui ", &[("answer", "42")]);
    watch.stop();
    bench.adb.expect_clean("P1");
}
