//! Every function can be replaced, however it is reached, and whatever it reads.

mod support;

use support::{Fixture, Watch, values};

const CALLS: &str = "src/calls.rs";
const DATA: &str = "src/data.rs";
const DEEP: &str = "src/deep.rs";
const TASK: &str = "src/task.rs";

/// The value that an edit is about, and nothing else, follows the source.
#[test]
fn a_function_is_replaced_however_it_is_reached() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    let mut expected = values(&watch.wait_text("tick 1 "));
    let edits = [
        (CALLS, "free", "100", "101", "101"),
        (CALLS, "method", "200", "201", "201"),
        (CALLS, "dynamic", "300", "301", "301"),
        (CALLS, "pointer", "400", "401", "401"),
        (CALLS, "boxed", "500", "501", "501"),
        (CALLS, "none", "600", "601", "601"),
        (CALLS, "one", "700", "701", "701"),
        (CALLS, "two", "800", "801", "801"),
        (CALLS, "generic", "900", "910", "911,913"),
        (CALLS, "sorted", "a.cmp(&b)", "b.cmp(&a)", "[3, 2, 1]"),
        (TASK, "task", "1000", "1001", "1001"),
    ];
    for (file, name, from, to, value) in edits {
        fixture.set(file, name, from, to);
        watch.applied();
        let said = values(&watch.wait_values(&[(name, value)]));
        expected.insert(name.into(), value.into());
        for (other, value) in expected.iter().filter(|(n, _)| *n != "heap" && !n.is_empty()) {
            assert_eq!(&said[other], value, "{other} after an edit of {name}");
        }
    }
    // All at once, and back to what it was: what is stored still points to the first bodies.
    fixture.edit_all(
        CALLS,
        &[("101 //", "100 //"), ("201 //", "200 //"), ("301 //", "300 //"), ("401 //", "400 //")],
    );
    watch.applied();
    watch.wait_values(&[
        ("free", "100"),
        ("method", "200"),
        ("dynamic", "300"),
        ("pointer", "400"),
    ]);
    every_tick_counts(&watch);
    watch.stop();
}

fn every_tick_counts(watch: &Watch) {
    let lines = watch.log().lines();
    for (n, line) in lines.iter().filter(|l| l.starts_with("tick")).enumerate() {
        let said = values(line);
        assert_eq!(
            (&*said[""], &*said["heap"]),
            (&*format!("tick {}", n + 1), &*(n + 1).to_string())
        );
    }
}

#[test]
fn data_that_never_changes_comes_from_the_newest_source() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    watch.wait_text("data 1 ");
    let edits = [
        ("literal", "\"hello\"", "\"good evening\"", "good evening"),
        ("bytes", "b\"abc\"", "b\"xyz\"", "xyz"),
        ("const", "10;", "11;", "11"),
        ("table", "[1, 2, 3, 4]", "[10, 20, 30, 40]", "100"),
        ("words", "\"green\"", "\"violet\"", "red+violet+blue"),
        ("colours", "\"black\"", "\"dark\"", "dark:0+white:255"),
        ("chosen", "\"two\"", "\"a pair\"", "a pair"),
    ];
    for (name, from, to, value) in edits {
        fixture.set(DATA, name, from, to);
        watch.applied();
        watch.wait_values(&[(name, value)]);
    }
    let last = values(&watch.next_line("data"));
    for (name, .., value) in edits {
        assert_eq!(last[name], value, "{name}");
    }
    every_tick_counts(&watch);
    watch.stop();
}

#[test]
fn a_function_on_the_stack_ends_as_it_began_and_its_calls_reach_new_code() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    watch.say("descend");
    watch.wait_text("descend waits");
    fixture.set(DEEP, "descend", "+ 1 ", "+ 10 ");
    watch.applied();
    watch.say("release");
    assert_eq!(watch.wait_text("descend sum"), "descend sum=23");
    watch.say("descend");
    watch.wait_text("descend waits");
    watch.say("release");
    assert_eq!(watch.wait_text("descend sum"), "descend sum=50");
    watch.stop();
}

#[test]
fn a_panic_unwinds_through_new_code() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    watch.say("explode");
    let line = fixture.line_of(DEEP, "explode");
    assert_eq!(watch.wait_text("explode "), format!("explode caught=boom drops=3 line={line}"));
    for n in 1..=3 {
        let (from, to) = match n {
            1 => ("panic!(\"boom\")", "std::hint::black_box(());\n        panic!(\"boom 1\")"),
            2 => ("panic!(\"boom 1\")", "panic!(\"boom 2\")"),
            _ => ("let _guard = Guard;", "let _guards = [Guard, Guard];"),
        };
        fixture.edit(DEEP, from, to);
        watch.applied();
        watch.say("explode");
        let (text, drops) =
            if n == 1 { ("boom 1", 3) } else { ("boom 2", if n == 3 { 6 } else { 3 }) };
        let line = fixture.line_of(DEEP, "explode");
        let said = watch.wait_text("explode ");
        assert_eq!(said, format!("explode caught={text} drops={drops} line={line}"));
    }
    watch.stop();
}

#[test]
fn a_backtrace_names_the_functions_and_lines_of_every_patch() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    let traced = |watch: &mut Watch| {
        watch.say("trace");
        let said = watch.wait_text("trace ");
        let place = format!("dispatch::deep::traced@deep.rs:{}:", fixture.line_of(DEEP, "traced"));
        assert!(said.contains(&place), "no {place} in {said}");
        assert!(said.contains("dispatch::main@main.rs:"), "{said}");
    };
    traced(&mut watch);
    for n in 1..=3 {
        let more = format!("let _version = {n};\n    let trace = Backtrace");
        fixture.edit(DEEP, "let trace = Backtrace", &more);
        watch.applied();
        traced(&mut watch);
    }
    watch.stop();
}
