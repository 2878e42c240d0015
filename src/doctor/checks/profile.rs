//! The profile of the selected build, for the packages that a patch may change.

use super::{Facts, patched, program};
use crate::doctor::Check;
use crate::doctor::facts::{CARGOS_DEFAULT, PackageProfile, Setting};

/// The packages whose setting `is_bad`, told as `opt-level = 3 for a, b (from there)`.
fn offenders(facts: &Facts, key: &str, is_bad: impl Fn(&str) -> bool) -> Option<(String, String)> {
    let mut first: Option<&Setting> = None;
    let mut packages = Vec::new();
    for package in patched(facts) {
        let Some(setting) = package.settings.get(key).filter(|s| is_bad(&s.value)) else {
            continue;
        };
        if first.get_or_insert(setting) == &setting {
            packages.push(package.package.as_str());
        }
    }
    let first = first?;
    let all = patched(facts).count() == packages.len();
    let whom = if all { String::new() } else { format!(" for {}", packages.join(", ")) };
    let told = format!("`{key} = {}`{whom} ({})", quoted(&first.value), first.origin);
    Some((told, first.origin.clone()))
}

/// As TOML has it.
fn quoted(value: &str) -> String {
    let bare = value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok();
    if bare { value.to_string() } else { format!("\"{value}\"") }
}

/// The settings that the packages have, where they agree.
fn common<'a>(facts: &'a Facts, key: &str, default: &'a str) -> String {
    let mut values: Vec<&str> =
        patched(facts).map(|p| p.settings.get(key).map_or(default, |s| &s.value)).collect();
    values.sort_unstable();
    values.dedup();
    values.join(", ")
}

/// Where a setting is to be changed, given where it was set.
fn change(facts: &Facts, line: &str, origin: &str) -> String {
    let name = program(facts).map_or("dev", |p| p.profile.name.as_str());
    if origin.starts_with('[') {
        format!("set `{line}` in {origin}")
    } else if origin == CARGOS_DEFAULT {
        format!("set `{line}` in [profile.{name}] of Cargo.toml")
    } else {
        format!("remove it from {origin}")
    }
}

fn is_off(value: &str) -> bool {
    matches!(value, "off" | "no" | "n" | "none" | "false" | "0")
}

/// The fat build leaves stripping out.
pub fn strip(facts: &Facts) -> Check {
    match offenders(facts, "strip", |value| !is_off(value)) {
        Some((told, origin)) => Check::warn(
            "strip",
            format!("{told}: patches need the symbols, so the fat build leaves this out"),
            change(facts, "strip = \"none\"", &origin),
        ),
        None => Check::ok("strip", "the symbols stay"),
    }
}

/// Link-time optimization leaves no objects of single crates.
pub fn lto(facts: &Facts) -> Check {
    let found = offenders(facts, "lto", |value| !is_off(value))
        .or_else(|| offenders(facts, "linker-plugin-lto", |value| !is_off(value)));
    match found {
        Some((told, origin)) => Check::fail(
            "lto",
            format!(
                "{told}: link-time optimization leaves no objects that belong to single crates"
            ),
            format!(
                "{}, or choose another profile with `--profile`",
                change(facts, "lto = false", &origin)
            ),
        ),
        None => Check::ok("lto", "off"),
    }
}

/// The optimizer moves code between functions.
pub fn opt_level(facts: &Facts) -> Check {
    match offenders(facts, "opt-level", |value| !matches!(value, "0" | "1")) {
        Some((told, origin)) => Check::warn(
            "opt-level",
            format!(
                "{told}: functions that were inlined or folded change only with their callers, or are refused"
            ),
            change(facts, "opt-level = 1", &origin),
        ),
        None => Check::ok("opt-level", common(facts, "opt-level", "0")),
    }
}

/// An instance of one of std's generic functions is compiled in one of the packages that use it,
/// with the checks of that one; patches follow rustc in this.
pub fn overflow_checks(facts: &Facts) -> Check {
    const NAME: &str = "overflow-checks";
    let checked = |p: &&PackageProfile| p.settings.get(NAME).is_none_or(|s| !is_off(&s.value));
    let (with, without): (Vec<_>, Vec<_>) = patched(facts).partition(checked);
    let names = |packages: &[&PackageProfile]| {
        packages.iter().map(|p| p.package.as_str()).collect::<Vec<_>>().join(", ")
    };
    if with.is_empty() || without.is_empty() {
        return Check::ok(NAME, if with.is_empty() { "off" } else { "on" });
    }
    let origin = patched(facts).find_map(|p| p.settings.get(NAME)).map(|s| s.origin.clone());
    let origin = origin.unwrap_or_default();
    let (with, without) = (names(&with), names(&without));
    Check::ok(NAME, format!("on for {with}, off for {without} ({origin}); patches follow"))
}

/// With one unit, each save compiles the whole crate.
pub fn codegen_units(facts: &Facts) -> Check {
    const NAME: &str = "codegen-units";
    match offenders(facts, NAME, |value| value == "1") {
        Some((told, origin)) => Check::warn(
            NAME,
            format!("{told}: each patch compiles the whole crate again"),
            change(facts, "codegen-units = 256", &origin),
        ),
        None => Check::ok(NAME, "many, so that a patch compiles little"),
    }
}

/// The debug information tells whether a type changed.
pub fn debug(facts: &Facts) -> Check {
    match offenders(facts, "debug", |value| !is_full(value)) {
        Some((told, origin)) => Check::warn(
            "debug",
            format!(
                "{told}: without full debug information a changed layout of a type is not noticed"
            ),
            change(facts, "debug = \"full\"", &origin),
        ),
        None => Check::ok("debug", "full"),
    }
}

fn is_full(value: &str) -> bool {
    matches!(value, "2" | "true" | "full")
}

/// `fat` keeps the debug information in the objects.
pub fn split_debuginfo(facts: &Facts) -> Check {
    const NAME: &str = "split-debuginfo";
    match offenders(facts, NAME, |value| value != "off") {
        Some((told, _)) => Check::ok(NAME, format!("{told}; `fat` builds without it")),
        None => Check::ok(NAME, "off"),
    }
}

/// Patches follow the program's strategy.
pub fn panic(facts: &Facts) -> Check {
    match common(facts, "panic", "unwind").as_str() {
        "abort" => Check::ok("panic", "abort; patches follow"),
        other => Check::ok("panic", other),
    }
}

/// Names that say what a type is make another type another name.
pub fn mangling(facts: &Facts) -> Check {
    const NAME: &str = "symbol-mangling";
    let full = offenders(facts, "debug", |value| !is_full(value)).is_none();
    match offenders(facts, "symbol-mangling-version", |value| value != "legacy" && !full) {
        Some((told, _)) => Check::warn(
            NAME,
            format!(
                "{told}: such a name stays the same when a type's layout changes, which only full debug information tells"
            ),
            "set `debug = \"full\"` for these packages, or leave the names as they are by default",
        ),
        None => Check::ok(NAME, common(facts, "symbol-mangling-version", "rustc's default")),
    }
}

/// Counters that instrumentation adds to each function cannot be patched; what other code
/// generators do was never tried.
pub fn instrumentation(facts: &Facts) -> Check {
    const NAME: &str = "code-generation";
    const COUNTERS: [&str; 2] = ["instrument-coverage", "profile-generate"];
    const UNTRIED: [&str; 3] = ["codegen-backend", "profile-use", "sanitizer"];
    let find = |keys: &[&str]| {
        keys.iter().find_map(|key| offenders(facts, key, |v| !is_off(v) && v != "llvm"))
    };
    if let Some((told, origin)) = find(&COUNTERS) {
        let detail = format!("{told}: patches of functions with counters in them are refused");
        return Check::fail(NAME, detail, format!("remove it from {origin}"));
    }
    match find(&UNTRIED) {
        Some((told, origin)) => Check::warn(
            NAME,
            format!("{told}: patching such programs was never tried"),
            format!("remove it from {origin}"),
        ),
        None => Check::ok(NAME, "nothing unusual"),
    }
}
