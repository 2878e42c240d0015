//! Functions that are called in another way than before, although their types are the same:
//! `extern "C"` or `#[track_caller]` came or went. Debug information does not tell, and a name
//! need not, so the code itself is asked which registers it reads before it writes them.
//!
//! That alone would suspect functions of which only the body changed, about every twentieth. Those
//! who call a function tell for certain: one that is the same code as before calls it as before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::naming;
use super::side::{At, Side};
use super::tree::{Kind, Tree};
use crate::pipeline::relink::fingerprint::Fingerprinter;
use crate::pipeline::relink::names;
use crate::target::binary::program::without_llvm_suffix;
use crate::target::binary::{ObjectFile, SectionKind};
use crate::target::processor::{Convention, Integer};

/// A function's code in an object.
type Code<'o> = (&'o ObjectFile, usize);

/// The functions of objects by symbol name.
type Functions<'o> = BTreeMap<&'o str, Code<'o>>;

/// Objects that are the same on both sides, read when somebody asks.
pub type Unchanged<'o> = &'o dyn Fn() -> anyhow::Result<Vec<Arc<ObjectFile>>>;

/// The symbols of functions of both sides, with the same types, that are called in another way.
/// Of those that count as new ones anyway nothing more is said.
///
/// # Errors
/// Where code cannot be decoded, or an object cannot be read.
pub fn changed(
    (old_objects, old): (&[Arc<ObjectFile>], &Side<'_>),
    (new_objects, new): (&[Arc<ObjectFile>], &Side<'_>),
    unchanged: Unchanged<'_>,
    detached: &BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    let (was, is) = (functions(old_objects), functions(new_objects));
    let (mut found, mut more) = (BTreeSet::new(), BTreeSet::new());
    for (name, now) in is.iter().filter(|(name, _)| !detached.contains(**name)) {
        let Some(before) = was.get(name) else { continue };
        let same_types = same_types(old, new, name);
        let Some(at) = same_types.filter(|_| bytes(before) != bytes(now)) else { continue };
        match differ(before, now, &Shape::of(new, at)) {
            Some(Difference::Convention) => found.insert((*name).to_owned()),
            Some(Difference::UsesMore) => more.insert((*name).to_owned()),
            None => false,
        };
    }
    if !found.is_empty() {
        found = called_otherwise(found, &was, &is)?;
    }
    if !found.is_empty() {
        let unchanged = unchanged()?;
        let called: BTreeSet<String> =
            functions(&unchanged).values().flat_map(|caller| called(caller, &found)).collect();
        found.retain(|name| !called.contains(name));
    }
    if !more.is_empty() {
        found.extend(was.values().flat_map(|caller| called(caller, &more)));
    }
    Ok(found)
}

fn functions(objects: &[Arc<ObjectFile>]) -> Functions<'_> {
    let mut found = Functions::new();
    for object in objects {
        for (index, section) in object.sections.iter().enumerate() {
            // In another form several functions share a section.
            let &[symbol] = &*section.symbols else { continue };
            if section.kind == SectionKind::Text {
                let name = without_llvm_suffix(&object.symbols[symbol].name);
                found.insert(name, (&**object, index));
            }
        }
    }
    found
}

fn bytes<'o>((object, section): &Code<'o>) -> &'o [u8] {
    object.bytes(*section)
}

fn same_types(old: &Side<'_>, new: &Side<'_>, name: &str) -> Option<At> {
    let (before, now) = (old.functions.get(name.as_bytes())?, new.functions.get(name.as_bytes())?);
    (old.signature(*before) == new.signature(*now)).then_some(*now)
}

/// What the types say of a function's arguments and result.
struct Shape {
    /// So many registers have integers in them, at most.
    integers: usize,
    /// Of these, the ones that nothing need read: of large values that are given by reference.
    large: usize,
    /// What nobody has a use for is read all the same.
    stored: bool,
    /// The result is made of several values that may come in one register or in several.
    pieces: bool,
    /// It is made of two integers, which Rust gives in two registers and C in one.
    two_integers: bool,
}

/// The largest result, in bytes, that comes in registers.
const IN_REGISTERS: u64 = 16;

impl Shape {
    fn of(side: &Side<'_>, at: At) -> Shape {
        let tree = side.tree(at);
        let composite =
            |of: usize| matches!(tree.dies[of].kind, Kind::Struct | Kind::Union | Kind::Array);
        let result_type = tree.type_of(at.die).filter(|t| composite(*t));
        let result = result_type.map_or(0, |t| naming::size(tree, t));
        let mut places = BTreeMap::new();
        if let Some(of) = result_type.filter(|_| result <= IN_REGISTERS / 2) {
            scalars(tree, of, 0, &mut places);
        }
        let mut shape = Shape {
            // Results of more than one word may be written to where the first argument points.
            integers: usize::from(result > IN_REGISTERS / 2),
            large: 0,
            stored: tree.stores_parameters(),
            pieces: (1..=IN_REGISTERS).contains(&result),
            two_integers: places.len() == 2 && !places.values().any(|float| *float),
        };
        let parameters = tree.children(at.die).filter(|&c| tree.dies[c].kind == Kind::Parameter);
        for of in parameters.filter_map(|p| tree.type_of(p)) {
            let size = naming::size(tree, of);
            let large = composite(of) && size > IN_REGISTERS;
            let float = is_float(tree, of);
            shape.integers += match size {
                0 => 0,
                _ if float => 0,
                _ if large => 1,
                1..=8 if !composite(of) => 1,
                _ => 2,
            };
            shape.large += usize::from(large);
        }
        shape
    }
}

fn is_float(tree: &Tree<'_>, of: usize) -> bool {
    tree.dies[of].kind == Kind::Base && tree.dies[of].name.starts_with(b"f")
}

/// Where in a value numbers and pointers are, and whether these are floating point.
fn scalars(tree: &Tree<'_>, of: usize, from: i64, places: &mut BTreeMap<i64, bool>) {
    match tree.dies[of].kind {
        Kind::Base | Kind::Pointer | Kind::Enumeration => {
            *places.entry(from).or_default() |= is_float(tree, of);
        }
        Kind::Struct | Kind::Union | Kind::VariantPart | Kind::Variant => {
            for part in tree.children(of) {
                let held = tree.type_of(part).filter(|_| tree.dies[part].kind == Kind::Member);
                match (held, tree.dies[part].kind) {
                    (Some(held), _) if naming::size(tree, held) > 0 => {
                        scalars(tree, held, from + tree.dies[part].value.unwrap_or(0), places);
                    }
                    (_, Kind::VariantPart | Kind::Variant) => scalars(tree, part, from, places),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// How a function differs from the one before it.
enum Difference {
    /// It takes its arguments or gives its result in another way.
    Convention,
    /// It uses an argument that the one before it did not use. Optimised code that calls that one
    /// leaves anything there.
    UsesMore,
}

fn differ(old: &Code<'_>, new: &Code<'_>, shape: &Shape) -> Option<Difference> {
    let convention = |code: &Code<'_>| code.0.processor.convention(bytes(code));
    let (was, is) = (convention(old)?, convention(new)?);
    let both = was.results.iter().zip(&is.results);
    let results = both.filter_map(|(a, b)| Some(((*a)?, (*b)?))).any(|(a, b)| a != b);
    let second = |convention: &Convention| convention.results[0] == Some(false);
    let one_register = shape.two_integers && second(&was) != second(&is);
    if (shape.pieces && results) || one_register {
        return Some(Difference::Convention);
    }
    match shape.stored {
        true => arguments_differ(&was, &is, shape).then_some(Difference::Convention),
        false => optimised_arguments_differ(&was, &is, shape),
    }
}

/// The places of arguments of which the two read different parts, and what these are.
fn others<'c>(
    was: &'c Convention,
    is: &'c Convention,
) -> impl Iterator<Item = (usize, Integer, Integer)> + 'c {
    let both = was.integers.iter().zip(&is.integers).enumerate();
    both.map(|(place, (a, b))| (place, *a, *b)).filter(|(_, a, b)| a != b)
}

fn arguments_differ(was: &Convention, is: &Convention, shape: &Shape) -> bool {
    // What only one version reads may be what only one version has a use for.
    let used = |(place, a, b): &(usize, Integer, Integer)| {
        *place < shape.integers && (*a == Integer::Unread || *b == Integer::Unread)
    };
    let optional = others(was, is).filter(used).count() <= shape.large;
    was.stack != is.stack
        || was.floats != is.floats
        || !optional
        || others(was, is).any(|other| !used(&other))
}

fn optimised_arguments_differ(
    was: &Convention,
    is: &Convention,
    shape: &Shape,
) -> Option<Difference> {
    let otherwise = |(place, a, b): (usize, Integer, Integer)| {
        place >= shape.integers || (a != Integer::Unread && b != Integer::Unread)
    };
    if others(was, is).any(otherwise) {
        return Some(Difference::Convention);
    }
    let more = others(was, is).any(|(_, a, _)| a == Integer::Unread)
        || is.floats & !was.floats != 0
        || (is.stack && !was.stack);
    more.then_some(Difference::UsesMore)
}

/// Those of the functions that are called by code that changed, and by none that did not: it would
/// not be the same if it had to call them in another way.
fn called_otherwise(
    suspects: BTreeSet<String>,
    was: &Functions<'_>,
    is: &Functions<'_>,
) -> anyhow::Result<BTreeSet<String>> {
    let (mut otherwise, mut as_before) = (BTreeSet::new(), BTreeSet::new());
    for (name, caller) in is {
        let mut called = called(caller, &suspects);
        called.retain(|callee| callee != name);
        let same = |before: &Code<'_>| anyhow::Ok(print(before)? == print(caller)?);
        match was.get(name).filter(|_| !called.is_empty()).map(same).transpose()? {
            Some(true) => as_before.extend(called),
            _ => otherwise.extend(called),
        }
    }
    Ok(otherwise.difference(&as_before).cloned().collect())
}

fn print((object, section): &Code<'_>) -> anyhow::Result<blake3::Hash> {
    Fingerprinter::new(object).section(*section)
}

fn called(&(object, section): &Code<'_>, among: &BTreeSet<String>) -> Vec<String> {
    let code = object.bytes(section);
    let calls =
        object.sections[section].relocs.iter().filter(|r| object.processor.is_call(code, r));
    let named = calls.filter_map(|reloc| {
        let symbol = object.symbols.get(reloc.symbol)?;
        let named = match symbol.section {
            Some(home) => object.symbol_at(home, symbol.value)?.0,
            None => symbol,
        };
        names::is_stable(&named.name, named.local).then(|| without_llvm_suffix(&named.name))
    });
    named.filter(|name| among.contains(*name)).map(str::to_owned).collect()
}
