//! Libraries that a program in another language loads: that program (`host.c`, Python) knows
//! nothing of us and is not patched.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use support::{Fixture, Save, Watch, command, plain_command, run, target, values};

const LIB: &str = "src/lib.rs";
/// What only counts, and must go on over patches.
const COUNTERS: [&str; 6] = ["atomic", "cell", "names", "late", "list", "inner"];

/// A copy of the fixture with its compiled host.
fn hosted() -> Fixture {
    let fixture = Fixture::copy("hosted");
    let mut cc = plain_command(&target::tool("cc"), &["-o", "host", "host.c", "-ldl", "-lpthread"]);
    cc.current_dir(fixture.root());
    run(cc).expect_code(0);
    fixture
}

fn version(n: u64) -> String {
    format!("const VERSION: u64 = {n};")
}

/// The library's file, by a path that counts from the workspace's folder.
fn file() -> String {
    format!("{}/libhosted.so", target::output())
}

/// The arguments of `watch` with which it starts the host, which gets `args`.
fn hosting<'a>(more: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    match target::runner() {
        None => [&["--host", "./host"], more, &["--"], args].concat(),
        Some(runner) => [&["--host", runner], more, &["--", "./host"], args].concat(),
    }
}

fn start(fixture: &Fixture, more: &[&str]) -> Watch {
    Watch::start_with(fixture, &hosting(more, &[&file()]))
}

/// Goes to another version, and waits until all that is edited has it.
fn patch(fixture: &Fixture, watch: &mut Watch, from: u64, to: u64) -> String {
    fixture.edit(LIB, &version(from), &version(to));
    watch.applied();
    let to = to.to_string();
    watch.wait_values(&[("version", &to), ("dyn", &to), ("stored", &to), ("caught", &to)])
}

/// All counters of the line are its tick's number.
#[track_caller]
fn assert_counts(line: &str) {
    let said = values(line);
    for name in COUNTERS {
        assert_eq!(format!("tick {}", said[name]), said[""], "{name} in {line:?}");
    }
    assert_eq!(said["inits"], "1", "{line:?}");
}

#[test]
fn a_library_keeps_its_state_in_a_host_of_another_language_over_twenty_patches() {
    let fixture = hosted();
    run({
        let mut strip = plain_command(&target::tool("strip"), &["host"]);
        strip.current_dir(fixture.root());
        strip
    })
    .expect_code(0);
    let mut watch = start(&fixture, &[]);
    watch.wait_values(&[("version", "0")]);
    watch.say("threads 2");
    watch.wait_text("host: threads");
    for n in 1..=20 {
        let line = patch(&fixture, &mut watch, n - 1, n);
        assert_counts(&line);
    }
    watch.wait_values(&[("version", "20"), ("caught", "panic")]);
    // A new thread-local, beside those that the library has.
    fixture.edit_all(
        LIB,
        &[
            ("fn private() -> u64 {\n", "thread_local!(static NEW: Cell<u64> = const { Cell::new(0) });\n\nfn private() -> u64 {\n    NEW.set(NEW.get() + 1);\n    if NEW.get() > 1 && CELL.get() >= NEW.get() {\n        return 777;\n    }\n"),
        ],
    );
    watch.applied();
    assert_counts(&watch.wait_values(&[("version", "777")]));
    // The same once it is an earlier patch's: it has been counting.
    fixture
        .edit_all(LIB, &[("NEW.get() > 1 &&", "NEW.get() > 2 &&"), ("return 777", "return 778")]);
    watch.applied();
    assert_counts(&watch.wait_values(&[("version", "778")]));
    // In another crate of the library, and back.
    fixture.set("inner/src/lib.rs", "step", "1", "0");
    watch.applied();
    watch.wait_values(&[("inner", "0")]);
    fixture.set("inner/src/lib.rs", "step", "0", "1");
    watch.applied();
    assert_counts(&watch.wait_line(|l| l.starts_with("tick") && !l.contains(" inner=0 ")));
    watch.say("quit");
    watch.wait_text("host: end");
    assert_eq!(watch.wait_exit(), Some(0));
}

/// Unoptimized, code asks a function of the variable's for a thread-local, which patches share.
#[test]
fn optimized_code_in_patches_finds_the_librarys_thread_locals_by_itself() {
    let fixture = hosted();
    let mut watch = start(&fixture, &["--config", "profile.dev.opt-level=1"]);
    watch.wait_values(&[("version", "0")]);
    watch.say("threads 2");
    watch.wait_text("host: threads");
    let count = "CELL.set(CELL.get() + 1);\n";
    let reads = format!("{count}    let read = (CELL.get(), LATE.with_borrow(Vec::len));\n");
    fixture.edit(LIB, count, &format!("{reads}    println!(\"read {{read:?}}\");\n"));
    watch.applied();
    let line = watch.wait_text("read (");
    let ticks: u64 = line["read (".len()..].split(',').next().unwrap().parse().unwrap();
    assert_eq!(line, format!("read ({ticks}, {})", ticks - 1));
    for n in 1..=3 {
        assert_counts(&patch(&fixture, &mut watch, n - 1, n));
    }
    watch.stop();
}

#[test]
fn a_library_for_rust_programs_is_patched_in_a_host_as_well() {
    let fixture = hosted();
    let manifest = fixture.read("Cargo.toml").replace("\"cdylib\"", "\"dylib\"");
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let mut watch = start(&fixture, &["--cdylib"]);
    for n in 1..=3 {
        assert_counts(&patch(&fixture, &mut watch, n - 1, n));
    }
    watch.stop();
}

#[test]
fn a_library_that_is_also_for_rust_is_built_as_both_and_the_binary_beside_it_has_one_runtime() {
    let fixture = hosted();
    let manifest = fixture.read("Cargo.toml").replace("[\"cdylib\"]", "[\"cdylib\", \"rlib\"]");
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let main = "fn main() {\n    for n in 1.. {\n        hosted::hosted_tick(0, n, n * 1000);\n        \
                std::thread::sleep(std::time::Duration::from_millis(50));\n    }\n}\n";
    fixture.write("src/main.rs", main, Save::InPlace);
    let mut watch = start(&fixture, &["--lib"]);
    assert_counts(&patch(&fixture, &mut watch, 0, 1));
    watch.stop();
    let mut watch = Watch::start(&fixture);
    fixture.edit(LIB, &version(1), &version(2));
    watch.applied();
    assert_counts(&watch.wait_values(&[("version", "2"), ("dyn", "2")]));
    assert_eq!(watch.events("client-connected").len(), 1);
    watch.stop();
}

#[test]
fn a_library_that_starts_the_runtime_itself_has_that_one() {
    let fixture = hosted();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/runtime");
    let dependency = format!("hotpatch-runtime = {{ path = {runtime:?} }}\n");
    let manifest = fixture.read("Cargo.toml") + &dependency;
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let from = "extern \"C\" fn hosted_callback() -> Callback {\n";
    fixture.edit(LIB, from, &format!("{from}    hotpatch_runtime::start();\n"));
    let mut watch = start(&fixture, &[]);
    assert_counts(&patch(&fixture, &mut watch, 0, 1));
    watch.say("close");
    watch.wait_text("host: closed 0");
    watch.say(&format!("load {}", file()));
    watch.wait_text("host: loaded");
    patch(&fixture, &mut watch, 1, 2);
    assert_eq!(watch.events("client-connected").len(), 1);
    watch.stop();
}

#[test]
fn a_host_loads_the_library_late_and_gets_what_came_before() {
    let fixture = hosted();
    let mut watch = Watch::spawn(&fixture, &hosting(&[], &[]));
    watch.wait_text("host: ready");
    fixture.edit(LIB, &version(0), &version(1));
    watch.wait("patch-built");
    watch.say(&format!("load {}", file()));
    watch.wait("client-connected");
    watch.applied();
    watch.wait_values(&[("version", "1"), ("stored", "1")]);
    assert_counts(&patch(&fixture, &mut watch, 1, 2));
    watch.stop();
}

#[test]
fn a_library_that_its_host_closes_stays_and_goes_on_when_it_is_loaded_again() {
    let fixture = hosted();
    let mut watch = start(&fixture, &[]);
    let line = patch(&fixture, &mut watch, 0, 1);
    let before: u64 = values(&line)["atomic"].parse().expect("a number");
    watch.say("close");
    watch.wait_text("host: closed 0");
    // Nobody calls it, and it takes a patch all the same.
    fixture.edit(LIB, &version(1), &version(2));
    watch.applied();
    watch.say(&format!("load {}", file()));
    let line = watch.wait_values(&[("version", "2"), ("dyn", "2"), ("stored", "2")]);
    let after: u64 = values(&line)["atomic"].parse().expect("a number");
    assert!(after > before, "{before} and then {line}");
    assert_eq!(watch.events("client-connected").len(), 1);
    watch.stop();
}

#[test]
fn two_copies_of_a_library_in_one_process_are_patched_each_for_itself() {
    let fixture = hosted();
    let mut watch = start(&fixture, &[]);
    std::fs::copy(fixture.path(&file()), fixture.path("copy.so")).expect("a copy");
    watch.say("load ./copy.so");
    watch.wait("client-connected");
    for n in 1..=3 {
        fixture.edit(LIB, &version(n - 1), &version(n));
        watch.applied();
        watch.applied();
        let n = n.to_string();
        for library in ["0", "1"] {
            let wanted = [("library", library), ("version", &*n), ("dyn", &n), ("stored", &n)];
            assert_counts(&watch.wait_values(&wanted));
        }
    }
    watch.stop();
}

/// A child that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_python_that_loads_a_library_is_patched_and_nothing_is_started_without_a_host() {
    if target::foreign().is_some() {
        skip!("the Python here is for this machine");
    }
    let fixture = hosted();
    let python = "import ctypes, time\nlibrary = ctypes.CDLL('target/debug/libhosted.so')\n\
        library.hosted_callback.restype = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)\n\
        stored = library.hosted_callback()\n\
        u = ctypes.c_uint64\n\
        for n in range(1, 10**6):\n    library.hosted_tick(u(0), u(n), u(stored(n)))\n    time.sleep(0.05)\n";
    fixture.write("host.py", python, Save::InPlace);
    let (mut watch, started, variables) = Watch::start_without_program(&fixture);
    watch.wait_stderr("start the program that loads ");
    assert_eq!(started.program, fixture.path(&file()));
    let mut hosts: Vec<_> = (0..2)
        .map(|_| {
            let mut host = plain_command("python3", &["host.py"]);
            host.current_dir(fixture.root()).envs(variables.clone()).stdout(Stdio::piped());
            let host = Ended(host.spawn().expect("python"));
            watch.wait("client-connected");
            host
        })
        .collect();
    fixture.edit(LIB, &version(0), &version(1));
    for host in &mut hosts {
        watch.applied();
        let mut lines = BufReader::new(host.0.stdout.take().expect("a pipe")).lines();
        let newest = |line: &String| line.contains("version=1") && line.contains("stored=1");
        let line = lines.find_map(|line| line.ok().filter(newest));
        assert_counts(&line.expect("a line of the new version"));
    }
    watch.stop();
}

#[test]
fn what_is_loaded_and_what_is_started_are_told_apart() {
    let fixture = hosted();
    let usage = |args: &[&str]| run(command(fixture.root(), args)).expect_code(2);
    usage(&["watch", "--", "x"]).expect_text("--host PROGRAM -- ARGS");
    usage(&["watch", "--host", "./host", "--bin", "x"]).expect_text("--host");
    usage(&["fat", "--bin", "x"]).expect_text("-p hosted --cdylib");
    let fat = run(command(fixture.root(), &["fat"])).expect_code(0);
    assert_eq!(Path::new(fat.last_line()), fixture.path(&file()));
    // Other flags leave the library in the same file.
    for flags in [&["--config", "profile.dev.debug=1"][..], &[]] {
        let fat = run(command(fixture.root(), &[&["fat"], flags].concat())).expect_code(0);
        assert_eq!(Path::new(fat.last_line()), fixture.path(&file()));
    }
    let program = Fixture::copy("unmodified");
    run(command(program.root(), &["watch", "--host", "./host"]))
        .expect_code(2)
        .expect_text("no library of the crate type");
}
