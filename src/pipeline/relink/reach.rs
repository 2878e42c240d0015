//! Who has to change with a function where nobody redirects its entry: everything that refers to
//! it, directly or through immutable data, since old code goes on calling the old one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::compare::Piece;
use super::names;
use crate::target::binary::program::without_llvm_suffix;
use crate::target::binary::{ObjectFile, SectionKind};

/// Functions and immutable data by symbol name.
#[derive(Debug, Default)]
pub struct Reached {
    /// The functions.
    pub functions: BTreeMap<String, Piece>,
    /// The data.
    pub data: BTreeMap<String, Piece>,
}

/// A section: the object's index and its own.
type Place = (usize, usize);

/// Who refers to what, in all objects of a program.
pub struct Referrers<'a> {
    objects: &'a [Arc<ObjectFile>],
    by_name: HashMap<&'a str, Vec<Place>>,
    by_section: HashMap<Place, Vec<usize>>,
    definitions: HashMap<&'a str, Vec<Place>>,
}

impl<'a> Referrers<'a> {
    /// Reads the references of all objects.
    pub fn of(objects: &'a [Arc<ObjectFile>]) -> Self {
        let mut found = Referrers {
            objects,
            by_name: HashMap::new(),
            by_section: HashMap::new(),
            definitions: HashMap::new(),
        };
        for (number, object) in objects.iter().enumerate() {
            for (index, section) in object.sections.iter().enumerate() {
                if !carries(section.kind) {
                    continue;
                }
                for name in stable_names(object, index) {
                    found.definitions.entry(name).or_default().push((number, index));
                }
                for reloc in &section.relocs {
                    let Some(symbol) = object.symbols.get(reloc.symbol) else { continue };
                    match symbol.section {
                        Some(target) if target == index => {}
                        Some(target) => {
                            found.by_section.entry((number, target)).or_default().push(index);
                        }
                        None => {
                            let name = without_llvm_suffix(&symbol.name);
                            found.by_name.entry(name).or_default().push((number, index));
                        }
                    }
                }
            }
        }
        found
    }

    /// The functions and the immutable data of these names, and everything that refers to them.
    pub fn reach<'n>(&self, changed: impl Iterator<Item = &'n String>) -> Reached {
        let mut reached = Reached::default();
        let mut seen = std::collections::HashSet::new();
        let mut open: Vec<Place> = Vec::new();
        for name in changed {
            open.extend(self.definitions.get(&**name).into_iter().flatten());
        }
        while let Some(place) = open.pop() {
            if !seen.insert(place) {
                continue;
            }
            let (number, index) = place;
            let object = &self.objects[number];
            let into = match object.sections[index].kind {
                SectionKind::Text => &mut reached.functions,
                _ => &mut reached.data,
            };
            for name in stable_names(object, index) {
                let piece = Piece { object: object.clone(), section: index };
                into.entry(name.to_owned()).or_insert(piece);
                open.extend(self.by_name.get(name).into_iter().flatten());
            }
            let users = self.by_section.get(&place).into_iter().flatten();
            open.extend(users.map(|user| (number, *user)));
        }
        reached
    }

    /// The function or immutable data of this name.
    pub fn piece(&self, name: &str) -> Option<Piece> {
        let (number, section) = *self.definitions.get(name)?.first()?;
        Some(Piece { object: self.objects[number].clone(), section })
    }
}

/// Whether a change goes on from a section of this kind to those that refer to it. Mutable data
/// stays where it is and keeps what it holds.
fn carries(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::Text | SectionKind::ReadOnly)
}

/// The names of the things in a section that are the same in the next build.
pub fn stable_names(object: &ObjectFile, section: usize) -> impl Iterator<Item = &str> {
    let symbols = object.sections.get(section).into_iter().flat_map(|s| &s.symbols);
    symbols
        .filter_map(|&s| object.symbols.get(s))
        .filter(|s| names::is_stable(&s.name, s.local) && !names::is_personality_pointer(&s.name))
        .map(|s| without_llvm_suffix(&s.name))
}
