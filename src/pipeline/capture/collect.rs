//! From what cargo built to the captures of the program's crates, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::{Call, library_stem};
use super::cargo::Built;
use super::inject;
use super::program;
use super::record::{self, Artifact, Unit};
use super::select::Choice;
use super::wrapping::Locals;
use crate::error::Failure;
use crate::session::Store;
use crate::target::linking;

/// A crate of the program without a usable capture.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The target's name.
    pub name: String,
    /// The package's id.
    pub package_id: String,
    /// The file that rustc made of it.
    pub file: PathBuf,
    /// What is wrong with its capture.
    pub why: String,
}

impl Missing {
    /// What the user is told when building again did not help.
    pub fn failure(&self) -> Failure {
        Failure::environment(format!(
            "no captured rustc invocation for `{}`; run `cargo hotpatch fat` ({})",
            self.name, self.why
        ))
    }
}

/// The program and its units, as far as they are captured.
#[derive(Debug, Default)]
pub struct Collected {
    /// The program's file.
    pub program: PathBuf,
    /// Each unit after the ones it depends on.
    pub units: Vec<Unit>,
    /// The rest.
    pub missing: Vec<Missing>,
}

/// Finds the program among what cargo built, and follows `--extern` from it through all crates
/// that `locals` has. Beside the choice: whether the program is to have a runtime linked in.
///
/// # Errors
/// A [`Failure`] where cargo built no such program.
pub fn collect(
    store: &Store,
    built: &[Built],
    (choice, inject): (&Choice, bool),
    locals: &Locals,
) -> Result<Collected, Failure> {
    let wanted = |b: &&Built| {
        let description = serde_json::from_value(b.target.clone());
        b.package_id == choice.package_id.repr && description.is_ok_and(|target| choice.is(&target))
    };
    let (root, program) = built
        .iter()
        .filter(wanted)
        .find_map(|b| Some((b, program_file(b)?)))
        .ok_or_else(|| Failure::environment(format!("cargo built no `{}`", choice.target)))?;
    let mut collector = Collector {
        store,
        files: libraries(built, locals),
        seen: BTreeSet::new(),
        units: Vec::new(),
        missing: Vec::new(),
    };
    let unit = root_unit(store, choice, &program).and_then(|unit| inject::check(unit, inject));
    if unit.is_err() {
        // Nothing tells which libraries it uses; look at all, to build again only once.
        for (file, built) in collector.files.clone() {
            if file.exists() {
                collector.visit(library_unit(store, &file), built, &file);
            }
        }
    }
    collector.visit(unit, root, &program);
    Ok(Collected { program, units: collector.units, missing: collector.missing })
}

/// What can be started, or loaded by somebody who was.
fn program_file(built: &Built) -> Option<PathBuf> {
    let mut files = built.filenames.iter();
    built.executable.clone().or_else(|| files.find(|f| linking::is_shared_library(f)).cloned())
}

/// The captured libraries, each by the path that its metadata has or would have. Cargo lists a
/// selected package's library by another name one folder up, but then its metadata where it is;
/// a library that is also linked as a shared one has no metadata of its own, and one name only.
fn libraries<'a>(built: &'a [Built], locals: &Locals) -> BTreeMap<PathBuf, &'a Built> {
    let mut libraries = BTreeMap::new();
    let local = |b: &&Built| locals.packages.contains(&b.package_id) && !b.is_kind("proc-macro");
    for built in built.iter().filter(local) {
        let is_library = |f: &&PathBuf| f.extension().is_some_and(|e| e == "rlib" || e == "rmeta");
        for file in built.filenames.iter().filter(is_library) {
            let metadata = file.with_extension("rmeta");
            if let (Some(folder), Some(name)) = (metadata.parent(), metadata.file_name()) {
                libraries.insert(folder.join("deps").join(name), built);
            }
            libraries.insert(metadata, built);
        }
    }
    libraries
}

struct Collector<'a> {
    store: &'a Store,
    files: BTreeMap<PathBuf, &'a Built>,
    seen: BTreeSet<PathBuf>,
    units: Vec<Unit>,
    missing: Vec<Missing>,
}

impl Collector<'_> {
    /// Adds a unit behind the ones it depends on.
    fn visit(&mut self, unit: Result<Unit, String>, built: &Built, file: &Path) {
        let mut unit = match unit.and_then(usable) {
            Ok(unit) => unit,
            Err(why) => {
                return self.missing.push(Missing {
                    name: built.target["name"].as_str().unwrap_or_default().into(),
                    package_id: built.package_id.clone(),
                    file: file.into(),
                    why,
                });
            }
        };
        for file in Call::new(&unit.args).externs() {
            let file = unit.cwd.join(file);
            let metadata = file.with_extension("rmeta");
            let Some(built) = self.files.get(&metadata).copied() else { continue };
            if self.seen.insert(metadata) {
                self.visit(library_unit(self.store, &file), built, &file);
            }
            if let Some(found) = self.units.iter().find(|u| makes(u, &file)) {
                unit.dependencies.push(found.key.clone());
            }
        }
        unit.package_id = built.package_id.clone();
        unit.target = built.target.clone();
        self.units.push(unit);
    }
}

/// A capture counts only as long as its objects are there and are those of the linked file.
fn usable(unit: Unit) -> Result<Unit, String> {
    let objects = std::fs::read_dir(&unit.baseline).map_or(0, Iterator::count);
    if objects != unit.objects || !unit.baseline.is_dir() {
        return Err(format!("objects are missing in `{}`", unit.baseline.display()));
    }
    match &unit.artifact {
        Some(artifact) if !artifact.is_current() => {
            Err(format!("`{}` was built again without a capture", artifact.path.display()))
        }
        _ => Ok(unit),
    }
}

/// Whether the unit's rustc call wrote a library.
fn makes(unit: &Unit, library: &Path) -> bool {
    let call = Call::new(&unit.args);
    let folder = unit.cwd.join(call.value("--out-dir").unwrap_or_default());
    library.parent() == Some(&folder) && call.file_stem().as_deref() == library_stem(library)
}

fn library_unit(store: &Store, file: &Path) -> Result<Unit, String> {
    let stem = library_stem(file).unwrap_or_default();
    let record = store.unit_record(stem);
    if record.exists() {
        return record::read(&record).map_err(|f| f.message);
    }
    // A library without an extra file name; see `wrapper::unit_key`.
    let mut units = units_with_prefix(store, &format!("{stem}-m"));
    units.retain(|u| makes(u, file));
    newest(units).ok_or_else(|| format!("`{}` is missing", record.display()))
}

/// The unit whose program cargo put in its place: the same file by another name, or a copy.
fn root_unit(store: &Store, choice: &Choice, program: &Path) -> Result<Unit, String> {
    let name = choice.target.replace('-', "_");
    let units = units_with_prefix(store, &name);
    let programs: Vec<_> =
        units.into_iter().filter(|u| u.crate_name == name && u.link.is_some()).collect();
    let same = |u: &&Unit| u.artifact.as_ref().is_some_and(|a| is_same_file(&a.path, program));
    if let Some(unit) = newest(programs.iter().filter(same).cloned()) {
        return Ok(unit);
    }
    let wanted = program::build_id(program).map_err(|f| f.message)?;
    let copy = |u: &Unit| {
        let artifact = u.artifact.as_ref()?;
        program::build_id(&artifact.path).ok().filter(|id| *id == wanted)
    };
    let found = programs.into_iter().find(|u| copy(u).is_some());
    found.ok_or_else(|| format!("no capture made `{}`", program.display()))
}

/// Builds of a library that differ in their flags write the same file where its name tells nothing
/// of them: what is in it now is of the one that was captured so.
fn newest(units: impl IntoIterator<Item = Unit>) -> Option<Unit> {
    let current = |unit: &Unit| unit.artifact.as_ref().is_some_and(Artifact::is_current);
    units.into_iter().max_by_key(|unit| (current(unit), unit.started_ns))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// The readable captures whose keys begin with `prefix`.
fn units_with_prefix(store: &Store, prefix: &str) -> Vec<Unit> {
    let entries = std::fs::read_dir(store.units()).into_iter().flatten();
    let keys = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    keys.filter(|key| key.starts_with(prefix))
        .filter_map(|key| record::read(&store.unit_record(&key)).ok())
        .collect()
}
