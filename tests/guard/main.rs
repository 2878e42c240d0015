//! The guard, as a table: two versions of a small source, compiled by plain rustc, and what the
//! comparison of their objects says.

mod functions;
mod layouts;
mod objects;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cargo_hotpatch::pipeline::relink::guard::{Guard, Verdict};
use cargo_hotpatch::target::binary::ObjectFile;

/// The version that rustc writes for Android; on this machine it is another one.
const OLD_DWARF: &str = "-Cdwarf-version=2";
const V0: &[&str] = &["-Csymbol-mangling-version=v0"];

/// An edit, and the lines of the verdict: `refused item: reason`, `detached function` (those of
/// the crate itself, without the compiler's shims), `note …`, `off`. The usual ends of reasons are left out.
struct Case {
    name: &'static str,
    flags: &'static [&'static str],
    old: &'static str,
    new: &'static str,
    says: &'static [&'static str],
}

fn object(folder: &Path, source: &str, flags: &[&str]) -> Arc<ObjectFile> {
    std::fs::write(folder.join("app.rs"), source).expect("a scratch file");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=lib", "--crate-name=app", "--emit=obj"]);
    rustc.args(["-Ccodegen-units=1", "-Awarnings", "-Cdebuginfo=2", "app.rs", "-oapp.o"]);
    if !flags.iter().any(|f| f.contains("symbol-mangling-version")) {
        // Some toolchains have legacy names by default, some only as an unstable option.
        rustc.args(["-Csymbol-mangling-version=legacy", "-Zunstable-options"]);
        rustc.env("RUSTC_BOOTSTRAP", "1");
    }
    let output = rustc.args(flags).current_dir(folder).output().expect("rustc runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{rustc:?}\n{source}\n{errors}");
    Arc::new(ObjectFile::read(&folder.join("app.o")).expect("an object"))
}

fn compiled(source: &str, flags: &[&str]) -> Arc<ObjectFile> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    object(folder.path(), source, flags)
}

fn verdict(old: &str, new: &str, flags: &[&str]) -> Verdict {
    let (old, new) = (compiled(old, flags), compiled(new, flags));
    Guard::default()
        .check(&[old], &[new], &|| Ok(Vec::new()))
        .expect("debug information that can be read")
}

fn lines(verdict: &Verdict) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for obstacle in &verdict.refused {
        let reason = obstacle.reason.replace("; the program may hold values of the old layout", "");
        let reason = reason.replace("; objects that exist hold the old table", "");
        lines.insert(format!("refused {}: {reason}", obstacle.item));
    }
    for symbol in &verdict.detached {
        let name = format!("{:#}", rustc_demangle::demangle(symbol));
        let own = name.starts_with("app::") || name.starts_with("<app::");
        if name == "app_f" {
            lines.insert(format!("exported {name}"));
        }
        // What `thread_local!` and vtables add is the toolchain's business.
        let internal = [" as core::", "::{K#", "::__rust_std_"].iter().any(|i| name.contains(i));
        if own && !internal {
            lines.insert(format!("detached {name}"));
        }
    }
    let note = |note: &String| {
        let note = note.replace(" that exist keep their old code: they captured other things", "");
        let called = " takes its arguments or gives its result in another way now: who was made to \
                      call the old one keeps it";
        let note = note.replace(called, " called otherwise");
        let state = note.find(" have another layout now: ").unwrap_or(note.len());
        format!("note {}", &note[..state])
    };
    lines.extend(verdict.notes.iter().map(note));
    lines.extend(verdict.off.iter().map(|_| "off".to_owned()));
    lines
}

#[track_caller]
fn check(cases: &[Case]) {
    let mut wrong = String::new();
    for case in cases {
        let expected: BTreeSet<String> = case.says.iter().map(|&s| s.to_owned()).collect();
        let old = [&[OLD_DWARF], case.flags].concat();
        for flags in [case.flags, &old] {
            let (name, found) = (case.name, lines(&verdict(case.old, case.new, flags)));
            if found != expected {
                wrong +=
                    &format!("{name} {flags:?}:\n  expected {expected:#?}\n  found {found:#?}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
