//! Programs that were written for other tools are served as they are, and keep their state.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};

use support::{Event, Fixture, Second, Started, Watch, command, run, values};

const MAIN: &str = "src/main.rs";

/// The program of `tests/guests/<name>`; ends the test where it cannot be had.
macro_rules! guest {
    ($name:literal) => {
        match Fixture::guest($name) {
            Ok(fixture) => fixture,
            Err(why) => skip!("{why}"),
        }
    };
}

/// Starts `watch` and waits until a client of this kind is connected, in a program that has no
/// other.
#[track_caller]
fn start(fixture: &Fixture, args: &[&str], protocol: &str) -> Watch {
    let mut watch = Watch::spawn(fixture, &[&["--no-inject"], args].concat());
    watch.wait_event("client-connected", |event| event.text("protocol") == protocol);
    watch
}

/// Sets the value that the program shows, and waits until it does.
#[track_caller]
fn set_value(fixture: &Fixture, watch: &mut Watch, from: u64, to: u64) {
    fixture.set(MAIN, "value", &from.to_string(), &to.to_string());
    watch.wait("patch-loaded");
    watch.wait_values(&[("value", &to.to_string())]);
}

/// In every line all of the named values equal the number of the tick.
#[track_caller]
fn check_ticks(watch: &Watch, names: &[&str]) -> usize {
    let lines = watch.log().lines();
    let ticks: Vec<_> = lines.iter().filter(|line| line.starts_with("tick ")).collect();
    for (line, number) in ticks.iter().zip(1..) {
        let said = values(line);
        assert_eq!(said[""], format!("tick {number}"), "{line}");
        for name in names {
            assert_eq!(said[*name], number.to_string(), "{name} in {line}");
        }
    }
    ticks.len()
}

fn warnings(watch: &Watch, text: &str) -> usize {
    let all = watch.events("warning").into_iter();
    all.filter(|event: &Event| event.text("message").contains(text)).count()
}

const NEW_STATICS: &str = "{
    static NEW: AtomicU64 = AtomicU64::new(0);
    thread_local! { static MINE: Cell<u64> = const { Cell::new(0) } }
    MINE.with(|mine| mine.set(mine.get() + 1));
    NEW.fetch_add(1, Ordering::SeqCst) * 1000 + MINE.with(Cell::get) + 1000
}";

#[test]
fn a_program_for_subsecond_runs_new_code_and_keeps_all_of_its_state() {
    let fixture = guest!("devtools");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    watch.wait_values(&[("value", "100")]);
    set_value(&fixture, &mut watch, 100, 200);
    // From here on a function of a patch is on the stack for good.
    fixture.set(MAIN, "rounds", "1", "u64::MAX");
    watch.wait("patch-loaded");
    watch.let_it_run(3);
    fixture.set(MAIN, "added", "0", NEW_STATICS);
    watch.wait("patch-loaded");
    watch.wait_values(&[("added", "3003"), ("value", "200")]);
    set_value(&fixture, &mut watch, 200, 300);
    set_value(&fixture, &mut watch, 300, 100);
    watch.let_it_run(3);

    check_ticks(&watch, &["count", "cell", "list"]);
    let lines = watch.log().lines();
    let added = lines.iter().map(|line| values(line)["added"].parse::<u64>().expect("a number"));
    for (added, expected) in added.skip_while(|added| *added == 0).zip((1001..).step_by(1001)) {
        assert_eq!(added, expected, "the statics of a patch are those of the next one too");
    }
    assert_eq!(values(&lines[lines.len() - 1])["told"], "5");
    assert_eq!(watch.events("patch-sent").len(), 5);
    assert_eq!(warnings(&watch, "another tool's client"), 1, "once for each client");
    assert!(watch.events("patch-applied").is_empty(), "nobody said so");
    watch.stop();
}

#[test]
fn a_closure_that_the_program_holds_is_not_given_a_body_for_other_captures() {
    let fixture = guest!("devtools");
    // The names of this mangling do not tell of captures.
    let config = fixture.path(".cargo/config.toml");
    std::fs::create_dir_all(config.parent().expect("a folder")).expect("a folder");
    let flags = "[build]\nrustflags = [\"-Csymbol-mangling-version=v0\"]\n";
    std::fs::write(config, flags).expect("a configuration");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    watch.wait_values(&[("value", "100")]);
    // `main` is on the stack for good, with the closure that it has.
    fixture.edit(
        MAIN,
        "subsecond::call(|| rounds());",
        "let text = [String::from(\"a long text, somewhere else\"), String::new()];
        let (count, text) = (&COUNT, &text);
        subsecond::call(|| {
            assert!(text.concat().len() < 100 && count.load(Ordering::SeqCst) < u64::MAX);
            rounds()
        });",
    );
    watch.wait("patch-loaded");
    watch.let_it_run(3);
    set_value(&fixture, &mut watch, 100, 200);
    watch.let_it_run(3);
    check_ticks(&watch, &["count", "cell", "list"]);
    watch.stop();
}

#[test]
fn what_cannot_be_carried_is_refused_for_guests_too() {
    let fixture = guest!("devtools");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    watch.wait_values(&[("value", "100")]);
    fixture.edit_all(
        MAIN,
        &[
            ("    tick: u64,\n", "    tick: u64,\n    more: u64,\n"),
            ("{ tick }", "{ tick, more: 7 }"),
        ],
    );
    watch.wait("patch-refused");
    watch.let_it_run(3);
    assert!(watch.events("patch-sent").is_empty());
    check_ticks(&watch, &["count", "cell", "list"]);
    watch.stop();
}

#[test]
fn with_the_runtime_functions_are_redirected_once_and_the_client_is_told() {
    redirected_once(&guest!("devtools"), &[]);
    redirected_once(&guest!("devtools"), &["--features", "runtime"]);
}

fn redirected_once(fixture: &Fixture, args: &[&str]) {
    let mut watch = Watch::spawn(fixture, args);
    watch.wait("client-connected");
    watch.wait("client-connected");
    watch.wait_values(&[("value", "100"), ("told", "0")]);
    for (from, to, told) in [("100", "200", "1"), ("200", "300", "2")] {
        fixture.set(MAIN, "value", from, to);
        watch.applied();
        watch.wait("refresh-sent");
        watch.wait_values(&[("value", to), ("told", told)]);
    }
    check_ticks(&watch, &["count", "cell", "list"]);
    assert!(watch.events("patch-sent").is_empty(), "the client replaces nothing");
    assert_eq!(warnings(&watch, "another tool's client"), 0);
    watch.stop();
}

#[test]
fn one_shot_patches_say_at_once_that_they_are_not_for_such_clients() {
    let fixture = guest!("devtools");
    let patch =
        |args: &[&str]| run(command(fixture.root(), &[&["patch", "--wait", "1"], args].concat()));
    run(command(fixture.root(), &["fat", "--no-inject"])).expect_code(0);
    fixture.set(MAIN, "value", "100", "200");
    let refused = patch(&["--no-inject"]).expect_code(4);
    refused.expect_text("cannot serve").expect_text("cargo hotpatch watch");
    run(command(fixture.root(), &["patch", "--no-inject"])).expect_code(0);
    run(command(fixture.root(), &["fat"])).expect_code(0);
    fixture.set(MAIN, "value", "200", "300");
    // Nobody has started the program.
    patch(&[]).expect_code(5).expect_text("told of patches by");
}

/// The variables by which the running program finds the server.
fn devtools_variables(watch: &Watch) -> Vec<(String, String)> {
    let raw = std::fs::read(format!("/proc/{}/environ", watch.started().pid)).expect("a program");
    let text = String::from_utf8_lossy(&raw).into_owned();
    let all = text.split('\0').filter_map(|variable| variable.split_once('='));
    let found = all.filter(|(name, _)| name.starts_with("DIOXUS_"));
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_program_that_dials_late_loads_every_patch_and_has_its_own_statics() {
    let fixture = guest!("devtools");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    set_value(&fixture, &mut watch, 100, 200);
    fixture.set(MAIN, "added", "0", NEW_STATICS);
    watch.wait("patch-loaded");
    watch.wait_values(&[("added", "3003")]);
    let variables = devtools_variables(&watch);
    let variables: Vec<_> = variables.iter().map(|(n, v)| (&**n, v.clone())).collect();
    let second = Second::start(&fixture, &watch.started(), &variables);
    second.wait_text("value=200 added=1001 ");
    fixture.set(MAIN, "value", "200", "300");
    let later = second.wait_text("value=300 ");
    let added: u64 = values(&later)["added"].parse().expect("a number");
    assert!(added > 1001 && added.is_multiple_of(1001), "it goes on counting: {later}");
    watch.wait_values(&[("value", "300")]);
    check_ticks(&watch, &["count", "cell", "list"]);
    watch.stop();
}

/// The port of cargo-hot's client is the same for all programs, so one test has it at a time.
static PORT: Mutex<()> = Mutex::new(());

/// Keeps the port for a test; ends the test where somebody else has it.
macro_rules! cargo_hot_port {
    () => {{
        let kept = PORT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = TcpListener::bind("127.0.0.1:1100") {
            skip!("the port that cargo-hot's client dials is taken: {error}");
        }
        kept
    }};
}

#[test]
fn a_program_with_patches_of_another_session_is_turned_away() {
    let fixture = guest!("cargo-hot");
    let _port = cargo_hot_port!();
    let args = ["--no-inject", "--no-run", "--client", "cargo-hot"];
    let mut watch = Watch::spawn(&fixture, &args);
    let addr = watch.wait("serving").text("addr").to_owned();
    let program = watch.events("fat-built").remove(0).text("program").into();
    let program = Second::start(&fixture, &Started { pid: 0, addr, program }, &[]);
    watch.wait("client-connected");
    fixture.set(MAIN, "value", "100", "200");
    watch.wait("patch-loaded");
    program.wait_text("value=200");
    watch.stop();
    fixture.set(MAIN, "value", "200", "100");
    let mut watch = Watch::spawn(&fixture, &args);
    let told = watch.wait_event("warning", |e| e.text("message").contains("turned away"));
    assert!(told.text("message").contains("restart it"), "{told:?}");
    program.wait_text("value=200");
    watch.stop();
}

#[test]
fn a_client_that_is_served_only_on_demand_is_told_of() {
    let fixture = guest!("cargo-hot");
    let mut watch = Watch::spawn(&fixture, &["--no-inject"]);
    let served_with = |event: &Event| event.text("message").contains("--client cargo-hot");
    watch.wait_event("warning", served_with);
    watch.stop();
}

#[test]
fn a_program_for_cargo_hot_runs_new_code_and_keeps_its_state() {
    let fixture = guest!("cargo-hot");
    let _port = cargo_hot_port!();
    let mut watch = start(&fixture, &["--client", "cargo-hot"], "cargo-hot");
    watch.wait_values(&[("value", "100")]);
    for (from, to) in [(100, 200), (200, 300)] {
        set_value(&fixture, &mut watch, from, to);
    }
    check_ticks(&watch, &["count", "cell"]);
    watch.stop();
}

/// What the server at this address answers, and nothing else.
#[track_caller]
fn ask(address: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("a server");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("a server that listens");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    body.to_owned()
}

#[test]
fn a_web_server_is_served_again_with_its_new_handlers_and_its_old_counters() {
    let fixture = guest!("axum");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    let at = |line: String| values(&line)["at"].to_owned();
    let first = at(watch.wait_values(&[("served", "1")]));
    assert_eq!(ask(&first), "hits=1 value=100");
    for (from, to, hits) in [("100", "200", 2), ("200", "300", 3)] {
        fixture.set(MAIN, "value", from, to);
        watch.wait("patch-loaded");
        let again = at(watch.wait_values(&[("served", &hits.to_string())]));
        assert_eq!(ask(&again), format!("hits={hits} value={to}"));
    }
    watch.stop();
}

#[test]
fn a_bevy_program_runs_its_new_systems_on_its_old_world() {
    let fixture = guest!("bevy");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    watch.wait_values(&[("value", "100"), ("told", "0")]);
    for (from, to, told) in [(100, 200, "1"), (200, 300, "2")] {
        set_value(&fixture, &mut watch, from, to);
        watch.wait_values(&[("told", told)]);
    }
    check_ticks(&watch, &["score", "seen", "entities"]);
    watch.stop();
}

#[test]
fn a_dioxus_program_renders_its_new_components() {
    let fixture = guest!("dioxus");
    let mut watch = start(&fixture, &[], "dioxus-devtools");
    watch.wait_values(&[("value", "100")]);
    for (from, to) in [(100, 200), (200, 300)] {
        set_value(&fixture, &mut watch, from, to);
    }
    check_ticks(&watch, &["count"]);
    watch.stop();
}

#[test]
fn with_the_runtime_components_keep_their_hooks() {
    let fixture = guest!("dioxus");
    let mut watch = Watch::spawn(&fixture, &["--features", "runtime"]);
    watch.wait("client-connected");
    watch.wait("client-connected");
    for (from, to) in [("100", "200"), ("200", "300")] {
        watch.wait_values(&[("value", from)]);
        fixture.set(MAIN, "value", from, to);
        watch.applied();
        watch.wait("refresh-sent");
    }
    watch.wait_values(&[("value", "300")]);
    check_ticks(&watch, &["count", "renders"]);
    watch.stop();
}
