//! The one-shot commands, `fat` and `patch`, and their exit codes.

mod support;

use std::path::{Path, PathBuf};

use support::{Fixture, Output, Save, command, plain_command, run, target};

const MAIN: &str = "src/main.rs";
const NONE: &str = "String::from(\"none\") // EDIT extra";
const SOME: &str = "String::from(\"some\") // EDIT extra";

fn hotpatch(fixture: &Fixture, args: &[&str]) -> Output {
    run(command(fixture.root(), args))
}

#[test]
fn fat_says_where_the_program_is_and_a_plain_build_rebuilds_no_dependency() {
    let fixture = Fixture::copy("growing");
    let cargo = || {
        run({
            let mut cargo = plain_command(target::cargo(), &["build", "-v"]);
            target::configure(&mut cargo);
            cargo.current_dir(fixture.root());
            cargo
        })
    };
    let plain = cargo().expect_code(0);
    assert!(!plain.stderr.contains("Compiling serde"), "the harness had it compiled");
    let fat = hotpatch(&fixture, &["fat"]).expect_code(0);
    assert!(Path::new(fat.last_line()).is_file(), "{}", fat.stdout);
    fat.expect_no_text("Compiling serde").expect_no_text("Compiling tungstenite");
    let again = hotpatch(&fixture, &["fat"]).expect_code(0).expect_no_text("Compiling");
    assert!(Path::new(again.last_line()).is_file(), "{}", again.stdout);
    cargo()
        .expect_code(0)
        .expect_no_text("Compiling serde")
        .expect_no_text("Compiling tungstenite");
}

#[test]
fn a_patch_is_written_with_its_jump_table_and_its_report() {
    let fixture = Fixture::copy("growing");
    hotpatch(&fixture, &["fat"]).expect_code(0);
    hotpatch(&fixture, &["patch"]).expect_code(0).expect_text("nothing");
    fixture.edit(MAIN, NONE, SOME);
    let out = fixture.scratch().join("out here");
    let out_arg = out.display().to_string();
    hotpatch(&fixture, &["patch", "--out", &out_arg]).expect_code(0).expect_text("growing::extra");
    let library = only_library(&out);
    assert_eq!(std::fs::read(&library).expect("a library")[..4], *b"\x7fELF");
    let table = std::fs::read_to_string(out.join("jump_table.json")).expect("a jump table");
    let table: subsecond_types::JumpTable = serde_json::from_str(&table).expect("a jump table");
    assert_eq!(table.map.len(), 1, "one function changed: {table:?}");
    let report = std::fs::read_to_string(out.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert!(report.to_string().contains("growing::extra"), "{report}");
}

fn only_library(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path());
    let found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "so")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let fixture = Fixture::copy("growing");
    hotpatch(&fixture, &["patch"]).expect_code(4).expect_text("cargo hotpatch fat");
    hotpatch(&fixture, &["fat"]).expect_code(0);
    hotpatch(&fixture, &["patch", "--no-such-flag"]).expect_code(2);
    hotpatch(&fixture, &["patch", "--bin", "nobody"]).expect_code(2).expect_text("nobody");
    fixture.edit(MAIN, NONE, "String::new( // EDIT extra");
    hotpatch(&fixture, &["patch"]).expect_code(1).expect_text("src/main.rs:");
    fixture.edit(MAIN, "String::new( // EDIT extra", SOME);
    hotpatch(&fixture, &["patch", "--wait", "1"]).expect_code(5);
    hotpatch(&fixture, &["patch"]).expect_code(0).expect_text("growing::extra");
}

#[test]
fn what_only_a_new_build_brings_is_no_patch_and_not_nothing() {
    let fixture = Fixture::copy("workspace");
    let patch = || hotpatch(&fixture, &["patch", "-p", "app", "--message-format", "json"]);
    hotpatch(&fixture, &["fat", "-p", "app"]).expect_code(0);
    for (file, name, from, to, cause) in [
        ("shout/src/lib.rs", "count", "700", "701", "a proc macro"),
        ("engine/build.rs", "generated", "800", "801", "a build script"),
    ] {
        fixture.set(file, name, from, to);
        let refused = patch().expect_code(3).expect_text("cargo hotpatch fat");
        let event = refused.stdout.lines().find(|line| line.contains("restart-required"));
        let event = event.unwrap_or_else(|| panic!("no event: {}", refused.stdout));
        assert!(event.contains(cause) && event.contains(file), "{event}");
        fixture.set(file, name, to, from);
        patch().expect_code(0).expect_text("nothing-changed");
    }
    let manifest = fixture.read("engine/Cargo.toml") + "[features]\nnew = []\n";
    fixture.write("engine/Cargo.toml", &manifest, Save::Rename);
    fixture.set("engine/src/lib.rs", "plain", "100", "101");
    // The code of the same save waits as well: it may need the rest.
    patch().expect_code(3).expect_text("a Cargo.toml changed").expect_no_text("patch-built");
    hotpatch(&fixture, &["fat", "-p", "app"]).expect_code(0);
    patch().expect_code(0).expect_text("nothing-changed");
}

#[test]
fn fat_fails_as_cargo_does_where_the_code_does_not_compile() {
    let fixture = Fixture::copy("growing");
    fixture.edit(MAIN, NONE, "String::new( // EDIT extra");
    hotpatch(&fixture, &["fat"]).expect_code(1).expect_text("src/main.rs:");
}

#[test]
fn every_line_on_stdout_is_json_when_asked_for() {
    let fixture = Fixture::copy("growing");
    let reasons = |output: &Output| -> Vec<String> {
        let lines = output.stdout.lines().map(|l| {
            let value: serde_json::Value =
                serde_json::from_str(l).unwrap_or_else(|e| panic!("{l:?}: {e}"));
            value["reason"].as_str().unwrap_or("").to_string()
        });
        lines.collect()
    };
    let fat = hotpatch(&fixture, &["fat", "--message-format", "json"]).expect_code(0);
    assert!(reasons(&fat).contains(&"fat-built".to_string()), "{}", fat.stdout);
    let patch = hotpatch(&fixture, &["patch", "--message-format", "json"]).expect_code(0);
    assert!(reasons(&patch).contains(&"nothing-changed".to_string()), "{}", patch.stdout);
    fixture.edit(MAIN, NONE, SOME);
    let patch = hotpatch(&fixture, &["patch", "--message-format", "json"]).expect_code(0);
    assert!(reasons(&patch).contains(&"patch-built".to_string()), "{}", patch.stdout);
    fixture.write(MAIN, "fn main() {", Save::InPlace);
    let patch = hotpatch(&fixture, &["patch", "--message-format", "json"]).expect_code(1);
    assert!(reasons(&patch).contains(&"compiler-message".to_string()), "{}", patch.stdout);
}
