//! A rustc command line, read as rustc reads it: the many spellings of one option become one
//! name and one value, and each piece remembers its words, so that a rewriter can keep, drop or
//! replace it as a whole.

use std::path::{Path, PathBuf};

/// Options that take a value as the next word or after `=`.
const VALUED: &[&str] = &[
    "--allow",
    "--cap-lints",
    "--cfg",
    "--check-cfg",
    "--codegen",
    "--color",
    "--crate-name",
    "--crate-type",
    "--deny",
    "--diagnostic-width",
    "--edition",
    "--emit",
    "--env-set",
    "--error-format",
    "--explain",
    "--extern",
    "--forbid",
    "--force-warn",
    "--json",
    "--out-dir",
    "--print",
    "--remap-path-prefix",
    "--remap-path-scope",
    "--sysroot",
    "--target",
    "--warn",
];

/// Short options whose value is the rest of the word or the next word.
const SHORT: &[&str] = &["-A", "-C", "-D", "-F", "-L", "-W", "-Z", "-l", "-o"];

/// One option with its value, or one word that is no option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The words as they stand on the command line.
    pub words: &'a [String],
    /// The option, such as `--emit`; `-C` for all spellings of `--codegen`; empty for an input.
    pub name: &'a str,
    /// Its value, or the word itself where it is no option.
    pub value: Option<&'a str>,
}

impl<'a> Piece<'a> {
    /// The key (with `-`) and the value of a `-C` option.
    pub fn codegen(&self) -> Option<(String, Option<&'a str>)> {
        if self.name != "-C" {
            return None;
        }
        let text = self.value.unwrap_or_default();
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        Some((key.replace('_', "-"), value))
    }

    /// Whether it is `-C key` or `-C key=value`.
    pub fn is_codegen(&self, key: &str) -> bool {
        self.codegen().is_some_and(|(found, _)| found == key)
    }
}

/// The pieces of a command line, in order; together they have all of its words.
pub fn pieces(args: &[String]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(word) = args.get(at) {
        let (name, attached) = split(word);
        let takes_next = attached.is_none() && (SHORT.contains(&name) || VALUED.contains(&name));
        let value = if takes_next { args.get(at + 1).map(String::as_str) } else { attached };
        let end = if takes_next && value.is_some() { at + 2 } else { at + 1 };
        let name = if name == "--codegen" { "-C" } else { name };
        pieces.push(Piece { words: &args[at..end], name, value });
        at = end;
    }
    pieces
}

/// A word's option name, and the value that is attached to it.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") && word.len() > 2 {
        return match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
    }
    if !word.starts_with('-') || word.len() < 2 {
        return ("", Some(word));
    }
    match SHORT.iter().find(|short| word.starts_with(**short)) {
        Some(short) if word.len() > short.len() => (&word[..2], Some(&word[short.len()..])),
        Some(_) => (word, None),
        None => (word, None),
    }
}

/// What the tool wants to know about a rustc call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pieces: Vec<Piece<'a>>,
}

impl<'a> Call<'a> {
    /// Reads a command line (without the compiler itself).
    pub fn new(args: &'a [String]) -> Self {
        Call { pieces: pieces(args) }
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece<'a>] {
        &self.pieces
    }

    fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.pieces.iter().filter(move |p| p.name == name).filter_map(|p| p.value)
    }

    /// The last value of an option.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next_back()
    }

    /// The last value of a `-C` option; `Some("")` where it was given without one.
    pub fn codegen(&self, key: &str) -> Option<&'a str> {
        let mut found = self.pieces.iter().filter_map(Piece::codegen).filter(|(k, _)| k == key);
        found.next_back().map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether a `-C` option that takes yes or no was given, and not with no.
    pub fn is_on(&self, key: &str) -> bool {
        self.codegen(key).is_some_and(|value| !matches!(value, "no" | "n" | "off" | "false"))
    }

    /// The values of `--crate-type`; without any, rustc makes a program, which cargo uses for
    /// everything that tests or measures.
    pub fn crate_types(&self) -> Vec<&'a str> {
        let given: Vec<_> = self.values("--crate-type").flat_map(|v| v.split(',')).collect();
        if given.is_empty() { vec!["bin"] } else { given }
    }

    /// The kinds that `--emit` names, without their paths.
    pub fn emits(&self) -> Vec<&'a str> {
        let kinds = self.values("--emit").flat_map(|v| v.split(','));
        kinds.map(|k| k.split_once('=').map_or(k, |(kind, _)| kind)).collect()
    }

    /// Whether rustc only answers a question, or reads its input from stdin.
    pub fn is_probe(&self) -> bool {
        let question =
            |p: &Piece| matches!(p.name, "-vV" | "-V" | "-v" | "--version" | "--explain" | "-");
        let prints = self.values("--print").any(|v| !v.starts_with("link-args"));
        prints || self.pieces.iter().any(|p| question(p) || p.words[0] == "-")
    }

    /// The name that the output files have: the crate's name and its extra file name.
    pub fn file_stem(&self) -> Option<String> {
        let name = self.value("--crate-name")?.replace('-', "_");
        Some(name + self.codegen("extra-filename").unwrap_or_default())
    }

    /// The files of `--extern` crates.
    pub fn externs(&self) -> Vec<PathBuf> {
        self.values("--extern").filter_map(extern_file).map(PathBuf::from).collect()
    }
}

/// The file in `[options:]name=file`, where there is one.
pub fn extern_file(value: &str) -> Option<&str> {
    value.split_once('=').map(|(_, file)| file)
}

/// The output stem (see [`Call::file_stem`]) of a library file such as `libnaga-0a1b.rmeta`.
pub fn library_stem(file: &Path) -> Option<&str> {
    let stem = file.file_stem()?.to_str()?;
    Some(stem.strip_prefix("lib").unwrap_or(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn every_spelling_of_an_option_is_one_piece() {
        let table = [
            ("--emit=link", "--emit", Some("link")),
            ("--emit link", "--emit", Some("link")),
            ("-C opt-level=3", "-C", Some("opt-level=3")),
            ("-Copt-level=3", "-C", Some("opt-level=3")),
            ("--codegen opt-level=3", "-C", Some("opt-level=3")),
            ("--codegen=opt-level=3", "-C", Some("opt-level=3")),
            ("-o out", "-o", Some("out")),
            ("-oout", "-o", Some("out")),
            ("-O", "-O", None),
            ("-g", "-g", None),
            ("-vV", "-vV", None),
            ("-", "", Some("-")),
            ("src/main.rs", "", Some("src/main.rs")),
            ("--test", "--test", None),
            ("--extern a=b=c", "--extern", Some("a=b=c")),
            ("--cfg feature=\"--emit\"", "--cfg", Some("feature=\"--emit\"")),
        ];
        for (text, name, value) in table {
            let args = words(text);
            let found = pieces(&args);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].name, found[0].value), (name, value), "{text}");
            assert_eq!(found[0].words, args, "{text}");
        }
    }

    #[test]
    fn pieces_have_all_words_in_order() {
        let args = words("--crate-name a -C debuginfo=2 src/lib.rs -Ldependency=x --cfg b -o");
        let all: Vec<String> = pieces(&args).iter().flat_map(|p| p.words.to_vec()).collect();
        assert_eq!(all, args);
    }

    #[test]
    fn a_cargo_call_is_understood() {
        let args = words(
            "--crate-name my_app src/main.rs --crate-type lib,cdylib --crate-type=rlib \
             --emit=dep-info=x.d,metadata --emit link -C extra_filename=-12 --out-dir /t \
             --extern noprelude:a=/t/liba-1.rlib --extern std --extern b=/t/libb-2.rmeta",
        );
        let call = Call::new(&args);
        assert_eq!(call.file_stem().as_deref(), Some("my_app-12"));
        assert_eq!(call.crate_types(), ["lib", "cdylib", "rlib"]);
        assert_eq!(call.emits(), ["dep-info", "metadata", "link"]);
        assert_eq!(call.externs(), [Path::new("/t/liba-1.rlib"), Path::new("/t/libb-2.rmeta")]);
        assert!(!call.is_probe());
        assert_eq!(Call::new(&words("--crate-name x tests/x.rs --test")).crate_types(), ["bin"]);
        assert_eq!(library_stem(Path::new("/t/liba-1.rlib")), Some("a-1"));
    }

    #[test]
    fn questions_are_told_from_builds() {
        for (text, probe) in [
            ("-vV", true),
            ("- --crate-name ___ --print=file-names", true),
            ("--print cfg", true),
            ("--crate-name a src/lib.rs --print link-args", false),
            ("--crate-name a src/lib.rs", false),
        ] {
            assert_eq!(Call::new(&words(text)).is_probe(), probe, "{text}");
        }
    }
}
