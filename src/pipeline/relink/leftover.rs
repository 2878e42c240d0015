//! What a patch cannot bring to the program although it is in the source, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::{Changes, Piece};
use super::names;
use super::objects::{UnitChange, variables};
use crate::target::binary::{ObjectFile, Program, SectionKind};

/// What is worth saying of changes whose patch is in order.
pub fn notes(changes: &Changes, units: &[UnitChange], known: impl Fn(&str) -> bool) -> Vec<String> {
    let value = |name: &String| {
        let name = names::readable(name);
        format!("the initial value of `{name}` changed; the program keeps the value it has")
    };
    let mut notes: Vec<String> = changes.initial_values.iter().map(value).collect();
    // What a macro has hidden is nobody's state.
    let shown = changes.mixed_up.iter().filter(|(name, _)| !names::is_of_macro(name));
    notes.extend(shown.map(|(name, count)| {
        format!(
            "the number of statics `{name}` changed to {count}, and nothing tells which was which: \
             they start with their initial values"
        )
    }));
    if changes.constructors {
        notes.push("a function that runs at load was added or changed; it does not run".into());
    }
    let exported = changes.added.iter().filter(|name| is_exported(name) && !known(name));
    notes.extend(exported.map(|name| {
        format!(
            "`{name}` is new under a name of its own; new code calls it, but nobody finds it by \
             its name, as the program is linked"
        )
    }));
    notes.extend(pointed_at(changes, units, &known));
    notes
}

/// Changed code that has run for the last time, once the static has its value that it makes.
///
/// # Errors
/// Where an object cannot be read.
pub fn made_already(
    changes: &Changes,
    units: &[UnitChange],
    program: &Program,
) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for beginning in changes.functions.keys().filter_map(|name| names::holder_of_closure(name)) {
        let Some(holder) = program.data_beginning(&beginning) else { continue };
        for stored in units.iter().flat_map(|unit| unit.objects.values()) {
            let object = stored.object()?;
            let section = object.definition(holder).and_then(|symbol| symbol.section);
            if section.is_some_and(|section| object.sections[section].kind.keeps_values()) {
                found.insert(names::readable(holder));
            }
        }
    }
    let text = |name: String| {
        format!("`{name}` keeps its value: a new initializer runs only where there is none yet")
    };
    Ok(found.into_iter().map(text).collect())
}

/// Whether people chose the symbol's name.
fn is_exported(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with("_ZN") && !name.starts_with("_R") && name.chars().all(plain)
}

/// Functions that new code has no more, or only as another function, and to which the program
/// may have pointers.
fn pointed_at(
    changes: &Changes,
    units: &[UnitChange],
    known: &impl Fn(&str) -> bool,
) -> Vec<String> {
    let is_own = |name: &str| {
        let readable = names::readable(name);
        let closure = readable.contains("{closure") || readable.contains("{{");
        !closure && !readable.contains(" as ") && !names::is_of_toolchain(&readable)
    };
    let mut gone: BTreeMap<&str, bool> = BTreeMap::new();
    let detached = changes.data.iter().filter(|(_, p)| is_code(p)).map(|(name, _)| name.as_str());
    for name in changes.removed.functions().chain(detached) {
        if known(name) && is_own(name) {
            gone.insert(name, false);
        }
    }
    if gone.is_empty() {
        return Vec::new();
    }
    for object in units.iter().flat_map(|unit| &unit.old) {
        for name in pointers(object) {
            if let Some(taken) = gone.get_mut(name) {
                *taken = true;
            }
        }
    }
    let fresh: BTreeSet<String> = changes.added.iter().map(|name| names::readable(name)).collect();
    let taken = gone.into_iter().filter(|(_, taken)| *taken).map(|(name, _)| name);
    let text = |name: &str| {
        let detached = changes.data.contains_key(name);
        let name = names::readable(name);
        let what = match detached || fresh.contains(&name) {
            true => "is another function now; pointers to the old one",
            false => "is gone; pointers to it",
        };
        format!("`{name}` {what} that the program has go on with the old code")
    };
    taken.map(text).collect()
}

fn is_code(piece: &Piece) -> bool {
    piece.object.sections[piece.section].kind == SectionKind::Text
}

/// The names of which an object's code makes pointers.
fn pointers(object: &ObjectFile) -> impl Iterator<Item = &str> {
    let code = (0..object.sections.len()).filter(|&s| object.sections[s].kind == SectionKind::Text);
    code.flat_map(move |section| {
        let bytes = object.bytes(section);
        let relocs = object.sections[section].relocs.iter();
        relocs.filter_map(move |reloc| {
            if object.processor.is_call(bytes, reloc) {
                return None;
            }
            let symbol = object.symbols.get(reloc.symbol)?;
            let Some(target) = symbol.section else { return Some(&*symbol.name) };
            let distance = object.processor.target_distance(Some(bytes), reloc).ok()?;
            let offset = symbol.value.wrapping_add_signed(distance);
            let (named, inner) = object.symbol_at(target, offset)?;
            (inner == 0).then_some(&*named.name)
        })
    })
}

/// Mutable statics under whose name new code has another one. The guard knows these by their
/// types where there is debug information.
pub fn lost_statics(units: &[UnitChange], known: impl Fn(&str) -> bool) -> Vec<String> {
    let of = |side: fn(&UnitChange) -> &Vec<Arc<ObjectFile>>| -> BTreeSet<&str> {
        units.iter().flat_map(|unit| variables(side(unit))).collect()
    };
    let (was, is) = (of(|unit| &unit.old), of(|unit| &unit.new));
    let fresh: BTreeSet<String> =
        is.difference(&was).filter(|n| !known(n)).map(|n| names::readable(n)).collect();
    let gone = was.difference(&is).filter(|n| known(n)).map(|n| names::readable(n));
    let text = |name: String| {
        format!("the static `{name}` is a new one, and new code starts with its initial value")
    };
    gone.filter(|name| fresh.contains(name)).map(text).collect()
}
