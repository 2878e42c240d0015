//! Functions are switched under threads that call them without a pause.

mod support;

use support::{Fixture, Watch, values};

#[test]
fn eight_threads_in_a_tight_loop_take_two_hundred_patches() {
    const PATCHES: u64 = 200;
    let fixture = Fixture::copy("threads");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("lowest", "0"), ("highest", "0")]);
    let mut pauses = Vec::new();
    for n in 1..=PATCHES {
        fixture.set("src/main.rs", "version", &format!("    {} ", n - 1), &format!("    {n} "));
        let applied = watch.applied();
        assert_eq!(applied.number("functions"), 1, "{applied:?}");
        pauses.push(applied.number("pause_us"));
        let newest = n.to_string();
        watch.wait_values(&[("highest", &newest)]);
        if n % 20 == 0 {
            watch.wait_values(&[("lowest", &newest)]);
        }
    }
    let last = values(&watch.next_line("tick"));
    assert_eq!((&*last["backwards"], &*last["torn"]), ("0", "0"), "{last:?}");
    pauses.sort_unstable();
    println!(
        "pauses of {PATCHES} patches under {} calls: median {} us, longest {} us",
        last["calls"],
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1]
    );
    watch.stop();
}
