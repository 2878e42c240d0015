//! A program for cargo-hot, as iced's `hot` feature makes one: `connect` once, and `call` around
//! what is to change.
//!
//! Expected, whatever is patched and however often: `count` and `cell` equal the number of the
//! tick. `value` follows the source.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cargo_hot_protocol::subsecond;

static TICK: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(0) };
}

fn main() {
    #[cfg(feature = "runtime")]
    hotpatch_runtime::start();
    cargo_hot_protocol::connect();
    loop {
        subsecond::call(|| tick());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tick() {
    let tick = TICK.fetch_add(1, Ordering::SeqCst) + 1;
    let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    let cell = CELL.with(|cell| cell.replace(cell.get() + 1)) + 1;
    println!("tick {tick} count={count} cell={cell} value={}", value());
}

fn value() -> u64 {
    100 // EDIT value
}
