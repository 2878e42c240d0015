//! The unwind information of a patch: for each function in it what its object said.

use std::collections::HashMap;

use super::frames::{COMPACT_ENTRY, FUNCTION_AT, Form, Frame};
use super::relocation;
use crate::target::binary::{Content, Draft, DraftReloc, DraftSection, Target};

/// Unwind information under construction.
#[derive(Debug, Default)]
pub struct Unwind {
    /// By their bytes and the personality routine's name.
    commons: HashMap<(Vec<u8>, Option<String>), u64>,
    compact: Option<usize>,
}

/// Whom a function's unwind information refers to, in the draft.
#[derive(Debug, Clone, Copy)]
pub struct Refers {
    /// The function.
    pub function: Target,
    /// Its table of landing pads.
    pub pads: Option<Target>,
    /// The routine that reads the table.
    pub personality: Option<Target>,
}

impl Unwind {
    /// Adds what is known of a function; `dwarf` is the draft's section of entries in full.
    pub fn add(&mut self, draft: &mut Draft, dwarf: usize, frame: &Frame, refers: Refers) {
        match &frame.form {
            Form::Compact(word) => self.add_compact(draft, (frame.length, *word), refers),
            Form::Dwarf { common, personality_at, entry, pads_at } => {
                let key = (common.clone(), frame.personality.clone());
                let common = self.common(draft, dwarf, key, (*personality_at, refers));
                let relative = relocation::relative(draft.processor.architecture(), 8);
                let section = &mut draft.sections[dwarf];
                let at = section.data.len() as u64;
                section.data.extend_from_slice(entry);
                let back = (at + 4 - common) as u32;
                let field = at as usize + 4;
                section.data[field..field + 4].copy_from_slice(&back.to_le_bytes());
                let pads = refers.pads.zip(*pads_at);
                for (target, inside) in
                    [Some((refers.function, FUNCTION_AT)), pads].into_iter().flatten()
                {
                    let offset = at + inside as u64;
                    section.relocs.push(DraftReloc { offset, r_type: relative, target, addend: 0 });
                }
            }
        }
    }

    fn add_compact(&mut self, draft: &mut Draft, (length, word): (u64, u32), refers: Refers) {
        let new = || DraftSection::new("compact unwind", Content::CompactUnwind, 8);
        let index = *self.compact.get_or_insert_with(|| draft.add(new()));
        let absolute = draft.processor.absolute();
        let section = &mut draft.sections[index];
        let at = section.data.len();
        section.data.resize(at + COMPACT_ENTRY, 0);
        section.data[at + 8..at + 12].copy_from_slice(&(length as u32).to_le_bytes());
        section.data[at + 12..at + 16].copy_from_slice(&word.to_le_bytes());
        let personality = refers.personality.map(|target| (target, 16));
        let pads = refers.pads.map(|target| (target, 24));
        for (target, inside) in
            [Some((refers.function, 0)), personality, pads].into_iter().flatten()
        {
            let offset = (at + inside) as u64;
            section.relocs.push(DraftReloc { offset, r_type: absolute, target, addend: 0 });
        }
    }

    /// Where a common entry stands, added at its first use.
    fn common(
        &mut self,
        draft: &mut Draft,
        dwarf: usize,
        key: (Vec<u8>, Option<String>),
        (personality_at, refers): (Option<usize>, Refers),
    ) -> u64 {
        if let Some(&known) = self.commons.get(&key) {
            return known;
        }
        let r_type = relocation::to_pointer(draft.processor.architecture());
        let section = &mut draft.sections[dwarf];
        let at = section.data.len() as u64;
        section.data.extend_from_slice(&key.0);
        if let Some((target, inside)) = refers.personality.zip(personality_at) {
            let offset = at + inside as u64;
            section.relocs.push(DraftReloc { offset, r_type, target, addend: 0 });
        }
        self.commons.insert(key, at);
        at
    }
}
