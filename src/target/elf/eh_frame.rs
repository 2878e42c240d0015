//! `.eh_frame`: one section per object that holds the unwind entries of all its functions.
//! (Linux Standard Base, "Exception Frames"; the records are length-prefixed, an FDE names its
//! CIE by the distance back to it.)

use std::collections::HashMap;
use std::ops::Range;

use crate::target::binary::{ObjectFile, SectionKind};

/// The records of an object's `.eh_frame` sections.
#[derive(Debug, Default)]
pub struct UnwindTable {
    fdes: HashMap<usize, Vec<Fde>>,
}

/// A frame description entry: how to unwind one function.
#[derive(Debug, Clone)]
pub struct Fde {
    /// The index of the `.eh_frame` section.
    pub section: usize,
    /// The record's bytes, with the length word.
    pub range: Range<usize>,
    /// The bytes of the common information entry that it refers to.
    pub cie: Range<usize>,
}

impl UnwindTable {
    /// Splits the object's `.eh_frame` sections into records, found by the text section that
    /// they describe.
    ///
    /// # Errors
    /// Where a record is malformed or uses the 64-bit form.
    pub fn new(object: &ObjectFile) -> anyhow::Result<Self> {
        let mut table = UnwindTable::default();
        for (index, section) in object.sections.iter().enumerate() {
            if section.kind == SectionKind::EhFrame {
                table.add(object, index)?;
            }
        }
        Ok(table)
    }

    /// The entries of the functions in a text section.
    pub fn entries(&self, text: usize) -> &[Fde] {
        self.fdes.get(&text).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, object: &ObjectFile, section: usize) -> anyhow::Result<()> {
        let bytes = object.bytes(section);
        let mut records = HashMap::new();
        let mut at = 0;
        while at + 4 <= bytes.len() {
            let length = word(bytes, at)? as usize;
            if length == 0 {
                break;
            }
            anyhow::ensure!(length != 0xffff_ffff, "a 64-bit unwind record is not supported");
            let range = at..at + 4 + length;
            anyhow::ensure!(range.end <= bytes.len(), "an unwind record runs over its section");
            let id = word(bytes, at + 4)? as usize;
            records.insert(at, range.clone());
            if id != 0 {
                let cie = (at + 4).checked_sub(id).and_then(|cie| records.get(&cie)).cloned();
                let cie = cie.ok_or_else(|| anyhow::anyhow!("an unwind record has no CIE"))?;
                self.add_fde(object, Fde { section, range: range.clone(), cie });
            }
            at = range.end;
        }
        Ok(())
    }

    fn add_fde(&mut self, object: &ObjectFile, fde: Fde) {
        let begin = (fde.range.start + 8) as u64;
        let relocs = &object.sections[fde.section].relocs;
        let text = relocs
            .binary_search_by_key(&begin, |r| r.offset)
            .ok()
            .map(|at| relocs[at])
            .and_then(|r| object.symbols.get(r.symbol))
            .and_then(|s| s.section);
        if let Some(text) = text {
            self.fdes.entry(text).or_default().push(fde);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or_else(|| anyhow::anyhow!("an unwind record is cut short"))
}
