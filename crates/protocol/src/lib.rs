//! What `cargo hotpatch` and the runtime inside a program say to each other.
//!
//! There is no I/O here: [`message`] is the conversation over a WebSocket, [`frame`] packs a
//! patch's header and its library into one binary frame, [`manifest`] is the table that every
//! patch library carries about itself. Both sides use these types; nothing is written twice.

pub mod frame;
pub mod manifest;
pub mod message;
pub mod symbolizer;

/// The version of everything in this crate; both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 1;

/// The path of the WebSocket endpoint: `ws://ADDR/hotpatch`.
pub const ENDPOINT: &str = "/hotpatch";

/// Names the environment variable with the server's `HOST:PORT`; without it the runtime sleeps.
pub const ENV_ADDR: &str = "HOTPATCH_ADDR";

/// Names the environment variable with the secret that the server asks for.
pub const ENV_TOKEN: &str = "HOTPATCH_TOKEN";

/// Names the property of an Android device with the server's `HOST:PORT`, for programs that the
/// system starts, which have no environment of ours.
pub const PROPERTY_ADDR: &str = "debug.hotpatch.addr";

/// Names the property of an Android device with the secret that the server asks for.
pub const PROPERTY_TOKEN: &str = "debug.hotpatch.token";

/// Names the environment variable that, with any value, lets the processes that a program starts
/// ask for patches too. Only for programs that do not start the runtime by themselves.
pub const ENV_CHILDREN: &str = "HOTPATCH_CHILDREN";

/// Names the environment variable that, with any value, makes a program that was started by
/// itself wait for `cargo hotpatch watch --attach`.
pub const ENV_WAIT: &str = "HOTPATCH_WAIT";

/// The name, without a file, at which a process waits for a [`message::Invitation`].
pub fn waiting_name(pid: u32) -> String {
    format!("hotpatch-{PROTOCOL_VERSION}-{pid}")
}

/// What it answers.
pub const AGREED: &[u8] = b"agreed";

/// This crate's own files, by their paths in its folder.
#[cfg(feature = "sources")]
pub const SOURCES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../Cargo.toml")),
    ("src/lib.rs", include_str!("lib.rs")),
    ("src/frame.rs", include_str!("frame.rs")),
    ("src/manifest.rs", include_str!("manifest.rs")),
    ("src/message.rs", include_str!("message.rs")),
    ("src/symbolizer.rs", include_str!("symbolizer.rs")),
];
