//! Planning a switch, so that nothing can fail once entries are closed, and carrying it out.

use std::collections::HashMap;
use std::collections::hash_map;

use hotpatch_protocol::message::RefusalKind;

use super::forks;
use super::islands::{Island, Islands};
use super::watch::{self, Cost, Switch};
use crate::active::arch::{GATE, JUMP_SIZE, can_be_closed, jump, may_have_breakpoint};
use crate::active::images::Redirect;
use crate::active::patch::{Refusal, refuse};
use crate::active::sys::code::Access;
use crate::active::sys::raw;

struct Detour {
    island: Island,
    /// Where the island leads, once the entry jumps to it.
    target: Option<usize>,
}

/// All detours of the process, by the address of the entry.
#[derive(Default)]
pub struct Switcher {
    islands: Islands,
    detours: HashMap<usize, Detour>,
}

/// A switch that only has to be carried out.
#[derive(Default)]
pub struct Plan {
    /// Islands to which entries jump already.
    known: Vec<Lead>,
    /// Entries to overwrite, in ascending order.
    entries: Vec<usize>,
    /// What to write there, in the same order.
    jumps: Vec<Jump>,
    /// From all entries to their new functions.
    targets: Vec<(usize, usize)>,
}

struct Lead {
    island: Island,
    before: usize,
    after: usize,
}

struct Jump {
    island: Island,
    target: usize,
    before: [u8; JUMP_SIZE],
    after: [u8; JUMP_SIZE],
}

impl Switcher {
    /// Finds out all that the switch needs; changes nothing that runs.
    ///
    /// # Errors
    /// Where an entry cannot be redirected.
    pub fn plan(&mut self, redirects: &[Redirect]) -> Result<Plan, Refusal> {
        let mut sorted: Vec<Redirect> = redirects.to_vec();
        sorted.sort_by_key(|r| r.old);
        check(&sorted)?;
        let mut plan = Plan::default();
        for (done, redirect) in sorted.iter().enumerate() {
            let detour = match self.detours.entry(redirect.old) {
                hash_map::Entry::Occupied(known) => known.into_mut(),
                hash_map::Entry::Vacant(new) => {
                    let island = self.islands.near(redirect.old, sorted.len() - done - 1);
                    let island = island.map_err(|e| refuse(RefusalKind::CodeNotWritable, e))?;
                    new.insert(Detour { island, target: None })
                }
            };
            plan.add(detour, redirect)?;
        }
        Ok(plan)
    }

    /// Notes that a plan was carried out.
    pub fn done(&mut self, plan: &Plan) {
        for (entry, target) in &plan.targets {
            if let Some(detour) = self.detours.get_mut(entry) {
                detour.target = Some(*target);
            }
        }
    }
}

/// Every entry has room for a jump and can be closed, and none reaches into another.
fn check(sorted: &[Redirect]) -> Result<(), Refusal> {
    let not_writable = |text: String| Err(refuse(RefusalKind::CodeNotWritable, text));
    for redirect in sorted {
        if redirect.size < JUMP_SIZE as u64 {
            return not_writable(format!(
                "the function at {:#x} has {} bytes, too few for a jump",
                redirect.old, redirect.size
            ));
        }
        if !can_be_closed(redirect.old) {
            return not_writable(format!(
                "the function at {:#x} begins at the end of a word",
                redirect.old
            ));
        }
    }
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if second.old - first.old < JUMP_SIZE {
            let text = format!(
                "two functions are to be replaced which share code, at {:#x} and {:#x}",
                first.old, second.old
            );
            return Err(refuse(RefusalKind::Malformed, text));
        }
    }
    Ok(())
}

impl Plan {
    fn add(&mut self, detour: &Detour, redirect: &Redirect) -> Result<(), Refusal> {
        let island = detour.island;
        self.targets.push((redirect.old, redirect.new));
        if let Some(before) = detour.target {
            self.known.push(Lead { island, before, after: redirect.new });
            return Ok(());
        }
        let after = jump(redirect.old, island.code)
            .ok_or_else(|| refuse(RefusalKind::CodeNotWritable, "an island is out of reach"))?;
        // SAFETY: the caller has seen that these bytes are code of a loaded image.
        let before = unsafe { (redirect.old as *const [u8; JUMP_SIZE]).read() };
        if may_have_breakpoint(&before)
            && redirect.image.original(redirect.old).is_some_and(|original| original != before)
        {
            // The debugger would put its own idea of the old bytes back one day.
            let text = format!(
                "a debugger has a breakpoint in the first bytes of the function at {:#x}",
                redirect.old
            );
            return Err(refuse(RefusalKind::CodeNotWritable, text));
        }
        // Nobody jumps to this island yet; it opens with the others.
        island.close();
        self.entries.push(redirect.old);
        self.jumps.push(Jump { island, target: redirect.new, before, after });
        Ok(())
    }

    /// Switches all functions at once, on the calling thread.
    ///
    /// # Errors
    /// Where code cannot be written or a thread is in the way; nothing is changed then.
    pub fn carry_out(&self) -> Result<Cost, Refusal> {
        self.carry(false)
    }

    /// Switches all functions back to what they were before [`Plan::carry_out`].
    ///
    /// # Errors
    /// As there; then the new functions stay.
    pub fn carry_back(&self) -> Result<(), Refusal> {
        self.carry(true).map(drop)
    }

    fn carry(&self, back: bool) -> Result<Cost, Refusal> {
        if self.entries.is_empty() {
            return Ok(self.lead_elsewhere(back));
        }
        let access = Access::to(&self.entries, JUMP_SIZE)
            .map_err(|e| refuse(RefusalKind::CodeNotWritable, e))?;
        let mut carrying = Carrying { plan: self, access: &access, back, failed: false };
        if access.is_immediate() && watch::needs_no_stop() {
            return Ok(watch::carry_out_running(&mut carrying));
        }
        match watch::carry_out(&self.entries, &mut carrying) {
            Ok(_) if carrying.failed => {
                Err(refuse(RefusalKind::CodeNotWritable, "code could not be written"))
            }
            Ok(cost) => Ok(cost),
            Err(text) => Err(refuse(RefusalKind::ThreadNotStopped, text)),
        }
    }

    /// Where all entries have their jumps, nobody needs to be stopped.
    fn lead_elsewhere(&self, back: bool) -> Cost {
        forks::held(|| {
            let begun = raw::now();
            self.close_known();
            self.open(back);
            Cost { pause: raw::now().saturating_sub(begun), ..Cost::default() }
        })
    }

    fn close_known(&self) {
        // One alone changes at once as it is.
        if self.targets.len() > 1 {
            self.known.iter().for_each(|lead| lead.island.close());
        }
    }

    fn open(&self, back: bool) {
        for lead in &self.known {
            lead.island.lead_to(if back { lead.before } else { lead.after });
        }
        for (entry, jump) in self.entries.iter().zip(&self.jumps) {
            // On the way back there may still be threads in the island.
            jump.island.lead_to(if back { *entry } else { jump.target });
        }
    }
}

struct Carrying<'a> {
    plan: &'a Plan,
    access: &'a Access,
    /// What was written is taken back.
    back: bool,
    failed: bool,
}

impl Carrying<'_> {
    /// Each entry with the bytes that it has and that it is to have.
    fn each(&self) -> impl Iterator<Item = (usize, &[u8; JUMP_SIZE], &[u8; JUMP_SIZE])> {
        let entries = self.plan.entries.iter().copied().zip(&self.plan.jumps);
        entries.map(|(entry, jump)| match self.back {
            false => (entry, &jump.before, &jump.after),
            true => (entry, &jump.after, &jump.before),
        })
    }

    /// Leads known islands where they led.
    fn stay(&self) {
        for lead in &self.plan.known {
            lead.island.lead_to(if self.back { lead.after } else { lead.before });
        }
    }

    /// The first bytes change last, and at once: they are the gate.
    fn write_jumps(&self) {
        for (entry, _, to) in self.each() {
            let (_, tail) = to.split_at(GATE.len());
            self.access.write(entry + GATE.len(), tail);
        }
        watch::serialize_all();
        for (entry, _, to) in self.each() {
            let (head, _) = to.split_at(GATE.len());
            self.access.write(entry, head);
        }
    }

    /// Where there are no gates, only threads that sleep could come by; a write may fail.
    fn write_at_once(&mut self) {
        let written = self.each().take_while(|(at, _, to)| self.access.write(*at, *to));
        let written = written.count();
        if written < self.plan.entries.len() {
            self.failed = true;
            for (entry, from, _) in self.each().take(written) {
                self.access.write(entry, from);
            }
        }
    }
}

impl Switch for Carrying<'_> {
    fn close(&mut self) {
        self.plan.close_known();
        if self.access.is_immediate() {
            for (entry, ..) in self.each() {
                self.access.write(entry, &GATE);
            }
        }
        watch::serialize_all();
    }

    fn commit(&mut self) {
        if self.access.is_immediate() {
            self.write_jumps();
        } else {
            self.write_at_once();
        }
        watch::serialize_all();
        if self.failed {
            self.stay();
        } else {
            self.plan.open(self.back);
        }
    }

    fn undo(&mut self) {
        if self.access.is_immediate() {
            for (entry, from, _) in self.each() {
                let (head, _) = from.split_at(GATE.len());
                self.access.write(entry, head);
            }
        }
        self.stay();
        watch::serialize_all();
    }
}
