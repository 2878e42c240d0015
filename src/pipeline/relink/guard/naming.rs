//! Types by name: two entries of different objects mean the same type if their full names are
//! the same. Comparing goes by hashes of the names; text is made only for what differs.

use std::hash::{Hash, Hasher};

use super::hashing::Quick;
use super::tree::{Kind, Tree};

/// A hash of a type's full name; 0 for "no type".
pub type NameId = u64;

/// What stands in the name of every environment: of closures, futures and generators.
const ENVIRONMENT: &str = "_env#";

/// The names of all types of a tree, by index.
pub struct Names {
    ids: Vec<NameId>,
}

impl Names {
    /// Names every type, namespace and function.
    pub fn of(tree: &Tree<'_>) -> Self {
        let mut names = Names { ids: vec![0; tree.dies.len()] };
        for (index, die) in tree.dies.iter().enumerate() {
            if !matches!(
                die.kind,
                Kind::Member | Kind::Parameter | Kind::TypeParameter | Kind::Enumerator
            ) {
                names.compute(tree, index);
            }
        }
        names
    }

    /// The name of an entry.
    pub fn id(&self, die: usize) -> NameId {
        self.ids[die]
    }

    /// The name of an entry's type.
    pub fn id_of_type(&self, tree: &Tree<'_>, die: usize) -> NameId {
        tree.type_of(die).map_or(0, |t| self.ids[t])
    }

    fn compute(&mut self, tree: &Tree<'_>, index: usize) -> NameId {
        if self.ids[index] != 0 || index == 0 {
            return self.ids[index];
        }
        let die = &tree.dies[index];
        let mut hasher = Quick::default();
        match die.kind {
            // A crate's items stand in a namespace of its name.
            Kind::Unit => return 0,
            Kind::Array => {
                // Set first: malformed entries that contain themselves must not go on for ever.
                self.ids[index] = 1;
                hasher.write(b"array");
                self.element(tree, index).hash(&mut hasher);
                length(tree, index).hash(&mut hasher);
            }
            Kind::FunctionType => {
                self.ids[index] = 1;
                hasher.write(b"function");
                self.element(tree, index).hash(&mut hasher);
                for parameter in tree.children(index) {
                    self.element(tree, parameter).hash(&mut hasher);
                }
            }
            Kind::Pointer if die.name.is_empty() => {
                self.ids[index] = 1;
                hasher.write(b"pointer");
                self.element(tree, index).hash(&mut hasher);
            }
            // Its name is that of its type, with full paths.
            Kind::Pointer => hasher.write(die.name),
            _ => {
                self.compute(tree, die.parent as usize).hash(&mut hasher);
                hasher.write(die.name);
            }
        }
        self.ids[index] = hasher.finish().max(2);
        self.ids[index]
    }

    fn element(&mut self, tree: &Tree<'_>, die: usize) -> NameId {
        tree.type_of(die).map_or(0, |t| self.compute(tree, t))
    }
}

/// The environment whose body a function is: `{closure_env#0}` in the same scope for
/// `{closure#0}`. The body itself does not refer to it, and it may be described in another object.
pub fn environment_of(tree: &Tree<'_>, names: &Names, function: usize) -> Option<NameId> {
    let die = &tree.dies[function];
    let name = std::str::from_utf8(die.name).ok()?;
    let (kind, number) = name.strip_prefix('{')?.split_once('#')?;
    let mut hasher = Quick::default();
    names.ids[die.parent as usize].hash(&mut hasher);
    hasher.write(format!("{{{kind}{ENVIRONMENT}{number}").as_bytes());
    Some(hasher.finish().max(2))
}

/// An array's length.
pub fn length(tree: &Tree<'_>, array: usize) -> i64 {
    let range = tree.children(array).find(|&c| tree.dies[c].kind == Kind::Range);
    range.and_then(|r| tree.dies[r].value).unwrap_or(0)
}

/// A type's size in bytes.
pub fn size(tree: &Tree<'_>, of: usize) -> u64 {
    let die = &tree.dies[of];
    match die.kind {
        Kind::Pointer => tree.sections.object.processor.pointer(),
        Kind::Array => {
            let element = tree.type_of(of).map_or(0, |t| size(tree, t));
            element.saturating_mul(u64::try_from(length(tree, of)).unwrap_or(u64::MAX))
        }
        _ => die.size,
    }
}

/// Whether values of the type belong to an anonymous type of the code: its full name speaks of
/// a closure's environment or of a future's state.
pub fn mentions_environment(full_name: &str) -> bool {
    full_name.contains(ENVIRONMENT)
}

/// Whether the full name is that of an environment itself.
pub fn is_environment(full_name: &str) -> bool {
    let (_, last) = scope_and_name(full_name);
    let own = last.split('<').next().unwrap_or(last);
    own.starts_with('{') && mentions_environment(own)
}

/// What a type stands in, and its own name with its arguments: `a::f` and `{closure_env#0}<b::C>`.
pub fn scope_and_name(full_name: &str) -> (&str, &str) {
    let mut depth = 0u32;
    let mut found = None;
    let mut before = 0;
    for (at, byte) in full_name.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            // The arrow of a function's type is not the end of anything.
            b'>' if before == b'-' => {}
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b':' if before == b':' && depth == 0 => found = Some(at),
            _ => {}
        }
        before = byte;
    }
    found.map_or(("", full_name), |at| (&full_name[..at - 1], &full_name[at + 1..]))
}

/// The text of a type's full name.
pub fn text(tree: &Tree<'_>, of: Option<usize>) -> String {
    let Some(index) = of else { return "()".to_owned() };
    let die = &tree.dies[index];
    let name = String::from_utf8_lossy(die.name);
    match die.kind {
        Kind::Array => format!("[{}; {}]", text(tree, tree.type_of(index)), length(tree, index)),
        Kind::Pointer if die.name.is_empty() => format!("*{}", text(tree, tree.type_of(index))),
        Kind::Pointer | Kind::Base => name.into_owned(),
        Kind::FunctionType => "fn".to_owned(),
        _ => match tree.dies[die.parent as usize].kind {
            Kind::Unit => name.into_owned(),
            _ => format!("{}::{name}", text(tree, Some(die.parent as usize))),
        },
    }
}

/// A type's name for people: without what only the compiler asks about.
pub fn readable(name: &str) -> String {
    name.replace(", alloc::alloc::Global", "")
}
