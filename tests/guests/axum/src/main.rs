//! A web server that `dioxus-devtools` serves again at each patch.
//!
//! Expected, whatever is patched and however often: each answer's `hits` is one more than that of
//! the answer before. `value` follows the source.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;

static HITS: AtomicU64 = AtomicU64::new(0);
static SERVED: AtomicU64 = AtomicU64::new(0);

#[tokio::main]
async fn main() {
    #[cfg(feature = "runtime")]
    hotpatch_runtime::start();
    dioxus_devtools::serve_subsecond(serve).await;
}

async fn serve() {
    let app = Router::new().route("/", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = SERVED.fetch_add(1, Ordering::SeqCst) + 1;
    println!("served={served} at={}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn answer() -> String {
    let hits = HITS.fetch_add(1, Ordering::SeqCst) + 1;
    let value = 100; // EDIT value
    format!("hits={hits} value={value}")
}
