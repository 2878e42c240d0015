//! Reading an earlier fat build back, and making sure that it still is what it was.

use std::path::Path;

use super::build::{no_link_capture, rustc_version};
use super::program;
use super::record::{self, FatBuild, Unit};
use super::select::Choice;
use crate::error::Failure;
use crate::session::Session;

/// The fat build that the session's flags select.
///
/// # Errors
/// A [`Failure`] where there is none, where a capture is damaged or was overtaken by another
/// build, where the toolchain is another one now, or where the program's file is another build.
pub fn load(session: &Session) -> anyhow::Result<FatBuild> {
    let choice = Choice::of(&session.metadata, &session.selection)?;
    let file = session.store.programs().join(choice.record_name(&session.selection));
    if !file.exists() {
        return Err(Failure::environment(format!(
            "no captured rustc invocation for `{}`; run `cargo hotpatch fat`",
            choice.target
        ))
        .into());
    }
    let fat: FatBuild = record::read(&file)?;
    for unit in &fat.units {
        check_unit(unit)?;
    }
    let root = fat.root_unit().filter(|root| root.link.is_some());
    let root = root.ok_or_else(|| no_link_capture(&choice.target))?;
    check_toolchain(&fat, root)?;
    check_program(&fat)?;
    Ok(fat)
}

/// The unit's own record must be readable and tell of the same call.
fn check_unit(unit: &Unit) -> Result<(), Failure> {
    let file = unit.folder().join("unit.json");
    if !file.exists() {
        return Err(Failure::environment(format!(
            "no captured rustc invocation for `{}`; run `cargo hotpatch fat`",
            unit.crate_name
        )));
    }
    let now: Unit = record::read(&file)?;
    if now.started_ns != unit.started_ns {
        return Err(Failure::environment(format!(
            "the crate `{}` was built again after the program",
            unit.crate_name
        ))
        .hint("run `cargo hotpatch fat`"));
    }
    if !unit.baseline.is_dir() {
        return Err(gone(&unit.baseline));
    }
    Ok(())
}

fn gone(path: &Path) -> Failure {
    Failure::environment(format!("`{}` is missing", path.display()))
        .hint("run `cargo hotpatch fat`")
}

fn check_toolchain(fat: &FatBuild, root: &Unit) -> anyhow::Result<()> {
    let now = rustc_version(root)?;
    if now == fat.rustc_version {
        return Ok(());
    }
    let short = |text: &str| text.lines().next().unwrap_or("an unknown compiler").to_string();
    Err(Failure::environment(format!(
        "the program was built by {}, but `{}` is {} now",
        short(&fat.rustc_version),
        root.rustc.display(),
        short(&now)
    ))
    .hint("run `cargo hotpatch fat` and restart the program")
    .into())
}

fn check_program(fat: &FatBuild) -> Result<(), Failure> {
    if !fat.program.exists() {
        return Err(gone(&fat.program));
    }
    if program::build_id(&fat.program)? == fat.build_id {
        // Stripping leaves the build id as it is.
        return program::check_symbols(&fat.program);
    }
    Err(Failure::environment(format!(
        "the program file `{}` is newer than its capture",
        fat.program.display()
    ))
    .hint("run `cargo hotpatch fat` and restart the program"))
}
