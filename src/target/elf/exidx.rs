//! What objects for 32-bit Arm have beside those of other processors. `.ARM.exidx` tells how
//! functions are unwound, in pairs of words: where a function stands, and how its frame is undone or
//! where that is written (`.ARM.extab`). There is one such section for each section of code, which
//! its header names. (Exception Handling ABI for the Arm Architecture, "Index table entries".)

use anyhow::Context;
use object::elf::{
    FileHeader32, SHT_ARM_ATTRIBUTES, SHT_ARM_EXIDX, SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB,
    SHT_SYMTAB, SHT_SYMTAB_SHNDX, SectionFlags as Flags,
};
use object::read::elf::{FileHeader, SectionHeader};
use object::write::Object;
use object::{Endianness, SectionFlags, SectionKind};

use crate::target::binary::{self, Content, DraftSection, ObjectFile};

/// Where a section header keeps the number of the section that it belongs to (`sh_link`).
const LINK: usize = 24;
/// The size of a section header.
const HEADER: usize = 40;

/// The sections that tell how the functions in a section of code are unwound.
pub fn indices(object: &ObjectFile, text: usize) -> impl Iterator<Item = usize> + '_ {
    let is_of = move |section: &binary::Section| {
        let first = section.relocs.iter().find(|r| r.offset == 0);
        let symbol = first.and_then(|r| object.symbols.get(r.symbol));
        symbol.is_some_and(|s| s.section == Some(text))
    };
    let sections = object.sections.iter().enumerate();
    sections
        .filter(|(_, s)| s.kind == binary::SectionKind::UnwindIndex)
        .filter(move |(_, s)| is_of(s))
        .map(|(index, _)| index)
}

/// Adds what linkers have to know of the code, where there is anything.
pub fn add_attributes(object: &mut Object<'_>, attributes: &[u8]) {
    if attributes.is_empty() {
        return;
    }
    let id = object.add_section(Vec::new(), b".ARM.attributes".to_vec(), SectionKind::Metadata);
    *object.section_flags_mut(id) =
        SectionFlags::Elf { sh_type: SHT_ARM_ATTRIBUTES, sh_flags: Flags(0) };
    object.append_section_data(id, attributes, 1);
}

/// Names in the header of each `.ARM.exidx` the section of code that it is about: what wrote the
/// object knows sections by their contents only.
///
/// # Errors
/// Where the object is not what was written.
pub fn link(bytes: &mut [u8], sections: &[DraftSection]) -> anyhow::Result<()> {
    if !sections.iter().any(|s| matches!(s.content, Content::UnwindIndex(_))) {
        return Ok(());
    }
    const NONE_OF_THE_DRAFT: [object::elf::SectionType; 6] =
        [SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX];
    let header = FileHeader32::<Endianness>::parse(&*bytes)?;
    let table = header.e_shoff(Endianness::Little) as usize;
    let headers = header.section_headers(Endianness::Little, &*bytes)?;
    let types = headers.iter().map(|h| h.sh_type(Endianness::Little)).enumerate();
    let numbers: Vec<(usize, bool)> = types
        .filter(|(_, kind)| !NONE_OF_THE_DRAFT.contains(kind))
        .map(|(number, kind)| (number, kind == SHT_ARM_EXIDX))
        .collect();
    for (section, (number, is_index)) in sections.iter().zip(&numbers) {
        let Content::UnwindIndex(text) = section.content else { continue };
        anyhow::ensure!(is_index, "the sections of the draft have another order in its object");
        let (text, _) = numbers.get(text).context("an unwind table of no code")?;
        let at = table + number * HEADER + LINK;
        let field = bytes.get_mut(at..at + 4).context("a section header outside the object")?;
        field.copy_from_slice(&(*text as u32).to_le_bytes());
    }
    Ok(())
}
