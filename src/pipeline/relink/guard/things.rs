//! Functions and variables by what makes two of them the same in spite of other names.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::hashing::Quick;
use super::naming;
use super::side::{At, Side};
use super::tree::Kind;
use super::{Guard, debug_sections};
use crate::target::binary::ObjectFile;

/// A function or a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing {
    /// A hash of its name with generic arguments and of the full names of its types.
    pub types: u64,
    /// Whether its parameters and its result are numbers and thin pointers, or it has none.
    pub plain: bool,
}

/// Things by symbol.
pub type Things = BTreeMap<String, Thing>;

impl Guard {
    /// What debug information says of the wanted symbols; nothing where it cannot be read. What
    /// has to do with the environments of closures and futures is left out: these are numbered.
    pub fn things(objects: &[Arc<ObjectFile>], wanted: &BTreeSet<String>) -> Option<Things> {
        let sections = debug_sections(objects);
        let side = Side::read(&sections).ok()?;
        let mut found = Things::new();
        for symbol in wanted {
            let function = side.functions.get(symbol.as_bytes());
            let thing = match function {
                Some(at) => thing(&side, *at),
                None => side.statics.get(symbol.as_bytes()).and_then(|at| thing(&side, *at)),
            };
            found.extend(thing.map(|thing| (symbol.clone(), thing)));
        }
        Some(found)
    }
}

fn thing(side: &Side<'_>, at: At) -> Option<Thing> {
    let tree = side.tree(at);
    if !tree.has_types() {
        // Line tables with names of functions: no parameters are told, whatever there are.
        return None;
    }
    let parameters = tree.children(at.die).filter(|&c| tree.dies[c].kind == Kind::Parameter);
    let mut hasher = Quick::default();
    hasher.write(tree.dies[at.die].name);
    let mut text = String::from_utf8_lossy(tree.dies[at.die].name).into_owned();
    let mut plain = true;
    for die in std::iter::once(at.die).chain(parameters) {
        let of = tree.type_of(die);
        let name = naming::text(tree, of);
        name.hash(&mut hasher);
        text.push_str(&name);
        plain &= of.is_none_or(|t| matches!(tree.dies[t].kind, Kind::Base | Kind::Pointer));
    }
    let types = hasher.finish();
    (!naming::mentions_environment(&text)).then_some(Thing { types, plain })
}
