//! A Dioxus program without a window: it renders to text, and treats messages as Dioxus' own
//! renderers do.
//!
//! Expected, whatever is patched and however often: `count` equals the number of the tick, and,
//! where functions stay where they are, so does `renders`. `value` follows the source.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use dioxus::core::{NoOpMutations, ScopeId};
use dioxus::prelude::*;
use dioxus_devtools::DevserverMsg;

static COUNT: AtomicU64 = AtomicU64::new(0);

fn main() {
    #[cfg(feature = "runtime")]
    hotpatch_runtime::start();
    let (tell, told) = mpsc::channel();
    dioxus_devtools::connect(move |message| drop(tell.send(message)));
    let mut dom = VirtualDom::new(app);
    dom.rebuild_in_place();
    for tick in 1.. {
        println!("tick {tick} {}", dioxus_ssr::render(&dom));
        std::thread::sleep(Duration::from_millis(20));
        for message in told.try_iter() {
            if let DevserverMsg::HotReload(message) = message {
                dioxus_devtools::apply_changes(&dom, &message);
            }
        }
        dom.runtime().in_scope(ScopeId::ROOT, || dom.runtime().force_all_dirty());
        dom.render_immediate(&mut NoOpMutations);
    }
}

fn app() -> Element {
    rsx! { Shown {} }
}

#[component]
fn Shown() -> Element {
    let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    let renders = use_hook(|| Rc::new(Cell::new(0_u64)));
    renders.set(renders.get() + 1);
    let (renders, value) = (renders.get(), value());
    rsx! { "count={count} renders={renders} value={value}" }
}

fn value() -> u64 {
    100 // EDIT value
}
