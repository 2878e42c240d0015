//! Without the network: what the runtime depends on is in cargo's cache, or it is said by name.

mod support;

use std::fs;
use std::process::Command;

use support::{Fixture, Watch, command, run};

/// A program for which no runtime is compiled yet.
fn fresh() -> Fixture {
    let fixture = Fixture::copy("kinds");
    fs::remove_dir_all(fixture.store()).expect("a store with a runtime");
    fixture
}

/// With a cargo that has never fetched anything.
fn with_empty_cache(fixture: &Fixture, args: &[&str]) -> Command {
    let home = fixture.scratch().join("cargo home");
    fs::create_dir_all(&home).expect("a folder");
    let mut command = command(fixture.root(), args);
    command.env("CARGO_HOME", home);
    command
}

#[test]
fn an_empty_cache_is_named_before_anything_is_compiled() {
    let fixture = fresh();
    for flag in ["--offline", "--frozen"] {
        let output = run(with_empty_cache(&fixture, &["fat", flag])).expect_code(4);
        output
            .expect_text("what the runtime that is linked into the program depends on is not in")
            .expect_text(
                "cargo's cache, and must not be fetched (`--offline`): no matching package",
            )
            .expect_text("build once without `--offline`")
            .expect_no_text("Compiling");
    }
    run(with_empty_cache(&fixture, &["fat", "--offline", "--no-inject"])).expect_code(0);
}

#[test]
fn a_registry_that_does_not_answer_is_named_before_anything_is_compiled() {
    let fixture = fresh();
    let mut unreachable = with_empty_cache(&fixture, &["fat"]);
    unreachable.env("CARGO_HTTP_PROXY", "127.0.0.1:1").env("CARGO_NET_RETRY", "0");
    let output = run(unreachable).expect_code(4);
    output.expect_text("cannot be fetched").expect_text("--no-inject").expect_no_text("Compiling");
}

#[test]
fn a_full_cache_is_all_that_it_takes() {
    let fixture = fresh();
    let mut watch = Watch::start_with(&fixture, &["--offline"]);
    watch.wait_values(&[("own", "20")]);
    fixture.set("src/main.rs", "own", "20", "21");
    watch.applied();
    watch.wait_values(&[("own", "21")]);
    watch.stop();
}

/// A compiled runtime needs nothing more.
#[test]
fn what_is_compiled_once_needs_no_cache() {
    let fixture = Fixture::copy("kinds");
    run(with_empty_cache(&fixture, &["fat", "--offline"])).expect_code(0);
}
