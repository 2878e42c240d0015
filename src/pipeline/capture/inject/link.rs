//! The rustc call that links a program with the runtime.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use super::{Injected, Runtime};

/// How many of the linker's own lines are kept as the reason.
const LINES: usize = 3;

/// Runs rustc with the runtime by these flags. Where the program compiles and cannot be linked with it (one
/// without std, say), it is linked as the user has it, and the result tells why. rustc leaves
/// `link_args` once it calls the linker.
///
/// # Errors
/// Where rustc cannot be run.
pub fn run(
    rustc: &dyn Fn() -> Command,
    (runtime, flags): (&Runtime, &[String]),
    link_args: &Path,
) -> io::Result<(ExitStatus, Injected)> {
    let key = runtime.key.clone();
    let mut command = rustc();
    command.args(flags).stderr(Stdio::piped());
    let output = command.stdout(Stdio::inherit()).spawn()?.wait_with_output()?;
    let linked = link_args.metadata().is_ok_and(|file| file.len() > 0);
    if output.status.success() || !linked {
        io::stderr().write_all(&output.stderr)?;
        return Ok((output.status, Injected { key, refused: None }));
    }
    _ = std::fs::remove_file(link_args);
    // Where this fails as well, it says why.
    let status = rustc().status()?;
    let words = reason(&String::from_utf8_lossy(&output.stderr));
    Ok((status, Injected { key, refused: Some(words) }))
}

/// The linker's own words in rustc's messages.
fn reason(stderr: &str) -> String {
    let messages = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut notes = Vec::new();
    for message in messages.filter(|message| message["level"] == "error") {
        let children = message["children"].as_array().into_iter().flatten();
        let texts = children.filter_map(|child| child["message"].as_str());
        // The first notes are the command line.
        let own = texts.filter(|t| !t.trim_start().starts_with('"') && !t.contains("--verbose"));
        notes.extend(own.flat_map(str::lines).map(|line| line.trim().to_string()));
    }
    notes.truncate(LINES);
    match notes.is_empty() {
        true => "the linker gives no reason".into(),
        false => notes.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_words_are_found_in_rustcs_messages() {
        let stderr = concat!(
            r#"{"level":"warning","children":[{"message":"no"}]}"#,
            "\nnot json\n",
            r#"{"level":"error","message":"linking with `cc` failed","children":["#,
            r#"{"message":" \"cc\" \"-m64\""},"#,
            r#"{"message":"some arguments are omitted. use `--verbose` to show all"},"#,
            r#"{"message":"ld: a\n    >>> b\n c\n d"}]}"#,
        );
        assert_eq!(reason(stderr), "ld: a; >>> b; c");
        assert_eq!(reason(""), "the linker gives no reason");
    }
}
