//! Edits that bring new things into the program.

mod support;

use support::{Fixture, Watch};

const MAIN: &str = "src/main.rs";
const ITEMS: &str = "// EDIT items\n";

fn start() -> (Fixture, Watch) {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("extra", "none"), ("more", "none")]);
    (fixture, watch)
}

/// The whole line of `extra`'s body.
fn body(fixture: &Fixture) -> String {
    let text = fixture.read(MAIN);
    let line = text.lines().find(|l| l.ends_with("// EDIT extra")).expect("a marked line");
    line.to_string()
}

/// Adds items and makes `extra` use them.
#[track_caller]
fn grow(fixture: &Fixture, watch: &mut Watch, items: &str, expression: &str) {
    let (old, new) = (body(fixture), format!("    {expression} // EDIT extra"));
    fixture.edit_all(MAIN, &[(ITEMS, &format!("{items}\n\n{ITEMS}")), (&old, &new)]);
    watch.applied();
}

fn kept_counts(watch: &Watch) {
    for (n, line) in watch.log().lines().iter().enumerate() {
        let expected = format!("tick {} kept={} ", n + 1, n + 1);
        assert!(line.starts_with(&expected), "{line:?} should start with {expected:?}");
    }
}

#[test]
fn new_functions_and_new_statics_which_then_keep_their_values() {
    let (fixture, mut watch) = start();
    grow(
        &fixture,
        &mut watch,
        "fn helper(n: u64) -> u64 { n * 2 }\nstatic NEW: AtomicU64 = AtomicU64::new(1000);",
        r#"format!("{}/{}", helper(21), NEW.fetch_add(1, Ordering::SeqCst))"#,
    );
    watch.wait_values(&[("extra", "42/1000")]);
    watch.wait_values(&[("extra", "42/1005")]);
    // The next patch changes the function that uses it, and the helper of the patch before.
    fixture.edit_all(MAIN, &[("{ n * 2 }", "{ n * 3 }"), ("helper(21)", "helper(22)")]);
    watch.applied();
    let line = watch.wait_line(|l| l.contains("extra=66/"));
    let value: u64 = support::values(&line)["extra"][3..].parse().expect("a number");
    assert!((1006..9000).contains(&value), "{line}");
    // And a third reaches both from elsewhere.
    let more = "format!(\"{}\", crate::NEW.load(std::sync::atomic::Ordering::SeqCst) / (crate::helper(1000) * 1000))";
    fixture.set(MAIN, "more", "String::from(\"none\")", more);
    watch.applied();
    watch.wait_values(&[("more", "0")]);
    numbers_go_up_by_one(&watch);
    kept_counts(&watch);
    watch.stop();
}

fn numbers_go_up_by_one(watch: &Watch) {
    let lines = watch.log().lines();
    let numbers = lines.iter().filter_map(|l| {
        support::values(l)["extra"].split_once('/').and_then(|(_, n)| n.parse::<u64>().ok())
    });
    for (n, number) in numbers.enumerate() {
        assert_eq!(number, 1000 + n as u64, "the new static counts without a gap");
    }
}

#[test]
fn new_thread_locals_with_and_without_destructors() {
    let (fixture, mut watch) = start();
    grow(
        &fixture,
        &mut watch,
        "use std::cell::{Cell, RefCell};\n\
         thread_local! {\n    static NUMBER: Cell<u64> = const { Cell::new(5) };\n    \
         static WORDS: RefCell<Vec<String>> = RefCell::new(vec![\"a\".into()]);\n}",
        r#"{ NUMBER.set(NUMBER.get() + 1); WORDS.with_borrow_mut(|w| w.push("b".into())); format!("{}/{}", NUMBER.get(), WORDS.with_borrow(|w| w.len())) }"#,
    );
    watch.wait_values(&[("extra", "6/2")]);
    watch.wait_values(&[("extra", "9/5")]);
    fixture.edit(MAIN, "format!(\"{}/{}\", NUMBER", "format!(\"{}/again/{}\", NUMBER");
    watch.applied();
    let line = watch.wait_text("/again/");
    let said = support::values(&line);
    let (number, words) = said["extra"].split_once("/again/").expect("two numbers");
    let (number, words): (u64, u64) = (number.parse().expect("one"), words.parse().expect("one"));
    assert!(number > 9 && number == words + 4, "{line}");
    // A thread that has never seen them.
    fixture.edit(
        MAIN,
        "format!(\"{}/again/{}\", NUMBER.get(), WORDS.with_borrow(|w| w.len()))",
        "std::thread::spawn(|| format!(\"{}+{}\", NUMBER.get(), WORDS.with_borrow(|w| w.len()))).join().unwrap()",
    );
    watch.applied();
    watch.wait_values(&[("extra", "5+1")]);
    kept_counts(&watch);
    watch.stop();
}

#[test]
fn parts_of_std_that_the_program_never_used() {
    let (fixture, mut watch) = start();
    let uses = [
        (
            "",
            r#"{ let mut m = std::collections::BTreeMap::new(); for n in 0..40u64 { m.insert(n, n.to_string()); } format!("{}:{:?}", m.len(), m.get(&39)) }"#,
            "40:Some(\"39\")",
        ),
        (
            "#[derive(Debug, Clone, PartialEq)]\nstruct Fresh { name: String, at: (u8, f32) }",
            r#"format!("{:?}", Fresh { name: "x".into(), at: (1, 2.5) })"#,
            "Fresh { name: \"x\", at: (1, 2.5) }",
        ),
        (
            "use std::collections::HashMap;",
            r#"{ let m: HashMap<String, usize> = ["a", "bb"].iter().map(|s| (s.to_string(), s.len())).collect(); format!("{}-{}", m["bb"], m.len()) }"#,
            "2-2",
        ),
        (
            "",
            r#"std::thread::Builder::new().name("fresh".into()).spawn(|| std::thread::current().name().map(str::to_uppercase)).unwrap().join().unwrap().unwrap()"#,
            "FRESH",
        ),
        (
            "",
            r#""one,two,,three".split(',').filter(|s| !s.is_empty()).rev().map(|s| s.replace('e', "E")).collect::<Vec<_>>().join("+")"#,
            "thrEE+two+onE",
        ),
        (
            "",
            r#"format!("{:?}", "12x".parse::<i32>().map_err(|e| e.to_string()))"#,
            "Err(\"invalid digit found in string\")",
        ),
        (
            "",
            r#"{ let (s, r) = std::sync::mpsc::channel(); std::thread::spawn(move || s.send(7u128.pow(30)).unwrap()); r.recv().unwrap().to_string() }"#,
            "22539340290692258087863249",
        ),
        (
            "",
            r#"format!("{:?}", std::panic::catch_unwind(|| { let v: Vec<u8> = vec![]; std::panic::resume_unwind(Box::new(v.len())); }).unwrap_err().downcast_ref::<usize>())"#,
            "Some(0)",
        ),
        (
            "",
            r#"format!("{:?}", std::env::args().skip(9).collect::<std::collections::VecDeque<_>>())"#,
            "[]",
        ),
        ("", r#"format!("{:.3}", (2.0f64).sqrt().sin() + f64::from(tick as u32) * 0.0)"#, "0.988"),
    ];
    for (items, expression, expected) in uses {
        grow(&fixture, &mut watch, items, expression);
        watch.wait_values(&[("extra", expected)]);
    }
    kept_counts(&watch);
    watch.stop();
}

#[test]
fn new_types_traits_and_generics() {
    let (fixture, mut watch) = start();
    grow(
        &fixture,
        &mut watch,
        "trait Sound { fn sound(&self) -> String; fn twice(&self) -> String { self.sound() + &self.sound() } }\n\
         struct Dog(u8);\nstruct Cat;\n\
         impl Sound for Dog { fn sound(&self) -> String { \"wuff\".repeat(self.0 as usize) } }\n\
         impl Sound for Cat { fn sound(&self) -> String { \"miau\".into() } }\n\
         impl Drop for Cat { fn drop(&mut self) { KEPT.fetch_add(0, Ordering::SeqCst); } }",
        r#"{ let all: Vec<Box<dyn Sound>> = vec![Box::new(Dog(1)), Box::new(Cat)]; all.iter().map(|s| s.twice()).collect::<Vec<_>>().join("-") }"#,
    );
    watch.wait_values(&[("extra", "wuffwuff-miaumiau")]);
    fixture.edit(MAIN, "\"miau\".into()", "\"mrr\".into()");
    watch.applied();
    watch.wait_values(&[("extra", "wuffwuff-mrrmrr")]);
    grow(
        &fixture,
        &mut watch,
        "fn apply<T, F: Fn(T) -> T>(n: usize, x: T, f: F) -> T { (0..n).fold(x, |x, _| f(x)) }",
        r#"apply(5, 1u64, |x| x * 2).to_string() + &apply(2, String::from("z"), |s| s.clone() + &s)"#,
    );
    watch.wait_values(&[("extra", "32zzzz")]);
    fixture.edit(MAIN, "|x| x * 2", "|x| x * 3");
    watch.applied();
    watch.wait_values(&[("extra", "243zzzz")]);
    kept_counts(&watch);
    watch.stop();
}
