//! A program that was written for subsecond, as its documentation asks for: `connect_subsecond`
//! once, and `call` around what is to change.
//!
//! Expected, whatever is patched and however often: `count`, `cell` and `list` equal the number
//! of the tick. `value` follows the source. `told` counts the tables that the client was given.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dioxus_devtools::subsecond;

static TICK: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);
static LIST: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static TOLD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(0) };
}

struct Entry {
    tick: u64,
}

fn main() {
    #[cfg(feature = "runtime")]
    hotpatch_runtime::start();
    subsecond::register_handler(Arc::new(|| {
        TOLD.fetch_add(1, Ordering::SeqCst);
    }));
    dioxus_devtools::connect_subsecond();
    loop {
        subsecond::call(|| rounds());
    }
}

/// Once this has more than a few rounds, it is itself code of a patch that stays on the stack.
fn rounds() {
    let rounds: u64 = 1; // EDIT rounds
    for _ in 0..rounds {
        subsecond::call(|| tick());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tick() {
    let tick = TICK.fetch_add(1, Ordering::SeqCst) + 1;
    let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    let cell = CELL.with(|cell| cell.replace(cell.get() + 1)) + 1;
    let list = remember(tick);
    let (value, told) = (middle(tick) - tick, TOLD.load(Ordering::SeqCst));
    let added = added();
    println!(
        "tick {tick} count={count} cell={cell} list={list} value={value} added={added} told={told}"
    );
}

fn remember(tick: u64) -> usize {
    let mut list = LIST.lock().unwrap();
    list.push(Entry { tick });
    list.iter().filter(|entry| entry.tick > 0).count()
}

/// Reaches the function that is edited through one that is not.
fn middle(tick: u64) -> u64 {
    [tick].iter().map(leaf).sum()
}

fn leaf(tick: &u64) -> u64 {
    tick + 100 // EDIT value
}

fn added() -> u64 {
    0 // EDIT added
}
