//! Whether and where the entries of replaced functions can be overwritten.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;

use super::collect::{Collected, Obstacle};
use super::compare::Changes;
use super::image::refusal;
use super::manifest::Redirect;
use super::names;
use super::resolve::Registry;
use crate::target::binary::{Content, Program};

/// A function that a patch redirects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Its symbol name.
    pub name: String,
    /// Where its entries are: image and static address.
    pub entries: Vec<(u32, u64)>,
}

/// What is known of the entries of an image.
pub struct Entries<'a> {
    /// The program.
    pub program: &'a Program,
    /// What patches added.
    pub registry: &'a Registry,
    /// The functions of patches that cannot be redirected, and why.
    pub hazards: &'a HashMap<String, &'static str>,
    /// What changes.
    pub changes: &'a Changes,
}

impl Entries<'_> {
    /// What to redirect where.
    ///
    /// # Errors
    /// A refusal that names every function whose entry cannot be overwritten.
    pub fn redirects(
        &self,
        replaced: &[Replaced],
        collected: &Collected,
    ) -> anyhow::Result<Vec<Redirect>> {
        let mut redirects = Vec::new();
        let mut obstacles = Vec::new();
        let home: HashMap<_, _> = collected
            .copied
            .iter()
            .map(|(p, at)| ((Arc::as_ptr(&p.object), p.section), *at))
            .collect();
        for (number, function) in replaced.iter().enumerate() {
            let piece =
                self.changes.functions.get(&function.name).context("a function was lost")?;
            let key = (Arc::as_ptr(&piece.object), piece.section);
            let section = *home.get(&key).context("a replaced function was not copied")?;
            for &(image, address) in &function.entries {
                match self.room(&function.name, image, address) {
                    Ok(room) => {
                        let function = number;
                        redirects.push(Redirect { image, address, room, section, function });
                    }
                    Err(reason) => {
                        obstacles.push(Obstacle { item: names::readable(&function.name), reason })
                    }
                }
            }
        }
        if obstacles.is_empty() { Ok(redirects) } else { Err(refusal(&obstacles).into()) }
    }

    /// How many bytes may be overwritten at an entry, or why none may.
    fn room(&self, name: &str, image: u32, address: u64) -> Result<u64, String> {
        let existing = self.registry.get(name).filter(|e| e.image == image);
        if let Some(existing) = existing {
            return match self.hazards.get(name) {
                Some(hazard) => Err((*hazard).to_owned()),
                None => Ok(room_in_patch(existing.size)),
            };
        }
        let room = self.program.room(address);
        let size = self
            .program
            .definitions(name)
            .iter()
            .find(|d| d.address == address)
            .map_or(room, |d| d.size);
        let processor = self.program.processor;
        let overwritten = self.program.format.has_detours();
        let hazard = processor.entry_hazard(self.program.code(address, size), room);
        if let Some(hazard) = hazard.filter(|_| overwritten) {
            return Err(hazard.to_owned());
        }
        let shared = self.program.functions_at(address);
        let other = shared.iter().find(|n| !self.changes.functions.contains_key(**n));
        match other {
            Some(other) => Err(format!(
                "the linker folded it with `{}`, which does not change",
                names::readable(other)
            )),
            None => Ok(room),
        }
    }
}

/// Functions of patches are 16-aligned with nothing between them.
fn room_in_patch(size: u64) -> u64 {
    size.max(1).next_multiple_of(16)
}

/// The new functions that a later patch could not redirect, and why.
pub fn hazards(collected: &Collected) -> HashMap<String, &'static str> {
    let mut hazards = HashMap::new();
    let processor = collected.draft.processor;
    for added in &collected.added {
        let section = &collected.draft.sections[added.section];
        if section.content == Content::Code
            && let Some(hazard) = processor.entry_hazard(&section.data, room_in_patch(added.size))
        {
            hazards.insert(added.name.clone(), hazard);
        }
    }
    hazards
}
