//! A type's layout changes, and the program carries its values over.

mod support;

use support::{Event, Fixture, Values, Watch, target, values};

const UNREADABLE: &str = "the emulator's own threads cannot be read, so nothing is carried over";

const MAIN: &str = "src/main.rs";

/// The edits that give `State` a field which `tick` shows.
const GROWN: [(&str, &str); 3] = [
    ("    // EDIT fields", "    before: [u64; 4],\n    // EDIT fields"),
    ("State { count } // EDIT new", "State { before: [40, 41, 42, 43], count } // EDIT new"),
    ("let more = 0; // EDIT more", "let more = state.before[2]; // EDIT more"),
];

fn start(fixture: &Fixture) -> Watch {
    let mut watch = Watch::start_with(fixture, &["--restart", "never"]);
    watch.wait_values(&[("count", "5"), ("more", "0"), ("other", "5")]);
    if target::foreign().is_some() {
        // An emulated program takes its time to say what it carries over.
        watch.let_it_run(200);
    }
    watch
}

/// No tick is lost and none is counted twice.
#[track_caller]
fn goes_on(watch: &mut Watch) {
    let numbers = |said: &Values| {
        let tick = said[""].trim_start_matches("tick ").parse::<u64>();
        (tick.expect("a number"), said["count"].parse::<u64>().expect("a count"))
    };
    for line in watch.log().lines().iter().filter(|l| l.starts_with("tick ")) {
        let (tick, count) = numbers(&values(line));
        assert_eq!(tick, count, "{line}");
    }
    watch.let_it_run(3);
}

#[test]
fn a_state_that_grows_is_carried_over_and_back() {
    if target::foreign().is_some() {
        skip!("{UNREADABLE}");
    }
    let fixture = Fixture::copy("carry");
    let original = fixture.read(MAIN);
    let mut watch = start(&fixture);
    fixture.edit_all(MAIN, &GROWN);
    watch.applied();
    watch.wait_values(&[("more", "42"), ("other", "5")]);
    goes_on(&mut watch);
    fixture.write(MAIN, &original, support::Save::InPlace);
    watch.applied();
    watch.wait_values(&[("more", "0")]);
    goes_on(&mut watch);
    watch.stop();
}

/// The program's refusal.
#[track_caller]
fn failed(watch: &mut Watch) -> String {
    let Event(value) = watch.wait("patch-failed");
    value["error"].as_str().unwrap_or_default().to_string()
}

#[test]
fn what_cannot_be_carried_over_is_put_back() {
    if target::foreign().is_some() {
        skip!("{UNREADABLE}");
    }
    let fixture = Fixture::copy("carry");
    let original = fixture.read(MAIN);
    let mut watch = start(&fixture);
    for (check, says) in [
        ("Err(\"the new code does not like it\".into())", "the new code does not like it"),
        ("panic!(\"as the test wants\")", "it panicked"),
    ] {
        let check = format!("{check} // EDIT check");
        let mut edits = GROWN.to_vec();
        edits.push(("Ok(()) // EDIT check", &check));
        fixture.edit_all(MAIN, &edits);
        let error = failed(&mut watch);
        assert!(error.contains("`carry::State` could not be loaded"), "{error}");
        assert!(error.contains(says), "{error}");
        goes_on(&mut watch);
        fixture.write(MAIN, &original, support::Save::InPlace);
        watch.wait("nothing-changed");
    }
    // `main` is on the stack at the safepoint, and would go on in old code.
    let mut edits = GROWN.to_vec();
    edits.push(("20)); // EDIT main", "21)); // EDIT main"));
    fixture.edit_all(MAIN, &edits);
    let error = failed(&mut watch);
    assert!(error.contains("`carry::main` still runs in old code"), "{error}");
    goes_on(&mut watch);
    fixture.write(MAIN, &original, support::Save::InPlace);
    watch.wait("nothing-changed");
    fixture.edit_all(MAIN, &GROWN);
    watch.applied();
    watch.wait_values(&[("more", "42")]);
    goes_on(&mut watch);
    watch.stop();
}

#[test]
fn where_threads_cannot_be_read_nothing_is_taken_out() {
    if target::foreign().is_none() {
        skip!("all threads can be read here; for a foreign target, an emulator's cannot");
    }
    let fixture = Fixture::copy("carry");
    let mut watch = start(&fixture);
    fixture.edit_all(MAIN, &GROWN);
    let error = failed(&mut watch);
    assert!(error.contains("it is not known what thread"), "{error}");
    assert!(!error.contains("put back"), "{error}");
    goes_on(&mut watch);
    watch.stop();
}

#[test]
fn a_type_that_nobody_carries_over_is_refused_as_ever() {
    let fixture = Fixture::copy("carry");
    let mut watch = start(&fixture);
    fixture.edit_all(
        MAIN,
        &[
            ("    // EDIT other fields", "    more: u64,\n    // EDIT other fields"),
            ("Other { value: 5 }", "Other { value: 5, more: 6 }"),
            ("other.value)", "other.value + other.more)"),
        ],
    );
    let Event(refused) = watch.refused();
    assert!(refused["items"].to_string().contains("carry::Other"), "{refused}");
    goes_on(&mut watch);
    watch.stop();
}

#[test]
fn a_static_that_holds_the_value_itself_is_refused() {
    let fixture = Fixture::copy("carry");
    let text = fixture.read(MAIN).replace("Option<Box<State>>", "Option<State>");
    let text = text.replace("Some(Box::new(new_state(count)))", "Some(new_state(count))");
    let text = text.replace("Some(Box::new(new_state(0)))", "Some(new_state(0))");
    fixture.write(MAIN, &text, support::Save::InPlace);
    let mut watch = start(&fixture);
    fixture.edit_all(MAIN, &GROWN);
    let Event(refused) = watch.refused();
    assert!(refused["items"].to_string().contains("carry::STATE"), "{refused}");
    goes_on(&mut watch);
    watch.stop();
}
