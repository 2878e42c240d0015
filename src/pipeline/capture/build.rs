//! The fat build as a whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context;

use super::args::Call;
use super::collect::{Collected, Missing, collect};
use super::record::{self, FatBuild, Unit, VERSION};
use super::select::Choice;
use super::surroundings::surroundings;
use super::wrapping::{Locals, Wrapping};
use super::{baseline, cargo, inject, linked, program, prune};
use crate::cargo_config::Sources;
use crate::error::Failure;
use crate::report::Event;
use crate::session::{Session, android};
use crate::target::{apple, support};

/// What people are told where cargo's progress would seem to stand still at their program.
const FIRST: &str = "   Preparing the runtime as well: the first build for a compiler and a target \
                     directory takes half a minute longer";

/// Builds the program that the session's flags select, captures how, and writes its record.
/// Cargo's progress and rustc's diagnostics go to stderr; where `emit` is given, the diagnostics
/// go there instead.
///
/// # Errors
/// A [`Failure`] of the kind `UserCode` where the code does not compile, `Usage` where it is not
/// clear which program is meant, `Environment` for the rest.
pub fn build(
    session: &Session,
    mut emit: Option<&mut dyn FnMut(Event)>,
) -> anyhow::Result<FatBuild> {
    let begun = SystemTime::now();
    let cwd = std::env::current_dir().context("reading the working directory")?;
    let choice = Choice::of(&session.metadata, &session.selection)?;
    let args = choice.build_args(&session.selection);
    let locals = Locals::of(&session.metadata);
    if let Some(target) = session.target.as_deref().filter(|t| apple::is_apple(t)) {
        // Its patches would be bound to a program that it is not.
        if choice.is_library() {
            let what = format!("libraries for {target} cannot be patched yet, only programs");
            return Err(Failure::environment(what).hint("choose a program with `--bin`").into());
        }
    }
    let inject = !session.selection.no_inject
        && support::has_runtime(session.target.as_deref())
        && !linked::has_runtime(&session.metadata, &choice);
    if inject {
        let first = obtain_runtime(session)?;
        if first && emit.is_none() && !session.selection.quiet {
            eprintln!("{FIRST}");
        }
    }
    let wrapping = Wrapping::prepare(session, &locals, false)?;
    let mut wrapping = wrapping.injecting(inject, &choice, session);
    let built = cargo::build(&args, &wrapping, &mut emit)?;
    let mut found = collect(&session.store, &built, (&choice, inject), &locals)?;
    let again = !found.missing.is_empty();
    if again {
        // Cargo found crates fresh whose captures are gone or were overtaken.
        wrapping = make_stale(session, &locals, &found.missing, wrapping)?;
        wrapping = wrapping.injecting(inject, &choice, session);
        let built = cargo::build(&args, &wrapping, &mut emit)?;
        found = collect(&session.store, &built, (&choice, inject), &locals)?;
    }
    if let Some(missing) = found.missing.first() {
        return Err(missing.failure().into());
    }
    let mut fat = describe(found, args)?;
    fat.surroundings = surroundings(&fat.units, &session.metadata, &cwd, begun);
    let name = choice.record_name(&session.selection);
    record::write(&session.store.programs().join(name), &fat)?;
    if again {
        prune::captures(&session.store, &wrapping.generation());
    }
    prune::patches(&session.store);
    Ok(fat)
}

/// Whether the runtime has yet to be compiled.
fn obtain_runtime(session: &Session) -> Result<bool, Failure> {
    let config = Sources::current(&session.selection.config).read();
    let target = android::target(&session.selection, &config);
    let target = target.as_deref().unwrap_or(support::here());
    inject::obtain(&session.store, target, session.selection.is_offline())
}

/// Makes cargo build the crates with missing captures again: members by a new generation of the
/// wrapper, others by removing what cargo remembers of them.
fn make_stale(
    session: &Session,
    locals: &Locals,
    missing: &[Missing],
    current: Wrapping,
) -> Result<Wrapping, Failure> {
    let members = &session.metadata.workspace_members;
    let is_member = |m: &&Missing| members.iter().any(|id| id.repr == m.package_id);
    for outside in missing.iter().filter(|m| !is_member(m)) {
        forget(session, outside)?;
    }
    match missing.iter().any(|m| is_member(&m)) {
        true => Wrapping::prepare(session, locals, true),
        false => Ok(current),
    }
}

/// Removes a unit's fingerprints: `<profile folder>/.fingerprint/<package>-<hash>`.
fn forget(session: &Session, missing: &Missing) -> Result<(), Failure> {
    let package = session.metadata.packages.iter().find(|p| p.id.repr == missing.package_id);
    let Some(package) = package else { return Ok(()) };
    let Some(profile) = missing.file.parent().and_then(Path::parent) else { return Ok(()) };
    let prefix = format!("{}-", package.name);
    let stem = missing.file.file_stem().unwrap_or_default().to_string_lossy();
    let hash = stem.rsplit_once('-').map(|(_, hash)| hash.to_string());
    let fingerprints = profile.join(".fingerprint");
    for entry in std::fs::read_dir(&fingerprints).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let found = name.strip_prefix(&prefix);
        if found.is_some_and(|found| hash.as_deref().is_none_or(|hash| hash == found)) {
            let folder = entry.path();
            baseline::remove(&folder).map_err(|e| Failure::io("remove", &folder, &e))?;
        }
    }
    Ok(())
}

/// Completes the record.
fn describe(found: Collected, cargo_args: Vec<String>) -> anyhow::Result<FatBuild> {
    let root = found.units.last().ok_or_else(|| Failure::environment("the build has no units"))?;
    if root.link.is_none() {
        return Err(no_link_capture(&root.crate_name).into());
    }
    program::check_symbols(&found.program)?;
    if !root.is_shared_library() {
        program::check_loader(&found.program)?;
    }
    let rustc_version = rustc_version(root)?;
    let line = |key: &str| {
        let mut lines = rustc_version.lines().filter_map(|l| l.strip_prefix(key));
        lines.next().unwrap_or_default().trim().to_string()
    };
    let call = Call::new(&root.args);
    Ok(FatBuild {
        version: VERSION,
        build_id: program::build_id(&found.program)?,
        target: call.value("--target").map_or_else(|| line("host:"), String::from),
        rustc_commit: line("commit-hash:"),
        panic: call.codegen("panic").unwrap_or("unwind").to_string(),
        root: root.key.clone(),
        program: found.program,
        units: found.units,
        surroundings: BTreeMap::new(),
        rustc_version,
        cargo_args,
    })
}

pub(super) fn no_link_capture(name: &str) -> Failure {
    Failure::environment(format!(
        "no captured linker invocation for `{name}`; run `cargo hotpatch fat`"
    ))
}

/// What the unit's rustc says about itself.
pub(super) fn rustc_version(unit: &Unit) -> anyhow::Result<String> {
    let output = Command::new(&unit.rustc)
        .arg("-vV")
        .current_dir(&unit.cwd)
        .env_clear()
        .envs(&unit.env)
        .output()
        .map_err(|e| Failure::io("run", &unit.rustc, &e))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
