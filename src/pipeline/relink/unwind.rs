//! The unwind table of a patch: the entries of the functions in it, taken out of their objects'
//! tables and put together anew.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::compare::Piece;
use crate::target::binary::{ObjectFile, Reloc};
use crate::target::elf::eh_frame::{Fde, UnwindTable};

/// The unwind table under construction.
#[derive(Debug, Default)]
pub struct Unwind {
    tables: HashMap<*const ObjectFile, UnwindTable>,
    entries: HashMap<(*const ObjectFile, usize, usize), u64>,
    /// The bytes so far.
    pub data: Vec<u8>,
}

/// A relocation of the patch's unwind table, still in terms of the object it came from.
#[derive(Debug, Clone, Copy)]
pub struct UnwindReloc {
    /// Where in [`Unwind::data`].
    pub offset: u64,
    /// The object's relocation.
    pub reloc: Reloc,
}

impl Unwind {
    /// Appends the entries of a function's section and returns their relocations.
    ///
    /// # Errors
    /// Where the object's table is malformed.
    pub fn add(&mut self, piece: &Piece) -> anyhow::Result<Vec<UnwindReloc>> {
        let key = Arc::as_ptr(&piece.object);
        let table = match self.tables.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(UnwindTable::new(&piece.object)?),
        };
        let entries = table.entries(piece.section).to_vec();
        let mut relocs = Vec::new();
        for fde in &entries {
            self.add_entry(&piece.object, fde, &mut relocs);
        }
        Ok(relocs)
    }

    fn add_entry(&mut self, object: &Arc<ObjectFile>, fde: &Fde, relocs: &mut Vec<UnwindReloc>) {
        let key = (Arc::as_ptr(object), fde.section, fde.cie.start);
        let cie = match self.entries.get(&key) {
            Some(&at) => at,
            None => {
                let at = self.append(object, fde.section, &fde.cie, relocs);
                self.entries.insert(key, at);
                at
            }
        };
        let at = self.append(object, fde.section, &fde.range, relocs);
        let distance = (at + 4 - cie) as u32;
        let field = at as usize + 4;
        if let Some(field) = self.data.get_mut(field..field + 4) {
            field.copy_from_slice(&distance.to_le_bytes());
        }
    }

    fn append(
        &mut self,
        object: &ObjectFile,
        section: usize,
        range: &Range<usize>,
        relocs: &mut Vec<UnwindReloc>,
    ) -> u64 {
        let at = self.data.len() as u64;
        self.data.extend_from_slice(&object.bytes(section)[range.clone()]);
        for reloc in &object.sections[section].relocs {
            if range.contains(&(reloc.offset as usize)) {
                let offset = at + reloc.offset - range.start as u64;
                relocs.push(UnwindReloc { offset, reloc: *reloc });
            }
        }
        at
    }
}
