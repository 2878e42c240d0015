//! From changed immutable data to the code that has to change with it: old code goes on reading
//! the old data, so whoever refers to it must come along. The same holds for whoever calls a
//! detached function.
//!
//! A mutable static that begins with a reference to changed data keeps the value it has. The one
//! exception is a macro's own static with a description inside of it, such as `tracing` has for each
//! event: that describes the code around it, so that a new description has a new static.

use std::sync::Arc;

use super::compare::{Changes, Piece};
use super::names;
use crate::target::binary::program::without_llvm_suffix;
use crate::target::binary::{ObjectFile, SectionKind, Symbol};

/// Adds every function and every named piece of data that refers, directly or through anonymous
/// data, to data that changed.
pub fn spread(changes: &mut Changes, objects: &[Arc<ObjectFile>]) {
    if changes.data.is_empty() {
        return;
    }
    loop {
        let before = changes.data.len();
        for object in objects {
            for section in tainted(object, changes) {
                mark(changes, object, section);
            }
        }
        if changes.data.len() == before {
            return;
        }
    }
}

fn mark(changes: &mut Changes, object: &Arc<ObjectFile>, section: usize) {
    let info = &object.sections[section];
    let names = info
        .symbols
        .iter()
        .filter_map(|&s| object.symbols.get(s))
        .filter(|s| names::is_stable(&s.name, s.local))
        .map(|s| without_llvm_suffix(&s.name).to_owned());
    let piece = Piece { object: object.clone(), section };
    match info.kind {
        SectionKind::Text => {
            for name in names {
                changes.functions.entry(name).or_insert_with(|| piece.clone());
            }
        }
        SectionKind::ReadOnly => {
            for name in names {
                changes.data.entry(name).or_insert_with(|| piece.clone());
            }
        }
        kind if kind.keeps_values() => {
            for name in names {
                let is_described = || is_described(&name, object, section, changes);
                if kind == SectionKind::Mutable && is_described() {
                    changes.data.insert(name, piece.clone());
                } else {
                    changes.initial_values.insert(name);
                }
            }
        }
        _ => {}
    }
}

/// Whether this is a macro's own static that begins with a reference to a changed description of
/// its own, which is written inside of it.
fn is_described(name: &str, object: &ObjectFile, section: usize, changes: &Changes) -> bool {
    let readable = names::readable(name);
    if !readable.rsplit("::").next().is_some_and(|own| own.starts_with("__")) {
        return false;
    }
    let is_within = |name: &str| {
        let inner = names::readable(name);
        inner.strip_prefix(&*readable).is_some_and(|rest| rest.starts_with("::"))
    };
    let is_description = |symbol: &Symbol| {
        let name = without_llvm_suffix(&symbol.name);
        changes.data.contains_key(name) && is_within(name)
    };
    object.sections[section].relocs.iter().any(|reloc| {
        let Some(symbol) = object.symbols.get(reloc.symbol) else { return false };
        let Some(target) = symbol.section else { return is_description(symbol) };
        let symbols = object.sections[target].symbols.iter();
        symbols.filter_map(|&s| object.symbols.get(s)).any(is_description)
    })
}

/// The sections of an object that refer to changed data.
fn tainted(object: &ObjectFile, changes: &Changes) -> Vec<usize> {
    let mut marked = vec![false; object.sections.len()];
    for (index, section) in object.sections.iter().enumerate() {
        marked[index] = section
            .symbols
            .iter()
            .filter_map(|&s| object.symbols.get(s))
            .any(|s| changes.data.contains_key(without_llvm_suffix(&s.name)));
    }
    let own = marked.clone();
    loop {
        let mut grown = false;
        for (index, section) in object.sections.iter().enumerate() {
            if marked[index] || section.kind == SectionKind::Debug {
                continue;
            }
            let refers = section.relocs.iter().any(|r| {
                let Some(symbol) = object.symbols.get(r.symbol) else { return false };
                match symbol.section {
                    // Through other code or through mutable data nothing spreads: both stay
                    // where they are and are reached by name.
                    Some(s) => {
                        own[s] || marked[s] && object.sections[s].kind == SectionKind::ReadOnly
                    }
                    None => changes.data.contains_key(without_llvm_suffix(&symbol.name)),
                }
            });
            if refers {
                marked[index] = true;
                grown = true;
            }
        }
        if !grown {
            break;
        }
    }
    (0..marked.len()).filter(|&i| marked[i] && !own[i]).collect()
}
