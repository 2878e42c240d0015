//! The types whose layout changed, and which of them are to blame.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::difference::Difference;
use super::gone::{Gone, GoneType};
use super::layout::layout;
use super::naming::{self, NameId};
use super::side::{Seen, Side};

/// The types whose layout changed.
#[derive(Debug, Default)]
pub struct ChangedTypes {
    /// Environments of closures and states of futures, and generic types over them: values of
    /// these are handled only by functions that know their type.
    pub environments: HashSet<NameId>,
    /// The full names of those environments and states themselves.
    pub made: BTreeSet<String>,
    /// Other types that changed by themselves.
    pub culprits: Vec<Culprit>,
    /// The full names of all types whose layout changed, also of those that contain others.
    pub layouts: HashSet<String>,
    /// Types of which a field or variant only got another name.
    pub renamed: Vec<Renamed>,
    /// Trait objects' types whose method tables have another length: what pointers to them say,
    /// also where no table is at hand.
    pub objects: BTreeMap<String, String>,
}

/// A type that changed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its full name.
    pub name: String,
    /// The difference in words.
    pub text: String,
    /// How many other types changed because they contain it.
    pub containers: usize,
    /// How many other instances of the same generic type changed.
    pub instances: usize,
}

/// A field or variant that got another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The type's full name.
    pub name: String,
    /// The old name.
    pub old: String,
    /// The new name.
    pub new: String,
}

struct Change {
    name: String,
    difference: Difference,
}

/// Compares the layouts of all types that the new side has and the program knows.
pub fn compare(old: &Side<'_>, new: &Side<'_>, gone: &Gone) -> ChangedTypes {
    let mut changed = ChangedTypes::default();
    let mut others = BTreeMap::new();
    for (&id, now) in &new.types {
        if old.types.get(&id).is_some_and(|seen| all_known(now, seen)) {
            continue;
        }
        let Some((before, now)) = differing(before(id, old, gone), now) else { continue };
        let name = new.text(now.at);
        if naming::mentions_environment(&name) {
            changed.environments.insert(id);
            if naming::is_environment(&name) {
                changed.made.insert(name);
            }
            continue;
        }
        let before = match before {
            Before::Seen(seen) => side_layout(old, seen),
            Before::Gone(gone) => gone.layout.clone(),
        };
        let difference = Difference::between(&before, &side_layout(new, now));
        if let Some((object, text)) = table_length(&name, &difference) {
            changed.objects.insert(object, text);
        } else if difference.is_harmless() {
            let renamed = difference.renamed.into_iter();
            changed.renamed.extend(renamed.map(|(old, new)| Renamed {
                name: naming::readable(&name),
                old,
                new,
            }));
        } else {
            others.insert(id, Change { name, difference });
        }
    }
    changed.layouts = others.values().map(|change: &Change| change.name.clone()).collect();
    blame(others, &mut changed);
    changed.culprits.sort_by(|a, b| a.name.cmp(&b.name));
    changed.culprits.dedup_by(|next, first| {
        let same = generic(&next.name).is_some_and(|name| generic(&first.name) == Some(name));
        first.instances += usize::from(same);
        if same {
            first.containers = first.containers.max(next.containers);
        }
        same
    });
    changed.renamed.sort_by(|a, b| (&a.name, &a.old).cmp(&(&b.name, &b.old)));
    changed
}

/// The name of a generic type without its arguments.
fn generic(name: &str) -> Option<&str> {
    name.split_once('<').map(|(name, _)| name).filter(|name| !name.is_empty())
}

/// A pointer to a trait object has a field `vtable: &[usize; N]`.
fn table_length(pointer: &str, difference: &Difference) -> Option<(String, String)> {
    let [(field, old, new)] = difference.retyped.as_slice() else { return None };
    let length = |type_name: &str| -> Option<u64> {
        type_name.strip_prefix("&[usize; ")?.strip_suffix(']')?.parse().ok()
    };
    let (old, new) = (length(old)?, length(new)?);
    (field == "vtable").then_some(())?;
    let object = &pointer[pointer.find("dyn ")?..];
    let mut depth = 0_i32;
    let end = object.find(|c: char| {
        depth += i32::from("<([".contains(c)) - i32::from(">)]".contains(c));
        depth < 0 || (depth == 0 && ",+".contains(c))
    });
    let object = object[..end.unwrap_or(object.len())].trim_end();
    let methods = |slots: u64| slots.saturating_sub(3);
    let text = format!("it had {} slots and has {}", methods(old), methods(new));
    Some((object.to_owned(), text))
}

fn side_layout(side: &Side<'_>, seen: Seen) -> super::layout::Layout {
    layout(&side.trees[seen.at.tree], &side.names[seen.at.tree], seen.at.die)
}

fn all_known(new: &[Seen], old: &[Seen]) -> bool {
    new.iter().all(|n| old.iter().any(|o| o.fingerprint == n.fingerprint))
}

/// A layout that the program knows.
enum Before<'g> {
    Seen(Seen),
    Gone(&'g GoneType),
}

impl Before<'_> {
    fn has(&self, fingerprint: u64) -> bool {
        match self {
            Before::Seen(seen) => seen.fingerprint == fingerprint,
            Before::Gone(gone) => gone.fingerprints.contains(&fingerprint),
        }
    }
}

fn before<'g>(id: NameId, old: &Side<'_>, gone: &'g Gone) -> Vec<Before<'g>> {
    match old.types.get(&id) {
        Some(seen) => seen.iter().copied().map(Before::Seen).collect(),
        None => gone.types.get(&id).map(Before::Gone).into_iter().collect(),
    }
}

/// A layout that went and one that came. Different types of one name, in different crates or
/// blocks, show different layouts on both sides.
fn differing<'g>(old: Vec<Before<'g>>, new: &[Seen]) -> Option<(Before<'g>, Seen)> {
    let came = new.iter().find(|n| !old.iter().any(|o| o.has(n.fingerprint))).copied()?;
    let went = old.into_iter().find(|o| !new.iter().any(|n| o.has(n.fingerprint)))?;
    Some((went, came))
}

/// A type that changed only because of what it contains is counted with that.
fn blame(changes: BTreeMap<NameId, Change>, changed: &mut ChangedTypes) {
    let mut roots: HashMap<NameId, usize> = HashMap::new();
    let mut reached = HashMap::new();
    for id in changes.keys() {
        let mut found = HashSet::new();
        roots_of(*id, &changes, &changed.environments, &mut found, &mut HashSet::new());
        reached.insert(*id, found);
    }
    for (id, found) in &reached {
        for root in found {
            *roots.entry(*root).or_default() += usize::from(root != id);
        }
        if found.iter().all(|root| changed.environments.contains(root)) {
            changed.environments.insert(*id);
        }
    }
    for (id, change) in &changes {
        if reached.get(id).is_some_and(|found| found.contains(id)) {
            changed.culprits.push(Culprit {
                name: naming::readable(&change.name),
                text: change.difference.text(),
                containers: roots.get(id).copied().unwrap_or(0),
                instances: 0,
            });
        }
    }
}

/// The types that a changed type's change comes from; itself where it comes from nowhere else.
fn roots_of(
    id: NameId,
    changes: &BTreeMap<NameId, Change>,
    environments: &HashSet<NameId>,
    found: &mut HashSet<NameId>,
    seen: &mut HashSet<NameId>,
) {
    if !seen.insert(id) {
        return;
    }
    let Some(change) = changes.get(&id) else {
        found.insert(id);
        return;
    };
    let inner: Vec<NameId> = match change.difference.own.is_empty() {
        true => change.difference.holds.clone(),
        false => Vec::new(),
    };
    let inner: Vec<NameId> =
        inner.into_iter().filter(|i| changes.contains_key(i) || environments.contains(i)).collect();
    if inner.is_empty() {
        found.insert(id);
    }
    for inner in inner {
        roots_of(inner, changes, environments, found, seen);
    }
}
