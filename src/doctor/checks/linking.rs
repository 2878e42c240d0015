//! The linker, and what the compiler's flags tell it.

use std::path::Path;

use super::{Facts, rustc};
use crate::doctor::Check;
use crate::doctor::facts::{Done, Linker, Started, Step};
use crate::pipeline::capture::args::Call;
use crate::target::{apple, support};

/// Whether the linker is there.
pub fn linker(facts: &Facts) -> Check {
    let linker = &facts.settings.linker;
    let from = match &linker.origin {
        Some(origin) => format!("from {origin}"),
        None => "rustc's own choice".to_string(),
    };
    if matches!(facts.android, Some(Err(_))) {
        return Check::ok("linker", "comes with the kit (see `ndk`)");
    }
    let target = facts.target.as_deref();
    if let Some(target) = target.filter(|t| linker.origin.is_none() && !support::runs_here(t)) {
        return Check::fail(
            "linker",
            format!(
                "no linker is configured for {target}; rustc would take `{}`, which is this \
                 machine's",
                linker.program
            ),
            format!(
                "linker = \"{}\" in [target.{target}] of .cargo/config.toml",
                match apple::is_apple(target) {
                    true => "<a clang for it>".to_string(),
                    false => format!("{}-gcc", target.replace("-unknown", "")),
                }
            ),
        );
    }
    if linker.found.is_some() {
        return Check::ok("linker", format!("{} ({from})", linker.program));
    }
    let fix = match &linker.origin {
        Some(origin) => format!("install `{}`, or change the linker in {origin}", linker.program),
        None => "install a C compiler, such as with `apt install gcc`".to_string(),
    };
    Check::fail("linker", format!("`{}` ({from}) is not found", linker.program), fix)
}

/// Whether rustc takes the linker for what it is: it tells a compiler driver from a linker by
/// the name of the file.
pub fn linker_flavor(facts: &Facts) -> Check {
    const NAME: &str = "linker-flavor";
    let linker = &facts.settings.linker;
    let taken_for_driver = match &linker.flavor {
        Some(flavor) => {
            !matches!(&**flavor, "ld" | "ld.lld" | "ld64.lld" | "lld" | "gnu" | "gnu-lld")
        }
        None => !is_taken_for_linker(&linker.program),
    };
    let is_driver = linker.version.as_deref().and_then(is_driver);
    let kind = |driver: bool| if driver { "compiler driver" } else { "linker" };
    if is_driver.is_none_or(|is| is == taken_for_driver) {
        return Check::ok(NAME, format!("called as a {}", kind(taken_for_driver)));
    }
    let by = match &linker.flavor {
        Some(flavor) => format!("because of `-C linker-flavor={flavor}`"),
        None => "because of its name".to_string(),
    };
    let detail = format!(
        "rustc takes `{}` for a {} {by}, but it is a {}",
        linker.program,
        kind(taken_for_driver),
        kind(!taken_for_driver)
    );
    Check::fail(NAME, detail, flavor_fix(linker, taken_for_driver))
}

fn flavor_fix(linker: &Linker, taken_for_driver: bool) -> String {
    let name = Path::new(&linker.program).file_name().unwrap_or_default().to_string_lossy();
    match taken_for_driver {
        false => {
            "rustflags = [\"-C\", \"linker-flavor=gcc\"], or give the file another name".into()
        }
        true if ["mold", "wild"].contains(&&*name) => {
            format!("remove `linker`; rustflags = [\"-C\", \"link-arg=-fuse-ld={name}\"]")
        }
        true => "name a compiler driver such as `cc` as the linker".into(),
    }
}

/// What rustc concludes from a name.
fn is_taken_for_linker(program: &str) -> bool {
    let stem = Path::new(program).file_stem().unwrap_or_default().to_string_lossy();
    let without_version = match stem.rsplit_once('-') {
        Some((name, version)) if version.chars().all(char::is_numeric) => name,
        _ => &stem,
    };
    matches!(without_version, "ld" | "link" | "lld" | "rust-lld" | "lld-link" | "wasm-ld")
        || without_version.ends_with("-ld")
}

/// What a program says about itself; none where that is not clear.
fn is_driver(version: &str) -> Option<bool> {
    let version = version.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| version.contains(word));
    if says(&["gnu ld", "gnu gold", "lld ", "mold ", "wild "]) {
        Some(false)
    } else if says(&["gcc", "clang", "free software foundation"]) {
        Some(true)
    } else {
        None
    }
}

/// The arguments that the flags hand to the linker.
fn link_args(flags: &[String]) -> Vec<String> {
    let call = Call::new(flags);
    let given = call.pieces().iter().filter_map(|piece| piece.codegen());
    let values = given.filter_map(|(key, value)| match key.as_str() {
        "link-arg" => value.map(|v| vec![v.to_string()]),
        "link-args" => value.map(|v| v.split_whitespace().map(String::from).collect()),
        _ => None,
    });
    let options = values.flatten().flat_map(|arg| match arg.strip_prefix("-Wl,") {
        Some(list) => list.split(',').map(String::from).collect(),
        None => vec![arg],
    });
    options.filter(|option| option != "-Xlinker").collect()
}

fn remove(facts: &Facts, flag: &str) -> String {
    format!("remove `{flag}` from {}", facts.settings.rustflags_origin)
}

/// Whether the code can be loaded anywhere: patches have it in shared libraries.
pub fn position(facts: &Facts) -> Check {
    const NAME: &str = "relocation-model";
    match Call::new(&facts.settings.rustflags).codegen("relocation-model") {
        Some(model) if !matches!(model, "pic" | "pie") => {
            let flag = format!("-C relocation-model={model}");
            let detail = format!(
                "`{flag}`: such code refers to fixed addresses, and patches of it are refused"
            );
            Check::fail(NAME, detail, remove(facts, &flag))
        }
        _ => Check::ok(NAME, "position-independent code"),
    }
}

/// Whether the program and its patches have one C library between them.
pub fn c_library(facts: &Facts) -> Check {
    const NAME: &str = "c-library";
    let flags = &facts.settings.rustflags;
    let call = Call::new(flags);
    let features = call.pieces().iter().filter_map(|p| p.codegen());
    let features = features.filter(|(key, _)| key == "target-feature").filter_map(|(_, v)| v);
    let crt = features.flat_map(|list| list.split(',')).rfind(|f| f.ends_with("crt-static"));
    let args = link_args(flags);
    let arg = args.iter().find(|a| matches!(a.as_str(), "-static" | "-static-pie"));
    let flag = match (crt, arg) {
        (Some("+crt-static"), _) => "-C target-feature=+crt-static".to_string(),
        (_, Some(arg)) => format!("-C link-arg={arg}"),
        _ => return Check::ok(NAME, "shared with the patches"),
    };
    let detail = format!(
        "`{flag}`: what a patch uses of the C library and the program does not have comes from a \
         second one, with a state of its own"
    );
    Check::warn(NAME, detail, remove(facts, &flag))
}

/// Whether the standard library is part of the program.
pub fn std_linkage(facts: &Facts) -> Check {
    const NAME: &str = "prefer-dynamic";
    match Call::new(&facts.settings.rustflags).is_on("prefer-dynamic") {
        false => Check::ok(NAME, "std is in the program"),
        true => Check::ok(
            NAME,
            "std is a shared library of its own (`-C prefer-dynamic`), which patches use as the \
             program does",
        ),
    }
}

/// Whether the linker leaves the symbols in the program.
pub fn symbol_table(facts: &Facts) -> Check {
    const NAME: &str = "symbols";
    let args = link_args(&facts.settings.rustflags);
    let strips = |a: &&String| {
        matches!(
            a.as_str(),
            "-s" | "--strip-all" | "-x" | "--discard-all" | "-X" | "--discard-locals"
        )
    };
    match args.iter().find(strips) {
        Some(arg) => {
            let detail = format!(
                "`{arg}` in the linker's arguments removes the symbols that patches are bound to"
            );
            Check::fail(NAME, detail, remove(facts, arg))
        }
        None => Check::ok(NAME, "kept by the linker"),
    }
}

/// Whether the linker gives one address to functions that look alike.
pub fn folding(facts: &Facts) -> Check {
    const NAME: &str = "identical-code";
    let args = link_args(&facts.settings.rustflags);
    match args.iter().find(|a| a.starts_with("--icf") && !a.ends_with("none")) {
        Some(arg) => Check::warn(
            NAME,
            format!(
                "`{arg}` gives one address to functions that look alike; they cannot be patched one by one"
            ),
            remove(facts, arg),
        ),
        None => Check::ok(NAME, "each function has its own address"),
    }
}

/// Whether the linker leaves open what only the loader finds, and by which flag.
pub fn unresolved(facts: &Facts) -> Check {
    const NAME: &str = "unresolved-symbols";
    let Some(trial) = facts.trial.as_ref().filter(|trial| !trial.ways.is_empty()) else {
        return Check::ok(NAME, "not tried, for what is said elsewhere");
    };
    let linked = |done: &Done| !matches!(done, Err((Step::Link, _)));
    let Some((taken, _)) = trial.ways.iter().find(|(_, done)| linked(done)) else {
        let words = trial.failed.as_ref().map_or("", |(_, words)| words);
        let detail = format!("{} takes no flag that leaves symbols open: {words}", trial.linker);
        return Check::fail(NAME, detail, another_linker(facts));
    };
    let told = |good: bool| -> Vec<String> {
        let others = trial.ways.iter().filter(|(way, done)| way != taken && done.is_ok() == good);
        let told = others.map(|(way, done)| match done {
            Ok(()) => way.to_string(),
            Err((_, words)) => format!("{way} ({words})"),
        });
        told.collect()
    };
    let mut detail = format!("left open by {taken}");
    for (what, good) in [("also taken", true), ("not taken", false)] {
        let ways = told(good);
        if !ways.is_empty() {
            detail.push_str(&format!("; {what}: {}", ways.join(", ")));
        }
    }
    Check::ok(NAME, detail)
}

/// What mends a linker that cannot be worked with.
fn another_linker(facts: &Facts) -> String {
    match &facts.settings.linker.origin {
        Some(origin) => format!("try another linker than the one in {origin}"),
        None if facts.settings.rustflags.is_empty() => {
            "install a working C compiler and linker, such as with `apt install gcc`".to_string()
        }
        None => format!("try without the flags in {}", facts.settings.rustflags_origin),
    }
}

/// How the trial patch fared.
pub fn trial_patch(facts: &Facts) -> Check {
    const NAME: &str = "trial-patch";
    let Some(trial) = &facts.trial else {
        return Check::ok(NAME, "not tried, for what is said above");
    };
    let Some((step, words)) = &trial.failed else {
        let linked = format!("compiled, linked by {}", trial.linker);
        let detail = match &trial.started {
            Started::Here => format!("{linked}, loaded and called"),
            Started::By(runner) => {
                format!("{linked}, loaded and called in a program run by {runner}")
            }
            Started::Nowhere => {
                format!("{linked}; not loaded, since nothing here runs the target's programs")
            }
        };
        return Check::ok(NAME, detail);
    };
    let what = match step {
        Step::Program => "an empty program cannot be built",
        Step::Compile => "a patch cannot be compiled",
        Step::Link => "a patch cannot be linked",
        Step::Load => "a linked patch cannot be loaded",
        Step::Call => "a loaded patch does not run",
    };
    let fix = match step {
        Step::Program | Step::Compile if rustc(facts).is_some_and(|r| !r.has_std) => {
            "see `target-std`".to_string()
        }
        Step::Link if !trial.ways.is_empty() => "see `unresolved-symbols`".to_string(),
        _ => another_linker(facts),
    };
    Check::fail(NAME, format!("{what}: {words}"), fix)
}
