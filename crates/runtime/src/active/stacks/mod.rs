//! What is on the stacks of the program's threads: who still runs code that was replaced.
//!
//! A thread that sleeps is first read from outside, while it sleeps: where no word of its stack
//! could be a return address into replaced code, it has no such frame. All others are asked for a
//! copy of their registers and their stack, which the signal handler makes and which is unwound
//! here, with the call frame information of the loaded files. Nobody waits for anybody meanwhile.

#[cfg(hotpatch_detours)]
mod bodies;
#[cfg(hotpatch_detours)]
mod frames;
#[cfg(hotpatch_detours)]
mod look;
#[cfg(hotpatch_detours)]
pub mod modules;
#[cfg(hotpatch_detours)]
pub mod snapshot;
#[cfg(hotpatch_detours)]
pub mod unwind;

#[cfg(hotpatch_detours)]
pub use bodies::Body;
#[cfg(hotpatch_detours)]
pub use frames::Frames;
#[cfg(hotpatch_detours)]
pub use look::Look;
/// The runtime's thread.
#[cfg(hotpatch_detours)]
static RUNTIME: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// Says that the calling thread is the runtime's.
#[cfg(hotpatch_detours)]
pub fn enter() {
    RUNTIME.store(super::sys::raw::thread_id(), std::sync::atomic::Ordering::SeqCst);
}

#[cfg(not(hotpatch_detours))]
pub use off::{Frames, enter};

#[cfg(not(hotpatch_detours))]
mod off {
    use std::time::Instant;

    use crate::active::images::Redirect;

    /// There is nothing to be said.
    pub fn enter() {}

    /// Where functions are not redirected at their entries, nothing is known of frames.
    #[derive(Default)]
    pub struct Frames;

    impl Frames {
        /// Does nothing.
        pub fn changed(&mut self, _: u32, _: &[String], _: &[Redirect]) {}

        /// Never.
        pub fn due(&self) -> Option<Instant> {
            None
        }

        /// Finds nothing.
        pub fn look(&mut self) -> Vec<(u32, Vec<String>)> {
            Vec::new()
        }
    }
}
