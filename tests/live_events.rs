//! Macros that keep a static in the function that uses them, with a description of that use: the
//! new code of a function has the descriptions that it was compiled with.

mod support;

use support::{Event, Fixture, Save, Watch};

const MAIN: &str = "src/main.rs";

/// The program of `tests/guests/tracing`; ends the test where it cannot be had.
macro_rules! guest {
    () => {
        match Fixture::guest("tracing") {
            Ok(fixture) => fixture,
            Err(why) => skip!("{why}"),
        }
    };
}

/// Makes an edit, and waits for a line of the new code that begins and ends so.
#[track_caller]
fn becomes(fixture: &Fixture, watch: &mut Watch, (from, to): (&str, &str), line: (&str, &str)) {
    fixture.edit(MAIN, from, to);
    watch.applied();
    shows(watch, line);
}

#[track_caller]
fn shows(watch: &mut Watch, (begin, end): (&str, &str)) {
    watch.wait_line(|line| line.trim_start().starts_with(begin) && line.ends_with(end));
}

#[test]
fn events_and_spans_of_tracing_are_those_of_the_newest_code() {
    follows_the_source(&guest!(), &["nothing-changed"]);
}

#[test]
fn they_are_in_optimised_code_too() {
    let fixture = guest!();
    let manifest = fixture.read("Cargo.toml") + "[profile.dev]\nopt-level = 1\n";
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    // What is inlined where may differ from build to build, which a patch makes no difference to.
    follows_the_source(&fixture, &["nothing-changed", "patch-applied"]);
}

fn follows_the_source(fixture: &Fixture, moved: &[&str]) {
    let before = fixture.read(MAIN);
    let mut watch = Watch::start(fixture);
    shows(&mut watch, ("INFO step{number=1}: guest_tracing: first", "number=1"));
    // What moves by a line is what it was.
    fixture.edit(MAIN, "#[tracing", "// One line more.\n#[tracing");
    let outcome = watch.outcome();
    assert!(moved.contains(&outcome.reason()), "{}", outcome.0);
    let main = &mut watch;
    // The first of its kind was another one until now.
    let first = "    tracing::info!(number, \"first\");";
    let zeroth = format!("    tracing::error!(\"zeroth\");\n{first}");
    becomes(fixture, main, (first, &zeroth), ("ERROR", ": zeroth"));
    shows(main, ("WARN", " extra=4"));
    becomes(
        fixture,
        main,
        ("number, \"first\"", "number, more = 5, \"first\""),
        ("INFO", " more=5"),
    );
    becomes(fixture, main, ("tracing::warn!(", "tracing::debug!("), ("INFO", " more=5"));
    let span = ("#[tracing::instrument]", "#[tracing::instrument(skip(number))]");
    becomes(fixture, main, span, ("ERROR step: guest_tracing:", "zeroth"));
    fixture.write(MAIN, &before, Save::Rename);
    watch.applied();
    let number = |line: &str| line.rsplit('=').next().and_then(|n| n.parse::<u64>().ok());
    let line = watch.wait_line(|line| line.contains(": first number=") && !line.contains("more"));
    let number = number(&line).expect("a number");
    shows(&mut watch, (&format!("WARN step{{number={number}}}"), "extra=4"));
    let said: Vec<Event> = watch.events("warning");
    assert!(said.is_empty(), "{said:?}");
    watch.stop();
}
