//! Statics of one name, which a macro makes at each use in a function. They are numbered in the
//! order of the source: with one more or less, a number says nothing any more.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::objects::{UnitChange, variables};

/// The statics of a crate of which nobody can tell which was which.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MixedUp<'a> {
    /// Their readable names, and how many of each there are now.
    pub counts: BTreeMap<String, usize>,
    /// Those symbols that were there before.
    pub symbols: Vec<&'a str>,
}

impl<'a> MixedUp<'a> {
    /// Compares the objects of a crate that differ.
    pub fn of(unit: &'a UnitChange) -> Self {
        MixedUp::among(&variables(&unit.old), &variables(&unit.new))
    }

    fn among(old: &BTreeSet<&str>, new: &BTreeSet<&'a str>) -> Self {
        if old == new {
            return MixedUp::default();
        }
        let (was, mut counts) = (count(old), count(new));
        counts.retain(|name, count| {
            let before = was.get(name).copied().unwrap_or_default();
            before > 0 && before != *count && !names::is_in_a_constant(name)
        });
        let kept = new.iter().copied().filter(|name| old.contains(name));
        let symbols = kept.filter(|name| counts.contains_key(&names::readable(name))).collect();
        MixedUp { counts, symbols }
    }
}

fn count(symbols: &BTreeSet<&str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in symbols {
        *counts.entry(names::readable(name)).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "_ZN3app3job5VALUE17h0000000000000001E";
    const TWO: &str = "_ZN3app3job5VALUE17h0000000000000002E";
    const OTHER: &str = "_ZN3app4list5VALUE17h0000000000000003E";
    const CONSTANT: [&str; 2] =
        ["_ZN3app1_5VALUE17h0000000000000001E", "_ZN3app1_5VALUE17h0000000000000002E"];

    #[test]
    fn only_where_their_number_changes_are_statics_of_one_name_mixed_up() {
        let mixed_up = |old: &[&str], new: &[&'static str]| {
            let (old, new) = (old.iter().copied().collect(), new.iter().copied().collect());
            MixedUp::among(&old, &new).symbols
        };
        assert_eq!(mixed_up(&[ONE], &[ONE, TWO]), [ONE]);
        assert_eq!(mixed_up(&[ONE, TWO, OTHER], &[ONE, OTHER]), [ONE]);
        for (old, new) in [
            (&[ONE, TWO][..], &[ONE, TWO, OTHER][..]),
            (&[OTHER], &[ONE, TWO, OTHER]),
            (&[ONE, OTHER], &[OTHER]),
            // Another type gives it another symbol.
            (&[ONE], &[TWO]),
            (&CONSTANT[..1], &CONSTANT),
        ] {
            assert_eq!(mixed_up(old, new), [""; 0], "{old:?} {new:?}");
        }
    }
}
