//! The guard: whether new code can run with the values that the program holds. It compares the
//! types, signatures, method tables and statics of the objects that changed, from their debug
//! information: everything that uses a type's layout is compiled again when that changes.

mod apply;
mod closures;
mod conventions;
mod difference;
mod functions;
mod gone;
mod hashing;
mod layout;
mod naming;
mod notes;
mod sections;
mod side;
mod statics;
mod tables;
mod things;
mod tree;
mod types;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::collect::Obstacle;
use super::names;
use crate::target::binary::program::without_llvm_suffix;
use crate::target::binary::{ObjectFile, SectionKind};
use conventions::Unchanged;
use gone::Gone;
use sections::Sections;
use side::Side;
pub use things::Things;

/// Compares objects, and remembers what earlier comparisons saw go.
#[derive(Debug, Default, Clone)]
pub struct Guard {
    gone: Gone,
    carried: BTreeSet<String>,
}

/// What stands against running the new code with the program's values.
#[derive(Debug, Default, Clone)]
pub struct Verdict {
    /// Types, method tables and statics of which the program can hold values that the new code
    /// would misread.
    pub refused: Vec<Obstacle>,
    /// The symbols of functions that are new ones in spite of their names: what calls the old
    /// ones, or holds values for them, keeps them.
    pub detached: BTreeSet<String>,
    /// Types that changed and whose values the program carries over.
    pub carried: Vec<String>,
    /// What a user should know, one line each.
    pub notes: Vec<String>,
    /// Why types could not be compared, where they could not.
    pub off: Option<String>,
    /// The guard for the next comparison, if the new objects come to run.
    pub next: Guard,
}

impl Guard {
    /// The program carries over the values of these types.
    pub fn carry_over(&mut self, types: impl IntoIterator<Item = String>) {
        self.carried.extend(types);
    }

    /// The same, with what a later one knows of types that are carried over.
    pub fn with_carriers_of(self, later: &Guard) -> Guard {
        Guard { carried: later.carried.clone(), ..self }
    }

    /// Compares what changed: the objects before and after. Of the `unchanged` ones is only asked
    /// whom they call.
    ///
    /// # Errors
    /// Where code cannot be decoded, or an object cannot be read.
    pub fn check(
        &self,
        old: &[Arc<ObjectFile>],
        new: &[Arc<ObjectFile>],
        unchanged: Unchanged<'_>,
    ) -> anyhow::Result<Verdict> {
        let (before, now) = (debug_sections(old), debug_sections(new));
        let (old_side, new_side) = std::thread::scope(|scope| {
            let old_side = scope.spawn(|| Side::read(&before));
            let new_side = Side::read(&now);
            (old_side.join(), new_side)
        });
        let old_side =
            old_side.map_err(|_| anyhow::anyhow!("reading debug information panicked"))?;
        let (old_side, new_side) = match (old_side, new_side) {
            (Ok(old_side), Ok(new_side)) => (old_side, new_side),
            // As with objects that have none: the developer is told with each patch.
            (Err(error), _) | (_, Err(error)) => {
                let off = Some(format!("{error:#}"));
                return Ok(Verdict { off, next: self.clone(), ..Verdict::default() });
            }
        };
        let mut verdict = self.compare(&old_side, &new_side)?;
        if !verdict.detached.is_empty() {
            let (was, is) = (defined_functions(old), defined_functions(new));
            verdict.detached.retain(|name| {
                let known = was.contains(&**name) || self.gone.signatures.contains_key(name);
                known && is.contains(&**name)
            });
        }
        let called_otherwise =
            conventions::changed((old, &old_side), (new, &new_side), unchanged, &verdict.detached)?;
        verdict.notes.extend(called_otherwise.iter().map(|name| convention_note(name)));
        verdict.detached.extend(called_otherwise);
        verdict.off = blind((old, &old_side), (new, &new_side)).then(|| OFF.to_owned());
        Ok(verdict)
    }

    fn compare(&self, old: &Side<'_>, new: &Side<'_>) -> anyhow::Result<Verdict> {
        let mut changed = types::compare(old, new, &self.gone);
        let renumbered = closures::renumbered(old, new)?;
        changed.environments.extend(&renumbered.environments);
        let mut detached = functions::about(new, &changed.environments);
        detached.extend(functions::with_other_signatures(old, new, &self.gone));
        let is_carried = |c: &&types::Culprit| c.instances == 0 && self.carried.contains(&c.name);
        let (carried, left): (Vec<_>, Vec<_>) = changed.culprits.iter().partition(is_carried);
        let mut refused: Vec<Obstacle> = left.into_iter().map(type_obstacle).collect();
        if !carried.is_empty() {
            let held = statics::of_types(old, &changed.layouts);
            refused.extend(held.into_iter().map(held_obstacle));
        }
        let carried = carried.into_iter().map(|culprit| culprit.name.clone()).collect();
        refused.extend(tables::compare(old, new, &changed).iter().map(table_obstacle));
        let mut notes: Vec<String> = changed.renamed.iter().map(rename_note).collect();
        let (made, follow) = notes::causes(&changed.made);
        let told = |function: &&String| !follow.contains(function.as_str());
        notes.extend(renumbered.within.iter().filter(told).map(|f| notes::renumbered(f)));
        notes.extend(made.into_iter().filter_map(|environment| notes::made(old, environment)));
        for changed in statics::compare(old, new, &self.gone) {
            match changed.shared {
                true => refused.push(static_obstacle(&changed)),
                false => notes.push(static_note(&changed)),
            }
        }
        let next = Guard { gone: self.gone.after(old, new), carried: self.carried.clone() };
        Ok(Verdict { refused, detached, carried, notes, off: None, next })
    }
}

const OFF: &str = "the objects have no type information; set `debug = \"full\"` in the profile";

fn debug_sections(objects: &[Arc<ObjectFile>]) -> Vec<Sections<'_>> {
    objects.iter().filter_map(|o| Sections::of(o)).collect()
}

/// The names of the functions that objects define.
fn defined_functions(objects: &[Arc<ObjectFile>]) -> HashSet<&str> {
    let mut found = HashSet::new();
    for object in objects {
        for section in object.sections.iter().filter(|s| s.kind == SectionKind::Text) {
            let symbols = section.symbols.iter().filter_map(|&s| object.symbols.get(s));
            found.extend(symbols.map(|s| without_llvm_suffix(&s.name)));
        }
    }
    found
}

/// Functions as short as this can do without any type.
const SHORT: u64 = 64;

/// Whether objects with code do not tell of any type.
fn blind(old: (&[Arc<ObjectFile>], &Side<'_>), new: (&[Arc<ObjectFile>], &Side<'_>)) -> bool {
    let longest_function = |object: &Arc<ObjectFile>| {
        let code = object.sections.iter().filter(|s| s.kind == SectionKind::Text);
        code.filter(|s| !s.symbols.is_empty()).map(|s| s.size).max()
    };
    [old, new].into_iter().any(|(objects, side)| {
        let described = |o: &Arc<ObjectFile>| {
            side.trees.iter().any(|t| std::ptr::eq(t.sections.object, Arc::as_ptr(o)))
        };
        let undescribed = |o: &Arc<ObjectFile>| longest_function(o).is_some() && !described(o);
        let long = objects.iter().any(|o| longest_function(o).is_some_and(|size| size > SHORT));
        objects.iter().any(undescribed) || long && !side.trees.iter().any(tree::Tree::has_types)
    })
}

fn type_obstacle(culprit: &types::Culprit) -> Obstacle {
    let mut reason = format!("{}; the program may hold values of the old layout", culprit.text);
    reason.push_str(&match culprit.instances {
        0 => String::new(),
        1 => " and of another instance".to_owned(),
        n => format!(" and of {n} other instances"),
    });
    reason.push_str(&match culprit.containers {
        0 => String::new(),
        1 => " and of a type that contains it".to_owned(),
        n => format!(" and of {n} types that contain it"),
    });
    Obstacle { item: culprit.name.clone(), reason }
}

fn table_obstacle(table: &tables::ChangedTable) -> Obstacle {
    let reason =
        format!("its method table changes ({}); objects that exist hold the old table", table.text);
    Obstacle { item: table.item.clone(), reason }
}

fn static_obstacle(changed: &statics::RetypedStatic) -> Obstacle {
    let statics::RetypedStatic { name, old, new, .. } = changed;
    let reason = format!(
        "the static changes its type from `{old}` to `{new}`; the program holds a value of `{old}`"
    );
    Obstacle { item: name.clone(), reason }
}

fn held_obstacle((name, kind): (String, String)) -> Obstacle {
    let reason = format!(
        "the static holds a value that is to be carried over (`{kind}`) and not a pointer to it, such \
        as a `Box`: there is no room for the new layout"
    );
    Obstacle { item: name, reason }
}

fn static_note(changed: &statics::RetypedStatic) -> String {
    let statics::RetypedStatic { name, old, new, .. } = changed;
    format!(
        "the static `{name}` changes its type from `{old}` to `{new}`: new code starts with its \
        initial value"
    )
}

fn convention_note(symbol: &str) -> String {
    format!(
        "`{}` takes its arguments or gives its result in another way now: who was made to call the \
        old one keeps it",
        names::readable(symbol)
    )
}

fn rename_note(renamed: &types::Renamed) -> String {
    let types::Renamed { name, old, new } = renamed;
    format!("`{old}` of `{name}` is called `{new}` now; values that exist keep what is in it")
}
