//! One side of the comparison: all that the debug information of a set of objects says.

use std::hash::{Hash, Hasher};

use super::hashing::{Map, Quick};
use super::layout;
use super::naming::{self, NameId, Names};
use super::sections::Sections;
use super::tree::{Kind, Tree};

/// An entry of one of a side's trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// The tree's index.
    pub tree: usize,
    /// The entry's index.
    pub die: usize,
}

/// A layout that a type has in some object.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The layout's hash.
    pub fingerprint: u64,
    /// Where it is described.
    pub at: At,
}

/// What the debug information of a set of objects says.
pub struct Side<'a> {
    /// The entries, object by object.
    pub trees: Vec<Tree<'a>>,
    /// Their names.
    pub names: Vec<Names>,
    /// The different layouts of each type.
    pub types: Map<NameId, Vec<Seen>>,
    /// The functions by symbol name.
    pub functions: Map<&'a [u8], At>,
    /// The statics by symbol name.
    pub statics: Map<&'a [u8], At>,
    /// The method tables.
    pub tables: Vec<At>,
}

/// The end of the name of a method table, and of its type.
const TABLE: &[u8] = b"::{vtable}";
const TABLE_TYPE: &[u8] = b"::{vtable_type}";

impl<'a> Side<'a> {
    /// Reads the objects.
    ///
    /// # Errors
    /// Where debug information is malformed.
    pub fn read(sections: &'a [Sections<'a>]) -> anyhow::Result<Self> {
        let mut side = Side {
            trees: Vec::new(),
            names: Vec::new(),
            types: Map::default(),
            functions: Map::default(),
            statics: Map::default(),
            tables: Vec::new(),
        };
        for sections in sections {
            let tree = Tree::read(sections)?;
            let names = Names::of(&tree);
            side.index(&tree, &names);
            side.trees.push(tree);
            side.names.push(names);
        }
        Ok(side)
    }

    fn index(&mut self, tree: &Tree<'a>, names: &Names) {
        for (index, die) in tree.dies.iter().enumerate() {
            let at = At { tree: self.trees.len(), die: index };
            match die.kind {
                Kind::Struct | Kind::Union | Kind::Enumeration => {
                    let part = layout::is_variant_body(tree, index);
                    if die.declaration || part || die.name.ends_with(TABLE_TYPE) {
                        continue;
                    }
                    let fingerprint = layout::fingerprint(tree, names, index);
                    let seen = self.types.entry(names.id(index)).or_default();
                    if !seen.iter().any(|s| s.fingerprint == fingerprint) {
                        seen.push(Seen { fingerprint, at });
                    }
                }
                Kind::Function if !tree.symbol(index).is_empty() => {
                    self.functions.entry(tree.symbol(index)).or_insert(at);
                }
                Kind::Variable if die.name.ends_with(TABLE) => self.tables.push(at),
                Kind::Variable if !tree.symbol(index).is_empty() => {
                    self.statics.entry(tree.symbol(index)).or_insert(at);
                }
                _ => {}
            }
        }
    }

    /// The tree that an entry is in.
    pub fn tree(&self, at: At) -> &Tree<'a> {
        &self.trees[at.tree]
    }

    /// The text of the full name of an entry.
    pub fn text(&self, at: At) -> String {
        naming::text(&self.trees[at.tree], Some(at.die))
    }

    /// The text of the full name of an entry's type.
    pub fn type_text(&self, at: At) -> String {
        let tree = &self.trees[at.tree];
        naming::text(tree, tree.type_of(at.die))
    }

    /// The result's and the parameters' types of a function, as a hash of their names.
    pub fn signature(&self, at: At) -> u64 {
        let (tree, names) = (&self.trees[at.tree], &self.names[at.tree]);
        let mut hasher = Quick::default();
        names.id_of_type(tree, at.die).hash(&mut hasher);
        for child in tree.children(at.die).filter(|&c| tree.dies[c].kind == Kind::Parameter) {
            names.id_of_type(tree, child).hash(&mut hasher);
        }
        hasher.finish()
    }
}
