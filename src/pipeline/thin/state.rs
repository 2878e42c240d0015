//! Which thin builds there are, and which units must be built to have a consistent set.
//!
//! rustc takes two builds of one crate for two crates. So when a library has a thin build, all
//! its users must have one that was made with it, as long as the capture is the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::pipeline::capture::{FatBuild, Unit};

/// What a thin build leaves in its unit's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The capture that was replayed, by [`Unit::started_ns`].
    pub capture: u64,
    /// Tells this thin build from others of the unit.
    pub run: u64,
    /// False while rustc works and after it failed.
    pub done: bool,
    /// The thin builds that it was made with: a unit's key to a run.
    pub dependencies: BTreeMap<String, u64>,
}

impl State {
    fn file(unit: &Unit) -> PathBuf {
        unit.folder().join("thin.json")
    }

    /// Writes the state down.
    ///
    /// # Errors
    /// A [`Failure`] that names the file.
    pub fn write(&self, unit: &Unit) -> Result<(), Failure> {
        let file = State::file(unit);
        let json = serde_json::to_vec(self).unwrap_or_default();
        std::fs::write(&file, json).map_err(|e| Failure::io("write", &file, &e))
    }

    /// Forgets the state.
    pub fn remove(unit: &Unit) {
        _ = std::fs::remove_file(State::file(unit));
    }

    fn read(unit: &Unit) -> Standing {
        let Ok(json) = std::fs::read(State::file(unit)) else { return Standing::Untouched };
        match serde_json::from_slice::<State>(&json) {
            Ok(state) if state.capture != unit.started_ns => Standing::Untouched,
            Ok(state) if state.done => Standing::Done(state),
            _ => Standing::Broken,
        }
    }
}

/// How a unit's thin build stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is none for this capture.
    Untouched,
    /// The last one failed or was cut off: only another attempt can tell.
    Broken,
    /// There is one.
    Done(State),
}

/// How the units of a program stand, and which of them a build must take.
#[derive(Debug, Clone)]
pub struct Standings {
    /// By unit, in the order of the fat build.
    pub standings: Vec<Standing>,
    /// Whether the unit's dependents use its thin build.
    pub thin: Vec<bool>,
    /// Whether it must be built now.
    pub rebuild: Vec<bool>,
}

impl Standings {
    /// Reads how things stand; nothing is to be built yet.
    pub fn read(fat: &FatBuild) -> Standings {
        Self::settle(fat, fat.units.iter().map(State::read).collect())
    }

    /// A thin build counts only with the thin builds that it was made with.
    fn settle(fat: &FatBuild, mut standings: Vec<Standing>) -> Standings {
        for n in 0..fat.units.len() {
            let current = |key: &String, run: u64| {
                let found = fat.units.iter().position(|u| u.key == *key);
                matches!(found.map(|n| &standings[n]), Some(Standing::Done(s)) if s.run == run)
            };
            if let Standing::Done(state) = &standings[n] {
                let with = |key| state.dependencies.get(key).is_some_and(|run| current(key, *run));
                if !fat.units[n].dependencies.iter().all(with) {
                    standings[n] = Standing::Broken;
                }
            }
        }
        let thin = standings.iter().map(|s| matches!(s, Standing::Done(_))).collect();
        let rebuild = vec![false; standings.len()];
        Standings { standings, thin, rebuild }
    }

    /// Chooses the units to build: the wanted ones, those whose last attempt failed, and what
    /// depends on these.
    pub fn choose(&mut self, fat: &FatBuild, wanted: impl Fn(&Unit, &Standing) -> bool) {
        for (n, unit) in fat.units.iter().enumerate() {
            let position = |key: &String| fat.units.iter().position(|u| u.key == *key);
            let dependencies: Vec<usize> = unit.dependencies.iter().filter_map(position).collect();
            let any = |of: &[bool]| dependencies.iter().any(|d| of[*d]);
            let asked = wanted(unit, &self.standings[n]) || self.standings[n] == Standing::Broken;
            self.thin[n] = self.thin[n] || asked || any(&self.thin);
            let done = matches!(self.standings[n], Standing::Done(_));
            self.rebuild[n] = asked || any(&self.rebuild) || (self.thin[n] && !done);
        }
    }

    /// The run of a finished thin build.
    pub fn run(&self, n: usize) -> Option<u64> {
        match &self.standings[n] {
            Standing::Done(state) => Some(state.run),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::thin::tests::fat;

    fn done(run: u64, with: &[(&str, u64)]) -> Standing {
        let dependencies = with.iter().map(|(k, r)| (k.to_string(), *r)).collect();
        Standing::Done(State { capture: 0, run, done: true, dependencies })
    }

    /// `a` <- `b` <- `root`, `c` <- `root`.
    fn rebuilt(standings: [Standing; 4], wanted: &str) -> String {
        let fat = fat(&[("a", &[]), ("b", &["a"]), ("c", &[]), ("root", &["b", "c"])]);
        let mut standings = Standings::settle(&fat, standings.to_vec());
        standings.choose(&fat, |u, _| wanted.split(' ').any(|w| w == u.key));
        let chosen = fat.units.iter().zip(&standings.rebuild).filter(|(_, r)| **r);
        chosen.map(|(u, _)| u.key.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_built_fits_together() {
        use Standing::{Broken, Untouched};
        let none = || [Untouched, Untouched, Untouched, Untouched];
        let all =
            || [done(1, &[]), done(2, &[("a", 1)]), done(3, &[]), done(4, &[("b", 2), ("c", 3)])];
        let with = |n: usize, standing: Standing| {
            let mut changed = all();
            changed[n] = standing;
            changed
        };
        let table = [
            ("only the program, which uses the fat libraries", none(), "root", "root"),
            ("a library and all that use it", none(), "b", "b root"),
            ("the lowest library", none(), "a", "a b root"),
            ("nothing", all(), "", ""),
            ("the program with thin libraries", all(), "root", "root"),
            ("a library that failed is tried again", with(0, Broken), "root", "a b root"),
            ("a user that failed is tried again", with(1, Broken), "root", "b root"),
            ("a user of an older build", with(1, done(2, &[("a", 0)])), "root", "b root"),
            ("a library built by itself", with(0, done(7, &[])), "root", "b root"),
            ("a library captured anew", with(2, Untouched), "root", "root"),
        ];
        for (name, standings, wanted, chosen) in table {
            assert_eq!(rebuilt(standings, wanted), chosen, "{name}");
        }
    }
}
