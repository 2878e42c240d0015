//! From changed immutable data to the code that has to change with it: old code goes on reading
//! the old data, so whoever refers to it must come along. The same holds for whoever calls a
//! detached function.
//!
//! A mutable static that begins with a reference to changed data keeps the value it has. The one
//! exception is a macro's own static in a function, such as `tracing` has for each event: what it
//! refers to describes the code around it, so that a new description has a new static.

use std::sync::Arc;

use super::compare::{Changes, Piece};
use super::names;
use crate::target::binary::{ObjectFile, SectionKind};

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
                mark(changes, object, section, objects);
            }
        }
        if changes.data.len() == before {
            return;
        }
    }
}

fn mark(
    changes: &mut Changes,
    object: &Arc<ObjectFile>,
    section: usize,
    objects: &[Arc<ObjectFile>],
) {
    let info = &object.sections[section];
    let names = info
        .symbols
        .iter()
        .filter_map(|&s| object.symbols.get(s))
        .filter(|s| names::is_stable(&s.name, s.local))
        .map(|s| s.name.clone());
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
                if kind == SectionKind::Mutable && describes_code(&name, objects) {
                    changes.data.insert(name, piece.clone());
                } else {
                    changes.initial_values.insert(name);
                }
            }
        }
        _ => {}
    }
}

/// Whether this is a static that a macro has made for itself within a function.
fn describes_code(name: &str, objects: &[Arc<ObjectFile>]) -> bool {
    let readable = names::readable(name);
    let own = readable.rsplit_once("::").filter(|(_, own)| own.starts_with("__"));
    let Some((function, _)) = own.filter(|_| names::is_of_macro(&readable)) else { return false };
    let is_it = |name: &str| {
        names::may_be(name, function) && {
            let readable = names::readable(name);
            let rest = readable.strip_prefix(function);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::<"))
        }
    };
    objects.iter().any(|object| {
        let code = object.sections.iter().filter(|section| section.kind == SectionKind::Text);
        let mut symbols = code.flat_map(|section| &section.symbols);
        symbols.any(|&symbol| object.symbols.get(symbol).is_some_and(|s| is_it(&s.name)))
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
            .any(|s| changes.data.contains_key(&s.name));
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
                    None => changes.data.contains_key(&symbol.name),
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
