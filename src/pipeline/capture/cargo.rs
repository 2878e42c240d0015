//! Running a cargo that builds, and reading what it says.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::wrapper::Trouble;
use super::wrapping::Wrapping;
use crate::error::{Failure, Kind};
use crate::report::Event;
use crate::session::cargo;

/// Something that cargo built, or found to be fresh.
#[derive(Debug, Clone, Deserialize)]
pub struct Built {
    /// The package's id.
    pub package_id: String,
    /// The target's description.
    pub target: Value,
    /// The files.
    pub filenames: Vec<PathBuf>,
    /// The program, where it is one.
    pub executable: Option<PathBuf>,
}

impl Built {
    /// Whether the target is of a kind, such as `bin`.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    }
}

/// Builds what the arguments, a command of cargo's and its flags, ask for. What cargo tells people goes to stderr as always, and rustc's diagnostics too unless
/// `emit` is there to take them.
///
/// # Errors
/// A [`Failure`] of the kind `UserCode` where the code does not compile, else `Environment`.
pub fn build(
    args: &[String],
    wrapping: &Wrapping,
    emit: &mut Option<&mut dyn FnMut(Event)>,
) -> anyhow::Result<Vec<Built>> {
    let format = if emit.is_some() { "json" } else { "json-render-diagnostics" };
    let mut command = Command::new(cargo());
    command.args(args).args(["--message-format", format]);
    wrapping.apply(&mut command);
    let cannot = |e: std::io::Error| Failure::io("run", Path::new(&cargo()), &e);
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let mut log = Log::default();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let event = log.read(&line.map_err(cannot)?);
        if let (Some(event), Some(emit)) = (event, emit.as_mut()) {
            emit(event);
        }
    }
    let status = child.wait().map_err(cannot)?;
    if status.success() {
        return Ok(log.built);
    }
    if let Ok(trouble) = read_trouble(&wrapping.trouble()) {
        return Err(trouble.into());
    }
    Err(match log.build_ended {
        true => Failure::new(Kind::UserCode, "the program does not build"),
        false => Failure::environment("cargo could not start the build"),
    }
    .into())
}

fn read_trouble(file: &Path) -> anyhow::Result<Failure> {
    let trouble: Trouble = serde_json::from_slice(&std::fs::read(file)?)?;
    let failure = Failure::environment(trouble.message);
    Ok(match trouble.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

#[derive(Default)]
struct Log {
    built: Vec<Built>,
    build_ended: bool,
}

impl Log {
    /// Takes a line; a diagnostic is for others.
    fn read(&mut self, line: &str) -> Option<Event> {
        let mut message = serde_json::from_str::<Value>(line).ok()?;
        match message["reason"].as_str() {
            Some("compiler-artifact") => self.built.extend(serde_json::from_value(message)),
            Some("build-finished") => self.build_ended = true,
            Some("compiler-message") => {
                return Some(Event::CompilerMessage {
                    package_id: message["package_id"].as_str().unwrap_or_default().into(),
                    manifest_path: message["manifest_path"].as_str().unwrap_or_default().into(),
                    target: message["target"].take(),
                    message: message["message"].take(),
                });
            }
            _ => {}
        }
        None
    }
}
