//! What lies around a program: crates that are no part of it, dependencies that come, and other
//! processes of it.

mod support;

use support::{Fixture, Save, Second, Watch};

const EXTRA: &str = "String::from(\"none\") // EDIT extra";

#[test]
fn crates_that_are_no_part_of_the_program_are_left_alone() {
    let fixture = Fixture::copy("matrix");
    std::fs::create_dir_all(fixture.path("app/examples")).expect("a folder");
    fixture.write("app/examples/other.rs", "fn main() {}\n", Save::InPlace);
    let mut watch = Watch::start_with(&fixture, &["-p", "app", "--restart", "never"]);
    watch.wait_text("tick 1 ");
    let (before, _) = watch.log().so_far();
    fixture.edit("beside/src/main.rs", "fn main() {", "fn main() {\n    this is no Rust;");
    fixture.edit("beside/Cargo.toml", "edition.workspace = true", "edition = \"2021\"");
    fixture.edit("app/examples/other.rs", "fn main() {}", "fn main() { nor is this }");
    fixture.edit("app/src/functions.rs", "let one = 1;", "let one = 2;");
    watch.applied();
    watch.wait_values(&[("plain", "2")]);
    watch.let_it_run(3);
    let said = watch.log().events().split_off(before);
    let reasons: Vec<&str> = said.iter().map(|event| event.reason()).collect();
    assert_eq!(reasons, ["change-detected", "patch-built", "patch-applied"], "{said:?}");
    watch.stop();
}

#[test]
fn a_dependency_and_its_first_use_in_one_save() {
    let fixture = Fixture::copy("growing");
    let home = fixture.path("helper");
    std::fs::create_dir_all(home.join("src")).expect("a folder");
    let manifest = "[package]\nname = \"helper\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    fixture.write("helper/Cargo.toml", manifest, Save::InPlace);
    let library = "pub fn help() -> String {\n    \"helped\".into()\n}\n";
    fixture.write("helper/src/lib.rs", library, Save::InPlace);
    let mut watch = Watch::start_with(&fixture, &["--restart", "auto"]);
    watch.wait_values(&[("extra", "none")]);
    watch.save_at_once(|| {
        let with_helper = "[dependencies]\nhelper = { path = \"helper\" }";
        fixture.edit("Cargo.toml", "[dependencies]", with_helper);
        fixture.edit("src/main.rs", EXTRA, "helper::help() // EDIT extra");
    });
    let required = watch.wait("restart-required");
    assert!(required.text("cause").contains("Cargo.toml"), "{required:?}");
    watch.wait("program-started");
    watch.wait("client-connected");
    watch.wait_values(&[("extra", "helped"), ("kept", "1")]);
    fixture.edit("helper/src/lib.rs", "\"helped\"", "\"helped again\"");
    watch.applied();
    watch.wait_values(&[("extra", "helped again")]);
    watch.stop();
}

#[test]
fn a_program_that_is_started_by_hand_again_runs_the_newest_code() {
    let fixture = Fixture::copy("growing");
    let (mut watch, started, variables) = Watch::start_without_program(&fixture);
    let program = Second::start(&fixture, &started, &variables);
    program.wait_text("extra=none");
    watch.wait("client-connected");
    for (from, to) in [("none", "one"), ("one", "two")] {
        fixture.set("src/main.rs", "extra", &format!("{from:?}"), &format!("{to:?}"));
        watch.applied();
        program.wait_text(&format!("extra={to}"));
    }
    drop(program);
    watch.wait("client-disconnected");
    // Its file is that of the first build.
    let again = Second::start(&fixture, &started, &variables);
    again.wait_text("extra=two");
    // Nobody runs while this is saved.
    drop(again);
    fixture.set("src/main.rs", "extra", "\"two\"", "\"three\"");
    watch.wait("patch-built");
    let last = Second::start(&fixture, &started, &variables);
    last.wait_text("extra=three");
    watch.stop();
}
