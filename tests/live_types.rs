//! Changes of types, signatures and initial values: what can reach a running program does, and
//! what would make it read its own data wrongly is refused, by name.

mod support;

use support::{Fixture, Save, Watch, values};

const CALLS: &str = "src/calls.rs";

fn start(name: &str) -> (Fixture, Watch) {
    let fixture = Fixture::copy(name);
    let mut watch = Watch::start_with(&fixture, &["--restart", "never"]);
    watch.wait_text("tick 1 ");
    (fixture, watch)
}

/// `heap` counts in memory that the first `Machine` has allocated.
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
fn a_field_more_in_a_struct_of_which_there_are_values_is_refused() {
    let (fixture, mut watch) = start("dispatch");
    let before = fixture.read(CALLS);
    fixture.edit_all(
        CALLS,
        &[
            ("    steps: Box<u64>,", "    gap: [u64; 4],\n    steps: Box<u64>,"),
            ("Machine { steps: Box::new(0) }", "Machine { gap: [7; 4], steps: Box::new(0) }"),
            ("let _ = &self.steps;", "let _ = self.gap.len();"),
        ],
    );
    let refused = watch.refused();
    assert!(refused.0.to_string().contains("Machine"), "{refused:?}");
    watch.let_it_run(10);
    // Taking it back and changing something else goes through.
    fixture.write(CALLS, &before.replace("100 // EDIT free", "101 // EDIT free"), Save::Rename);
    watch.applied();
    watch.wait_values(&[("free", "101"), ("method", "200")]);
    every_tick_counts(&watch);
    watch.stop();
}

/// Values of the type are made and used within one call; that none is left between two calls is
/// what the user knows and the tool does not.
#[test]
fn a_field_more_goes_in_where_the_user_answers_for_it() {
    let pair = |fields: &str, values: &str| {
        format!(
            "read(&Pair {{ {values} }})\n}}\n\nstruct Pair {{ {fields} }}\n\n\
             fn read(pair: &Pair) -> u32 {{ pair.a + 1 }}\n"
        )
    };
    let (one, two) = (pair("a: u32", "a: 100"), pair("a: u32, b: u64", "b: 7, a: 101 + 100"));
    for (allowed, args) in [(false, &[][..]), (true, &["--allow-layout-change"][..])] {
        let fixture = Fixture::copy("dispatch");
        let mut watch = Watch::start_with(&fixture, &[&["--restart", "never"], args].concat());
        watch.wait_text("tick 1 ");
        fixture.edit(CALLS, "100 // EDIT free\n}\n", &one);
        watch.applied();
        watch.wait_values(&[("free", "101")]);
        fixture.edit(CALLS, &one, &two);
        if allowed {
            watch.applied();
            watch.wait_values(&[("free", "202")]);
            let warned = watch.events("warning");
            assert!(warned.iter().any(|w| w.text("message").contains("Pair")), "{warned:?}");
        } else {
            let refused = watch.refused();
            assert!(refused.0.to_string().contains("Pair"), "{refused:?}");
            watch.let_it_run(3);
        }
        watch.stop();
    }
}

#[test]
fn a_running_future_never_runs_a_body_of_another_layout() {
    let (fixture, mut watch) = start("dispatch");
    let task = "src/task.rs";
    fixture.edit_all(
        task,
        &[
            ("    let mut round = 0;", "    let mut kept = [0u32; 16];\n    let mut round = 0;"),
            ("        round += 1;", "        kept[3] += 1;\n        round += 1;"),
            ("base + round / u32::MAX", "base + round / u32::MAX + kept.iter().sum::<u32>()"),
        ],
    );
    // Whether the change is refused, or left to futures that are made from now on: this one was
    // made before.
    watch.outcome();
    watch.let_it_run(10);
    assert_eq!(values(&watch.next_line("tick"))["task"], "1000");
    every_tick_counts(&watch);
    watch.stop();
}

#[test]
fn a_stored_closure_that_captures_more_never_reads_what_it_does_not_have() {
    let (fixture, mut watch) = start("dispatch");
    fixture.edit(CALLS, "a as u32 * x - 10 + 700", "(a + b + b) as u32 * x - 10 + 700");
    watch.outcome();
    watch.let_it_run(10);
    // The stored one has only `a`: its old code is the only right one for it.
    watch.wait_values(&[("one", "700")]);
    every_tick_counts(&watch);
    watch.stop();
}

#[test]
fn another_signature_with_all_of_its_callers() {
    let (fixture, mut watch) = start("dispatch");
    fixture.edit(
        CALLS,
        "pub fn free() -> u32 {\n    100 // EDIT free",
        "pub fn free() -> String {\n    \"text\".repeat(2) // EDIT free",
    );
    watch.applied();
    watch.wait_values(&[("free", "texttext")]);
    fixture.edit_all(
        CALLS,
        &[
            ("pub fn free() -> String {", "pub fn free_of(n: usize) -> String {"),
            ("repeat(2)", "repeat(n)"),
        ],
    );
    let error = watch.wait_event("compiler-message", |e| e.is_compile_error());
    assert_eq!(error.0["message"]["code"]["code"], "E0425", "{error:?}");
    fixture.edit("src/main.rs", "calls::free()", "calls::free_of(3)");
    watch.applied();
    watch.wait_values(&[("free", "texttexttext")]);
    every_tick_counts(&watch);
    watch.stop();
}

#[test]
fn another_initial_value_leaves_the_running_one_alone() {
    let (fixture, mut watch) = start("counters");
    let main = "src/main.rs";
    fixture.edit(
        main,
        "static ATOMIC: AtomicU64 = AtomicU64::new(0);",
        "static ATOMIC: AtomicU64 = AtomicU64::new(5000);",
    );
    watch.outcome();
    watch.let_it_run(5);
    fixture.edit(main, "VERSION: u64 = 0;", "VERSION: u64 = 1;");
    watch.applied();
    watch.wait_values(&[("version", "1")]);
    watch.let_it_run(5);
    for line in watch.log().lines().iter().filter(|l| l.starts_with("tick")) {
        let said = values(line);
        assert_eq!(format!("tick {}", said["atomic"]), said[""], "{line}");
    }
    watch.stop();
}

#[test]
fn a_static_of_another_type_is_a_new_one() {
    let (fixture, mut watch) = start("counters");
    let main = "src/main.rs";
    fixture.edit_all(
        main,
        &[
            (
                "static LIST: Mutex<Vec<u64>> = Mutex::new(Vec::new());",
                "static LIST: Mutex<Vec<u8>> = Mutex::new(Vec::new());",
            ),
            ("list.push(VERSION);", "list.push(VERSION as u8);"),
        ],
    );
    let outcome = watch.outcome();
    watch.let_it_run(5);
    let said = values(&watch.next_line("tick"));
    let list: u64 = said["list"].parse().expect("a number");
    let atomic: u64 = said["atomic"].parse().expect("a number");
    match outcome.reason() {
        "patch-applied" => assert!(list < atomic, "it begins anew: {said:?}"),
        "patch-refused" | "restart-required" => assert_eq!(list, atomic, "{said:?}"),
        _ => panic!("{outcome:?}"),
    }
    watch.stop();
}

#[test]
fn the_function_that_never_returns_is_replaced_for_whoever_calls_it_next() {
    let (fixture, mut watch) = start("growing");
    let main = "src/main.rs";
    fixture.edit_all(
        main,
        &[
            ("from_millis(20)", "from_millis(21)"),
            ("\"none\") // EDIT extra", "\"new\") // EDIT extra"),
        ],
    );
    watch.applied();
    watch.wait_values(&[("extra", "new")]);
    watch.stop();
}
