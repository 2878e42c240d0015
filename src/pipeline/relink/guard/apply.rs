//! What a patch makes of the verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Guard, Verdict};
use crate::pipeline::relink::compare::Changes;
use crate::pipeline::relink::image::refusal;
use crate::pipeline::relink::names;
use crate::pipeline::relink::objects::{UnitChange, unchanged};
use crate::target::binary::ObjectFile;

impl Guard {
    /// Refuses what the program's values forbid, unless such changes are allowed, and makes
    /// functions that are new ones count as such.
    ///
    /// # Errors
    /// A refusal that names every type, method table and static.
    pub fn apply(
        &self,
        changes: &mut Changes,
        units: &[UnitChange],
        allow: bool,
    ) -> anyhow::Result<Verdict> {
        let all = |side: fn(&UnitChange) -> &Vec<Arc<ObjectFile>>| -> Vec<Arc<ObjectFile>> {
            units.iter().flat_map(side).cloned().collect()
        };
        let new = all(|unit| &unit.new);
        let unchanged = || unchanged(units.iter().map(|unit| &unit.objects), &new);
        let mut verdict = self.check(&all(|unit| &unit.old), &new, &unchanged)?;
        if !verdict.refused.is_empty() && !allow {
            let hint = "restart the program to run it, or give --allow-layout-change where no value \
                        of the old layout is left";
            return Err(refusal(&verdict.refused).hint(hint).into());
        }
        let allowed =
            verdict.refused.iter().map(|o| format!("allowed: `{}`: {}", o.item, o.reason));
        let off = verdict.off.iter().map(|why| format!("types were not compared: {why}"));
        verdict.notes = allowed.chain(off).chain(verdict.notes.iter().cloned()).collect();
        changes.detach(&verdict.detached, &new);
        Ok(verdict)
    }
}

impl Verdict {
    /// A note for each detached function of the workspace of which the image still has only the
    /// outdated version, since no code calls the new one.
    pub fn unreached(&self, outdated: &BTreeSet<String>) -> Vec<String> {
        self.detached
            .intersection(outdated)
            .map(|name| names::readable(name))
            .filter(|name| !names::is_of_toolchain(name))
            .map(|name| {
                format!(
                    "`{name}` is a new function now (other parameters or captures), and \
                    nothing that runs calls it yet"
                )
            })
            .collect()
    }
}
