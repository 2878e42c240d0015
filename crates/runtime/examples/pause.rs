//! Measures how long the threads of a program stand still for a patch, with 16 threads on however
//! many processors there are.
//!
//! `cargo run -p hotpatch-runtime --example pause`

#[path = "../tests/support/mod.rs"]
mod support;

use hotpatch_protocol::message::Applied;
use support::{Program, Server, Template, applied, percentile};

fn main() {
    if std::env::var_os(support::victim::THREADS).is_some() {
        return support::victim::main();
    }
    let threads = |parts: &[(&str, usize)]| -> String {
        parts.iter().flat_map(|(name, count)| vec![*name; *count]).collect::<Vec<_>>().join(",")
    };
    let asleep = [("sleep", 4), ("epoll", 4)];
    for (name, threads) in [
        ("8 spinning, 8 asleep", threads(&[&[("spin", 8)], &asleep[..]].concat())),
        ("8 calling, 8 asleep", threads(&[&[("call-many", 8)], &asleep[..]].concat())),
        ("16 asleep", threads(&[&asleep[..], &asleep[..]].concat())),
        ("16 calling", threads(&[("call-many", 16)])),
    ] {
        measure(name, &threads);
    }
}

/// Replaces two functions with each patch: each pair for the first time, first those that begin with
/// a long instruction, then those that begin with a push; then each again.
fn measure(name: &str, threads: &str) {
    let server = Server::new();
    let program = Program::start(Some(&server.address()), threads);
    let mut client = server.client(&program.directory);
    let hello = client.hello.clone();
    let many = program.many();
    let template = Template::new(&program.directory, &hello, &many[..2], None);
    let rounds =
        [("first time", &many[..64], 1), ("first time, push", &many[64..], 1), ("again", many, 3)];
    let mut patch = 0;
    for (round, functions, times) in rounds {
        let mut answers = Vec::new();
        for _ in 0..times {
            for pair in functions.chunks(2) {
                patch += 1;
                let frame = template.frame_for(patch, patch.into(), &hello, pair);
                answers.push(applied(client.ask(frame)));
            }
        }
        let (pause, apply) = (sorted(&answers, |a| a.pause_us), sorted(&answers, |a| a.apply_us));
        println!(
            "{name}, {round}, {} patches: pause p50 {} us, p99 {} us, most {} us; apply p50 {} us",
            answers.len(),
            percentile(&pause, 0.5),
            percentile(&pause, 0.99),
            percentile(&pause, 1.0),
            percentile(&apply, 0.5),
        );
    }
}

fn sorted(answers: &[Applied], field: impl Fn(&Applied) -> u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = answers.iter().map(field).collect();
    numbers.sort();
    numbers
}
