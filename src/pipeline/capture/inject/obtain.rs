//! What the runtime depends on must be had before an hour of the program's own compiling is spent.

use std::path::Path;

use super::build::{self, OFFLINE};
use super::sources;
use crate::error::Failure;
use crate::session::{Store, cargo};

/// Sees to it that cargo's cache has all that the runtime depends on, unless it is compiled already;
/// whether it has yet to be compiled.
///
/// # Errors
/// A [`Failure`] with the words of cargo and what to do.
pub fn obtain(store: &Store, target: &str, offline: bool) -> Result<bool, Failure> {
    if is_compiled(store) {
        return Ok(false);
    }
    let cannot = |e: std::io::Error| Failure::io("write to", store.root(), &e);
    std::fs::create_dir_all(store.root()).map_err(cannot)?;
    let folder = tempfile::tempdir_in(store.root()).map_err(cannot)?;
    sources::write(folder.path(), "unwind").map_err(cannot)?;
    let mut command = build::command();
    if offline {
        command.arg(OFFLINE);
    }
    build::resolve(&mut command, target, &folder.path().join(sources::MANIFEST));
    let output = command.output().map_err(|e| Failure::io("run", Path::new(&cargo()), &e))?;
    match output.status.success() {
        true => Ok(true),
        false => Err(missing(&String::from_utf8_lossy(&output.stderr), offline)),
    }
}

fn is_compiled(store: &Store) -> bool {
    let entries = std::fs::read_dir(store.runtimes()).into_iter().flatten().flatten();
    let mut ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(sources::made));
    ours.any(|entry| build::is_finished(&entry.path()))
}

fn missing(words: &str, offline: bool) -> Failure {
    let words = reason(words);
    let why = match offline {
        true => "is not in cargo's cache, and must not be fetched (`--offline`)",
        false => "cannot be fetched",
    };
    let failure = Failure::environment(format!(
        "what the runtime that is linked into the program depends on {why}: {words}"
    ));
    failure.hint(match offline {
        true => {
            "build once without `--offline`, which fetches it, or use `--no-inject`, with which \
             only programs that depend on hotpatch-runtime are patched"
        }
        false => {
            "cargo needs its registry or a mirror of it this once, or use `--no-inject`, with \
             which only programs that depend on hotpatch-runtime are patched"
        }
    })
}

/// What cargo says is wrong, and the last of the causes that it gives.
fn reason(words: &str) -> String {
    let lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines = lines.skip_while(|line| !line.starts_with("error"));
    let Some(first) = lines.next() else { return "cargo does not say why".into() };
    let first = first.trim_start_matches("error:").trim();
    let mut causes = lines.skip_while(|line| !line.starts_with("Caused by"));
    match causes.next().and_then(|_| causes.last()) {
        Some(cause) => format!("{first}: {cause}"),
        None => first.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_words_become_one_line() {
        let offline = "    Updating x\nerror: no matching package named `a` found\nlocation: x\n";
        assert_eq!(reason(offline), "no matching package named `a` found");
        let network = "error: failed to get `a`\n\nCaused by:\n  download failed\n\nCaused by:\n  \
             [7] Could not connect\n";
        assert_eq!(reason(network), "failed to get `a`: [7] Could not connect");
        assert_eq!(reason(""), "cargo does not say why");
    }
}
