//! Method tables of trait objects: objects that exist hold the old tables, so new code must
//! find every method where old code put it.

use std::collections::BTreeMap;

use super::naming;
use super::side::{At, Side};
use super::types::ChangedTypes;
use crate::pipeline::relink::names::readable;
use crate::target::binary::program::without_llvm_suffix;
use crate::target::binary::{ObjectFile, SectionKind};

/// A trait whose methods stand elsewhere now, or a type's method that is another function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTable {
    /// The trait object's type.
    pub item: String,
    /// What changed, in words.
    pub text: String,
}

/// The table of one type for one trait.
struct Table {
    of: String,
    trait_: String,
    /// Whether there is code to drop a value.
    drops: bool,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// No method can be called here.
    Vacant,
    /// The table of a supertrait.
    Table,
    Method {
        /// The last part of the path: all types have this name in common.
        name: String,
        path: String,
        signature: Option<u64>,
        symbol: String,
    },
}

/// Drop glue, size and alignment.
const HEADER: u64 = 3;
const TABLE: &str = ">::{vtable}";

/// Traits of the toolchain do not change while the program runs.
const FIXED: [&str; 3] = ["core::", "alloc::", "std::"];

/// Compares the tables that both sides have. `changed` tells of trait objects for which another
/// length is known already, and of environments that are others now.
pub fn compare(old: &Side<'_>, new: &Side<'_>, types: &ChangedTypes) -> Vec<ChangedTable> {
    let (before, now) = (tables(old), tables(new));
    let mut changed = Vec::new();
    for (trait_, tables) in &now {
        let Some(known) = before.get(trait_) else { continue };
        changed.extend(drops_changed(known, tables, types));
        if is_fixed(trait_) {
            continue;
        }
        if let Some(text) = methods_moved(&methods(known), &methods(tables)) {
            changed.push(ChangedTable { item: format!("dyn {trait_}"), text });
            continue;
        }
        for table in tables.iter().filter(|t| !naming::mentions_environment(&t.of)) {
            let Some(known) = known.iter().find(|k| k.of == table.of) else { continue };
            if let Some(text) = method_replaced(known, table) {
                let item = format!("<{} as {trait_}>", naming::readable(&table.of));
                changed.push(ChangedTable { item, text });
            }
        }
    }
    for (item, text) in &types.objects {
        if !changed.iter().any(|c| c.item == *item) {
            changed.push(ChangedTable { item: item.clone(), text: text.clone() });
        }
    }
    changed
}

/// Types whose values are dropped by code now, or no longer: the tables of those that exist say
/// otherwise.
fn drops_changed(old: &[Table], new: &[Table], types: &ChangedTypes) -> Vec<ChangedTable> {
    let mut found = Vec::new();
    for table in new.iter().filter(|table| !types.made.contains(&table.of)) {
        let before = old.iter().find(|known| known.of == table.of);
        if before.is_some_and(|before| before.drops != table.drops) {
            let of = naming::readable(&table.of);
            let item = match table.trait_ == "_" {
                true => of,
                false => format!("<{of} as {}>", table.trait_),
            };
            let text = match table.drops {
                true => "dropping a value calls code now, and did not",
                false => "dropping a value called code, and no longer does",
            };
            found.push(ChangedTable { item, text: text.to_owned() });
        }
    }
    found
}

fn is_fixed(trait_: &str) -> bool {
    trait_ == "_" || FIXED.iter().any(|f| trait_.starts_with(f))
}

fn tables(side: &Side<'_>) -> BTreeMap<String, Vec<Table>> {
    let mut tables: BTreeMap<String, Vec<Table>> = BTreeMap::new();
    for &at in &side.tables {
        if let Some(table) = table(side, at) {
            tables.entry(table.trait_.clone()).or_default().push(table);
        }
    }
    tables
}

fn table(side: &Side<'_>, at: At) -> Option<Table> {
    let tree = side.tree(at);
    let name = std::str::from_utf8(tree.dies[at.die].name).ok()?;
    let (of, trait_) = split(name.strip_prefix('<')?.strip_suffix(TABLE)?)?;
    let size = tree.type_of(at.die).map(|t| tree.dies[t].size)?;
    let place = tree.place(at.die)?;
    let object = tree.sections.object;
    let relocs = &object.sections.get(place.section)?.relocs;
    let pointer = object.processor.pointer();
    let slots = (HEADER * pointer..size)
        .step_by(pointer as usize)
        .map(|slot| {
            let at = place.offset + slot;
            let found = relocs.binary_search_by_key(&at, |r| r.offset).ok();
            found.map_or(Slot::Vacant, |r| target(side, object, &relocs[r]))
        })
        .collect();
    let drops = relocs.binary_search_by_key(&place.offset, |r| r.offset).is_ok();
    Some(Table { of: of.to_owned(), trait_: trait_.to_owned(), drops, slots })
}

/// What a slot refers to.
fn target(side: &Side<'_>, object: &ObjectFile, reloc: &crate::target::binary::Reloc) -> Slot {
    let Some(mut symbol) = object.symbols.get(reloc.symbol) else { return Slot::Vacant };
    if let Some(section) = symbol.section {
        if object.sections[section].kind != SectionKind::Text {
            return Slot::Table;
        }
        let offset = symbol.value.wrapping_add_signed(reloc.addend);
        if let Some((named, _)) = object.symbol_at(section, offset) {
            symbol = named;
        }
    }
    let name = without_llvm_suffix(&symbol.name);
    let path = readable(name);
    let signature = side.functions.get(symbol.name.as_bytes()).map(|at| side.signature(*at));
    Slot::Method { name: method(&path), path, signature, symbol: name.to_owned() }
}

/// The method's name at the end of a path, without generic arguments and without what the
/// compiler adds for its shims.
fn method(path: &str) -> String {
    let path = path.split("{{").next().unwrap_or(path).trim_end_matches(':');
    let path = path.split("::{shim").next().unwrap_or(path);
    let mut depth = 0_i32;
    let mut start = 0;
    let mut previous = ' ';
    for (at, c) in path.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if previous == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            ':' if depth == 0 && previous == ':' && !path[at + 1..].starts_with('<') => {
                start = at + 1;
            }
            _ => {}
        }
        previous = c;
    }
    let name = &path[start..];
    name.split("::<").next().unwrap_or(name).to_owned()
}

/// Type and trait of `T as Trait`.
fn split(name: &str) -> Option<(&str, &str)> {
    let mut depth = 0_i32;
    let mut previous = ' ';
    for (at, c) in name.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if previous == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && name[at..].starts_with(" as ") => {
                return Some((&name[..at], &name[at + 4..]));
            }
            _ => {}
        }
        previous = c;
    }
    None
}

/// What any of a trait's tables says about each slot.
fn methods(tables: &[Table]) -> Vec<Option<String>> {
    let length = tables.iter().map(|t| t.slots.len()).max().unwrap_or(0);
    (0..length)
        .map(|slot| {
            tables.iter().find_map(|table| match table.slots.get(slot) {
                Some(Slot::Method { name, .. }) => Some(name.clone()),
                Some(Slot::Table) => Some("a supertrait's table".to_owned()),
                _ => None,
            })
        })
        .collect()
}

fn methods_moved(old: &[Option<String>], new: &[Option<String>]) -> Option<String> {
    let same = old.len() == new.len()
        && old.iter().zip(new).all(|(o, n)| o.is_none() || n.is_none() || o == n);
    if same {
        return None;
    }
    let difference = |from: &[Option<String>], without: &[Option<String>], what: &str| {
        let names = from.iter().flatten().filter(|n| !without.iter().flatten().any(|w| w == *n));
        names.map(|n| format!("`{n}` {what}")).collect::<Vec<_>>()
    };
    let mut texts = difference(new, old, "is added");
    texts.extend(difference(old, new, "is gone"));
    if texts.is_empty() {
        texts.push(match old.len() == new.len() {
            true => "the methods have another order".to_owned(),
            false => format!("it had {} slots and has {}", old.len(), new.len()),
        });
    }
    Some(texts.join(", "))
}

fn method_replaced(old: &Table, new: &Table) -> Option<String> {
    old.slots.iter().zip(&new.slots).find_map(|(old, new)| match (old, new) {
        (Slot::Method { path: before, .. }, Slot::Method { path, name, .. }) if before != path => {
            Some(format!("its `{name}` was `{before}` and is `{path}`"))
        }
        (
            Slot::Method { signature: Some(before), .. },
            Slot::Method { signature: Some(now), name, .. },
        ) => (before != now).then(|| format!("`{name}` has other parameters or another result")),
        (Slot::Method { symbol: before, .. }, Slot::Method { symbol, name, .. }) => {
            (before != symbol).then(|| format!("`{name}` is another function"))
        }
        (before, now) => (before != now).then(|| "a method came or went".to_owned()),
    })
}
