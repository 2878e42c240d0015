//! What an image becomes with each patch that the program took, and was before.

use std::collections::{BTreeSet, HashMap};

use super::{Image, Relinked};
use crate::pipeline::relink::compare::Meanings;
use crate::pipeline::relink::guard::Guard;
use crate::pipeline::relink::objects::{UnitChange, UnitObjects};
use crate::pipeline::relink::resolve::Registry;

/// How many patches can be taken back, the newest one first.
pub const REMEMBERED: usize = 8;

/// What the image was before the newest patch.
#[derive(Debug)]
pub(super) struct Before {
    registry: Registry,
    hazards: HashMap<String, &'static str>,
    gone: Meanings,
    guard: Guard,
    outdated: BTreeSet<String>,
    units: HashMap<String, UnitObjects>,
    patches: u32,
}

impl Image {
    /// Makes a patch part of the image: later patches bind to what it added and are compared
    /// with its objects.
    pub fn accept(&mut self, patch: &Relinked) {
        if self.before.len() == REMEMBERED {
            self.before.pop_front();
        }
        self.before.push_back(Before {
            registry: self.registry.clone(),
            hazards: self.hazards.clone(),
            gone: self.gone.clone(),
            guard: self.guard.clone(),
            outdated: self.outdated.clone(),
            units: self.objects.units(),
            patches: self.patches,
        });
        self.patches = patch.patch;
        self.registry.extend(patch.next_names.iter().map(|(n, e)| (n.clone(), *e)));
        self.hazards.extend(patch.next_hazards.iter().map(|(n, h)| (n.clone(), *h)));
        self.gone.extend(&patch.next_gone);
        self.guard.clone_from(&patch.next_guard);
        self.outdated.clone_from(&patch.next_outdated);
        for (key, objects) in &patch.next_objects {
            self.objects.replace(key.clone(), objects.clone());
        }
    }

    /// Takes the patch that was accepted last out of the image, where the program did not take it or
    /// was ended by it; as many as [`REMEMBERED`] in a row.
    pub fn take_back(&mut self, patch: u32) {
        if self.patches != patch {
            return;
        }
        let Some(before) = self.before.pop_back() else { return };
        self.registry = before.registry;
        self.hazards = before.hazards;
        self.gone = before.gone;
        self.guard = before.guard.with_carriers_of(&self.guard);
        self.outdated = before.outdated;
        self.objects.restore(before.units);
        self.patches = before.patches;
    }

    pub(super) fn adopt(&mut self, units: Vec<UnitChange>) {
        for unit in units {
            self.objects.replace(unit.key, unit.objects);
        }
    }
}
