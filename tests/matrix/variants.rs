//! A handful of the rows in programs that are compiled in other ways.

use crate::rows;
use crate::run::Run;
use crate::skip;
use crate::summary::{self, Summary};
use crate::support::{Fixture, Save, target};
use crate::table::Then::{self, Refused, Warns};
use crate::table::{Group, Row};

/// Rows that mean the same however the program is compiled.
const ANYWHERE: &[&str] = &[
    "another body",
    "a comment and empty lines",
    "a new function that is called",
    "a parameter more",
    "the body of a generic function",
    "a recursive function",
    "a function of many statements",
    "a stored closure that captures two words",
    "another chain of iterators",
    "the body of a running future",
    "an `async fn` with state across `.await`",
    "a new type, its impls and values",
    "an impl and trait objects of it",
    "a trait, an impl and trait objects",
    "the body of a `Drop`",
    "an immutable static's value",
    "a new static that counts",
    "a new thread-local",
    "a constant",
    "the file of an `include_str!`",
    "a `#[cfg]` that turns around",
    "an arm of a large `match`",
    "a function of a library",
    "an `#[inline]` function of a library",
    "a macro that a library exports",
];

/// Rows for which types have to be known.
const WITH_TYPES: &[&str] = &[
    "a field more",
    "a variant renamed",
    "a method more where there are trait objects",
    "a signature changed that a pointer has",
    "a closure that captures more than the stored ones",
    "two closures change places",
    "an impl in front of others, and their bodies",
    "a static of another type",
    "a static becomes mutable",
    "an immutable static becomes a `static mut`",
    "a `Drop` more on values that exist",
    "a `Drop` more where there are trait objects",
    "the state of a running future",
];

/// Rows in which something is called in another way than before.
const CALLS: &[&str] = &[
    "a small struct to an `extern \"C\"` function",
    "an option from an `extern \"C-unwind\"` function",
    "a large struct to an `extern \"C\"` function",
    "the body of a function that a loop calls",
    "a parameter without a niche",
];

/// What only the code of a function tells, which is asked on x86-64 alone.
const BY_CODE: &[&str] =
    &["`#[track_caller]`", "the body of a function and its caller, which is called by a loop too"];

fn by_code() -> &'static [&'static str] {
    if target::foreign().is_none() { BY_CODE } else { &[] }
}

fn settings(fixture: &Fixture, settings: &str) {
    let manifest = fixture.read("Cargo.toml");
    let of = |package: &str| format!("\n[profile.dev.package.{package}]\n{settings}\n");
    fixture.write("Cargo.toml", &(manifest + &of("app") + &of("parts")), Save::InPlace);
}

fn profile(fixture: &Fixture, settings: &str) {
    let manifest = fixture.read("Cargo.toml");
    fixture.write("Cargo.toml", &format!("{manifest}\n[profile.dev]\n{settings}\n"), Save::InPlace);
}

fn flags(fixture: &Fixture, flags: &str) {
    std::fs::create_dir_all(fixture.path(".cargo")).expect("a folder");
    let text = format!("[build]\nrustflags = [{flags}]\n");
    fixture.write(".cargo/config.toml", &text, Save::InPlace);
}

/// The flags with which GNU's driver for another processor links by LLVM's linker: it looks for a
/// linker of that processor's own, except where it is told.
fn by_lld(fixture: &Fixture) -> String {
    let folder = fixture.scratch().join("linkers");
    std::fs::create_dir(&folder).expect("a folder");
    let lld = which::which("ld.lld").expect("a linker");
    std::os::unix::fs::symlink(lld, folder.join("ld.lld")).expect("a link");
    format!("\"-Clink-arg=-B{}\", \"-Clink-arg=-fuse-ld=lld\"", folder.display())
}

/// Runs the named rows. Some of them come to something else here.
#[track_caller]
fn all(name: &'static str, prepare: fn(&Fixture), names: &[&[&str]], otherwise: &[(&str, Then)]) {
    let names: Vec<&str> = names.concat();
    let mut run = Run::new(name, prepare);
    let mut summary = Summary::default();
    for Group { name: group, rows } in rows::ALL {
        for row in rows.iter().filter(|row| names.contains(&row.name) && summary::is_wanted(row)) {
            let then = otherwise.iter().find(|(name, _)| *name == row.name);
            let row = match then {
                Some((_, then)) => Row { then: *then, lasting: &[], ..*row },
                None => *row,
            };
            summary.add(group, &row, run.row(&row));
        }
    }
    run.stop();
    summary.end(name);
}

#[test]
fn opt_level_1_and_one_codegen_unit() {
    let prepare = |f: &Fixture| settings(f, "opt-level = 1\ncodegen-units = 1");
    // Where nothing has a use for an argument, its callers leave anything there.
    let values = &[
        ("located", "1508"),
        ("unused", "1812"),
        ("thread", "(1212,Some(1303),1409,1507,1708,1806)"),
    ];
    let name = "the body of a function and its caller, which is called by a loop too";
    let otherwise = [(name, Warns(values, "`app::calls::unused` takes its arguments"))];
    all(
        "opt-level = 1, codegen-units = 1",
        prepare,
        &[ANYWHERE, WITH_TYPES, CALLS, by_code()],
        &otherwise,
    );
}

/// Symbols alone tell that pointers go on in old code and that a static is a new one.
const BY_SYMBOLS: &[&str] = &[
    "a signature changed that a pointer has",
    "an impl in front of others, and their bodies",
    "a static of another type",
];

/// Without types nobody knows that the methods are the same as before.
const NUMBERED_ANEW: (&str, Then) =
    ("an impl in front of others, and their bodies", Warns(&[("many", "11,12")], "traits::Many"));

#[test]
fn no_debug_information() {
    if !summary::is_everything() {
        skip!("no debug information is the same for every processor; MATRIX= runs this too");
    }
    let prepare = |f: &Fixture| settings(f, "debug = 0");
    all("debug = 0", prepare, &[ANYWHERE, BY_SYMBOLS], &[NUMBERED_ANEW]);
}

#[test]
fn line_tables_and_a_little_more() {
    if !summary::is_everything() {
        skip!("line tables are the same for every processor; MATRIX= runs this too");
    }
    let prepare = |f: &Fixture| settings(f, "debug = 1");
    all("debug = 1", prepare, &[ANYWHERE, BY_SYMBOLS], &[NUMBERED_ANEW]);
}

#[test]
fn panics_that_abort() {
    all("panic = \"abort\"", |f| profile(f, "panic = \"abort\""), &[ANYWHERE, WITH_TYPES], &[]);
}

#[test]
fn names_that_tell_nothing_of_types() {
    if !summary::is_everything() {
        skip!("names are the same for every processor; MATRIX= runs this too");
    }
    let prepare = |f: &Fixture| flags(f, "\"-Csymbol-mangling-version=v0\"");
    // The new static has the name of the old one.
    let refused = ("a static of another type", Refused("statics::NAMES", "changes its type"));
    let [pair, half, large, ..] = CALLS else { unreachable!("more rows than these") };
    let otherwise = [
        refused,
        (pair, Warns(&[("pair", "1213")], "`app::calls::pair` takes its arguments")),
        (half, Warns(&[("half", "Some(1304)")], "`app::calls::half` takes its arguments")),
        (large, Warns(&[("large", "1410")], "`app::calls::large` takes its arguments")),
    ];
    all("v0 mangling", prepare, &[ANYWHERE, WITH_TYPES, CALLS, by_code()], &otherwise);
}

#[test]
fn functions_that_the_linker_folds() {
    if target::foreign().is_some() && which::which("ld.lld").is_err() {
        skip!("no ld.lld, and GNU's linker for other processors does not fold");
    }
    let prepare = |f: &Fixture| match target::foreign() {
        Some(_) => flags(f, &format!("{}, \"-Clink-arg=-Wl,--icf=all\"", by_lld(f))),
        None => flags(f, "\"-Clink-arg=-Wl,--icf=all\""),
    };
    let name = "one of two functions with the same code";
    let folded = (name, Refused("app::functions::same_two", "folded it with"));
    let names = ["another body", name, "a function of a library"];
    all("--icf=all", prepare, &[&names], &[folded]);
}

#[test]
fn every_name_is_that_of_a_row() {
    let known: Vec<&str> = rows::ALL.iter().flat_map(|g| g.rows.iter().map(|r| r.name)).collect();
    for name in ANYWHERE.iter().chain(WITH_TYPES).chain(CALLS).chain(BY_CODE) {
        assert!(known.contains(name), "{name}");
    }
}
