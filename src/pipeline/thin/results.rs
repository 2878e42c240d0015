//! What a replayed rustc leaves behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ThinObject, ThinUnit};
use crate::error::Failure;
use crate::pipeline::capture::args::Call;
use crate::pipeline::capture::{Unit, baseline, dep_info};

/// The folders of a unit's thin build, and the names in them.
#[derive(Debug, Clone)]
pub struct Place {
    /// For objects, metadata and dep-info.
    pub out: PathBuf,
    /// For incremental sessions.
    pub incremental: PathBuf,
    /// The name of the output files.
    pub stem: String,
}

impl Place {
    /// The place of a unit.
    pub fn of(unit: &Unit) -> Place {
        Place {
            out: unit.folder().join("thin"),
            incremental: unit.folder().join("incremental"),
            stem: Call::new(&unit.args).file_stem().unwrap_or_default(),
        }
    }

    /// Makes the folder for the results; tells which objects of earlier runs are in it.
    ///
    /// # Errors
    /// A [`Failure`] that names the folder.
    pub fn prepare(&self) -> Result<BTreeSet<PathBuf>, Failure> {
        std::fs::create_dir_all(&self.out).map_err(|e| Failure::io("create", &self.out, &e))?;
        // This one alone does not get a new name in each run.
        _ = std::fs::remove_file(self.single());
        self.object_files()
    }

    /// Where rustc puts the object of a crate that has only one.
    fn single(&self) -> PathBuf {
        self.out.join(format!("{}.o", self.stem))
    }

    fn object_files(&self) -> Result<BTreeSet<PathBuf>, Failure> {
        let cannot = |e: std::io::Error| Failure::io("read", &self.out, &e);
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&self.out).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.extension().is_some_and(|e| e == "o") {
                files.insert(path);
            }
        }
        Ok(files)
    }

    /// The unit's objects and its new inputs. `old` are the objects that were there before.
    ///
    /// # Errors
    /// A [`Failure`] that names what cannot be read.
    pub fn results(&self, unit: &Unit, old: &BTreeSet<PathBuf>) -> Result<ThinUnit, Failure> {
        let mut paths = self.object_files()?;
        paths.retain(|path| !old.contains(path));
        // Of a single object rustc may leave a copy under the crate's name.
        let single = self.single();
        if paths.len() > 1 {
            paths.remove(&single);
        }
        let cgu = |path: &Path| match codegen_unit(path, &self.stem) {
            Some(cgu) => cgu.to_string(),
            None => self.single_codegen_unit(unit),
        };
        let mut objects: Vec<_> =
            paths.into_iter().map(|path| ThinObject { cgu: cgu(&path), path }).collect();
        objects.sort();
        let mut unit = unit.clone();
        let dep_info = self.out.join(format!("{}.d", self.stem));
        let text =
            std::fs::read_to_string(&dep_info).map_err(|e| Failure::io("read", &dep_info, &e))?;
        unit.inputs = dep_info::inputs(&text, &unit.cwd);
        Ok(ThinUnit { unit, objects })
    }

    /// The name of the only codegen unit: the incremental session has it.
    fn single_codegen_unit(&self, unit: &Unit) -> String {
        let session = baseline::newest_session(&self.incremental, &unit.crate_name);
        let object = session.ok().flatten().and_then(|session| {
            let entries = std::fs::read_dir(session.folder).ok()?;
            let mut paths = entries.filter_map(|e| Some(e.ok()?.path()));
            paths.find(|p| p.extension().is_some_and(|e| e == "o"))
        });
        let stem = object.as_deref().and_then(Path::file_stem).and_then(|s| s.to_str());
        stem.unwrap_or(&self.stem).to_string()
    }
}

/// The codegen unit in `<stem>.<codegen unit>.<run>.rcgu.o`; older compilers have no run.
fn codegen_unit<'a>(object: &'a Path, stem: &str) -> Option<&'a str> {
    let name = object.file_name()?.to_str()?;
    let middle = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(".rcgu.o")?;
    Some(middle.rsplit_once('.').map_or(middle, |(unit, _)| unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codegen_unit_is_the_stable_part_of_an_objects_name() {
        for (name, wanted) in [
            ("app-12.a1jdppqoc.1hme9dz.rcgu.o", Some("a1jdppqoc")),
            ("app-12.app.87fb-cgu.0.1hme9dz.rcgu.o", Some("app.87fb-cgu.0")),
            ("app-12.a1jdppqoc.rcgu.o", Some("a1jdppqoc")),
            ("app-12.o", None),
            ("other.a1jdppqoc.rcgu.o", None),
        ] {
            assert_eq!(codegen_unit(&Path::new("/t").join(name), "app-12"), wanted, "{name}");
        }
    }
}
