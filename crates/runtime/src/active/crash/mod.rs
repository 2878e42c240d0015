//! Crashes in code that a patch has just brought: they are told to the server, with the patch and
//! the function, before the program ends as it would have ended without us.
//!
//! The handlers come before those that the program and std have installed, and call them. The
//! thread that crashes copies its registers and stack; a thread that does nothing else unwinds the
//! copy and sends the report, so that nothing of this needs room on a stack that may be used up.
//! From the first patch on there is nothing left to be allocated, and no lock is waited for.
//!
//! A panic is told of by a hook that calls the one before it. Whether it has ended the program is
//! known by the server only, which sees the program's end.

#[cfg(hotpatch_detours)]
mod fresh;
#[cfg(hotpatch_detours)]
mod handler;
#[cfg(hotpatch_detours)]
mod report;

#[cfg(hotpatch_detours)]
pub use on::{arm, came, failed, is_reporter, prepare};

#[cfg(hotpatch_detours)]
mod on {
    pub use super::fresh::{arm, came, failed};
    pub use super::handler::prepare;
    pub use super::report::is_reporter;
}

#[cfg(not(hotpatch_detours))]
pub use off::*;

/// Where functions are not redirected at their entries, crashes are the program's own.
#[cfg(not(hotpatch_detours))]
mod off {
    use crate::active::image::Image;
    use crate::active::images::Redirect;

    pub fn prepare() {}

    pub fn arm(_: u32, _: &Image, _: &[String], _: &[Redirect]) {}

    pub fn came(_: u32) {}

    pub fn failed(_: u32) {}
}
