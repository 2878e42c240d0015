//! Many patches in one session.

mod support;

use std::fs;
use std::io::Write;

use support::{Fixture, Watch, values};

/// A number of `/proc/PID/status`, in kB.
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|l| l.starts_with(name)).expect("a line with that name");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of kB")
}

/// How many patches the first and the last ones are.
const AT_AN_END: usize = 50;

fn median(times: &[[f64; 4]], part: usize) -> f64 {
    let mut times: Vec<f64> = times.iter().map(|t| t[part]).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
fn five_hundred_patches_in_one_session() {
    const PATCHES: u64 = 500;
    let fixture = Fixture::copy("counters");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("version", "0")]);
    let (program, tool) = (watch.started().pid, watch.pid());
    let mut before = (0, 0);
    let mut took = Vec::new();
    for n in 1..=PATCHES {
        let (from, to) = (n - 1, n);
        fixture.edit(
            "src/main.rs",
            &format!("VERSION: u64 = {from};"),
            &format!("VERSION: u64 = {to};"),
        );
        let applied = watch.applied();
        assert_eq!(applied.number("patch"), n);
        let built = watch.built(&applied).0;
        let (timings, applied) = (&built["timings_ms"], &applied.0);
        let times =
            [&applied["total_ms"], &timings["thin"], &timings["relink"], &applied["apply_ms"]];
        took.push(times.map(|time| time.as_f64().expect("a time")));
        watch.wait_values(&[("version", &n.to_string())]);
        if n == 10 {
            before = (memory(program, "VmRSS"), memory(tool, "VmRSS"));
        }
    }
    let after = (memory(program, "VmRSS"), memory(tool, "VmRSS"));
    let report = format!(
        "memory from patch 10 to patch {PATCHES}: program {} -> {} kB, cargo hotpatch {} -> {} kB\n",
        before.0, after.0, before.1, after.1
    );
    let (first, last) = (&took[..AT_AN_END], &took[took.len() - AT_AN_END..]);
    let parts = ["save to running", "rustc", "relink", "apply"].iter().enumerate();
    let parts = parts.map(|(part, name)| {
        format!("{name} {:.1} -> {:.1} ms", median(first, part), median(last, part))
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    let report = format!("{report}medians of the first and the last {AT_AN_END}: {parts}\n");
    // Past the test harness, which hides what passing tests print.
    let _ = std::io::stderr().write_all(report.as_bytes());
    let last = values(&watch.next_line("tick"));
    assert_eq!(last[""], format!("tick {}", last["atomic"]), "{last:?}");
    let grown = after.0.saturating_sub(before.0) / (PATCHES - 10);
    assert!(grown < 1024, "the program grew by {grown} kB a patch");
    watch.stop();
}
