//! The walls inside the source: what the compiler does not hold, this does.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_BUDGET: usize = 450;
const FUNCTION_BUDGET: usize = 70;

/// The pipeline's stages in the order in which the data passes them.
const STAGES: [&str; 5] = ["capture", "thin", "relink", "diff", "deliver"];

/// Files outside of `src/target` that may ask for the operating system, each with the reason.
const MAY_ASK_FOR_THE_SYSTEM: [(&str, &str); 0] = [];

/// Files that may spell out our environment variables.
const MAY_NAME_VARIABLES: [&str; 2] = ["src/env.rs", "crates/protocol/src/lib.rs"];

/// Names that a build script gives to its own crate: no process reads them when it runs.
const AT_COMPILE_TIME: [&str; 2] = ["HOTPATCH_BUILT_WITH", "HOTPATCH_BUILT_FOR"];

struct Source {
    /// From the repository's root, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// The lines in front of the file's own tests, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = |l: &&str| l.trim_end() == "#[cfg(test)]";
        let end = self.text.lines().position(|l| tests(&l)).unwrap_or(usize::MAX);
        let lines = self.text.lines().enumerate().take(end).map(|(n, l)| (n + 1, l));
        lines.filter(|(_, l)| !l.trim_start().starts_with("//"))
    }

    /// Lines in which `wrong` finds something, as `file:line: text`.
    fn find(&self, wrong: impl Fn(&str) -> bool) -> Vec<String> {
        let found = self.code().filter(|(_, line)| wrong(line));
        found.map(|(n, line)| format!("{}:{n}: {}", self.name, line.trim())).collect()
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "there are sources in {folders:?}");
    let read = |path: &PathBuf| Source {
        name: path.strip_prefix(root).expect("below the root").display().to_string(),
        text: fs::read_to_string(path).expect("a source file"),
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

#[track_caller]
fn expect_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Whether a line has this path, and not one whose last part only begins alike.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let next = line[at + path.len()..].chars().next();
        !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn no_stage_uses_a_later_one() {
    let mut found = Vec::new();
    for (at, stage) in STAGES.iter().enumerate() {
        let later = &STAGES[at + 1..];
        let uses_later = |line: &str| {
            later.iter().any(|l| {
                ["pipeline", "super"].iter().any(|parent| names(line, &format!("{parent}::{l}")))
            })
        };
        for source in sources(&["src/pipeline"]) {
            let own = format!("src/pipeline/{stage}");
            if source.name.starts_with(&(own.clone() + "/")) || source.name == own + ".rs" {
                found.extend(source.find(uses_later));
            }
        }
    }
    expect_none("a stage uses only earlier stages", &found);
}

#[test]
fn the_pipeline_knows_nothing_of_the_commands() {
    let upwards =
        |line: &str| ["crate::commands", "crate::watcher"].iter().any(|m| line.contains(m));
    let found: Vec<_> = sources(&["src/pipeline"]).iter().flat_map(|s| s.find(upwards)).collect();
    expect_none("the pipeline knows nothing of who calls it", &found);
}

#[test]
fn only_the_target_folder_asks_for_the_system() {
    let asks = |line: &str| {
        const TESTS: [&str; 7] = [
            "target_os",
            "target_arch",
            "target_env",
            "target_family",
            "cfg(unix)",
            "cfg(windows)",
            "env::consts",
        ];
        TESTS.iter().any(|t| line.contains(t))
    };
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        let excepted = MAY_ASK_FOR_THE_SYSTEM.iter().any(|(name, _)| *name == source.name);
        if !source.name.starts_with("src/target") && !excepted {
            found.extend(source.find(asks));
        }
    }
    expect_none("only src/target asks for the operating system or the processor", &found);
}

#[test]
fn the_names_of_variables_are_written_once() {
    let is_name = |word: &str| {
        let ours = word.starts_with("HOTPATCH_") || word.starts_with("CARGO_HOTPATCH_");
        ours && !AT_COMPILE_TIME.contains(&word)
    };
    let names = |line: &str| {
        // A string that is the name itself, or has it among other words.
        let mut quoted = line.split('"').skip(1).step_by(2);
        quoted.any(|t| t.split(|c: char| !c.is_ascii_uppercase() && c != '_').any(is_name))
    };
    let mut found = Vec::new();
    for source in sources(&["src", "crates"]) {
        if !MAY_NAME_VARIABLES.contains(&&*source.name) {
            found.extend(source.find(names));
        }
    }
    expect_none("environment variables are named in one place", &found);
}

#[test]
fn files_and_functions_stay_within_their_budgets() {
    let mut found = Vec::new();
    for source in sources(&["src", "crates", "xtask", "tests/support"]) {
        let lines = source.text.lines().count();
        if lines > FILE_BUDGET {
            found.push(format!("{}: {lines} lines, budget {FILE_BUDGET}", source.name));
        }
        for (name, start, length) in functions(&source.text) {
            if length > FUNCTION_BUDGET {
                found.push(format!(
                    "{}:{start}: {name} has {length} lines, budget {FUNCTION_BUDGET}",
                    source.name
                ));
            }
        }
    }
    expect_none("long files and functions", &found);
}

/// Name, first line and length of each function. Relies on rustfmt: a function ends at the first
/// `}` that is indented as its first line is.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else { continue };
        let closing = format!("{}}}", " ".repeat(indent));
        let body = lines[n..].iter().position(|l| *l == closing);
        let none = lines[n..]
            .iter()
            .position(|l| l.ends_with(';') || l.ends_with('{') || l.ends_with('}'));
        match (body, none) {
            (_, Some(end)) if !lines[n + end].ends_with('{') => {} // declared only, or one line
            (Some(end), _) => found.push((name.to_string(), n + 1, end + 1)),
            _ => {}
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let words = before.split_whitespace();
    let qualifier = |w: &str| {
        w.starts_with("pub")
            || w.starts_with('"')
            || ["unsafe", "async", "const", "extern"].contains(&w)
    };
    let mut words = words.filter(|w| !w.starts_with("in ") && !w.ends_with(')'));
    if !words.all(qualifier) {
        return None;
    }
    after.split(|c: char| !c.is_alphanumeric() && c != '_').next().filter(|n| !n.is_empty())
}

#[test]
fn nothing_in_the_runtime_can_panic_on_purpose() {
    let panics = |line: &str| {
        const CALLS: [&str; 7] = [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "unreachable!(",
            "todo!(",
            "unimplemented!(",
            "assert!(",
        ];
        CALLS.iter().any(|c| line.contains(c)) && !line.contains("const _")
    };
    let found: Vec<_> = sources(&["crates/runtime/src", "crates/protocol/src"])
        .iter()
        .filter(|s| !s.name.contains("/tests"))
        .flat_map(|s| s.find(panics))
        .collect();
    expect_none("the runtime lives in the user's program and never panics", &found);
}

#[test]
fn no_test_is_left_out() {
    let skips = |line: &str| line.trim_start().starts_with("#[ignore");
    let found: Vec<_> =
        sources(&["src", "crates", "xtask", "tests"]).iter().flat_map(|s| s.find(skips)).collect();
    expect_none("every test runs", &found);
}

#[test]
fn functions_are_measured_from_their_name_to_their_closing_brace() {
    let text = "fn a() {\n}\n\nimpl B {\n    pub(crate) const fn b(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n\n    fn c(&self);\n}\n// fn d() {\nfn e() {}\n";
    let found = functions(text);
    assert_eq!(found, [("a".to_string(), 1, 2), ("b".to_string(), 5, 5)]);
}
