//! Functions that must count as new ones although their name exists: their parameters changed,
//! or they are about types whose layout changed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::gone::Gone;
use super::naming::{self, NameId};
use super::side::{At, Side};
use super::tree::{Kind, Tree};

/// The symbols of functions that the program has with other types of parameters or result.
pub fn with_other_signatures(old: &Side<'_>, new: &Side<'_>, gone: &Gone) -> BTreeSet<String> {
    let before = |name: &[u8]| match old.functions.get(name) {
        Some(at) => Some(old.signature(*at)),
        None if gone.signatures.is_empty() => None,
        None => gone.signatures.get(std::str::from_utf8(name).ok()?).copied(),
    };
    let differs = |(name, at): &(&&[u8], &At)| {
        before(name).is_some_and(|before| before != new.signature(**at))
    };
    new.functions.iter().filter(differs).filter_map(|(name, _)| symbol(name)).collect()
}

/// The symbols of functions of the new side that are about one of the given types: by a
/// parameter, the result, a generic argument, however deep inside these, or as the body of an
/// environment.
pub fn about(new: &Side<'_>, types: &HashSet<NameId>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if types.is_empty() {
        return found;
    }
    for (index, tree) in new.trees.iter().enumerate() {
        let names = &new.names[index];
        let reaching = reaching(tree, |die| types.contains(&names.id(die)));
        for function in tree.all(Kind::Function) {
            let body = naming::environment_of(tree, names, function);
            let of_type = body.is_some_and(|environment| types.contains(&environment));
            if of_type || parts(tree, function).any(|type_| reaching[type_]) {
                found.extend(symbol(tree.symbol(function)));
            }
        }
    }
    found
}

fn symbol(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok().filter(|n| !n.is_empty())?;
    Some(crate::target::binary::program::without_llvm_suffix(name).to_owned())
}

/// The types that an entry is directly made of: its own type and its children's.
fn parts<'t>(tree: &'t Tree<'_>, die: usize) -> impl Iterator<Item = usize> + 't {
    let inside = (die + 1)..tree.dies[die].end as usize;
    std::iter::once(die).chain(inside).filter_map(|d| tree.type_of(d))
}

/// For each entry whether it is one of the wanted ones or is made of one, through fields,
/// pointers and generic arguments.
fn reaching(tree: &Tree<'_>, wanted: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
    for die in 1..tree.dies.len() {
        let kind = tree.dies[die].kind;
        if !matches!(
            kind,
            Kind::Struct | Kind::Union | Kind::Pointer | Kind::Array | Kind::FunctionType
        ) {
            continue;
        }
        for part in type_parts(tree, die) {
            users.entry(part).or_default().push(die);
        }
    }
    let mut reached: Vec<bool> = (0..tree.dies.len()).map(wanted).collect();
    let mut open: Vec<usize> = (0..reached.len()).filter(|&d| reached[d]).collect();
    while let Some(die) = open.pop() {
        for &user in users.get(&die).into_iter().flatten() {
            if !std::mem::replace(&mut reached[user], true) {
                open.push(user);
            }
        }
    }
    reached
}

/// The types of a type's fields, pointee or parameters; not those of its methods.
fn type_parts(tree: &Tree<'_>, die: usize) -> Vec<usize> {
    let mut found = Vec::from_iter(tree.type_of(die));
    let end = tree.dies[die].end as usize;
    let mut at = die + 1;
    while at < end {
        if tree.dies[at].kind == Kind::Function {
            at = tree.dies[at].end as usize;
            continue;
        }
        found.extend(tree.type_of(at));
        at += 1;
    }
    found
}
