//! Statics whose type changed: under the same name the program holds a value of the old type;
//! under another name (legacy names have the type in their hash) the new code has a new value.

use std::collections::{BTreeMap, HashSet};

use super::gone::Gone;
use super::naming;
use super::side::{At, Side};
use crate::pipeline::relink::names;
use crate::target::binary::SectionKind;

/// A static whose type has another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetypedStatic {
    /// Its readable name.
    pub name: String,
    /// The old type.
    pub old: String,
    /// The new type.
    pub new: String,
    /// Its symbol is the same, so new code would use the program's value.
    pub shared: bool,
}

/// How `thread_local!` calls the variable behind a key, and the type of a variable that is
/// initialised or dropped.
const INNER: &str = "::__RUST_STD_INTERNAL_VAL";
const STORAGE: &str = "Storage<";

/// Compares the types of the statics that the new side and the program have and whose values
/// can change.
pub fn compare(old: &Side<'_>, new: &Side<'_>, gone: &Gone) -> Vec<RetypedStatic> {
    let mut found = BTreeMap::new();
    let mut renamed = Vec::new();
    for (symbol, &at) in &new.statics {
        let name = String::from_utf8_lossy(symbol);
        let before = match old.statics.get(symbol) {
            Some(before) => Some(old.type_text(*before)),
            None => gone.statics.get(&*name).cloned(),
        };
        match before {
            // One that could not be written before is another one, whatever its name.
            Some(before) if is_mutable(new, symbol) && !was_immutable(old, symbol) => {
                add(&mut found, readable(symbol), (&before, &new.type_text(at)), true);
            }
            Some(_) => {}
            None => renamed.push((symbol, at)),
        }
    }
    let mut left: BTreeMap<String, At> = BTreeMap::new();
    for (symbol, &at) in old.statics.iter().filter(|(s, _)| !new.statics.contains_key(*s)) {
        if is_mutable(old, symbol) {
            left.insert(readable(symbol), at);
        }
    }
    for (symbol, at) in renamed {
        let name = readable(symbol);
        if let Some(&before) = left.get(&name).filter(|_| is_mutable(new, symbol)) {
            add(&mut found, name, (&old.type_text(before), &new.type_text(at)), false);
        }
    }
    found.into_values().collect()
}

/// The statics of one of these types whose values can change, each with its type.
pub fn of_types(side: &Side<'_>, types: &HashSet<String>) -> Vec<(String, String)> {
    let found = side.statics.iter().filter(|(symbol, _)| is_mutable(side, symbol));
    let typed = found.map(|(symbol, &at)| (readable(symbol), side.type_text(at)));
    let mut found: Vec<_> = typed
        .filter(|(_, kind)| types.contains(kind))
        .map(|(name, kind)| (name, naming::readable(&kind)))
        .collect();
    found.sort();
    found
}

fn add(
    found: &mut BTreeMap<String, RetypedStatic>,
    name: String,
    (old, new): (&str, &str),
    shared: bool,
) {
    let (old, new) = (value_type(old), value_type(new));
    if old != new {
        found.entry(name.clone()).or_insert(RetypedStatic { name, old, new, shared });
    }
}

fn readable(symbol: &[u8]) -> String {
    let name = names::readable(&String::from_utf8_lossy(symbol));
    match name.strip_suffix(INNER).and_then(|key| key.split_once("::{")) {
        Some((key, _)) => key.to_owned(),
        None => name,
    }
}

/// The type of the value that a thread-local's storage is for.
fn value_type(storage: &str) -> String {
    let value = storage.strip_prefix("std::sys::thread_local::").and_then(|s| {
        let inner = s.split_once(STORAGE)?.1.strip_suffix('>')?;
        Some(inner.strip_suffix(", ()").or(inner.strip_suffix(", !")).unwrap_or(inner))
    });
    naming::readable(value.unwrap_or(storage))
}

fn was_immutable(old: &Side<'_>, symbol: &[u8]) -> bool {
    old.statics.contains_key(symbol) && !is_mutable(old, symbol)
}

/// Whether any object keeps the static where it can be written.
fn is_mutable(side: &Side<'_>, symbol: &[u8]) -> bool {
    let symbol = String::from_utf8_lossy(symbol);
    side.trees.iter().map(|t| t.sections.object).any(|object| {
        let section = object.definition(&symbol).and_then(|s| s.section);
        let kind = section.and_then(|s| object.sections.get(s)).map(|s| s.kind);
        kind.is_some_and(SectionKind::keeps_values)
    })
}
