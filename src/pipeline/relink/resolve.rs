//! What a symbol means for a patch: something that the image has, something to take along, or
//! something that the loader brings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::archives::Archives;
use super::compare::Piece;
use super::names;
use super::objects::{Objects, UnitObjects};
use crate::target::binary::program::{DefinitionKind, without_llvm_suffix};
use crate::target::binary::{Program, SectionKind};

/// Something that the image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Existing {
    /// 0 is the program, N is patch N.
    pub image: u32,
    /// Its static address there. For a thread-local: in the program its offset in the
    /// thread-local block; in a patch the address of the word with its distance from the
    /// thread pointer.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What it is.
    pub kind: DefinitionKind,
}

/// The names that patches added to the image.
pub type Registry = HashMap<String, Existing>;

/// Where a name that the image lacks can be taken from.
pub enum Source {
    /// A section to take along.
    Piece(Piece),
    /// The loader finds it in a shared library.
    Loader,
    /// Nobody has it.
    Missing,
}

/// Looks names up.
pub struct Resolver<'a> {
    /// The program.
    pub program: &'a Program,
    /// What patches added.
    pub registry: &'a Registry,
    /// The objects after the thin build: the rebuilt units' and, behind them, all others.
    pub rebuilt: Vec<&'a UnitObjects>,
    /// The objects before it.
    pub objects: &'a Objects,
    /// The libraries.
    pub archives: &'a mut Archives,
    /// Immutable data whose content changed and detached functions: not taken from the image.
    pub changed_data: &'a BTreeMap<String, Piece>,
    /// Such data and functions of earlier patches that no code reached, so that the image still
    /// has only the outdated ones.
    pub outdated: &'a BTreeSet<String>,
    /// What the shared libraries of the program offer, where it is not imported already.
    pub exports: &'a mut Exports,
    index: Option<HashMap<String, Piece>>,
}

impl<'a> Resolver<'a> {
    /// A resolver over the given sources.
    pub fn new(
        (program, registry): (&'a Program, &'a Registry),
        (rebuilt, objects): (Vec<&'a UnitObjects>, &'a Objects),
        (archives, exports): (&'a mut Archives, &'a mut Exports),
        (changed_data, outdated): (&'a BTreeMap<String, Piece>, &'a BTreeSet<String>),
    ) -> Self {
        Resolver {
            program,
            registry,
            rebuilt,
            objects,
            archives,
            changed_data,
            outdated,
            exports,
            index: None,
        }
    }

    /// The thing of this name in the image.
    pub fn existing(&self, name: &str) -> Option<Existing> {
        let name = without_llvm_suffix(name);
        if self.changed_data.contains_key(name) || self.outdated.contains(name) {
            return None;
        }
        if let Some(known) = self.registry.get(name) {
            return Some(*known);
        }
        self.program.definition(name).map(|d| Existing {
            image: 0,
            address: d.address,
            size: d.size,
            kind: d.kind,
        })
    }

    /// All places of the image where a function of this name begins.
    pub fn all_existing(&self, name: &str) -> Vec<Existing> {
        let name = without_llvm_suffix(name);
        if self.outdated.contains(name) {
            return Vec::new();
        }
        if let Some(known) = self.registry.get(name) {
            return vec![*known];
        }
        let mut found: Vec<Existing> = self
            .program
            .definitions(name)
            .into_iter()
            .filter(|d| d.kind == DefinitionKind::Function)
            .map(|d| Existing { image: 0, address: d.address, size: d.size, kind: d.kind })
            .collect();
        found.sort_by_key(|e| e.address);
        found.dedup_by_key(|e| e.address);
        found
    }

    /// Where to take a name from that the image lacks.
    ///
    /// # Errors
    /// Where an object or a library cannot be read.
    pub fn source(&mut self, name: &str) -> anyhow::Result<Source> {
        if let Some(piece) = self.changed_data.get(name) {
            return Ok(Source::Piece(piece.clone()));
        }
        if self.program.imports.contains(name) {
            return Ok(Source::Loader);
        }
        if let Some(piece) = self.workspace(name)? {
            return Ok(Source::Piece(piece));
        }
        if let Some(piece) = self.archives.find(name)? {
            return Ok(Source::Piece(piece));
        }
        if self.exports.may_have(name) { Ok(Source::Loader) } else { Ok(Source::Missing) }
    }

    fn workspace(&mut self, name: &str) -> anyhow::Result<Option<Piece>> {
        if self.index.is_none() {
            let mut index = HashMap::new();
            let rebuilt = self.rebuilt.iter().flat_map(|u| u.values());
            for stored in rebuilt.chain(self.objects.all()) {
                let object = stored.object()?;
                for name in object.definitions() {
                    let Some(symbol) = object.definition(name) else { continue };
                    let Some(section) = symbol.section else { continue };
                    let kind = object.sections[section].kind;
                    if symbol.local
                        || kind == SectionKind::Other
                        || names::is_personality_pointer(name)
                    {
                        continue;
                    }
                    let piece = Piece { object: Arc::clone(&object), section };
                    index.entry(name.to_owned()).or_insert(piece);
                }
            }
            self.index = Some(index);
        }
        Ok(self.index.as_ref().and_then(|i| i.get(name)).cloned())
    }
}

/// The names that the program's shared libraries export, read at the first look-up.
#[derive(Debug)]
pub struct Exports {
    libraries: Vec<std::path::PathBuf>,
    decided_by_linker: bool,
    names: Option<std::collections::HashSet<String>>,
}

impl Exports {
    /// The exports of the given library files.
    pub fn new(libraries: Vec<std::path::PathBuf>) -> Self {
        Exports { libraries, decided_by_linker: false, names: None }
    }

    /// The exports that the linker knows when it links a patch: what it finds in none of its
    /// libraries is left open in the patch, and known then.
    pub fn of_linker() -> Self {
        Exports { libraries: Vec::new(), decided_by_linker: true, names: None }
    }

    /// Whether the name may be one of a library, as far as is known before the link.
    pub fn may_have(&mut self, name: &str) -> bool {
        self.decided_by_linker || self.has(name)
    }

    /// Whether any of the libraries exports the name.
    pub fn has(&mut self, name: &str) -> bool {
        let libraries = &self.libraries;
        self.names
            .get_or_insert_with(|| libraries.iter().flat_map(|p| exported_names(p)).collect())
            .contains(name)
    }
}

fn exported_names(path: &Path) -> Vec<String> {
    use object::{Object, ObjectSymbol};
    let Ok(data) = std::fs::read(path) else { return Vec::new() };
    let Ok(file) = object::File::parse(&*data) else { return Vec::new() };
    file.dynamic_symbols()
        .filter(|s| !s.is_undefined())
        .filter_map(|s| s.name().ok().map(str::to_owned))
        .collect()
}
