//! `cargo hotpatch`: save a file, and any function of the running program runs the new code,
//! with all its state. `DESIGN.md` tells how; the data goes one way, through
//! [`pipeline`]'s stages, and [`commands`] are short lists of those stages.

pub mod cargo_config;
pub mod cli;
pub mod commands;
pub mod device;
pub mod doctor;
pub mod env;
pub mod error;
pub mod pipeline;
pub mod report;
pub mod session;
pub mod target;
pub mod watcher;
