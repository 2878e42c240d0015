//! The command line of a thin build: a pure function of the captured one.

use std::path::{Path, PathBuf};

use crate::pipeline::capture::args::{Call, Piece, extern_file, library_stem, pieces};
use crate::pipeline::capture::rewrite::splits_debug_information;

/// What rustc is told where the user does not say how many codegen units there are: without it
/// `--emit obj` means one unit, and a one-line edit recompiles the whole crate.
const CODEGEN_UNITS: &str = "codegen-units=256";

/// A library of which there is a thin build: who uses it must use that, since rustc takes two
/// builds of one crate for two crates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinLibrary {
    /// The name of the output files (see [`Call::file_stem`]).
    pub stem: String,
    /// The folder with its metadata.
    pub folder: PathBuf,
}

impl ThinLibrary {
    fn metadata(&self) -> PathBuf {
        self.folder.join(format!("lib{}.rmeta", self.stem))
    }
}

/// Where a thin build's results go.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    /// Objects, metadata and dep-info.
    pub out: &'a Path,
    /// Incremental sessions.
    pub incremental: &'a Path,
}

/// Rewrites a captured command line so that rustc writes objects instead of the crate's usual
/// output; all else stays as it is, in order. Rewriting twice changes nothing more.
pub fn thin_args(args: &[String], folders: Folders, libraries: &[ThinLibrary]) -> Vec<String> {
    let call = Call::new(args);
    let crate_type = crate_type(&call.crate_types());
    let mut out = Vec::with_capacity(args.len() + 16);
    let mut typed = false;
    for piece in pieces(args) {
        match piece.name {
            "--crate-type" if typed => {}
            "--crate-type" => {
                out.extend(["--crate-type".to_string(), crate_type.to_string()]);
                typed = true;
            }
            "--emit" | "--out-dir" | "-o" => {}
            "--extern" => out.extend(extern_words(&piece, libraries)),
            _ if piece.is_codegen("incremental") => {}
            _ if splits_debug_information(&piece, &call) => {}
            _ => out.extend_from_slice(piece.words),
        }
    }
    for library in libraries {
        let value = format!("dependency={}", library.folder.display());
        if !call.pieces().iter().any(|p| p.name == "-L" && p.value == Some(&value)) {
            out.extend(["-L".to_string(), value]);
        }
    }
    if call.codegen("codegen-units").is_none() {
        out.extend(["-C".to_string(), CODEGEN_UNITS.to_string()]);
    }
    out.push(format!("--emit={}", emit(crate_type)));
    out.extend(["--out-dir".to_string(), folders.out.display().to_string()]);
    out.extend(["-C".to_string(), format!("incremental={}", folders.incremental.display())]);
    out
}

/// A program must stay one: as a library it would have other symbol names, and nothing in it
/// would be used. A library that is for other languages alone has in it what it exports to them,
/// and not what other crates might use. Of other libraries' types one is enough.
fn crate_type<'a>(types: &[&'a str]) -> &'a str {
    match types {
        types if types.contains(&"bin") => "bin",
        types if types.contains(&"lib") => "lib",
        ["cdylib"] => "cdylib",
        _ => "rlib",
    }
}

/// Nobody uses the metadata of a program or of a library for other languages.
fn emit(crate_type: &str) -> &'static str {
    match crate_type {
        "bin" | "cdylib" => "obj,dep-info",
        _ => "obj,metadata,dep-info",
    }
}

/// An `--extern` with the thin library in the place of the file, where there is one.
fn extern_words(piece: &Piece, libraries: &[ThinLibrary]) -> Vec<String> {
    let value = piece.value.unwrap_or_default();
    let file = extern_file(value);
    let stem = file.and_then(|file| library_stem(Path::new(file)));
    match (file, libraries.iter().find(|l| Some(l.stem.as_str()) == stem)) {
        (Some(file), Some(library)) => {
            let name = &value[..value.len() - file.len()];
            vec!["--extern".into(), format!("{name}{}", library.metadata().display())]
        }
        _ => piece.words.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    fn library(stem: &str) -> ThinLibrary {
        ThinLibrary { stem: stem.into(), folder: PathBuf::from(format!("/u/{stem}/thin")) }
    }

    fn thin(args: &[String], libraries: &[ThinLibrary]) -> Vec<String> {
        let folders = Folders { out: Path::new("/u/x/thin"), incremental: Path::new("/u/x/i") };
        thin_args(args, folders, libraries)
    }

    const BIN: &str = "--emit=obj,dep-info --out-dir /u/x/thin -C incremental=/u/x/i";
    const LIB: &str = "--emit=obj,metadata,dep-info --out-dir /u/x/thin -C incremental=/u/x/i";

    #[test]
    fn each_spelling_of_what_is_replaced_is_replaced() {
        let table = [
            ("--crate-type bin", "--crate-type bin", BIN),
            ("--crate-type=lib", "--crate-type lib", LIB),
            ("--crate-type rlib", "--crate-type rlib", LIB),
            ("--crate-type dylib", "--crate-type rlib", LIB),
            ("--crate-type cdylib", "--crate-type cdylib", BIN),
            ("--crate-type staticlib", "--crate-type rlib", LIB),
            ("--crate-type cdylib --crate-type rlib", "--crate-type rlib", LIB),
            ("--crate-type=cdylib,lib -g", "--crate-type lib -g", LIB),
            ("--crate-type bin --emit=dep-info,link", "--crate-type bin", BIN),
            ("--crate-type bin --emit link=/x --emit dep-info", "--crate-type bin", BIN),
            ("--crate-type bin --out-dir /t/deps", "--crate-type bin", BIN),
            ("--crate-type bin --out-dir=/t/deps", "--crate-type bin", BIN),
            ("--crate-type bin -o /t/x", "--crate-type bin", BIN),
            ("--crate-type bin -o/t/x", "--crate-type bin", BIN),
            ("--crate-type bin -C incremental=/t/i", "--crate-type bin", BIN),
            ("--crate-type bin -Cincremental=/t/i", "--crate-type bin", BIN),
            ("--crate-type bin --codegen incremental=/t/i", "--crate-type bin", BIN),
            ("--crate-type bin --codegen=incremental=/t/i", "--crate-type bin", BIN),
            ("--crate-type bin -Csplit-debuginfo=packed", "--crate-type bin", BIN),
        ];
        for (given, head, tail) in table {
            let wanted = format!("{head} -C codegen-units=256 {tail}");
            assert_eq!(thin(&words(given), &[]).join(" "), wanted, "{given}");
        }
    }

    #[test]
    fn everything_else_stays_in_order() {
        for kept in [
            "-C codegen-units=16",
            "-Ccodegen-units=1",
            "-C opt-level=2 --codegen codegen-units=4",
            "-O -C codegen_units=4",
            "--target x --sysroot /s --cfg a --cfg=b -C codegen-units=8 -L native=/n -lz src/m.rs",
            "--error-format=json --json=artifacts -C codegen-units=8 --cap-lints warn -Zx",
            "-C strip=debuginfo -C codegen-units=8 -C metadata=1 -C link-arg=-o -A dead_code",
        ] {
            let given = format!("--crate-type bin {kept} --emit link");
            let wanted = format!("--crate-type bin {kept} {BIN}");
            assert_eq!(thin(&words(&given), &[]).join(" "), wanted, "{given}");
        }
    }

    #[test]
    fn rebuilt_libraries_take_the_place_of_the_old_ones() {
        let given = "--crate-type bin -C codegen-units=8 -L dependency=/t/deps \
                     --extern a=/t/deps/liba-1.rlib --extern noprelude:b=/t/deps/libb-2.rmeta \
                     --extern=c=/t/deps/libc-3.rlib --extern std";
        let wanted = format!(
            "--crate-type bin -C codegen-units=8 -L dependency=/t/deps \
             --extern a=/u/a-1/thin/liba-1.rmeta --extern noprelude:b=/u/b-2/thin/libb-2.rmeta \
             --extern=c=/t/deps/libc-3.rlib --extern std \
             -L dependency=/u/a-1/thin -L dependency=/u/b-2/thin -L dependency=/u/d-4/thin {BIN}"
        );
        let libraries = [library("a-1"), library("b-2"), library("d-4")];
        assert_eq!(thin(&words(given), &libraries).join(" "), wanted);
    }

    #[test]
    fn rewriting_twice_changes_nothing_more() {
        for given in [
            "--crate-type bin --emit=link -C opt-level=1 --extern a=/t/liba-1.rlib src/main.rs",
            "--crate-type cdylib,rlib --emit dep-info,link -Ccodegen-units=2 --out-dir /x a.rs",
            "--crate-type lib a.rs",
        ] {
            let libraries = [library("a-1"), library("b-2")];
            let once = thin(&words(given), &libraries);
            assert_eq!(thin(&once, &libraries), once, "{given}");
        }
    }

    #[test]
    fn spaces_and_other_letters_in_paths_are_no_matter() {
        let given: Vec<String> =
            ["--crate-type", "bin", "--extern", "a=/t ü/liba-1.rlib", "src/m ain.rs"]
                .map(String::from)
                .to_vec();
        let library = ThinLibrary { stem: "a-1".into(), folder: "/u ü/thin".into() };
        let found = thin(&given, &[library]);
        assert!(found.contains(&"a=/u ü/thin/liba-1.rmeta".to_string()), "{found:?}");
        assert!(found.contains(&"dependency=/u ü/thin".to_string()), "{found:?}");
        assert!(found.contains(&"src/m ain.rs".to_string()), "{found:?}");
    }
}
