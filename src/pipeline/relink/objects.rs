//! The objects that the image was made from, codegen unit by codegen unit, and which of a thin
//! build's objects differ from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use anyhow::Context;

use super::names;
use crate::pipeline::capture::Unit;
use crate::pipeline::thin::ThinUnit;
use crate::target::binary::ObjectFile;
use crate::target::binary::program::without_llvm_suffix;

/// An object whose code the image runs: read from disk when it is first needed.
#[derive(Debug)]
pub struct StoredObject {
    path: PathBuf,
    hash: OnceLock<blake3::Hash>,
    parsed: OnceLock<Arc<ObjectFile>>,
}

impl StoredObject {
    fn on_disk(path: PathBuf) -> Self {
        StoredObject { path, hash: OnceLock::new(), parsed: OnceLock::new() }
    }

    fn hash(&self) -> anyhow::Result<blake3::Hash> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = hash_file(&self.path)?;
        Ok(*self.hash.get_or_init(|| hash))
    }

    /// The object, parsed.
    ///
    /// # Errors
    /// Where its file cannot be read or is no object.
    pub fn object(&self) -> anyhow::Result<Arc<ObjectFile>> {
        if let Some(object) = self.parsed.get() {
            return Ok(object.clone());
        }
        let object = Arc::new(ObjectFile::read(&self.path)?);
        Ok(self.parsed.get_or_init(|| object).clone())
    }
}

/// One unit's objects by codegen unit.
pub type UnitObjects = BTreeMap<String, Arc<StoredObject>>;

/// The objects of units that are none of the changed ones.
///
/// # Errors
/// Where one cannot be read.
pub fn unchanged<'u>(
    units: impl Iterator<Item = &'u UnitObjects>,
    changed: &[Arc<ObjectFile>],
) -> anyhow::Result<Vec<Arc<ObjectFile>>> {
    let all = units.flat_map(UnitObjects::values).map(|stored| stored.object());
    let is_changed = |object: &Arc<ObjectFile>| changed.iter().any(|c| Arc::ptr_eq(c, object));
    all.filter(|object| !object.as_ref().is_ok_and(is_changed)).collect()
}

/// The symbols of the statics and thread-locals that objects define and whose values can change.
pub fn variables(objects: &[Arc<ObjectFile>]) -> BTreeSet<&str> {
    let symbols = objects.iter().flat_map(|object| {
        let sections = object.sections.iter().filter(|section| section.kind.keeps_values());
        sections.flat_map(|s| s.symbols.iter().filter_map(|&s| object.symbols.get(s)))
    });
    let stable = symbols.filter(|s| names::is_stable(&s.name, s.local));
    stable.map(|s| without_llvm_suffix(&s.name)).collect()
}

/// The objects of one unit before and after a thin build.
#[derive(Debug)]
pub struct UnitChange {
    /// The unit's key.
    pub key: String,
    /// Objects that went away or were replaced.
    pub old: Vec<Arc<ObjectFile>>,
    /// Objects that came or replaced others.
    pub new: Vec<Arc<ObjectFile>>,
    /// All objects after the thin build.
    pub objects: UnitObjects,
}

/// What identifies a file's content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: SystemTime,
}

/// The objects of all units, and the hashes of files seen before.
#[derive(Debug, Default)]
pub struct Objects {
    units: HashMap<String, UnitObjects>,
    seen: HashMap<FileId, blake3::Hash>,
    /// The names in the image of things that newer objects call otherwise.
    names: BTreeMap<String, String>,
}

impl Objects {
    /// The baseline objects of the given units.
    ///
    /// # Errors
    /// Where a unit's baseline folder cannot be listed.
    pub fn baseline(units: &[Unit]) -> anyhow::Result<Self> {
        let mut objects = Objects::default();
        for unit in units {
            let found = list_baseline(&unit.baseline)
                .with_context(|| format!("the capture of `{}` is incomplete", unit.crate_name))?;
            objects.units.insert(unit.key.clone(), found);
        }
        Ok(objects)
    }

    /// All objects of all units.
    pub fn all(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        self.units.values().flat_map(BTreeMap::values)
    }

    /// All objects by unit and codegen unit, to be restored later.
    pub fn units(&self) -> HashMap<String, UnitObjects> {
        self.units.clone()
    }

    /// Goes back to what [`Objects::units`] gave.
    pub fn restore(&mut self, units: HashMap<String, UnitObjects>) {
        self.units = units;
    }

    /// Objects that are compared from now on call these things otherwise than the image.
    pub fn rename(&mut self, names: BTreeMap<String, String>) {
        self.names.extend(names);
    }

    /// Makes a thin build's objects the ones that the image runs.
    pub fn replace(&mut self, key: String, objects: UnitObjects) {
        self.units.insert(key, objects);
    }

    /// Compares a thin unit's objects with those that the image runs, by content. Files that
    /// were seen before (rustc hard-links what it did not compile again) are not read.
    ///
    /// # Errors
    /// Where an object cannot be read.
    pub fn compare(&mut self, thin: &ThinUnit) -> anyhow::Result<UnitChange> {
        let key = thin.unit.key.clone();
        let before = self.units.get(&key).cloned().unwrap_or_default();
        let mut change =
            UnitChange { key, old: Vec::new(), new: Vec::new(), objects: UnitObjects::new() };
        for object in &thin.objects {
            let hash = self.hash(&object.path)?;
            let known = before.get(&object.cgu);
            if let Some(known) = known {
                if known.hash()? == hash {
                    change.objects.insert(object.cgu.clone(), known.clone());
                    continue;
                }
                change.old.push(known.object()?);
            }
            let stored = StoredObject::on_disk(object.path.clone());
            // Parsed now: the next thin build removes the file.
            let mut parsed = ObjectFile::read(&object.path)?;
            parsed.rename(&self.names);
            change.new.push(stored.parsed.get_or_init(|| Arc::new(parsed)).clone());
            let _ = stored.hash.set(hash);
            change.objects.insert(object.cgu.clone(), Arc::new(stored));
        }
        for (cgu, known) in &before {
            if !change.objects.contains_key(cgu) {
                change.old.push(known.object()?);
            }
        }
        Ok(change)
    }

    fn hash(&mut self, path: &Path) -> anyhow::Result<blake3::Hash> {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(path)
            .with_context(|| format!("rustc left no object {}", path.display()))?;
        let id = FileId {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: meta.modified()?,
        };
        if let Some(hash) = self.seen.get(&id) {
            return Ok(*hash);
        }
        let hash = hash_file(path)?;
        self.seen.insert(id, hash);
        Ok(hash)
    }
}

fn hash_file(path: &Path) -> anyhow::Result<blake3::Hash> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(blake3::hash(&bytes))
}

fn list_baseline(folder: &Path) -> anyhow::Result<UnitObjects> {
    let mut found = UnitObjects::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|s| s.to_str());
        if let (Some(cgu), Some("o")) = (stem, path.extension().and_then(|e| e.to_str())) {
            found.insert(cgu.to_owned(), Arc::new(StoredObject::on_disk(path.clone())));
        }
    }
    Ok(found)
}
