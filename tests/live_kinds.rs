//! Every kind of program that cargo knows, none of which depends on us: binaries, examples, tests
//! and benchmarks, with the harness and without.

mod support;

use std::process::Command;

use support::{Fixture, Save, Watch, command, run, values};

/// The program's own code and that of the library are edited, and no count is lost.
#[track_caller]
fn check(fixture: &Fixture, watch: &mut Watch, file: &str, before: &str) {
    watch.wait_values(&[("own", before), ("shared", "10")]);
    fixture.set(file, "own", before, "1");
    watch.applied();
    watch.wait_values(&[("own", "1"), ("shared", "10")]);
    fixture.set("src/lib.rs", "shared", "10", "2");
    watch.applied();
    watch.wait_values(&[("own", "1"), ("shared", "2")]);
    let lines = watch.log().lines();
    for line in lines.iter().filter(|line| line.starts_with("tick ")) {
        let said = values(line);
        assert_eq!(said[""], format!("tick {}", said["kept"]));
    }
}

/// Lets the program come to its own end.
#[track_caller]
fn finish(fixture: &Fixture, mut watch: Watch) {
    fixture.write("stop", "", Save::InPlace);
    assert_eq!(watch.wait_exit(), Some(0));
}

#[test]
fn an_example() {
    let fixture = Fixture::copy("kinds");
    let mut watch = Watch::start_with(&fixture, &["--example", "shown"]);
    check(&fixture, &mut watch, "examples/shown.rs", "30");
    finish(&fixture, watch);
}

/// It is started in its package's folder, by whoever calls us from another one.
#[test]
fn an_integration_test_in_its_harness() {
    let fixture = Fixture::copy("kinds");
    let manifest = fixture.path("Cargo.toml").display().to_string();
    let args = ["watch", "--message-format", "json", "--manifest-path", &manifest];
    let harness = ["--test", "harness", "--", "goes_on", "--nocapture"];
    let mut watch =
        Watch::spawn_command(command(fixture.scratch(), &[&args[..], &harness].concat()));
    check(&fixture, &mut watch, "tests/harness.rs", "40");
    fixture.write("stop", "", Save::InPlace);
    watch.wait_text("1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out");
    assert_eq!(watch.wait_exit(), Some(0));
}

#[test]
fn a_test_without_a_harness() {
    let fixture = Fixture::copy("kinds");
    let mut watch = Watch::start_with(&fixture, &["--test", "plain"]);
    check(&fixture, &mut watch, "tests/plain.rs", "60");
    finish(&fixture, watch);
}

#[test]
fn the_unit_tests_of_a_library() {
    let fixture = Fixture::copy("kinds");
    let mut watch = Watch::start_with(&fixture, &["--lib", "--", "--nocapture"]);
    check(&fixture, &mut watch, "src/lib.rs", "50");
    finish(&fixture, watch);
}

#[test]
fn a_benchmark_without_a_harness_is_told_to_measure() {
    let fixture = Fixture::copy("kinds");
    let mut watch = Watch::start_with(&fixture, &["--bench", "measure", "--", "some"]);
    watch.wait_text(r#"given ["some", "--bench"]"#);
    check(&fixture, &mut watch, "benches/measure.rs", "70");
    finish(&fixture, watch);
}

/// The harness for benchmarks is unstable; the compiler takes it all the same where it is told to.
#[test]
fn a_benchmark_in_its_harness() {
    const FILE: &str = "benches/harness.rs";
    let fixture = Fixture::copy("kinds");
    let source = "#![feature(test)]\nextern crate test;\n\nfn own() -> u64 {\n    80 // EDIT own\n}\n\n\
         #[bench]\nfn measured(_: &mut test::Bencher) {\n    kinds::run(own);\n}\n";
    fixture.write(FILE, source, Save::InPlace);
    let args = ["watch", "--message-format", "json", "--bench", "harness", "--", "--nocapture"];
    let mut unstable: Command = command(fixture.root(), &args);
    unstable.env("RUSTC_BOOTSTRAP", "1");
    let mut watch = Watch::spawn_command(unstable);
    check(&fixture, &mut watch, FILE, "80");
    finish(&fixture, watch);
}

#[test]
fn one_shot_patches_and_the_doctor_take_the_same_flags() {
    let fixture = Fixture::copy("kinds");
    let hotpatch = |args: &[&str]| run(command(fixture.root(), args));
    hotpatch(&["fat", "--test", "harness"])
        .expect_code(0)
        .expect_text("target/debug/deps/harness-");
    hotpatch(&["patch", "--test", "plain"]).expect_code(4).expect_text("run `cargo hotpatch fat`");
    fixture.set("src/lib.rs", "shared", "10", "11");
    hotpatch(&["patch", "--test", "harness"]).expect_code(0).expect_text("kinds::shared");
    hotpatch(&["doctor", "--test", "harness"]).expect_text("`harness`");
    hotpatch(&["doctor", "--bench", "none"]).expect_text("no benchmark named `none`");
    hotpatch(&["fat", "--test", "none"]).expect_code(2).expect_text("-p kinds --test plain");
}
