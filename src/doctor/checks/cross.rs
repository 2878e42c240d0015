//! What programs for another machine need beside the compiler.

use super::Facts;
use super::toolchain::linked_only;
use crate::doctor::Check;
use crate::target::android::is_android;
use crate::target::apple::Sdk;
use crate::target::support;

/// Whether programs for the target take patches.
pub fn live_target(facts: &Facts) -> Check {
    match facts.target.as_deref() {
        Some(target) if !support::is_live(target) => {
            Check::fail("target", linked_only(target), "`cargo hotpatch fat` and `patch` work")
        }
        _ => Check::ok("target", "its programs take patches"),
    }
}

/// Whether there is a kit for an Android target.
pub fn ndk(facts: &Facts) -> Check {
    const NAME: &str = "ndk";
    match &facts.android {
        Some(Ok(kit)) => Check::ok(
            NAME,
            format!(
                "{} in {}, for Android API {} and newer",
                kit.ndk.revision,
                kit.ndk.root.display(),
                kit.compiler.api
            ),
        ),
        Some(Err(why)) => Check::fail(
            NAME,
            why,
            "export ANDROID_NDK_HOME=<its folder>, or install one with `sdkmanager --install ndk`",
        ),
        None => Check::ok(NAME, "not needed"),
    }
}

/// Whether there is something to link programs for Apple's systems against.
pub fn apple_sdk(facts: &Facts) -> Check {
    const NAME: &str = "apple-sdk";
    match &facts.apple {
        Some(Ok(Sdk::Named(folder))) => Check::ok(NAME, format!("in {}", folder.display())),
        Some(Ok(Sdk::Asked(program))) => {
            Check::ok(NAME, format!("rustc asks {} for it", program.display()))
        }
        Some(Err(why)) => {
            Check::fail(NAME, why, "xcode-select --install, or export SDKROOT=<its folder>")
        }
        None => Check::ok(NAME, "not needed"),
    }
}

/// Whether something starts programs for the target on this machine.
pub fn runner(facts: &Facts) -> Check {
    const NAME: &str = "runner";
    if let Some(runner) = &facts.settings.runner {
        let (program, origin) = (&runner.program, &runner.origin);
        return match runner.found {
            true => Check::ok(NAME, format!("{program} starts programs (from {origin})")),
            false => Check::fail(
                NAME,
                format!("`{program}` (from {origin}), which is to start programs, is not found"),
                format!("install `{program}`, or change `runner` in {origin}"),
            ),
        };
    }
    if facts.target.as_deref().is_some_and(is_android) {
        return Check::ok(NAME, "none is needed: programs run on the device");
    }
    match facts.target.as_deref().filter(|t| support::is_live(t) && !support::runs_here(t)) {
        Some(target) if !facts.host.runs_others => Check::fail(
            NAME,
            format!("nothing starts programs for {target} on this machine"),
            format!(
                "runner = \"{}\" in [target.{target}] of .cargo/config.toml, or start them \
                 elsewhere and use `watch --no-run`",
                support::emulator(target)
            ),
        ),
        Some(_) => Check::ok(NAME, "the system runs programs for other processors by itself"),
        None => Check::ok(NAME, "none is needed"),
    }
}
