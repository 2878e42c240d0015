//! Finding the call that starts the runtime in the program's sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many files are looked at.
const MAX_FILES: usize = 5000;

/// The Rust files in folders and those below, without what cargo or others generate.
pub fn code_files(folders: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().cloned().collect();
    let mut seen = BTreeSet::new();
    while let Some(folder) = open.pop().filter(|_| files.len() < MAX_FILES) {
        let Ok(real) = folder.canonicalize() else { continue };
        if !seen.insert(real) || folder.join("CACHEDIR.TAG").exists() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The first call of `start` by one of the names that the runtime has in the sources.
pub fn find_call(files: &[PathBuf], names: &BTreeSet<String>) -> Option<(PathBuf, usize)> {
    files.iter().find_map(|file| Some((file.clone(), call_in_file(file, names)?)))
}

fn call_in_file(file: &Path, names: &BTreeSet<String>) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    // Most files do not know the runtime at all.
    if !names.iter().any(|name| text.contains(name.as_str())) {
        return None;
    }
    let code = code_of(&text);
    names.iter().find_map(|name| call(&code, name))
}

/// The line of the call.
fn call(code: &str, name: &str) -> Option<usize> {
    let imported = code.split("use ").skip(1).any(|rest| {
        let path = rest.trim_start().trim_start_matches("::");
        path.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', ';', ' ', '\n']))
    });
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let mut found = code.match_indices("start").filter(|(at, word)| {
        let before = code[..*at].trim_end();
        let called = code[at + word.len()..].trim_start().starts_with('(');
        let qualified = before.strip_suffix("::").is_some_and(|b| b.trim_end().ends_with(name));
        let plain = !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let declared = before.ends_with("fn");
        called && (qualified || (imported && plain && !declared))
    });
    found.next().map(|(at, _)| line(at))
}

/// The text without comments and without what is in strings; its lines stay where they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(hashes) = raw_string(rest, &code) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = rest.find('"').unwrap_or(0) + 1;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if first == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The length of a comment, which may have others in it.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The number of `#` where a raw string begins.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let hashes = rest.bytes().take_while(|b| *b == b'#').count();
    let begins = rest[hashes..].starts_with('"');
    (begins && (!in_word || before.ends_with(['b', 'c']))).then_some(hashes)
}

/// The length of a string with its quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<usize> {
        call(&code_of(text), "hotpatch_runtime")
    }

    #[test]
    fn the_call_is_found_however_it_is_written() {
        for (text, wanted) in [
            ("fn main() {\n    hotpatch_runtime::start();\n}", Some(2)),
            ("fn main() { ::hotpatch_runtime :: start (); }", Some(1)),
            ("use hotpatch_runtime::start;\nfn main() { start(); }", Some(2)),
            ("use hotpatch_runtime::{call, start as go};\nfn main() { call(x); }", None),
            ("use hotpatch_runtime as hot;\nfn main() {\n hot::start();\n}", Some(3)),
            ("#[cfg(debug_assertions)]\n/* \" */ hotpatch_runtime::start();", Some(2)),
            ("let x = \"\n\\\"\"; let y = r#\"\"\"#;\nhotpatch_runtime::start()", Some(3)),
            ("let q = '\"'; hotpatch_runtime::start(); // \"", Some(1)),
        ] {
            assert_eq!(line(text), wanted, "{text}");
        }
    }

    #[test]
    fn words_that_are_no_call_are_not_taken_for_one() {
        for text in [
            "// hotpatch_runtime::start();",
            "/* a /* b */ hotpatch_runtime::start(); */",
            "let x = \"hotpatch_runtime::start()\";",
            "let x = r#\"hotpatch_runtime::start()\"#;",
            "use hotpatch_runtime::safepoint; fn start() {} fn f(t: T) { t.start() }",
            "other::start();",
            "hotpatch_runtime::start;",
        ] {
            assert_eq!(line(text), None, "{text}");
        }
    }

    #[test]
    fn generated_folders_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in
            [("main.rs", ""), ("a/b.rs", ""), ("target/CACHEDIR.TAG", ""), ("target/c.rs", "")]
        {
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        let found = code_files(&BTreeSet::from([dir.path().to_path_buf()]));
        assert_eq!(found, [dir.path().join("a/b.rs"), dir.path().join("main.rs")]);
    }
}
