//! Closures are numbered within their function. One that is inserted, removed or moved gives
//! its neighbours the names of others: values that exist must not run another closure's body.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::naming::{self, NameId};
use super::side::{At, Side};
use super::tree::Kind;
use crate::pipeline::relink::fingerprint::{Fingerprint, Fingerprinter};

/// The closures that have the name of another one now.
#[derive(Debug, Default)]
pub struct Renumbered {
    /// Their environments.
    pub environments: HashSet<NameId>,
    /// The functions that they are in.
    pub within: BTreeSet<String>,
}

/// A side's closures by the function that they are in, by their names there.
type Groups<'a> = BTreeMap<NameId, BTreeMap<&'a [u8], At>>;

/// Finds closures of the old side whose body stands under another name of the same function on
/// the new side, while their own name has another body.
///
/// # Errors
/// Where code cannot be decoded.
pub fn renumbered(old: &Side<'_>, new: &Side<'_>) -> anyhow::Result<Renumbered> {
    let (before, now) = (groups(old), groups(new));
    let mut found = Renumbered::default();
    let (mut old_bodies, mut new_bodies) = (Bodies::new(old), Bodies::new(new));
    for (function, closures) in &before {
        let Some(later) = now.get(function) else { continue };
        if closures.len().max(later.len()) < 2 {
            continue;
        }
        let was = old_bodies.of(closures)?;
        let is = new_bodies.of(later)?;
        let alike = places_by_likeness(&edited(&was, &is), (old, closures), (new, later));
        for (name, body) in &was {
            let moved = || alike.contains(name) || has_moved(name, &was, &is);
            if is.get(name).is_some_and(|now| now != body && moved()) {
                let at = later[name];
                let (tree, names) = (&new.trees[at.tree], &new.names[at.tree]);
                found.environments.extend(naming::environment_of(tree, names, at.die));
                found.within.insert(scope(new, at));
            }
        }
    }
    Ok(found)
}

type ByName<'a> = BTreeMap<&'a [u8], Fingerprint>;

/// Whether the closure's old body has another name now, or its new body had one: and not because
/// two closures have the same body.
fn has_moved(name: &[u8], was: &ByName<'_>, is: &ByName<'_>) -> bool {
    let stays = |other: &[u8]| was.get(other) == is.get(other);
    let elsewhere = |among: &ByName<'_>, body: Option<&Fingerprint>| {
        among.iter().any(|(other, b)| *other != name && Some(b) == body && !stays(other))
    };
    elsewhere(is, was.get(name)) || elsewhere(was, is.get(name))
}

/// The closures that have another body under their own name.
fn edited<'n>(was: &ByName<'n>, is: &ByName<'n>) -> Vec<&'n [u8]> {
    let differs =
        |(name, body): &(&&[u8], &Fingerprint)| is.get(**name).is_some_and(|b| b != *body);
    was.iter().filter(differs).map(|(name, _)| *name).collect()
}

/// Of several closures that were edited at once: those whose old code is more like the new code
/// under another name than under their own, and the other way round.
fn places_by_likeness<'n>(
    edited: &[&'n [u8]],
    (old, before): (&Side<'_>, &BTreeMap<&[u8], At>),
    (new, now): (&Side<'_>, &BTreeMap<&[u8], At>),
) -> BTreeSet<&'n [u8]> {
    let mut found = BTreeSet::new();
    for &name in edited {
        for &other in edited.iter().filter(|other| **other != name) {
            let distance =
                |from: &[u8], to: &[u8]| distance(code(old, before[from]), code(new, now[to]));
            let across = distance(name, other);
            if across < distance(name, name) && across < distance(other, other) {
                found.extend([name, other]);
            }
        }
    }
    found
}

/// How many bytes differ.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let differing = one.iter().zip(other).filter(|(a, b)| a != b).count();
    differing + one.len().abs_diff(other.len())
}

fn code<'s>(side: &'s Side<'_>, at: At) -> &'s [u8] {
    let tree = &side.trees[at.tree];
    let symbol = String::from_utf8_lossy(tree.symbol(at.die));
    let object = tree.sections.object;
    object.definition(&symbol).and_then(|s| s.section).map_or(&[], |s| object.bytes(s))
}

fn groups<'a>(side: &Side<'a>) -> Groups<'a> {
    let mut groups: Groups<'a> = BTreeMap::new();
    for (index, tree) in side.trees.iter().enumerate() {
        for die in tree.all(Kind::Function) {
            let name = tree.dies[die].name;
            if name.first() != Some(&b'{') || !name.contains(&b'#') {
                continue;
            }
            let scope = side.names[index].id(tree.dies[die].parent as usize);
            groups.entry(scope).or_default().insert(name, At { tree: index, die });
        }
    }
    groups
}

/// The bodies of a side's functions; those of one object share a cache.
struct Bodies<'s, 'a> {
    side: &'s Side<'a>,
    prints: HashMap<usize, Fingerprinter<'a>>,
}

impl<'s, 'a> Bodies<'s, 'a> {
    fn new(side: &'s Side<'a>) -> Self {
        Bodies { side, prints: HashMap::new() }
    }

    fn of<'n>(&mut self, closures: &BTreeMap<&'n [u8], At>) -> anyhow::Result<ByName<'n>> {
        let mut found = BTreeMap::new();
        for (&name, &at) in closures {
            let tree = &self.side.trees[at.tree];
            let object = tree.sections.object;
            let symbol = String::from_utf8_lossy(tree.symbol(at.die));
            let Some(section) = object.definition(&symbol).and_then(|s| s.section) else {
                continue;
            };
            let prints = self.prints.entry(at.tree).or_insert_with(|| Fingerprinter::new(object));
            found.insert(name, prints.section(section)?);
        }
        Ok(found)
    }
}

fn scope(side: &Side<'_>, at: At) -> String {
    let tree = &side.trees[at.tree];
    naming::readable(&naming::text(tree, Some(tree.dies[at.die].parent as usize)))
}
