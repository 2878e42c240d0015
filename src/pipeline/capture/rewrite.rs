//! What the fat build changes in a rustc command line: a pure function of it.

use std::path::Path;

use super::args::{Call, Piece, pieces};
use crate::target::linking;

/// Where the rewritten call leaves what the capture needs.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// For the incremental sessions, whose objects are the baseline.
    pub incremental: &'a Path,
    /// For the linker's command line.
    pub link_args: &'a Path,
}

/// Whether a call makes a crate whose functions a patch may change: no question, `cargo check`,
/// procedural macro or build script.
pub fn is_captured(call: &Call, is_build_script: bool) -> bool {
    let code = |kind: &&str| matches!(*kind, "link" | "obj");
    !call.is_probe()
        && !is_build_script
        && call.emits().iter().any(code)
        && !call.crate_types().contains(&"proc-macro")
}

/// Whether rustc calls a linker.
pub fn links(call: &Call) -> bool {
    makes_program(call) || makes_shared_library(call)
}

/// Whether rustc makes a program.
pub fn makes_program(call: &Call) -> bool {
    call.crate_types().contains(&"bin")
}

/// Whether rustc makes a library that a loader, and not only rustc, can use.
pub fn makes_shared_library(call: &Call) -> bool {
    call.crate_types().iter().any(|t| matches!(*t, "cdylib" | "dylib"))
}

/// What in the call makes patching impossible, for people.
pub fn obstacle(call: &Call) -> Option<String> {
    let on = |key| {
        let value = call.codegen(key)?;
        let off = matches!(value, "off" | "no" | "n" | "false");
        (!off).then(|| format!("`-C {key}={value}`"))
    };
    let flag = on("lto").or_else(|| on("linker-plugin-lto"))?;
    Some(format!(
        "the build asks for link-time optimization ({flag}), which leaves no objects that \
         belong to single crates"
    ))
}

/// Whether a part of the call keeps the types, by which a changed layout is known, out of the
/// objects: they are compared there.
pub fn splits_debug_information(piece: &Piece, call: &Call) -> bool {
    piece.is_codegen("split-debuginfo")
        && linking::can_split_debug_information(call.value("--target"))
}

/// The command line for the fat build: everything as it was, but with its own incremental
/// folder, with the debug information in the objects, without stripping, and, where a linker is
/// called, with a record of how and a build id.
/// A program's `main` can be found by `dlsym`: clients of other tools tell their place by it.
pub fn fat_args(args: &[String], places: Places) -> Vec<String> {
    let call = Call::new(args);
    let dropped = |p: &Piece| {
        p.is_codegen("incremental") || p.is_codegen("strip") || splits_debug_information(p, &call)
    };
    let kept = pieces(args).into_iter().filter(|p| !dropped(p));
    let mut out: Vec<String> = kept.flat_map(|p| p.words.to_vec()).collect();
    out.extend(["-C".into(), format!("incremental={}", places.incremental.display())]);
    if call.codegen("strip").is_some() {
        out.extend(["-C".into(), "strip=none".into()]);
    }
    if links(&call) {
        out.push(format!("--print=link-args={}", places.link_args.display()));
        let linker = call.codegen("linker");
        let flavor = call.codegen("linker-flavor");
        let target = call.value("--target");
        let program = call.crate_types().contains(&"bin");
        let build_id = linking::build_id_flag(target, flavor, linker);
        let main = linking::export_flag("main", target, flavor, linker).filter(|_| program);
        for flag in build_id.into_iter().chain(main) {
            out.extend(["-C".into(), format!("link-arg={flag}")]);
        }
        for flag in linking::more_flags(call.value("--target")) {
            out.extend(["-C".into(), format!("link-arg={flag}")]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    fn rewritten(text: &str) -> String {
        let places =
            Places { incremental: Path::new("/h/i"), link_args: Path::new("/h/link-args") };
        fat_args(&words(text), places).join(" ")
    }

    #[test]
    fn only_what_must_change_is_changed() {
        let target = "--target x86_64-unknown-linux-gnu";
        let table = [
            ("--crate-type lib a.rs", "--crate-type lib a.rs -C incremental=/h/i"),
            (
                "--crate-type lib -C incremental=/x -Cincremental=/y --codegen incremental=/z a.rs",
                "--crate-type lib a.rs -C incremental=/h/i",
            ),
            (
                "--crate-type rlib -C strip=debuginfo -g a.rs",
                "--crate-type rlib -g a.rs -C incremental=/h/i -C strip=none",
            ),
            (
                "--crate-type lib -C split-debuginfo=packed -Csplit-debuginfo=unpacked -g a.rs",
                "--crate-type lib -g a.rs -C incremental=/h/i",
            ),
            (
                "--crate-type lib -C split-debuginfo=unpacked --target aarch64-apple-darwin a.rs",
                "--crate-type lib -C split-debuginfo=unpacked --target aarch64-apple-darwin a.rs \
                 -C incremental=/h/i",
            ),
            (
                &format!("--crate-type bin {target} a.rs"),
                &format!(
                    "--crate-type bin {target} a.rs -C incremental=/h/i \
                     --print=link-args=/h/link-args -C link-arg=-Wl,--build-id \
                     -C link-arg=-Wl,--export-dynamic-symbol=main"
                ),
            ),
            (
                &format!("--crate-type cdylib {target} -C linker=/x/ld.lld a.rs"),
                &format!(
                    "--crate-type cdylib {target} -C linker=/x/ld.lld a.rs -C incremental=/h/i \
                     --print=link-args=/h/link-args -C link-arg=--build-id"
                ),
            ),
        ];
        for (given, wanted) in table {
            assert_eq!(rewritten(given), wanted, "{given}");
        }
    }

    #[test]
    fn only_crates_with_code_of_the_program_are_captured() {
        let table = [
            ("--crate-type lib --emit=dep-info,metadata,link", false, true),
            ("--crate-type bin --emit=dep-info,link", false, true),
            ("--crate-type bin --emit=dep-info,link", true, false),
            ("--crate-type bin --emit=dep-info,metadata", false, false),
            ("--crate-type proc-macro --emit=dep-info,link", false, false),
            ("--emit=dep-info,link --test", false, true),
            ("--emit=dep-info,link --cfg test", false, true),
            ("--emit=dep-info,metadata --test", false, false),
            ("-vV", false, false),
        ];
        for (text, build_script, wanted) in table {
            let args = words(text);
            assert_eq!(is_captured(&Call::new(&args), build_script), wanted, "{text}");
        }
    }

    #[test]
    fn link_time_optimization_is_an_obstacle() {
        for (text, wanted) in [
            ("-C lto", true),
            ("-C lto=thin", true),
            ("-Clto=fat", true),
            ("-C linker-plugin-lto", true),
            ("-C lto=off", false),
            ("-C embed-bitcode=no", false),
        ] {
            let args = words(text);
            assert_eq!(obstacle(&Call::new(&args)).is_some(), wanted, "{text}");
        }
    }
}
