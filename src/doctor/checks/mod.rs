//! The checks, each a function of the facts and of nothing else.

mod cross;
mod device;
mod host;
mod linking;
mod profile;
mod project;
mod toolchain;

use super::facts::{Facts, PackageProfile, Project, Rustc};
use super::{Check, For};
use crate::target::support;
pub use toolchain::is_sccache;

/// From what is known to a verdict.
pub type CheckFn = fn(&Facts) -> Check;

/// About compiler and cargo.
const TOOLCHAIN: &[CheckFn] = &[toolchain::cargo, toolchain::rustc, toolchain::target];

/// About compiling and linking, where the compiler is known.
const BUILDING: &[CheckFn] = &[
    toolchain::target_std,
    toolchain::unstable,
    toolchain::wrappers,
    linking::linker,
    linking::linker_flavor,
    linking::position,
    linking::c_library,
    linking::std_linkage,
    linking::symbol_table,
    linking::folding,
    linking::unresolved,
    linking::trial_patch,
];

/// About what a program has of this tool.
const RUNTIME: &[CheckFn] = &[project::runtime, project::runtime_call, project::runtime_profile];

/// About the user's program.
const PROJECT: &[CheckFn] = &[
    project::program,
    project::crate_types,
    profile::strip,
    profile::lto,
    profile::opt_level,
    profile::overflow_checks,
    profile::codegen_units,
    profile::debug,
    profile::split_debuginfo,
    profile::panic,
    profile::mangling,
    profile::instrumentation,
    project::fat_build,
    project::other_watch,
    project::clock,
];

/// About the device that a program for Android is to run on.
const DEVICE: &[CheckFn] = &[
    device::adb,
    device::device,
    device::api,
    device::abi,
    device::page_size,
    device::reverse,
    device::selinux,
];

/// About the machine.
const HOST: &[CheckFn] = &[
    host::inotify_watches,
    host::inotify_instances,
    host::file_system,
    host::target_dir,
    host::disk_space,
    host::code_pages,
    host::loopback,
];

/// The checks that have something to look at.
pub fn all(facts: &Facts) -> Vec<CheckFn> {
    let mut checks = TOOLCHAIN.to_vec();
    if facts.android.is_some() {
        checks.push(cross::ndk);
    }
    if facts.apple.is_some() {
        checks.push(cross::apple_sdk);
    }
    if facts.devices.is_some() {
        checks.extend(DEVICE);
    }
    if rustc(facts).is_some() && facts.target.as_deref().is_some_and(support::is_supported) {
        checks.extend(BUILDING);
        if !facts.target.as_deref().is_some_and(support::runs_here)
            || facts.settings.runner.is_some()
        {
            checks.push(cross::runner);
        }
    }
    match program(facts) {
        Some(_) => {
            let with_runtime = support::has_runtime(facts.target.as_deref());
            checks.extend(&PROJECT[..1]);
            checks.extend(if with_runtime { RUNTIME } else { &[] });
            checks.extend(&PROJECT[1..]);
        }
        None => checks.extend(&PROJECT[..1]),
    }
    checks.extend(HOST);
    checks
}

/// The checks whose facts cost next to nothing, as far as they matter to a command.
pub fn quick(command: For) -> Vec<CheckFn> {
    let mut checks: Vec<CheckFn> = vec![toolchain::target, host::target_dir, host::disk_space];
    if matches!(command, For::Watch { .. }) {
        checks.push(cross::live_target);
    }
    if command != For::Patch {
        // Cargo has called the wrappers by now.
        let build: [CheckFn; 10] = [
            toolchain::rustc,
            toolchain::target_std,
            cross::ndk,
            cross::apple_sdk,
            linking::linker,
            linking::linker_flavor,
            linking::position,
            linking::symbol_table,
            profile::lto,
            profile::instrumentation,
        ];
        checks.extend(build);
    }
    if let For::Watch { runs, .. } = command {
        if runs {
            checks.push(cross::runner);
        }
        // Where nothing is started, a device may come later.
        checks.extend(if runs { DEVICE } else { &DEVICE[2..] });
        checks.extend([host::code_pages as CheckFn, host::loopback]);
        checks.extend([host::inotify_watches as CheckFn, host::inotify_instances]);
    }
    checks
}

fn rustc(facts: &Facts) -> Option<&Rustc> {
    facts.toolchain.as_ref()?.rustc.as_ref().ok()
}

fn program(facts: &Facts) -> Option<&Project> {
    facts.project.as_ref()?.as_ref().ok()
}

/// The packages of the program whose functions a patch may change.
fn patched(facts: &Facts) -> impl Iterator<Item = &PackageProfile> {
    let packages = program(facts).into_iter().flat_map(|p| &p.profile.packages);
    packages.filter(|package| !package.is_runtime)
}

#[cfg(test)]
mod tests;
