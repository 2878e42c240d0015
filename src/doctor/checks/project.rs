//! The user's program, its runtime, and what an earlier fat build left.

use super::{Facts, program as known};
use crate::doctor::Check;
use crate::error::Failure;
use crate::pipeline::capture::args::Call;

/// Whether it is clear which program is meant.
pub fn program(facts: &Facts) -> Check {
    match &facts.project {
        Some(Ok(project)) if project.profile.unknown => Check::fail(
            "program",
            format!("there is no profile `{}`", project.profile.name),
            format!(
                "add [profile.{}] with `inherits = \"dev\"` to Cargo.toml, or choose another one with `--profile`",
                project.profile.name
            ),
        ),
        Some(Ok(project)) => {
            let kind = if project.is_library { "the library " } else { "" };
            let detail = format!(
                "{kind}`{}` of package `{}`, profile {}",
                project.program, project.package, project.profile.name
            );
            Check::ok("program", detail)
        }
        Some(Err(failure)) => {
            let fix = "call it in the folder of your package, or with `--manifest-path`";
            Check::fail("program", &failure.message, failure.hint.as_deref().unwrap_or(fix))
        }
        None => Check::ok("program", "not looked for"),
    }
}

/// Whether the program has the runtime in it.
pub fn runtime(facts: &Facts) -> Check {
    const NAME: &str = "runtime";
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let Some(project) = known(facts) else { return Check::ok(NAME, "not looked for") };
    if project.runtime.comes_along() {
        return Check::ok(NAME, format!("linked into the program by this tool ({OURS})"));
    }
    if !project.runtime.dependency {
        let detail = format!(
            "`{}` does not depend on hotpatch-runtime, and `--no-inject` keeps it out",
            project.package
        );
        return Check::warn(NAME, detail, "leave `--no-inject` out");
    }
    match &project.runtime.version {
        Some(version) if !is_compatible(version, OURS) => Check::warn(
            NAME,
            format!("the program has hotpatch-runtime {version}, this tool is version {OURS}"),
            format!("cargo update -p hotpatch-runtime --precise {OURS}"),
        ),
        Some(version) => Check::ok(NAME, format!("hotpatch-runtime {version}")),
        None => Check::ok(NAME, "hotpatch-runtime is a dependency"),
    }
}

/// By the rules of cargo's version requirements.
fn is_compatible(a: &str, b: &str) -> bool {
    let leading = |version: &str| {
        let parts: Vec<String> = version.split('.').map(String::from).collect();
        let zeros = parts.iter().take_while(|p| *p == "0").count();
        parts.into_iter().take(zeros + 1).collect::<Vec<_>>()
    };
    leading(a) == leading(b)
}

/// Whether the program starts it.
pub fn runtime_call(facts: &Facts) -> Check {
    const NAME: &str = "runtime-call";
    let Some(project) = known(facts) else { return Check::ok(NAME, "not looked for") };
    match &project.runtime.call {
        _ if project.runtime.comes_along() => Check::ok(NAME, "not needed"),
        Some((file, line)) => Check::ok(NAME, format!("in {}:{line}", below(&project.root, file))),
        None => {
            let first = if project.is_library { "what its host calls first," } else { "`main`" };
            let file = below(&project.root, &project.runtime.main);
            Check::warn(
                NAME,
                "no source file calls `hotpatch_runtime::start()`, so that the program never asks for patches",
                format!("hotpatch_runtime::start(); as the first line of {first} in {file}"),
            )
        }
    }
}

fn below(root: &std::path::Path, file: &std::path::Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

/// Whether this profile leaves the runtime in.
pub fn runtime_profile(facts: &Facts) -> Check {
    const NAME: &str = "runtime-profile";
    let Some(project) = known(facts) else { return Check::ok(NAME, "not looked for") };
    let name = &project.profile.name;
    if project.runtime.comes_along() {
        return Check::ok(NAME, format!("in the program (linked in, profile {name})"));
    }
    let of_runtime = project.profile.packages.iter().find(|p| p.is_runtime);
    let assertions = of_runtime.and_then(|p| p.settings.get("debug-assertions"));
    match assertions.filter(|s| !matches!(&*s.value, "true" | "yes" | "on" | "y")) {
        Some(_) if project.runtime.in_release => {
            Check::ok(NAME, format!("in the program (feature `release`, profile {name})"))
        }
        Some(setting) => Check::warn(
            NAME,
            format!(
                "without debug assertions ({}) the runtime is an empty function",
                setting.origin
            ),
            "features = [\"release\"] for hotpatch-runtime in Cargo.toml, or build with the \
             profile dev",
        ),
        None => Check::ok(NAME, format!("in the program (profile {name})")),
    }
}

/// Whether all of the program's own code is in its own file.
pub fn crate_types(facts: &Facts) -> Check {
    const NAME: &str = "crate-types";
    let is_library = known(facts).is_some_and(|p| p.is_library);
    match known(facts).map(|p| p.shared_libraries.as_slice()) {
        None | Some([]) if is_library => Check::ok(
            NAME,
            "a library that another program loads (`watch --host PROGRAM`), all packages in its file",
        ),
        None | Some([]) => Check::ok(NAME, "all packages are in the program's own file"),
        Some(names) => Check::warn(
            NAME,
            format!(
                "{} comes as a shared library of its own (dylib): an edit of it needs a restart, \
                 since patches change what is in the program's own file",
                names.join(", ")
            ),
            match prefers_dynamic(facts) {
                true => {
                    format!("remove `-C prefer-dynamic` from {}", facts.settings.rustflags_origin)
                }
                false => "crate-type = [\"rlib\", \"dylib\"] in [lib] of its Cargo.toml".into(),
            },
        ),
    }
}

fn prefers_dynamic(facts: &Facts) -> bool {
    Call::new(&facts.settings.rustflags).is_on("prefer-dynamic")
}

/// Whether the earlier fat build can still be patched.
pub fn fat_build(facts: &Facts) -> Check {
    const NAME: &str = "fat-build";
    const AGAIN: &str = "cargo hotpatch fat";
    let captured = match known(facts).and_then(|p| p.captured.as_ref()) {
        None => return Check::ok(NAME, "none yet; `watch` makes one"),
        Some(Err(Failure { message, hint, .. })) => {
            return Check::warn(NAME, message, hint.as_deref().unwrap_or(AGAIN));
        }
        Some(Ok(captured)) => captured,
    };
    if let Some(why) = &captured.without_runtime {
        let detail = format!("the program is linked without the runtime: {why}");
        return Check::warn(NAME, detail, AGAIN);
    }
    if let Some(file) = captured.outdated.first() {
        let detail = format!("`{}` has changed since the program was built", file.display());
        return Check::warn(NAME, detail, AGAIN);
    }
    let newer = match captured.newer_sources.len() {
        0 => String::new(),
        1 => ", 1 source file is newer".to_string(),
        n => format!(", {n} source files are newer"),
    };
    let id: String = captured.build_id.chars().take(8).collect();
    Check::ok(NAME, format!("build id {id}, by {}{newer}", captured.rustc))
}

/// Whether somebody else works on the same files.
pub fn other_watch(facts: &Facts) -> Check {
    const NAME: &str = "other-watch";
    match known(facts).and_then(|p| Some((p.other_watch?, &p.target_dir))) {
        Some((pid, folder)) => Check::warn(
            NAME,
            format!(
                "process {pid} already watches `{}`; a second `watch` does not start",
                folder.display()
            ),
            "end it, or use another directory with --target-dir",
        ),
        None => Check::ok(NAME, "none"),
    }
}

/// Whether times of modification can be trusted.
pub fn clock(facts: &Facts) -> Check {
    match known(facts).and_then(|p| p.from_the_future.as_ref()) {
        Some((file, ahead)) => Check::warn(
            "clock",
            format!(
                "`{}` was modified {} s in the future: cargo cannot tell what is new",
                file.display(),
                ahead.as_secs()
            ),
            format!("set the clock right, then `touch '{}'`", file.display()),
        ),
        None => Check::ok("clock", "no file is from the future"),
    }
}
