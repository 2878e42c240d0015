//! Programs whose functions cannot be redirected at their entries (Apple's systems do not let code
//! be overwritten): there new code is reached by calls that ask a table. So everything that refers
//! to what changes comes along, up to such a call, and refers to the new code directly.

use std::collections::BTreeMap;

use super::Image;
use super::guest::ANCHOR;
use crate::error::Failure;
use crate::pipeline::relink::compare::{Changes, Piece};
use crate::pipeline::relink::objects::UnitChange;
use crate::pipeline::relink::reach::Referrers;

impl Image {
    /// Makes everything that refers to a change a change as well, where entries stay as they are.
    /// `off` is why types could not be compared, where they could not.
    ///
    /// # Errors
    /// A refusal where nothing tells how large the program's statics are; where an object cannot be
    /// read.
    pub(super) fn pull_in(
        &self,
        changes: &mut Changes,
        units: &[UnitChange],
        off: Option<&str>,
    ) -> anyhow::Result<()> {
        let nothing = changes.functions.is_empty() && changes.data.is_empty();
        if self.program.format.has_detours() || nothing {
            return Ok(());
        }
        if let Some(why) = off {
            let message = format!(
                "this change cannot be patched in: types were not compared ({why}), and the symbols \
                 of a Mach-O program do not tell sizes"
            );
            let hint = "set `debug = \"full\"` in the profile, or restart the program to run it";
            return Err(Failure::refused(message).hint(hint).into());
        }
        let mut objects = Vec::new();
        for (key, before) in self.objects.units() {
            let now = units.iter().find(|unit| unit.key == key).map(|unit| &unit.objects);
            for stored in now.unwrap_or(&before).values() {
                objects.push(stored.object()?);
            }
        }
        let mut reached =
            Referrers::of(&objects).reach(changes.functions.keys().chain(changes.data.keys()));
        // The system calls `main`, by no table.
        reached.functions.remove(ANCHOR);
        for (name, piece) in reached.functions {
            changes.functions.entry(name).or_insert(piece);
        }
        for (name, piece) in reached.data {
            changes.data.entry(name).or_insert(piece);
        }
        Ok(())
    }

    /// What a patch must not take from the image although that has it under the same name.
    pub(super) fn not_taken(&self, changes: &Changes) -> BTreeMap<String, Piece> {
        let mut own = changes.data.clone();
        if !self.program.format.has_detours() {
            own.extend(changes.functions.iter().map(|(name, piece)| (name.clone(), piece.clone())));
        }
        own
    }
}
