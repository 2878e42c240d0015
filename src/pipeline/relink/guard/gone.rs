//! What earlier patches took away: the newest objects do not speak of it, but the program still
//! holds values of those types, and those functions and statics under their names.

use super::hashing::Map;
use super::layout::{Layout, layout};
use super::naming::NameId;
use super::side::Side;

/// What is gone, as it was last.
#[derive(Debug, Clone, Default)]
pub struct Gone {
    /// Types.
    pub types: Map<NameId, GoneType>,
    /// Functions by symbol: the hash of the signature.
    pub signatures: Map<String, u64>,
    /// Statics by symbol: the type's full name.
    pub statics: Map<String, String>,
}

/// A type that is gone.
#[derive(Debug, Clone)]
pub struct GoneType {
    /// The hashes of the layouts that it had.
    pub fingerprints: Vec<u64>,
    /// One of the layouts.
    pub layout: Layout,
}

impl Gone {
    /// What is gone after a step from the old to the new objects.
    pub fn after(&self, old: &Side<'_>, new: &Side<'_>) -> Gone {
        let mut next = self.clone();
        next.types.retain(|id, _| !new.types.contains_key(id));
        next.signatures.retain(|name, _| !new.functions.contains_key(name.as_bytes()));
        next.statics.retain(|name, _| !new.statics.contains_key(name.as_bytes()));
        for (id, seen) in old.types.iter().filter(|(id, _)| !new.types.contains_key(*id)) {
            let Some(first) = seen.first() else { continue };
            let (tree, names) = (&old.trees[first.at.tree], &old.names[first.at.tree]);
            let fingerprints = seen.iter().map(|s| s.fingerprint).collect();
            let layout = layout(tree, names, first.at.die);
            next.types.insert(*id, GoneType { fingerprints, layout });
        }
        for (name, at) in old.functions.iter().filter(|(n, _)| !new.functions.contains_key(*n)) {
            let name = String::from_utf8_lossy(name).into_owned();
            next.signatures.insert(name, old.signature(*at));
        }
        for (name, at) in old.statics.iter().filter(|(n, _)| !new.statics.contains_key(*n)) {
            let name = String::from_utf8_lossy(name).into_owned();
            next.statics.insert(name, old.type_text(*at));
        }
        next
    }
}
