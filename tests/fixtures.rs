//! The fixtures by themselves: plain programs that build without a warning and run without us.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use support::{Fixture, plain_command, run, values};

const ALL: &[(&str, &[&str])] = &[
    ("carry", &["carry"]),
    ("counters", &["counters"]),
    ("crashes", &["crashes"]),
    ("dispatch", &["dispatch"]),
    ("frames", &["frames"]),
    ("growing", &["growing"]),
    ("guarded", &["guarded"]),
    ("hooks", &["hooks"]),
    ("hosted", &[]),
    ("hostile", &["allocates", "no_main"]),
    ("kinds", &["kinds"]),
    ("matrix", &["app"]),
    ("threads", &["threads"]),
    ("unmodified", &["unmodified"]),
    ("workspace", &["app", "tool"]),
];

/// The first lines of a program that nobody watches.
fn first_lines(program: &Path, count: usize) -> Vec<String> {
    let mut command = plain_command(&program.display().to_string(), &[]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a program");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let lines = stdout.lines().map_while(Result::ok).take(count).collect();
    child.kill().expect("a program that runs until it is told to stop");
    child.wait().expect("a child");
    lines
}

#[test]
fn every_fixture_builds_without_a_warning_and_runs_unwatched() {
    for &(name, programs) in ALL {
        let fixture = Fixture::copy(name);
        let mut cargo = plain_command("cargo", &["build"]);
        cargo.current_dir(fixture.root());
        run(cargo).expect_code(0).expect_no_text("warning").expect_no_text("Compiling serde");
        for program in programs {
            let lines = first_lines(&fixture.path("target/debug").join(program), 5);
            assert!(lines.iter().any(|l| l.starts_with("tick 1 ")), "{program}: {lines:?}");
        }
    }
}

#[test]
fn no_fixture_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("fixtures")
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known);
}

#[test]
fn a_release_build_has_nothing_of_the_runtime_in_it() {
    let fixture = Fixture::copy("growing");
    let mut cargo = plain_command("cargo", &["build", "--release"]);
    cargo.current_dir(fixture.root());
    run(cargo).expect_code(0);
    let program = fixture.path("target/release/growing");
    assert!(first_lines(&program, 2)[1].starts_with("tick 2 "));
    let bytes = fs::read(&program).expect("the program");
    let name = hotpatch_protocol::ENV_ADDR.as_bytes();
    assert!(!bytes.windows(name.len()).any(|w| w == name), "it asks for {name:?}");
}

#[test]
fn the_harness_reads_values_up_to_the_next_name() {
    let said = values("tick 7 count=7 sorted=[1, 2] label=a = b");
    assert_eq!(said[""], "tick 7");
    assert_eq!((&*said["count"], &*said["sorted"], &*said["label"]), ("7", "[1, 2]", "a = b"));
}
