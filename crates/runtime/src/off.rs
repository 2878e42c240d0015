//! The runtime where there is none: every function does as little as it can.

use crate::Patch;

pub fn start() {}

pub fn call<F: FnOnce() -> O, O>(f: F) -> O {
    f()
}

pub fn add_before(_: Box<dyn FnMut(&Patch) -> Result<(), String> + Send>) {}

pub fn add_after(_: Box<dyn FnMut(&Patch) + Send>) {}

pub fn carry_over(_: &'static str, _: crate::Save, _: crate::Load) {}

pub fn use_safepoints() {}

pub fn safepoint() {}
