//! The server, with scripted programs on the other side.

mod bench;
mod chain;
mod guests;
mod strangers;
