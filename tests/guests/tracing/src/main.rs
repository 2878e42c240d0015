//! Events and a span of `tracing`: each has statics of its own that describe it, with the line.

use std::time::Duration;

#[tracing::instrument]
fn step(number: u64) {
    tracing::info!(number, "first");
    tracing::warn!(number, extra = 4, "second");
}

fn main() {
    tracing_subscriber::fmt().with_ansi(false).without_time().init();
    for number in 1u64.. {
        step(number);
        std::thread::sleep(Duration::from_millis(20));
    }
}
