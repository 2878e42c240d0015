//! What differs between two layouts of one type, in words.

use super::layout::{Field, Layout, Variant};
use super::naming::{NameId, readable};

/// How two layouts differ.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the type's own definition changed: fields and variants that came, went or have
    /// another type.
    pub own: Vec<String>,
    /// What also follows where the layout of a field's type changed: sizes, offsets, the
    /// encoding of variants.
    pub derived: Vec<String>,
    /// Fields with another type: name, old and new type.
    pub retyped: Vec<(String, String, String)>,
    /// Fields and variants that only have another name now: old and new.
    pub renamed: Vec<(String, String)>,
    /// The named types whose values stand inside this type's.
    pub holds: Vec<NameId>,
    size: (u64, u64),
}

/// How many differences a message lists.
const LISTED: usize = 4;

impl Difference {
    /// Compares the layouts of a type.
    pub fn between(old: &Layout, new: &Layout) -> Self {
        let mut found = Difference { size: (old.size, new.size), ..Difference::default() };
        if old.align != new.align && old.align != 0 && new.align != 0 {
            let text = format!("its alignment changes from {} to {}", old.align, new.align);
            found.derived.push(text);
        }
        found.fields("", &old.fields, &new.fields);
        found.tag(old, new);
        found.variants(&old.variants, &new.variants);
        let variants = new.variants.iter().flat_map(|v| &v.fields);
        found.holds = new.fields.iter().chain(variants).map(|f| f.holds).collect();
        found
    }

    /// Whether values of the old layout are also values of the new one.
    pub fn is_harmless(&self) -> bool {
        self.own.is_empty() && self.derived.is_empty() && self.size.0 == self.size.1
    }

    /// The difference in words.
    pub fn text(&self) -> String {
        // What follows from the rest need not be said.
        let all = if self.own.is_empty() { &self.derived } else { &self.own };
        let mut text = all[..all.len().min(LISTED)].join(", ");
        if all.len() > LISTED {
            text.push_str(&format!(", and {} more", all.len() - LISTED));
        }
        let (old, new) = self.size;
        let size = match old.cmp(&new) {
            std::cmp::Ordering::Less => format!("grows from {old} to {new} bytes"),
            std::cmp::Ordering::Greater => format!("shrinks from {old} to {new} bytes"),
            std::cmp::Ordering::Equal => String::new(),
        };
        match (size.is_empty(), text.is_empty()) {
            (true, _) => text,
            (false, true) => size,
            (false, false) => format!("{size}: {text}"),
        }
    }

    fn fields(&mut self, context: &str, old: &[Field], new: &[Field]) {
        let renamed = renamed(old, new);
        for field in new.iter().filter(|f| !renamed.iter().any(|(_, n)| *n == *f)) {
            match old.iter().find(|o| o.name == field.name) {
                None => self.own.push(format!(
                    "{context}new field `{}: {}` at offset {}",
                    field.name,
                    readable(&field.type_name),
                    field.offset
                )),
                Some(before) => self.field(context, before, field),
            }
        }
        for field in old.iter().filter(|f| !renamed.iter().any(|(o, _)| *o == *f)) {
            if !new.iter().any(|n| n.name == field.name) {
                self.own.push(format!(
                    "{context}field `{}: {}` is gone",
                    field.name,
                    readable(&field.type_name)
                ));
            }
        }
        for (old, new) in renamed {
            self.renamed.push((old.name.clone(), new.name.clone()));
        }
    }

    fn field(&mut self, context: &str, old: &Field, new: &Field) {
        if old.type_name != new.type_name {
            let retyped = (new.name.clone(), old.type_name.clone(), new.type_name.clone());
            self.retyped.push(retyped);
            self.own.push(format!(
                "{context}field `{}` changes its type from `{}` to `{}`",
                new.name,
                readable(&old.type_name),
                readable(&new.type_name)
            ));
        } else if old.offset != new.offset {
            self.derived.push(format!(
                "{context}field `{}` moves from offset {} to {}",
                new.name, old.offset, new.offset
            ));
        }
    }

    fn tag(&mut self, old: &Layout, new: &Layout) {
        if old.tag == new.tag {
            return;
        }
        let text = |layout: &Layout| match &layout.tag {
            Some((type_name, offset)) => format!("`{}` at offset {offset}", readable(type_name)),
            None => "none".to_owned(),
        };
        self.derived.push(format!("the tag changes from {} to {}", text(old), text(new)));
    }

    fn variants(&mut self, old: &[Variant], new: &[Variant]) {
        for variant in new {
            if let Some(before) = old.iter().find(|o| o.name == variant.name) {
                if before.discriminant != variant.discriminant {
                    self.derived.push(format!(
                        "the discriminant of `{}` changes from {} to {}",
                        variant.name,
                        discriminant(before),
                        discriminant(variant)
                    ));
                }
                let context = format!("variant `{}`: ", variant.name);
                self.fields(&context, &before.fields, &variant.fields);
                continue;
            }
            let same = |o: &&Variant| {
                !new.iter().any(|n| n.name == o.name)
                    && o.discriminant == variant.discriminant
                    && o.fields == variant.fields
            };
            match old.iter().find(same) {
                Some(before) => self.renamed.push((before.name.clone(), variant.name.clone())),
                None => self.own.push(format!("new variant `{}`", variant.name)),
            }
        }
        for variant in old {
            let known = new.iter().any(|n| n.name == variant.name)
                || self.renamed.iter().any(|(before, _)| *before == variant.name);
            if !known {
                self.own.push(format!("variant `{}` is gone", variant.name));
            }
        }
    }
}

fn discriminant(variant: &Variant) -> String {
    variant.discriminant.map_or_else(|| "none".to_owned(), |d| d.to_string())
}

/// Fields that kept their type and place and have another name.
fn renamed<'f>(old: &'f [Field], new: &'f [Field]) -> Vec<(&'f Field, &'f Field)> {
    let gone = old.iter().filter(|o| !new.iter().any(|n| n.name == o.name));
    gone.filter_map(|o| {
        let same =
            |n: &&Field| (n.offset, &n.type_name) == (o.offset, &o.type_name) && n.name != o.name;
        let mut found = new.iter().filter(same);
        let first = found.next().filter(|n| !old.iter().any(|o| o.name == n.name))?;
        Some((o, first))
    })
    .collect()
}
