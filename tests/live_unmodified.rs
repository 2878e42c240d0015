//! Programs that know nothing of us: the runtime comes along by itself.

mod support;

use std::fs;
use std::path::Path;

use support::{Fixture, Output, Save, Watch, command, plain_command, run, values};

const MAIN: &str = "src/main.rs";

fn version(n: u64) -> String {
    format!("const VERSION: u64 = {n};")
}

#[test]
fn a_program_without_a_dependency_and_a_line_keeps_its_state_over_patches() {
    let fixture = Fixture::copy("unmodified");
    assert!(!fixture.read("Cargo.toml").contains("hotpatch"));
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("version", "0")]);
    for n in 1..=5 {
        fixture.edit(MAIN, &version(n - 1), &version(n));
        watch.applied();
        let newest = format!(" version={n} ");
        let said = values(&watch.wait_line(|l| l.starts_with("tick") && l.contains(&newest)));
        for name in ["atomic", "plain", "cell", "lazy", "names", "list"] {
            assert_eq!(format!("tick {}", said[name]), said[""], "{name}");
        }
        assert_eq!((&*said["once"], &*said["inits"]), ("1", "2"));
    }
    watch.say("quit");
    watch.wait_text("end ");
    assert_eq!(watch.wait_exit(), Some(0));
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim().to_string()).collect()
}

#[test]
fn a_program_that_starts_the_runtime_itself_has_one_and_not_two() {
    for name in ["counters", "unmodified"] {
        let fixture = Fixture::copy(name);
        let mut watch = Watch::start(&fixture);
        watch.wait_values(&[("version", "0")]);
        let names = threads(watch.started().pid);
        let ours = names.iter().filter(|thread| *thread == "hotpatch").count();
        assert_eq!(ours, 1, "{name}: {names:?}");
        watch.stop();
    }
}

fn cargo_build(fixture: &Fixture) -> Output {
    let mut cargo = plain_command("cargo", &["build"]);
    cargo.current_dir(fixture.root());
    run(cargo).expect_code(0)
}

fn asks_for_patches(program: &Path) -> bool {
    let bytes = fs::read(program).expect("a program");
    let name = hotpatch_protocol::ENV_ADDR.as_bytes();
    bytes.windows(name.len()).any(|w| w == name)
}

/// The program uses the very crates that the runtime uses, in the same versions.
#[test]
fn the_runtimes_crates_and_the_programs_are_strangers_and_plain_builds_stay_as_they_are() {
    let fixture = Fixture::copy("unmodified");
    let dependencies = "\n[dependencies]\nserde_json = \"1\"\nlibc = \"0.2\"\n\
        tungstenite = { version = \"0.30\", default-features = false, features = [\"handshake\"] }\n";
    let manifest = fixture.read("Cargo.toml") + dependencies;
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let uses = "fn tick(number: u64) {\n    let json = serde_json::json!({\"n\": [number]});\n    \
        let text = tungstenite::Message::text(json.to_string());\n    \
        assert!(text.len() > 7 && serde_json::to_vec(&json).is_ok());\n";
    fixture.edit(MAIN, "fn tick(number: u64) {\n", uses);
    let program = fixture.path("target/debug/unmodified");

    cargo_build(&fixture);
    assert!(!asks_for_patches(&program));
    let mut watch = Watch::start(&fixture);
    assert!(asks_for_patches(&program));
    fixture.edit(MAIN, &version(0), &version(1));
    watch.applied();
    watch.wait_values(&[("version", "1")]);
    watch.stop();

    cargo_build(&fixture).expect_no_text("Compiling serde_json").expect_no_text("Compiling libc");
    assert!(!asks_for_patches(&program));
    let fat = run(command(fixture.root(), &["fat"])).expect_code(0);
    fat.expect_no_text("Compiling serde_json").expect_no_text("Compiling libc");
    assert!(asks_for_patches(&program));
}

#[test]
fn without_injection_the_program_is_linked_as_it_is() {
    let fixture = Fixture::copy("unmodified");
    let program = fixture.path("target/debug/unmodified");
    run(command(fixture.root(), &["fat", "--no-inject"])).expect_code(0);
    assert!(!asks_for_patches(&program));
    run(command(fixture.root(), &["fat"])).expect_code(0);
    assert!(asks_for_patches(&program));
    run(command(fixture.root(), &["fat", "--no-inject"])).expect_code(0);
    assert!(!asks_for_patches(&program));
}

#[test]
fn a_program_that_no_loader_starts_is_refused_by_name() {
    let fixture = Fixture::copy("unmodified");
    let settings = "[build]\nrustflags = [\"-C\", \"target-feature=+crt-static\"]\n";
    std::fs::create_dir_all(fixture.path(".cargo")).expect("a folder");
    fixture.write(".cargo/config.toml", settings, Save::InPlace);
    let output = run(command(fixture.root(), &["fat"])).expect_code(4);
    output.expect_text("it is linked statically").expect_text("+crt-static");
}
