//! A program that has a say in its patches: hooks, safepoints, and calls through the runtime.

mod support;

use support::{Fixture, Watch, values};

const MAIN: &str = "src/main.rs";

fn start() -> (Fixture, Watch) {
    let fixture = Fixture::copy("hooks");
    let mut watch = Watch::start(&fixture);
    watch.wait_text("tick 1 ");
    (fixture, watch)
}

#[test]
fn patches_come_at_safepoints_only_and_are_told_of() {
    let (fixture, mut watch) = start();
    for n in 1..=15 {
        let (from, to) = (format!("VERSION: u64 = {};", n - 1), format!("VERSION: u64 = {n};"));
        fixture.edit(MAIN, &from, &to);
        watch.applied();
        watch.wait_values(&[("second", &n.to_string())]);
    }
    let lines = watch.log().lines();
    for line in lines.iter().filter(|l| l.starts_with("tick")) {
        let said = values(line);
        assert_eq!(said["first"], said["second"], "switched in the middle of a tick: {line}");
    }
    let told: Vec<_> = lines.iter().filter(|l| l.starts_with("after")).cloned().collect();
    let expected: Vec<_> = (1..=15).map(|n| format!("after patch={n}")).collect();
    assert_eq!(told, expected);
    watch.stop();
}

#[test]
fn a_hook_turns_a_patch_away_and_the_next_one_comes_in() {
    let (fixture, mut watch) = start();
    for (name, old, new, reason) in
        [("guarded", "100", "101", "not this one"), ("fragile", "200", "201", "panicked")]
    {
        fixture.set(MAIN, name, old, new);
        let failed = watch.wait("patch-failed");
        assert!(failed.text("error").contains(reason), "{failed:?}");
        watch.let_it_run(3);
        watch.wait_values(&[(name, old)]);
        fixture.set(MAIN, name, new, old);
        watch.wait("nothing-changed");
    }
    fixture.set(MAIN, "called", "300", "301");
    watch.applied();
    watch.wait_values(&[("called", "301"), ("guarded", "100"), ("fragile", "200")]);
    assert_eq!(watch.events("patch-applied").len(), 1);
    watch.stop();
}

#[test]
fn a_closure_is_called_through_the_runtime_in_its_newest_version() {
    let (fixture, mut watch) = start();
    for n in 1..=5 {
        let (from, to) = ((299 + n).to_string(), (300 + n).to_string());
        fixture.set(MAIN, "called", &from, &to);
        watch.applied();
        watch.wait_values(&[("called", &to)]);
    }
    watch.stop();
}
