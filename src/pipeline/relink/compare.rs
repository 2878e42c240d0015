//! Which functions and which immutable data a thin build changed, by meaning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::fingerprint::{Fingerprint, Fingerprinter};
use super::lines;
use super::mixed_up::MixedUp;
use super::names;
use super::objects::UnitChange;
use crate::target::binary::{ObjectFile, SectionKind};

/// A section of an object.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The object.
    pub object: Arc<ObjectFile>,
    /// The section's index in it.
    pub section: usize,
}

/// The differences between two sets of objects.
#[derive(Debug, Default)]
pub struct Changes {
    /// Functions that were there and mean something else now, by symbol name.
    pub functions: BTreeMap<String, Piece>,
    /// What the image has under the same name and new code must not take from there: immutable
    /// data with another content, detached functions.
    pub data: BTreeMap<String, Piece>,
    /// Mutable statics and thread-locals with another initial value.
    pub initial_values: BTreeSet<String>,
    /// The readable names of statics of which nobody can tell which was which, and how many of
    /// each there are now.
    pub mixed_up: BTreeMap<String, usize>,
    /// Functions that were not there before.
    pub added: BTreeSet<String>,
    /// Functions and immutable data that are gone, with what they meant.
    pub removed: Meanings,
    /// Load-time functions were added or changed.
    pub constructors: bool,
}

impl Changes {
    /// Makes functions count as new ones in spite of their names.
    pub fn detach(&mut self, names: &BTreeSet<String>, objects: &[Arc<ObjectFile>]) {
        for name in names {
            let home = |object: &Arc<ObjectFile>| {
                let section = object.definition(name)?.section?;
                Some(Piece { object: object.clone(), section })
            };
            let changed = self.functions.remove(name);
            if let Some(piece) = changed.or_else(|| objects.iter().find_map(home)) {
                self.data.insert(name.clone(), piece);
            }
        }
    }
}

/// What things meant that the newest objects no longer have but the image still does: one that
/// comes back with another meaning is a change.
#[derive(Debug, Default, Clone)]
pub struct Meanings {
    functions: BTreeMap<String, Vec<Fingerprint>>,
    data: BTreeMap<String, Vec<Fingerprint>>,
}

impl Meanings {
    /// The functions' names.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Takes what is gone since.
    pub fn extend(&mut self, other: &Meanings) {
        self.functions.extend(other.functions.iter().map(|(n, p)| (n.clone(), p.clone())));
        self.data.extend(other.data.iter().map(|(n, p)| (n.clone(), p.clone())));
    }
}

#[derive(Default)]
struct Inventory {
    functions: HashMap<String, Vec<(Fingerprint, Piece)>>,
    data: HashMap<String, Vec<(Fingerprint, Piece)>>,
    mutable: HashMap<String, Vec<(Fingerprint, Piece)>>,
    constructors: BTreeSet<[u8; 32]>,
}

/// Compares the objects that differ, over all units at once: a function may move from one
/// codegen unit to another without a change. `gone` is what earlier comparisons found removed.
///
/// # Errors
/// Where an object's code cannot be decoded.
pub fn compare(units: &[UnitChange], gone: &Meanings) -> anyhow::Result<Changes> {
    let old = inventory(units.iter().flat_map(|u| &u.old))?;
    let new = inventory(units.iter().flat_map(|u| &u.new))?;
    let mut changes = Changes {
        constructors: new.constructors.difference(&old.constructors).next().is_some(),
        functions: changed(&old.functions, &new.functions, &gone.functions),
        data: changed(&old.data, &new.data, &gone.data),
        ..Changes::default()
    };
    let moved_lines = lines_moved(&changes.data, &old.data)?;
    changes.data.retain(|name, _| !moved_lines.contains(name));
    let is_new = |name: &&String| !old.functions.contains_key(*name);
    changes.added = new.functions.keys().filter(is_new).cloned().collect();
    changes.data.extend(moved(&old.data, &new.mutable));
    changes.data.extend(moved(&old.mutable, &new.data));
    for mixed_up in units.iter().map(MixedUp::of) {
        let piece = |name: &str| Some((name.to_owned(), new.mutable.get(name)?.first()?.1.clone()));
        changes.data.extend(mixed_up.symbols.iter().filter_map(|name| piece(name)));
        changes.mixed_up.extend(mixed_up.counts);
    }
    changes.removed.functions = removed(&old.functions, &new.functions);
    changes.removed.data = removed(&old.data, &new.data);
    let mut values = changed(&old.mutable, &new.mutable, &BTreeMap::new());
    values.retain(|name, _| !changes.data.contains_key(name));
    changes.initial_values = values.into_keys().collect();
    Ok(changes)
}

fn changed(
    old: &HashMap<String, Vec<(Fingerprint, Piece)>>,
    new: &HashMap<String, Vec<(Fingerprint, Piece)>>,
    gone: &BTreeMap<String, Vec<Fingerprint>>,
) -> BTreeMap<String, Piece> {
    let mut changed = BTreeMap::new();
    for (name, pieces) in new {
        let before: Vec<Fingerprint> = match old.get(name) {
            Some(before) => before.iter().map(|(print, _)| *print).collect(),
            None => match gone.get(name) {
                Some(before) => before.clone(),
                None => continue,
            },
        };
        if let Some((_, piece)) = pieces.iter().find(|(print, _)| !before.contains(print)) {
            changed.insert(name.clone(), piece.clone());
        }
    }
    changed
}

/// Changed data in which only the line of a source file is another.
fn lines_moved(
    changed: &BTreeMap<String, Piece>,
    old: &HashMap<String, Vec<(Fingerprint, Piece)>>,
) -> anyhow::Result<BTreeSet<String>> {
    let mut moved = BTreeSet::new();
    for (name, new) in changed {
        for (_, before) in old.get(name).into_iter().flatten() {
            if lines::moved(name, before, new)? {
                moved.insert(name.clone());
            }
        }
    }
    Ok(moved)
}

/// What can be written now and could not before, or the other way round: in spite of its name it
/// is another thing, since the old one stays where it is.
fn moved(
    old: &HashMap<String, Vec<(Fingerprint, Piece)>>,
    new: &HashMap<String, Vec<(Fingerprint, Piece)>>,
) -> Vec<(String, Piece)> {
    let both = new.iter().filter(|(name, _)| old.contains_key(*name));
    both.filter_map(|(name, pieces)| Some((name.clone(), pieces.first()?.1.clone()))).collect()
}

fn removed(
    old: &HashMap<String, Vec<(Fingerprint, Piece)>>,
    new: &HashMap<String, Vec<(Fingerprint, Piece)>>,
) -> BTreeMap<String, Vec<Fingerprint>> {
    old.iter()
        .filter(|(name, _)| !new.contains_key(*name))
        .map(|(name, pieces)| (name.clone(), pieces.iter().map(|(print, _)| *print).collect()))
        .collect()
}

fn inventory<'a>(objects: impl Iterator<Item = &'a Arc<ObjectFile>>) -> anyhow::Result<Inventory> {
    let mut inventory = Inventory::default();
    for object in objects {
        let mut prints = Fingerprinter::new(object);
        for (index, section) in object.sections.iter().enumerate() {
            if section.kind == SectionKind::Constructors {
                inventory.constructors.insert(*prints.section(index)?.as_bytes());
                continue;
            }
            let map = match section.kind {
                SectionKind::Text => &mut inventory.functions,
                SectionKind::ReadOnly => &mut inventory.data,
                kind if kind.keeps_values() => &mut inventory.mutable,
                _ => continue,
            };
            let stable: Vec<_> = section
                .symbols
                .iter()
                .filter_map(|&s| object.symbols.get(s))
                .filter(|s| names::is_stable(&s.name, s.local))
                .filter(|s| !names::is_personality_pointer(&s.name))
                .collect();
            if stable.is_empty() {
                continue;
            }
            let print = prints.section(index)?;
            for symbol in stable {
                let name = crate::target::binary::program::without_llvm_suffix(&symbol.name);
                let piece = Piece { object: object.clone(), section: index };
                map.entry(name.to_owned()).or_default().push((print, piece));
            }
        }
    }
    Ok(inventory)
}
