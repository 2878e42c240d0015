//! Programs that are compiled in other ways than cargo's default.

mod support;

use support::{Fixture, Save, Watch, command, run, values};

const MAIN: &str = "src/main.rs";

/// A fixture whose own crate has these settings; what it depends on is compiled as ever.
fn with_settings(name: &str, settings: &str) -> Fixture {
    with_profile(name, &format!("[profile.dev.package.{name}]\n{settings}\n"))
}

fn with_profile(name: &str, profile: &str) -> Fixture {
    let fixture = Fixture::copy(name);
    let manifest = fixture.read("Cargo.toml") + "\n" + profile;
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    fixture
}

/// Every kind of variable goes on over five patches.
#[track_caller]
fn counts_on(fixture: &Fixture) {
    let mut watch = Watch::start(fixture);
    watch.wait_values(&[("version", "0")]);
    for n in 1..=5 {
        let (from, to) = (format!("VERSION: u64 = {};", n - 1), format!("VERSION: u64 = {n};"));
        fixture.edit(MAIN, &from, &to);
        watch.applied();
        let newest = format!(" version={n} ");
        watch.wait_line(|l| l.starts_with("tick") && l.contains(&newest));
    }
    watch.say("thread");
    watch.wait_text("dropped version=5 lazy=1");
    for line in watch.log().lines().iter().filter(|l| l.starts_with("tick")) {
        let said = values(line);
        for name in ["atomic", "plain", "cell", "lazy", "names", "list"] {
            assert_eq!(format!("tick {}", said[name]), said[""], "{name} in {line}");
        }
    }
    watch.stop();
}

/// Each of the values that `dispatch` shows follows its line.
#[track_caller]
fn all_are_replaced(fixture: &Fixture) {
    let mut watch = Watch::start(fixture);
    watch.wait_text("data 1 ");
    let calls = "src/calls.rs";
    for (name, from, to) in [
        ("free", "100", "101"),
        ("method", "200", "201"),
        ("dynamic", "300", "301"),
        ("pointer", "400", "401"),
        ("boxed", "500", "501"),
        ("none", "600", "601"),
        ("one", "700", "701"),
        ("two", "800", "801"),
    ] {
        fixture.set(calls, name, from, to);
        watch.applied();
        watch.wait_values(&[(name, to)]);
    }
    fixture.set(calls, "sorted", "a.cmp(&b)", "b.cmp(&a)");
    watch.applied();
    watch.wait_values(&[("sorted", "[3, 2, 1]")]);
    fixture.set("src/data.rs", "chosen", "\"two\"", "\"a pair\"");
    watch.applied();
    watch.wait_values(&[("chosen", "a pair")]);
    watch.stop();
}

#[test]
fn opt_level_1() {
    counts_on(&with_settings("counters", "opt-level = 1"));
    all_are_replaced(&with_settings("dispatch", "opt-level = 1"));
}

#[test]
fn one_codegen_unit() {
    counts_on(&with_settings("counters", "codegen-units = 1"));
    all_are_replaced(&with_settings("dispatch", "codegen-units = 1"));
}

#[test]
fn no_debug_information() {
    counts_on(&with_settings("counters", "debug = 0"));
    all_are_replaced(&with_settings("dispatch", "debug = \"line-tables-only\""));
}

#[test]
fn types_are_compared_where_the_profile_splits_the_debug_information() {
    for how in ["packed", "unpacked"] {
        let fixture = with_settings("counters", &format!("split-debuginfo = \"{how}\""));
        let mut watch = Watch::start(&fixture);
        watch.wait_values(&[("version", "0")]);
        fixture.edit(MAIN, "VERSION: u64 = 0;", "VERSION: u64 = 1;");
        watch.applied();
        watch.wait_values(&[("version", "1")]);
        assert!(watch.events("warning").is_empty(), "{}", watch.log().dump());
        watch.stop();
    }
}

#[test]
fn without_incremental_compilation() {
    counts_on(&with_settings("counters", "incremental = false"));
}

#[test]
fn panics_that_abort() {
    counts_on(&with_profile("counters", "[profile.dev]\npanic = \"abort\"\n"));
}

#[test]
fn std_as_a_shared_library() {
    let fixture = Fixture::copy("unmodified");
    std::fs::create_dir_all(fixture.path(".cargo")).expect("a folder");
    let config = "[build]\nrustflags = [\"-C\", \"prefer-dynamic\"]\n";
    fixture.write(".cargo/config.toml", config, Save::InPlace);
    counts_on(&fixture);
}

/// A program with a member `q`, whose manifest and the program's have something more.
fn with_member((main, lib): (&str, &str), library: &str, profile: &str) -> Fixture {
    let fixture = Fixture::copy("unmodified");
    std::fs::create_dir_all(fixture.path("q/src")).expect("a folder");
    let manifest = format!("[package]\nname = \"q\"\nedition = \"2024\"\n[lib]\n{library}\n");
    fixture.write("q/Cargo.toml", &manifest, Save::InPlace);
    fixture.write("q/src/lib.rs", lib, Save::InPlace);
    let more = format!("[dependencies]\nq = {{ path = \"q\" }}\n{profile}");
    fixture.write("Cargo.toml", &(fixture.read("Cargo.toml") + &more), Save::InPlace);
    fixture.write(MAIN, main, Save::InPlace);
    fixture
}

#[test]
fn a_package_without_overflow_checks_gets_what_a_build_gives_it() {
    let main = "fn of_main(a: &[u8]) -> u8 {
    a.len() as u8 // EDIT main
}
fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let told = |f: fn(&[u8]) -> u8| match std::panic::catch_unwind(|| f(&[200, 100])) {
        Ok(n) => n.to_string(),
        Err(_) => \"panic\".to_string(),
    };
    loop {
        let (product, sum) = (told(|a| a.iter().product()), told(|a| a.iter().fold(0, |n, b| n + b)));
        println!(
            \"of_main={} product={product} sum={sum} of_q={} sum_of_q={}\",
            told(of_main),
            told(q::edited),
            told(q::sum)
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
";
    let lib = "pub fn sum(a: &[u8]) -> u8 {
    a.iter().sum()
}
pub fn edited(a: &[u8]) -> u8 {
    a.len() as u8 // EDIT q
}
";
    let profile = "[profile.dev.package.q]\noverflow-checks = false\n";
    let fixture = with_member((main, lib), "", profile);
    let mut watch = Watch::start(&fixture);
    watch.wait_text("of_main=2 product=panic sum=panic of_q=2 sum_of_q=44");
    fixture.set(MAIN, "main", "a.len() as u8", "a.iter().sum()");
    watch.applied();
    watch.wait_line(|l| l.starts_with("of_main=") && !l.contains("of_main=2 "));
    fixture.set("q/src/lib.rs", "q", "a.len() as u8", "a.iter().product()");
    watch.applied();
    let patched = watch.wait_line(|l| l.contains(" of_q=32 "));
    watch.stop();
    let mut built = Watch::start(&fixture);
    assert_eq!(built.wait_text("of_main="), patched, "as after a build");
    built.stop();
}

#[test]
fn a_package_that_is_a_shared_library_needs_a_restart_and_the_program_does_not() {
    let main = "fn own() -> u32 {
    10 // EDIT own
}
fn main() {
    loop {
        println!(\"own={} of_q={} calls={}\", own(), q::edited(), q::CALLS.load(std::sync::atomic::Ordering::SeqCst));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
";
    let lib = "use std::sync::atomic::{AtomicU32, Ordering};
pub static CALLS: AtomicU32 = AtomicU32::new(0);
pub fn edited() -> u32 {
    CALLS.fetch_add(1, Ordering::SeqCst);
    20 // EDIT q
}
";
    let fixture = with_member((main, lib), "crate-type = [\"dylib\"]", "");
    let mut watch = Watch::start(&fixture);
    let calls = |line: String| values(&line)["calls"].parse::<u32>().expect("a number");
    let before = calls(watch.wait_text("own=10 of_q=20"));
    fixture.set(MAIN, "own", "10", "11 * q::edited() / q::edited()");
    watch.applied();
    assert!(calls(watch.wait_text("own=11 of_q=20")) > before);
    fixture.set("q/src/lib.rs", "q", "20", "21");
    let cause = watch.wait("restart-required").text("cause").to_string();
    assert!(cause.contains("a shared library of its own (dylib)"), "{cause}");
    watch.stop();
    // The build is the old one.
    let patch = run(command(fixture.root(), &["patch"]));
    patch.expect_code(3).expect_text("a shared library of its own (dylib)");
}

#[test]
fn another_mangling_and_an_example() {
    let fixture = Fixture::copy("growing");
    std::fs::create_dir_all(fixture.path("examples")).expect("a folder");
    std::fs::create_dir_all(fixture.path(".cargo")).expect("a folder");
    fixture.write("examples/other.rs", &fixture.read(MAIN), Save::InPlace);
    let config = "[build]\nrustflags = [\"-C\", \"symbol-mangling-version=v0\"]\n";
    fixture.write(".cargo/config.toml", config, Save::InPlace);
    let mut watch = Watch::start_with(&fixture, &["--example", "other"]);
    watch.wait_values(&[("extra", "none")]);
    fixture.set("examples/other.rs", "extra", "\"none\"", "\"some\"");
    let applied = watch.applied();
    watch.wait_values(&[("extra", "some")]);
    assert_eq!(watch.built(&applied).list("functions"), ["other::extra"]);
    fixture.set("examples/other.rs", "extra", "String::from(\"some\")", "tick.to_string() + \"!\"");
    watch.applied();
    watch.wait_line(|l| l.contains("! more=none"));
    watch.stop();
}
