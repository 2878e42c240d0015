//! Edits that end the program: it is said that they did, and the program goes on without them.

mod support;

use std::os::unix::process::CommandExt;
use std::process::Command;

use support::{Event, Fixture, Save, Watch, command, refuse_call, target};

const MAIN: &str = "src/main.rs";
const NULL: &str = "unsafe { std::ptr::null::<u64>().read_volatile() }";

fn start(fixture: &Fixture, restart: &str) -> Watch {
    let mut watch = Watch::start_with(fixture, &["--restart", restart]);
    watch.wait_values(&[("step", "100"), ("risky", "200")]);
    watch
}

/// The next report of a crash in `step`, with its patch, signal and last good patch.
#[track_caller]
fn crashed(watch: &mut Watch) -> (u64, Option<i64>, Option<u64>) {
    let event = watch.wait("program-crashed");
    let Event(value) = &event;
    assert_eq!(value["functions"][0], "crashes::step", "{value}");
    (event.number("patch"), value["signal"].as_i64(), value["last_good"].as_u64())
}

fn set(fixture: &Fixture, from: &str, to: &str) {
    fixture.set(MAIN, "step", &format!("    {from} //"), &format!("    {to} //"));
}

#[test]
fn each_way_to_crash_is_reported_and_the_last_good_code_runs_again() {
    let fixture = Fixture::copy("crashes");
    let mut watch = start(&fixture, "auto");
    set(&fixture, "100", "101");
    assert_eq!(watch.applied().number("patch"), 1);
    watch.wait_values(&[("step", "101")]);

    let deep = "if std::hint::black_box(true) { step() + 1 } else { 0 }";
    let no_instruction = match target::foreign() {
        None => "unsafe { std::arch::asm!(\"ud2\", options(noreturn)) }",
        Some(_) => "unsafe { std::arch::asm!(\"udf #0\", options(noreturn)) }",
    };
    let no_memory = "unsafe { let file = libc::memfd_create(c\"\".as_ptr(), 0); \
        let map = libc::mmap(std::ptr::null_mut(), 8, libc::PROT_READ, libc::MAP_SHARED, file, 0); \
        map.cast::<u64>().read_volatile() }";
    let nowhere =
        "unsafe { std::mem::transmute::<usize, fn() -> u64>(std::hint::black_box(16))() }";
    let data =
        "unsafe { std::mem::transmute::<*const u64, fn() -> u64>(&std::hint::black_box(1))() }";
    let panics = "panic!(\"as the test wants\")";
    let ways = [
        (NULL, Some(11)),
        ("std::process::abort()", Some(6)),
        (no_instruction, Some(4)),
        (deep, Some(6)),
        (no_memory, Some(7)),
        (nowhere, Some(11)),
        (data, Some(11)),
        ("unsafe { libc::raise(libc::SIGFPE) as u64 }", Some(8)),
        (panics, None),
    ];
    let mut before = "101";
    for (way, signal) in ways {
        set(&fixture, before, way);
        assert_eq!(crashed(&mut watch), (2, signal, Some(1)), "{way}");
        watch.wait("program-started");
        watch.wait("client-connected");
        let told = watch.next_line("tick");
        assert!(told.contains("step=1"), "{told}");
        watch.wait_values(&[("step", "101")]);
        before = way;
    }
    let output = watch.events("program-output");
    let said = |text: &str| output.iter().any(|Event(v)| v["line"].to_string().contains(text));
    assert!(said("has overflowed its stack"), "std tells of a stack overflow as ever");

    set(&fixture, before, "102");
    watch.wait_event("patch-applied", |event| event.number("patch") == 2);
    watch.wait_values(&[("step", "102")]);
    watch.stop();
}

/// As in containers whose filters leave out the call that reads memory which may not be there.
#[test]
fn a_crash_is_reported_where_the_system_lets_no_memory_be_read() {
    let fixture = Fixture::copy("crashes");
    let args = ["watch", "--message-format", "json", "--restart", "never"];
    let mut command = command(fixture.root(), &args);
    // SAFETY: the limit is two system calls.
    unsafe { command.pre_exec(|| refuse_call(libc::SYS_process_vm_readv)) };
    let mut watch = Watch::spawn_command(command);
    watch.wait_values(&[("step", "100"), ("risky", "200")]);
    set(&fixture, "100", NULL);
    assert_eq!(crashed(&mut watch), (1, Some(11), None));
}

#[test]
fn the_user_decides_when_it_starts_again_and_a_save_starts_it_too() {
    let fixture = Fixture::copy("crashes");
    let mut watch = start(&fixture, "ask");
    set(&fixture, "100", NULL);
    assert_eq!(crashed(&mut watch), (1, Some(11), Some(0)));
    let mut kill = Command::new("kill");
    kill.args(["-USR1", &watch.pid().to_string()]);
    assert!(kill.status().expect("kill").success());
    watch.wait("client-connected");
    watch.next_line("tick");

    fixture.edit(MAIN, "200 // EDIT risky", "201 // EDIT risky");
    assert_eq!(crashed(&mut watch), (1, Some(11), Some(0)));
    set(&fixture, NULL, "103");
    watch.wait("client-connected");
    watch.applied();
    watch.wait_values(&[("step", "103"), ("risky", "201")]);
    watch.stop();
}

#[test]
fn crashes_that_are_the_programs_own_end_it_as_ever() {
    for (word, code) in [("segv", 139), ("abort", 134)] {
        let fixture = Fixture::copy("crashes");
        let mut watch = start(&fixture, "auto");
        fixture.edit(MAIN, "200 // EDIT risky", "panic!(\"caught\") // EDIT risky");
        watch.applied();
        watch.wait_values(&[("risky", "0")]);
        watch.let_it_run(3);
        watch.say(word);
        let exited = watch.wait("program-exited");
        assert_eq!(exited.0["signal"], code - 128);
        assert_eq!(watch.wait_exit(), Some(code));
        assert!(watch.events("program-crashed").is_empty());
    }
}

#[test]
fn a_panic_that_aborts_is_reported_with_its_function() {
    let fixture = Fixture::copy("crashes");
    let manifest = fixture.read("Cargo.toml") + "\n[profile.dev]\npanic = \"abort\"\n";
    fixture.write("Cargo.toml", &manifest, support::Save::InPlace);
    let mut watch = start(&fixture, "never");
    set(&fixture, "100", "panic!(\"as the test wants\")");
    assert_eq!(crashed(&mut watch), (1, Some(6), None));
    assert_eq!(watch.wait_exit(), Some(134));
}

#[test]
fn a_crash_in_a_program_that_does_not_know_of_the_runtime_is_reported_too() {
    let fixture = Fixture::copy("crashes");
    let manifest = fixture.read("Cargo.toml");
    let lines = manifest.lines().filter(|line| !line.starts_with("hotpatch-runtime"));
    let manifest: String = lines.map(|line| format!("{line}\n")).collect();
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    fixture.edit(MAIN, "    hotpatch_runtime::start();\n", "");
    let mut watch = start(&fixture, "never");
    set(&fixture, "100", "101");
    watch.applied();
    watch.wait_values(&[("step", "101")]);
    set(&fixture, "101", NULL);
    let (patch, signal, _) = crashed(&mut watch);
    assert_eq!((patch, signal), (2, Some(11)));
}
