//! Things that the compiler calls by another name than before, although the source means the
//! same: an `impl` in front of others gives their methods new numbers, and a symbol's hash
//! changes with them. Function pointers, method tables and statics of the program know the old
//! name, so the new objects are made to use that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::fingerprint::Fingerprinter;
use super::guard::{Guard, Things};
use super::names;
use super::objects::UnitChange;
use crate::target::binary::{ObjectFile, SectionKind};

/// The newer names of things that the image has, with their names there. `known` tells of a name
/// whether the image has it.
///
/// # Errors
/// Where code cannot be decoded.
pub fn renamed(
    units: &[UnitChange],
    known: impl Fn(&str) -> bool,
) -> anyhow::Result<BTreeMap<String, String>> {
    let (old, new) = (sides(units, |u| &u.old), sides(units, |u| &u.new));
    let (was, is) = (definitions(&old), definitions(&new));
    let gone = names_only_in(&was, &is, &known);
    let fresh = names_only_in(&is, &was, &|name| !known(name));
    let alike: BTreeSet<&String> = gone.keys().filter(|name| fresh.contains_key(*name)).collect();
    if alike.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = |names: &BTreeMap<String, Vec<&str>>| -> BTreeSet<String> {
        alike.iter().flat_map(|name| &names[*name]).map(|name| (*name).to_owned()).collect()
    };
    let Some(before) = Guard::things(&old, &wanted(&gone)) else { return Ok(BTreeMap::new()) };
    let Some(now) = Guard::things(&new, &wanted(&fresh)) else { return Ok(BTreeMap::new()) };
    let pairs = pairs(&before, &now);
    without_other_conventions(pairs, &old, &new, &now)
}

/// A name that only one thing of each side has, with the same types.
fn pairs(before: &Things, now: &Things) -> BTreeMap<String, String> {
    let by_meaning = |things: &Things| {
        let mut found: HashMap<(String, u64), Vec<String>> = HashMap::new();
        for (symbol, thing) in things {
            let key = (names::readable(symbol), thing.types);
            found.entry(key).or_default().push(symbol.clone());
        }
        found
    };
    let was = by_meaning(before);
    let mut pairs = BTreeMap::new();
    for (key, now) in by_meaning(now) {
        if let ([now], Some([before])) = (&*now, was.get(&key).map(Vec::as_slice)) {
            pairs.insert(now.clone(), before.clone());
        }
    }
    pairs
}

/// Debug information does not tell of calling conventions. They make no difference to plain
/// parameters, nor where the code is the same.
fn without_other_conventions(
    mut pairs: BTreeMap<String, String>,
    old: &[Arc<ObjectFile>],
    new: &[Arc<ObjectFile>],
    now: &Things,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut renamed = Vec::new();
    for object in new {
        let mut object = ObjectFile::clone(object);
        object.rename(&pairs);
        renamed.push(Arc::new(object));
    }
    let mut doubtful = Vec::new();
    for (newer, older) in &pairs {
        let plain = now.get(newer).is_some_and(|thing| thing.plain);
        if !plain && prints(old, older)? != prints(&renamed, older)? {
            doubtful.push(newer.clone());
        }
    }
    for name in doubtful {
        pairs.remove(&name);
    }
    Ok(pairs)
}

fn prints(objects: &[Arc<ObjectFile>], name: &str) -> anyhow::Result<BTreeSet<[u8; 32]>> {
    let mut found = BTreeSet::new();
    for object in objects {
        if let Some(section) = object.definition(name).and_then(|s| s.section) {
            found.insert(*Fingerprinter::new(object).section(section)?.as_bytes());
        }
    }
    Ok(found)
}

fn sides(
    units: &[UnitChange],
    side: fn(&UnitChange) -> &Vec<Arc<ObjectFile>>,
) -> Vec<Arc<ObjectFile>> {
    units.iter().flat_map(side).cloned().collect()
}

/// The functions and variables that objects define.
fn definitions(objects: &[Arc<ObjectFile>]) -> BTreeMap<&str, SectionKind> {
    let mut found = BTreeMap::new();
    for object in objects {
        for section in &object.sections {
            let (text, data) = (section.kind == SectionKind::Text, is_variable(section.kind));
            if !text && !data {
                continue;
            }
            for symbol in section.symbols.iter().filter_map(|&s| object.symbols.get(s)) {
                if names::is_stable(&symbol.name, symbol.local) {
                    found.insert(&*symbol.name, section.kind);
                }
            }
        }
    }
    found
}

fn is_variable(kind: SectionKind) -> bool {
    kind.keeps_values()
}

/// The names that only the first side has, by what people call them.
fn names_only_in<'n>(
    here: &BTreeMap<&'n str, SectionKind>,
    there: &BTreeMap<&str, SectionKind>,
    wanted: &impl Fn(&str) -> bool,
) -> BTreeMap<String, Vec<&'n str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, kind) in here.iter().filter(|(n, _)| !there.contains_key(*n) && wanted(n)) {
        let readable = names::readable(name);
        // Closures are numbered within their function, which the guard looks after.
        if *kind != SectionKind::Text || !readable.contains("{closure") {
            found.entry(readable).or_default().push(name);
        }
    }
    found
}
