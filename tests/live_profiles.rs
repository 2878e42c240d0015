//! Programs that are compiled in other ways than cargo's default.

mod support;

use support::{Fixture, Save, Watch, values};

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
