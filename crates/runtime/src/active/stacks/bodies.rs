//! Which code was replaced: all versions of every function that patches have changed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One version of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The function's entry, which all of its versions share.
    pub entry: usize,
    /// Its name, as the newest patch has it.
    pub name: Arc<str>,
    /// Its code.
    pub code: Range<usize>,
}

/// All versions that ever ran.
#[derive(Debug, Default)]
pub struct Bodies(HashMap<usize, Versions>);

#[derive(Debug)]
struct Versions {
    old: Vec<Range<usize>>,
    newest: Range<usize>,
}

impl Bodies {
    /// Notes that the function at `first` runs in `newest` from now on.
    pub fn replaced(&mut self, first: Range<usize>, newest: Range<usize>) {
        match self.0.get_mut(&first.start) {
            Some(versions) => {
                let before = std::mem::replace(&mut versions.newest, newest);
                versions.old.push(before);
            }
            None => {
                self.0.insert(first.start, Versions { old: vec![first], newest });
            }
        }
    }

    /// All versions of the function whose first one is this.
    pub fn all(&self, first: Range<usize>, name: &Arc<str>) -> Vec<Body> {
        let entry = first.start;
        let body = |code: Range<usize>| Body { entry, name: name.clone(), code };
        match self.0.get(&entry) {
            Some(known) => known.old.iter().chain([&known.newest]).cloned().map(body).collect(),
            None => vec![body(first)],
        }
    }

    /// All versions of the function with this entry but the newest one.
    pub fn old<'a>(&'a self, entry: usize, name: &'a Arc<str>) -> impl Iterator<Item = Body> + 'a {
        let old = self.0.get(&entry).into_iter().flat_map(|versions| &versions.old);
        old.map(move |code| Body { entry, name: name.clone(), code: code.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_but_the_newest_is_old() {
        let mut bodies = Bodies::default();
        bodies.replaced(0x1000..0x1020, 0x5000..0x5030);
        bodies.replaced(0x1000..0x1020, 0x6000..0x6030);
        assert_eq!(bodies.all(0x1000..0x1020, &"f".into()).len(), 3);
        assert_eq!(bodies.all(0x3000..0x3020, &"h".into()).len(), 1);
        let old: Vec<_> = bodies.old(0x1000, &"f".into()).map(|body| body.code).collect();
        assert_eq!(old, [0x1000..0x1020, 0x5000..0x5030]);
        assert_eq!(bodies.old(0x2000, &"g".into()).count(), 0);
    }
}
