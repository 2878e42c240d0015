//! What a function or a piece of data means, as a hash that does not depend on where it stands
//! in its object or on how anonymous data happens to be numbered.

use std::collections::HashMap;
use std::ops::Range;

use super::names;
use crate::target::binary::{ObjectFile, Reloc, Section, SectionKind};

/// A hash of the meaning.
pub type Fingerprint = blake3::Hash;

/// Computes fingerprints of one object's sections.
pub struct Fingerprinter<'a> {
    object: &'a ObjectFile,
    anonymous: HashMap<usize, Fingerprint>,
    open: Vec<usize>,
}

impl<'a> Fingerprinter<'a> {
    /// For sections of `object`.
    pub fn new(object: &'a ObjectFile) -> Self {
        Fingerprinter { object, anonymous: HashMap::new(), open: Vec::new() }
    }

    /// The fingerprint of a section's content: its bytes, and what its relocations refer to.
    /// Named things count by their name, anonymous data by its content.
    ///
    /// # Errors
    /// Where code around a relocation cannot be decoded.
    pub fn section(&mut self, section: usize) -> anyhow::Result<Fingerprint> {
        let mut hasher = blake3::Hasher::new();
        let Some(info) = self.object.sections.get(section) else {
            return Ok(hasher.finalize());
        };
        if let Some(file) = self.panic_location(section) {
            // Line and column move with every edit above; the code does not change with them.
            hasher.update(b"location");
            hasher.update(file);
            return Ok(hasher.finalize());
        }
        if info.padding == 0 {
            hasher.update(&info.size.to_le_bytes());
        }
        hasher.update(without_padding(info, self.object.bytes(section)));
        for reloc in &info.relocs {
            hasher.update(&reloc.offset.to_le_bytes());
            hasher.update(&reloc.r_type.to_le_bytes());
            self.target(section, reloc, &mut hasher)?;
        }
        Ok(hasher.finalize())
    }

    /// The fingerprint of what a section refers to.
    ///
    /// # Errors
    /// As [`Fingerprinter::section`].
    pub fn reference(&mut self, from: usize, reloc: &Reloc) -> anyhow::Result<Fingerprint> {
        let mut hasher = blake3::Hasher::new();
        self.target(from, reloc, &mut hasher)?;
        Ok(hasher.finalize())
    }

    fn target(
        &mut self,
        from: usize,
        reloc: &Reloc,
        hasher: &mut blake3::Hasher,
    ) -> anyhow::Result<()> {
        let Some(symbol) = self.object.symbols.get(reloc.symbol) else { return Ok(()) };
        let Some(section) = symbol.section else {
            hasher.update(b"name");
            hasher.update(
                crate::target::binary::program::without_llvm_suffix(&symbol.name).as_bytes(),
            );
            hasher.update(&reloc.addend.to_le_bytes());
            return Ok(());
        };
        let text = self.object.sections[from].kind == SectionKind::Text;
        let code = text.then(|| self.object.bytes(from));
        let distance = self.object.processor.target_distance(code, reloc)?;
        let offset = symbol.value.wrapping_add_signed(distance);
        let named = self
            .object
            .symbol_at(section, offset)
            .filter(|(s, _)| names::is_stable(&s.name, s.local));
        match (named, self.object.sections[section].kind) {
            (Some((named, inner)), _) => {
                hasher.update(b"name");
                hasher.update(named.name.as_bytes());
                hasher.update(&inner.to_le_bytes());
            }
            (None, SectionKind::Merge { strings, entry }) => {
                hasher.update(b"piece");
                hasher.update(piece(self.object.bytes(section), offset, strings, entry));
            }
            (None, _) => {
                let content = self.anonymous(section)?;
                hasher.update(b"content");
                hasher.update(content.as_bytes());
                hasher.update(&offset.to_le_bytes());
            }
        }
        Ok(())
    }

    fn anonymous(&mut self, section: usize) -> anyhow::Result<Fingerprint> {
        if let Some(known) = self.anonymous.get(&section) {
            return Ok(*known);
        }
        if self.open.contains(&section) {
            // A cycle among anonymous data: its shape is covered by the bytes on the way here.
            return Ok(blake3::hash(b"cycle"));
        }
        self.open.push(section);
        let found = self.section(section);
        self.open.pop();
        let found = found?;
        self.anonymous.insert(section, found);
        Ok(found)
    }

    /// The file name of a `core::panic::Location`: `{ file: &str, line: u32, col: u32 }` whose
    /// file ends in `.rs`.
    fn panic_location(&self, section: usize) -> Option<&'a [u8]> {
        let info = self.object.sections.get(section)?;
        let pointer = self.object.processor.pointer();
        let size = 2 * pointer + 8;
        let sizes = size..=size + info.padding;
        if info.kind != SectionKind::ReadOnly || !sizes.contains(&info.size) {
            return None;
        }
        let [reloc] = info.relocs.as_slice() else { return None };
        if reloc.offset != 0 {
            return None;
        }
        let (text, _) = text(self.object, section, reloc)?;
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        text.ends_with(b".rs").then_some(text)
    }
}

/// The text that a reference in a section is to, if its length follows, and where that stands.
pub fn text<'a>(
    object: &'a ObjectFile,
    section: usize,
    reloc: &Reloc,
) -> Option<(&'a [u8], Range<usize>)> {
    let pointer = object.processor.pointer() as usize;
    let at = (reloc.offset as usize).checked_add(pointer)?;
    let range = at..at.checked_add(pointer)?;
    let mut length = [0; 8];
    length.get_mut(..pointer)?.copy_from_slice(object.bytes(section).get(range.clone())?);
    let length = usize::try_from(u64::from_le_bytes(length)).ok()?;
    let symbol = object.symbols.get(reloc.symbol)?;
    let from = symbol.value.wrapping_add_signed(reloc.addend) as usize;
    let text = object.bytes(symbol.section?).get(from..from.checked_add(length)?)?;
    Some((text, range))
}

/// The bytes of a section, where padding may follow them without the zeros at their end: how much
/// padding there is depends on the neighbours. (Who reads zeros that come or go has changed too: a
/// length is a number elsewhere, or part of a type.)
fn without_padding<'a>(info: &Section, bytes: &'a [u8]) -> &'a [u8] {
    const POINTER: u64 = 8;
    if info.padding == 0 {
        return bytes;
    }
    let relocated = info.relocs.last().map_or(0, |reloc| reloc.offset + POINTER) as usize;
    let last = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..last.max(relocated).min(bytes.len())]
}

/// The piece of a mergeable section at `offset`.
fn piece(bytes: &[u8], offset: u64, strings: bool, entry: u64) -> &[u8] {
    let rest = bytes.get(offset as usize..).unwrap_or(&[]);
    let length = if strings {
        rest.iter().position(|&b| b == 0).map_or(rest.len(), |n| n + 1)
    } else {
        (entry.max(1) as usize).min(rest.len())
    };
    &rest[..length]
}
