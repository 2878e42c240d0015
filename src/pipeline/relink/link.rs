//! Runs the captured linker on a patch's object.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::driver::{self, Direct};
use super::link_plan::{self, How};
use super::resolve::Exports;
use crate::error::Failure;
use crate::pipeline::capture::args::Call;
use crate::pipeline::capture::{LinkCapture, Unit};
use crate::target::binary::{Format, Program};
use crate::target::elf;
use crate::target::linking::{Dialect, LeaveOpen};

/// Links patches of one program.
#[derive(Debug)]
pub struct Linker {
    unit: Unit,
    link: LinkCapture,
    how: How,
    direct: Option<Direct>,
}

/// A link that failed.
struct Refused {
    open: LeaveOpen,
    args: Vec<String>,
    words: String,
}

impl Linker {
    /// A linker that works as the captured one of `unit` did.
    pub fn new(unit: &Unit, link: &LinkCapture) -> Self {
        let how = how_linked(unit, link);
        let (unit, link) = (unit.clone(), link.clone());
        let mut linker = Linker { unit, link, how, direct: None };
        linker.ask();
        linker
    }

    fn ask(&mut self) {
        self.direct = match self.how.direct {
            true => None,
            false => Direct::ask(&self.unit, &self.link, self.how),
        };
    }

    /// Links `object` to the shared library `output`. Where the linker does not know the flag that
    /// leaves symbols open, it gets another one, from then on.
    ///
    /// # Errors
    /// An environment failure with the linker's own words where the linker is missing or fails.
    pub fn link(&mut self, object: &Path, output: &Path) -> anyhow::Result<()> {
        if let Some(direct) = &self.direct {
            let args = direct.arguments(object, output);
            let done = self.command(&direct.program, &args).output();
            if done.is_ok_and(|done| done.status.success()) {
                return Ok(());
            }
        }
        let known = self.how.open;
        let others = self.ways().iter().copied().filter(|open| *open != known);
        let mut refused = Vec::new();
        for open in std::iter::once(known).chain(others) {
            match self.through_driver(open, object, output)? {
                Some(words) => refused.push(words),
                None if open == known => return Ok(()),
                None => {
                    self.how.open = open;
                    self.ask();
                    return Ok(());
                }
            }
        }
        // That a flag is not known says nothing of what was to be linked.
        let telling = refused.iter().find(|refused| !refused.open.is_named_in(&refused.words));
        let telling = telling.or(refused.first()).context("no way to link is known")?;
        Err(self.failure(telling, output).into())
    }

    /// The ways to leave symbols open that may be tried.
    pub fn ways(&self) -> &'static [LeaveOpen] {
        LeaveOpen::all(self.how.dialect)
    }

    /// Links as [`Linker::link`] does, in one way only.
    ///
    /// # Errors
    /// An environment failure with the linker's own words where the linker is missing or fails.
    pub fn link_by(&self, open: LeaveOpen, object: &Path, output: &Path) -> anyhow::Result<()> {
        match self.through_driver(open, object, output)? {
            Some(refused) => Err(self.failure(&refused, output).into()),
            None => Ok(()),
        }
    }

    fn command(&self, program: &Path, args: &[String]) -> Command {
        let mut command = as_captured(program, &self.unit, &self.link);
        command.args(args);
        command
    }

    fn through_driver(
        &self,
        open: LeaveOpen,
        object: &Path,
        output: &Path,
    ) -> anyhow::Result<Option<Refused>> {
        let link = &self.link;
        let args = link_plan::plan(&link.args, object, output, How { open, ..self.how }).args;
        let result = self.command(Path::new(&link.program), &args).output().map_err(|e| {
            Failure::environment(format!("the linker `{}` cannot be started: {e}", link.program))
                .hint("install the C compiler or linker that the fat build used")
        })?;
        let words = String::from_utf8_lossy(&result.stderr).trim().to_owned();
        Ok((!result.status.success()).then_some(Refused { open, args, words }))
    }

    fn failure(&self, refused: &Refused, output: &Path) -> Failure {
        let script = output.with_extension("link.sh");
        std::fs::write(&script, script_of(&self.link, &refused.args)).ok();
        let (program, words) = (&self.link.program, &refused.words);
        let message = format!("the linker `{program}` did not link the patch:\n{words}");
        let hint = format!("`sh '{}'` runs it again", script.display());
        Failure::environment(message).hint(hint)
    }
}

/// Whose options the captured linker takes.
pub fn how_linked(unit: &Unit, link: &LinkCapture) -> How {
    let dialect = Dialect::of(Call::new(&unit.args).value("--target"));
    let direct = is_linker_itself(&link.program);
    How { dialect, direct, open: LeaveOpen::first(dialect) }
}

/// A command in the folder and with the environment in which rustc ran the linker.
pub fn as_captured(program: &Path, unit: &Unit, link: &LinkCapture) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&link.cwd).env_clear().envs(&unit.env).envs(&link.env);
    for name in &link.env_removed {
        command.env_remove(name);
    }
    command
}

/// What the shared libraries of a program offer.
pub fn exports(unit: &Unit, link: &LinkCapture, program: &Program) -> Exports {
    match program.format {
        Format::Elf => Exports::new(shared_libraries(unit, link, program)),
        Format::MachO => Exports::of_linker(),
    }
}

/// The files of the shared libraries that the captured link names or searches.
fn shared_libraries(unit: &Unit, link: &LinkCapture, program: &Program) -> Vec<PathBuf> {
    let how = How { direct: false, ..how_linked(unit, link) };
    let plan = link_plan::plan(&link.args, Path::new(""), Path::new(""), how);
    let mut folders = plan.search.clone();
    folders.extend(elf::library_folders());
    let fits = |path: &PathBuf| elf::is_for(path, program.processor);
    let has = |name: &String| folders.iter().map(|f| f.join(name)).any(|p| fits(&p));
    if !program.needed.iter().all(has) && !is_linker_itself(&link.program) {
        // Those of another system, which only its compiler knows.
        folders.splice(..0, driver::library_folders(unit, link));
    }
    let mut found: Vec<PathBuf> = program
        .needed
        .iter()
        .filter_map(|name| folders.iter().map(|f| f.join(name)).find(fits))
        .collect();
    for name in &plan.shared {
        let prefix = format!("lib{name}.so");
        for folder in &folders {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let files = entries.flatten().map(|e| e.path());
            let file_name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned());
            found.extend(files.filter(|p| {
                file_name(p).is_some_and(|n| n == prefix || n.starts_with(&format!("{prefix}.")))
            }));
        }
    }
    found.retain(fits);
    found.sort();
    found.dedup();
    found
}

/// Whether the captured program is a linker and not a compiler driver: its arguments then need
/// no `-Wl,`.
fn is_linker_itself(program: &str) -> bool {
    let name = Path::new(program).file_stem().and_then(|s| s.to_str()).unwrap_or(program);
    ["ld", "lld", "ld.lld", "rust-lld", "mold", "wild", "gold", "ld64"].contains(&name)
        || name.ends_with("-ld")
        || name.starts_with("ld.")
}

fn script_of(link: &LinkCapture, args: &[String]) -> String {
    let quote = |s: &str| format!("'{}'", s.replace('\'', r"'\''"));
    let mut script = format!("cd {}\n", quote(&link.cwd.to_string_lossy()));
    for (name, value) in &link.env {
        script.push_str(&format!("export {name}={}\n", quote(value)));
    }
    script.push_str(&quote(&link.program));
    for arg in args {
        script.push(' ');
        script.push_str(&quote(arg));
    }
    script.push('\n');
    script
}

/// Writes `bytes` to `path`, and takes a half-written file away again.
///
/// # Errors
/// An environment failure that names the file, such as for a full disk.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| {
            std::fs::remove_file(path).ok();
            Failure::environment(format!("cannot write {}: {error}", path.display()))
                .hint("free some space, or choose another folder with `--target-dir`")
        })
        .context("the patch was not built")
}
