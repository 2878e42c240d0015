//! Functions whose running call does not end: their edits are said not to reach it.

mod support;

use support::{Event, Fixture, Watch};

const MAIN: &str = "src/main.rs";

/// The names in the next `still-running`, and the patch that it is about.
#[track_caller]
fn still_running(watch: &mut Watch) -> (u64, Vec<String>) {
    let event = watch.wait("still-running");
    let Event(value) = &event;
    let names = value["functions"].as_array().expect("a list of functions");
    let names = names.iter().map(|name| name.as_str().unwrap_or_default().to_string());
    (event.number("patch"), names.collect())
}

#[test]
fn what_does_not_return_is_named_and_what_does_is_not() {
    if support::target::foreign().is_some() {
        skip!("an emulator shows neither the stacks nor the calls of threads that sleep");
    }
    let fixture = Fixture::copy("frames");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("step", "100"), ("main", "200"), ("work", "300")]);

    fixture.set(MAIN, "step", "100", "101");
    assert_eq!(watch.applied().number("patch"), 1);
    watch.wait_values(&[("step", "101")]);

    // Looks come in the order of their patches: nothing is told of the first one.
    fixture.edit_all(MAIN, &[("101 // EDIT step", "102 // EDIT step"), ("200;", "201;")]);
    assert_eq!(watch.applied().number("patch"), 2);
    watch.wait_values(&[("step", "102"), ("main", "200")]);
    assert_eq!(still_running(&mut watch), (2, vec!["frames::main".to_string()]));

    fixture.set(MAIN, "work", "300", "301");
    assert_eq!(watch.applied().number("patch"), 3);
    assert_eq!(still_running(&mut watch), (3, vec!["frames::work".to_string()]));

    watch.let_it_run(10);
    let last = watch.next_line("tick");
    assert!(last.contains("step=102 main=200 work=300"), "{last}");
    assert_eq!(watch.events("still-running").len(), 2);
    watch.stop();
}
