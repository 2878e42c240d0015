//! Compiler, cargo, target, wrappers.

use std::path::Path;

use super::{Facts, rustc as known};
use crate::doctor::Check;
use crate::doctor::facts::{Rustc, Setting, Wrapper};
use crate::target::{apple, support};

/// The first release that has all that the runtime needs (the edition 2024).
const OLDEST: (u32, u32) = (1, 85);

const RUSTUP: &str = "install Rust from https://rustup.rs";

/// Whether cargo answers.
pub fn cargo(facts: &Facts) -> Check {
    match facts.toolchain.as_ref().map(|t| &t.cargo) {
        Some(Ok(version)) => Check::ok("cargo", version),
        Some(Err(why)) => Check::fail("cargo", why, RUSTUP),
        None => Check::ok("cargo", "not asked"),
    }
}

/// Whether the compiler answers, and is new enough.
pub fn rustc(facts: &Facts) -> Check {
    let rustc = match facts.toolchain.as_ref().map(|t| &t.rustc) {
        Some(Ok(rustc)) => rustc,
        Some(Err(why)) => return Check::fail("rustc", why, RUSTUP),
        None => return Check::ok("rustc", "not asked"),
    };
    let found = format!("{} for {}", rustc.version, rustc.host);
    if release(&rustc.release).is_some_and(|release| release < OLDEST) {
        let (major, minor) = OLDEST;
        let detail = format!("{found}; the runtime needs {major}.{minor} or newer");
        return Check::fail("rustc", detail, "rustup update");
    }
    Check::ok("rustc", found)
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether programs for the target can be patched at all.
pub fn target(facts: &Facts) -> Check {
    let host = known(facts).map(|r| r.host.as_str());
    let Some(target) = facts.target.as_deref() else {
        return match support::is_supported_host() {
            true => Check::ok("target", "the host"),
            false => Check::fail("target", not_yet("this machine"), other_target(None)),
        };
    };
    if !support::is_supported(target) {
        return Check::fail("target", not_yet(&format!("`{target}`")), other_target(host));
    }
    if !support::is_live(target) {
        return Check::warn("target", linked_only(target), "cargo hotpatch patch --out FOLDER");
    }
    Check::ok("target", target)
}

/// What is said of a target for which patches are only linked.
pub fn linked_only(target: &str) -> String {
    let tried = match target {
        _ if apple::is_apple(target) => {
            "; what is linked was taken apart again, and never run on a Mac"
        }
        _ if support::is_arm(target) => {
            ": nothing redirects functions in 32-bit Arm code yet, or finds frames in its stacks"
        }
        _ => "",
    };
    format!(
        "patches for {target} are made and linked, but its programs do not take them yet{tried}"
    )
}

fn not_yet(what: &str) -> String {
    format!("programs for {what} cannot be patched yet, only for {}", support::LIVE.join(", "))
}

fn other_target(host: Option<&str>) -> &'static str {
    match host.is_none_or(support::is_supported) {
        true => "leave out `--target`, or remove `build.target` from cargo's configuration",
        false => "use an x86-64 Linux machine",
    }
}

/// Whether this toolchain has the target's standard library.
pub fn target_std(facts: &Facts) -> Check {
    const NAME: &str = "target-std";
    let Some(rustc) = known(facts) else { return Check::ok(NAME, "not looked for") };
    let target = facts.target.as_deref().unwrap_or(&rustc.host);
    if facts.settings.build_std {
        return Check::ok(NAME, "built from source (`build-std` in cargo's configuration)");
    }
    if rustc.has_std {
        return Check::ok(NAME, format!("in {}", rustc.libdir.display()));
    }
    let detail = format!(
        "this toolchain has no standard library for {target}: there is none in `{}`",
        rustc.libdir.display()
    );
    Check::fail(NAME, detail, add_target(rustc, target))
}

fn add_target(rustc: &Rustc, target: &str) -> String {
    let mut above = rustc.sysroot.components().rev().map(|c| c.as_os_str());
    match (above.next(), above.next()) {
        (Some(toolchain), Some(folder)) if folder == "toolchains" => {
            format!("rustup target add --toolchain {} {target}", toolchain.to_string_lossy())
        }
        _ => format!("install the standard library for {target} where this rustc came from"),
    }
}

/// Whether something is asked for that only a nightly compiler has.
pub fn unstable(facts: &Facts) -> Check {
    const NAME: &str = "unstable";
    let settings = &facts.settings;
    let Some(release) = known(facts).map(|r| r.release.as_str()) else {
        return Check::ok(NAME, "not asked");
    };
    let is_nightly = release.contains('-') || settings.bootstrap;
    let is_flag = |s: &&Setting| s.value.starts_with("-Z");
    let told = |s: &Setting| format!("`{}` ({})", s.value, s.origin);
    if let Some(flag) = settings.unstable.iter().find(is_flag).filter(|_| !is_nightly) {
        let detail = format!("{}: rustc {release} refuses it, only a nightly has it", told(flag));
        let fix = format!("remove it from {}, or use `cargo +nightly hotpatch`", flag.origin);
        return Check::fail(NAME, detail, fix);
    }
    // What builds std is looked at above; without a nightly, cargo passes the others over.
    let is_other = |s: &&Setting| is_nightly && !s.value.starts_with("build-std");
    let others: Vec<_> = settings.unstable.iter().filter(is_other).collect();
    match others.first() {
        Some(first) => Check::warn(
            NAME,
            format!(
                "{}: patching such programs was never tried",
                others.iter().map(|s| told(s)).collect::<Vec<_>>().join(", ")
            ),
            format!("remove it from {}", first.origin),
        ),
        None => Check::ok(NAME, "nothing that only a nightly compiler has"),
    }
}

/// Whether the wrappers that cargo calls instead of rustc work.
pub fn wrappers(facts: &Facts) -> Check {
    const NAME: &str = "rustc-wrapper";
    let wrappers = &facts.settings.wrappers;
    for wrapper in wrappers {
        let name = wrapper.program.to_string_lossy();
        let origin = &wrapper.origin;
        if wrapper.found.is_none() {
            let detail = format!("`{name}` (from {origin}) is not there or cannot be run");
            return Check::fail(NAME, detail, format!("install it, or remove it from {origin}"));
        }
        if let Some(Err(why)) = &wrapper.answer {
            let detail = format!("`{name}` (from {origin}) does not run rustc: {why}");
            return Check::fail(NAME, detail, format!("mend it, or remove it from {origin}"));
        }
    }
    if let Some(sccache) = wrappers.iter().find(|w| is_sccache(w)) {
        let detail = format!(
            "sccache (from {}) stores nothing of incremental builds, and fat builds are \
             incremental; newer versions end such builds with an error",
            sccache.origin
        );
        return Check::warn(NAME, detail, "RUSTC_WRAPPER= cargo hotpatch watch");
    }
    let names: Vec<_> = wrappers.iter().map(|w| w.program.to_string_lossy()).collect();
    match names.is_empty() {
        true => Check::ok(NAME, "none"),
        false => Check::ok(NAME, format!("{} is called too", names.join(", then "))),
    }
}

/// Whether a wrapper is sccache, by its name.
pub fn is_sccache(wrapper: &Wrapper) -> bool {
    Path::new(&wrapper.program).file_stem().is_some_and(|stem| stem == "sccache")
}
