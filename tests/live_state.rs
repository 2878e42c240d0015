//! What a program has in its variables stays there, whatever is patched and however often.

mod support;

use std::collections::BTreeMap;

use support::{Fixture, Watch, values};

const MAIN: &str = "src/main.rs";

fn version(n: u64) -> String {
    format!("const VERSION: u64 = {n};")
}

#[test]
fn every_kind_of_variable_goes_on_over_twenty_patches() {
    let fixture = Fixture::copy("counters");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("version", "0")]);
    for n in 1..=20 {
        fixture.edit(MAIN, &version(n - 1), &version(n));
        watch.applied();
        watch.wait_values(&[("version", &n.to_string())]);
        watch.let_it_run(2);
    }
    watch.say("quit");
    let end = values(&watch.wait_text("end "));
    assert_eq!(watch.wait_exit(), Some(0));

    let lines = watch.log().lines();
    let ticks = check_ticks(&lines);
    assert!(ticks > 40, "{ticks}");
    assert_eq!(end["atomic"], ticks.to_string());
    check_sides(&lines);
    let dropped = lines.iter().find(|l| l.starts_with("dropped")).expect("a destructor ran");
    let sides = lines.iter().filter(|l| l.starts_with("side")).count();
    assert_eq!(values(dropped)["lazy"], sides.to_string(), "{dropped}");
    assert_eq!(values(dropped)["version"], "20", "the destructor is the newest one");
}

/// Every tick's values are the tick's number; the versions only go up.
fn check_ticks(lines: &[String]) -> u64 {
    let mut expected = 0;
    let mut newest = 0;
    for line in lines.iter().filter(|l| l.starts_with("tick")) {
        expected += 1;
        let said = values(line);
        assert_eq!(said[""], format!("tick {expected}"), "{line}");
        for name in ["atomic", "plain", "cell", "lazy", "names", "list"] {
            assert_eq!(said[name], expected.to_string(), "{name} in {line}");
        }
        assert_eq!((&*said["once"], &*said["inits"]), ("1", "2"), "{line}");
        let version: u64 = said["version"].parse().expect("a number");
        assert!(version >= newest, "{line} after version {newest}");
        newest = version;
    }
    expected
}

fn check_sides(lines: &[String]) {
    let sides = lines.iter().filter(|l| l.starts_with("side"));
    for (n, line) in sides.enumerate() {
        let said = values(line);
        let number = (n + 1).to_string();
        assert_eq!(said[""], format!("side {number}"), "{line}");
        assert_eq!((&said["cell"], &said["lazy"]), (&number, &number), "{line}");
    }
}

#[test]
fn a_thread_started_after_a_patch_has_variables_of_its_own() {
    let fixture = Fixture::copy("counters");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("version", "0")]);
    for n in 1..=2 {
        fixture.edit(MAIN, &version(n - 1), &version(n));
        watch.applied();
        watch.wait_values(&[("version", &n.to_string())]);
        watch.say("thread");
        let dropped = watch.wait_text("dropped");
        assert_eq!(dropped, format!("dropped version={n} lazy=1"));
    }
    let lines = watch.log().lines();
    let fresh = lines.iter().filter(|l| l.starts_with("side 1 ") && l.ends_with("cell=1 lazy=1"));
    assert_eq!(fresh.count(), 3, "one for the side thread, one for each new one: {lines:#?}");
    watch.stop();
}

#[test]
fn one_changed_function_is_one_replaced_function() {
    let fixture = Fixture::copy("counters");
    let mut watch = Watch::start(&fixture);
    let functions = [
        ("plain", "PLAIN += 1;", "PLAIN += 1 + n - n + 0 * PLAIN;"),
        ("cell", "CELL.get()\n", "CELL.get() + n - n + 0\n"),
        ("names", "names.len()\n", "names.len() + 0 * names.capacity()\n"),
        ("once", "|| tick)", "|| tick + 1)"),
    ];
    let mut changed = BTreeMap::new();
    for (name, from, to) in functions {
        fixture.edit(MAIN, from, to);
        let applied = watch.applied();
        assert!(applied.number("functions") >= 1, "{applied:?}");
        changed.insert(name, watch.built(&applied).list("functions"));
        watch.let_it_run(3);
    }
    check_ticks(&watch.log().lines());
    for (name, functions) in &changed {
        let expected = format!("counters::{name}");
        assert!(functions.iter().all(|f| f.starts_with(&expected)), "{name}: {functions:?}");
        assert!(!functions.is_empty(), "{name}");
    }
    watch.stop();
}
