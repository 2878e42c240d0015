//! Events and a span of `tracing`: each has statics of its own that describe it, with the line.

use std::time::Duration;

#[tracing::instrument]
fn step(number: u64) {
    tracing::info!(number, "first");
    tracing::warn!(number, extra = 4, "second");
}

// Optimised code has `step` in here, and nowhere else.
#[inline(never)]
fn frame(number: u64) {
    step(number);
}

fn main() {
    tracing_subscriber::fmt().with_ansi(false).without_time().init();
    for number in 1u64.. {
        frame(number);
        std::thread::sleep(Duration::from_millis(20));
    }
}
