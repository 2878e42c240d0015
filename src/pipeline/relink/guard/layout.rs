//! How a type's values are laid out, and how two layouts of one name differ.

use std::hash::{Hash, Hasher};

use super::hashing::Quick;
use super::naming::{self, NameId, Names};
use super::tree::{Kind, Tree};

/// A layout, in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The size in bytes.
    pub size: u64,
    /// The alignment in bytes.
    pub align: u32,
    /// The field that tells the variants apart: its type and offset.
    pub tag: Option<(String, i64)>,
    /// The fields that are always there.
    pub fields: Vec<Field>,
    /// The variants.
    pub variants: Vec<Variant>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; a number in tuples.
    pub name: String,
    /// The full name of its type.
    pub type_name: String,
    /// Its offset in bytes.
    pub offset: i64,
    /// The named type that it holds by value, itself or as an array's elements.
    pub holds: NameId,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What the tag says for it; none for the one that all other values of the tag mean.
    pub discriminant: Option<i64>,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A hash of the layout of a struct, union or enum: equal if nothing differs.
pub fn fingerprint(tree: &Tree<'_>, names: &Names, of: usize) -> u64 {
    let die = &tree.dies[of];
    let mut hasher = Quick::default();
    (die.kind, die.size, die.align, names.id_of_type(tree, of)).hash(&mut hasher);
    parts(tree, names, of).hash(&mut hasher);
    hasher.finish()
}

/// The sum of the parts' hashes: the order in which they are described does not count.
fn parts(tree: &Tree<'_>, names: &Names, of: usize) -> u64 {
    let mut sum = 0_u64;
    for child in tree.children(of) {
        let die = &tree.dies[child];
        let mut hasher = Quick::default();
        match die.kind {
            Kind::Member => {
                let Some(type_) = sized(tree, child) else { continue };
                (die.name, die.value, names.id(type_)).hash(&mut hasher);
            }
            Kind::Enumerator => (die.name, die.value).hash(&mut hasher),
            Kind::VariantPart => parts(tree, names, child).hash(&mut hasher),
            Kind::Variant => {
                (die.value, variant_name(tree, child)).hash(&mut hasher);
                parts(tree, names, child).hash(&mut hasher);
                if let Some(body) = variant_body(tree, child) {
                    parts(tree, names, body).hash(&mut hasher);
                }
            }
            _ => continue,
        }
        (die.kind as u8).hash(&mut hasher);
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}

/// The type of a field that takes room: one without size can come and go.
fn sized(tree: &Tree<'_>, member: usize) -> Option<usize> {
    let type_ = tree.type_of(member)?;
    let variant = tree.dies[tree.dies[member].parent as usize].kind == Kind::Variant;
    (!variant && naming::size(tree, type_) > 0).then_some(type_)
}

fn variant_member(tree: &Tree<'_>, variant: usize) -> Option<usize> {
    tree.children(variant).find(|&c| tree.dies[c].kind == Kind::Member)
}

fn variant_name<'a>(tree: &Tree<'a>, variant: usize) -> &'a [u8] {
    let member = variant_member(tree, variant);
    let named = member.map_or(&[][..], |m| tree.dies[m].name);
    // A coroutine's states are members `0`, `1`, …, the types of which have the names.
    match variant_body(tree, variant) {
        Some(body) if named.first().is_some_and(u8::is_ascii_digit) => tree.dies[body].name,
        _ => named,
    }
}

/// The struct that holds a variant's fields.
fn variant_body(tree: &Tree<'_>, variant: usize) -> Option<usize> {
    tree.type_of(variant_member(tree, variant)?)
}

/// Whether this struct only holds a variant's fields: it belongs to the enum around it.
pub fn is_variant_body(tree: &Tree<'_>, of: usize) -> bool {
    let parent = tree.dies[of].parent as usize;
    matches!(tree.dies[parent].kind, Kind::Struct | Kind::Union)
}

/// The layout of a struct, union or enum.
pub fn layout(tree: &Tree<'_>, names: &Names, of: usize) -> Layout {
    let die = &tree.dies[of];
    let mut layout = Layout {
        size: die.size,
        align: die.align,
        tag: None,
        fields: fields(tree, names, of),
        variants: Vec::new(),
    };
    if die.kind == Kind::Enumeration {
        layout.tag = Some((naming::text(tree, tree.type_of(of)), 0));
    }
    for child in tree.children(of) {
        let die = &tree.dies[child];
        match die.kind {
            Kind::Enumerator => layout.variants.push(Variant {
                name: String::from_utf8_lossy(die.name).into_owned(),
                discriminant: die.value,
                fields: Vec::new(),
            }),
            Kind::VariantPart => variant_part(tree, names, child, &mut layout),
            _ => {}
        }
    }
    layout
}

fn variant_part(tree: &Tree<'_>, names: &Names, part: usize, layout: &mut Layout) {
    for child in tree.children(part) {
        let die = &tree.dies[child];
        match die.kind {
            Kind::Member => {
                let type_name = naming::text(tree, tree.type_of(child));
                layout.tag = Some((type_name, die.value.unwrap_or(0)));
            }
            Kind::Variant => layout.variants.push(Variant {
                name: String::from_utf8_lossy(variant_name(tree, child)).into_owned(),
                discriminant: die.value,
                fields: variant_body(tree, child)
                    .map_or_else(Vec::new, |body| fields(tree, names, body)),
            }),
            _ => {}
        }
    }
}

fn fields(tree: &Tree<'_>, names: &Names, of: usize) -> Vec<Field> {
    let members = tree.children(of).filter(|&c| tree.dies[c].kind == Kind::Member);
    let sized = members.filter_map(|member| Some((member, sized(tree, member)?)));
    let mut fields: Vec<Field> = sized
        .map(|(member, type_)| {
            let die = &tree.dies[member];
            let name = String::from_utf8_lossy(die.name);
            let mut held = type_;
            while let (Kind::Array, Some(element)) = (tree.dies[held].kind, tree.type_of(held)) {
                held = element;
            }
            Field {
                name: name.strip_prefix("__").unwrap_or(&name).to_owned(),
                type_name: naming::text(tree, Some(type_)),
                offset: die.value.unwrap_or(0),
                holds: names.id(held),
            }
        })
        .collect();
    fields.sort_by_key(|f| f.offset);
    fields
}
