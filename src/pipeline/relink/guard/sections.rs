//! The debug sections of a relocatable object: relocated against each other, while references
//! to code and data stay symbolic.

use std::ffi::CStr;

use anyhow::Context;
use gimli::{DebugAbbrev, DebugInfo, DebugLineStr, DebugStrOffsets, LittleEndian};

use crate::target::binary::{ObjectFile, SectionKind};

/// How gimli sees a section.
pub type Slice<'a> = gimli::EndianSlice<'a, LittleEndian>;

/// One object's debug sections.
pub struct Sections<'a> {
    /// The object.
    pub object: &'a ObjectFile,
    info: Relocated,
    str_offsets: Relocated,
    addresses: Option<usize>,
    abbreviations: &'a [u8],
    strings: &'a [u8],
    line_strings: &'a [u8],
}

/// A section whose references to other debug sections are filled in.
struct Relocated {
    section: Option<usize>,
    data: Vec<u8>,
}

/// A place in the object's code or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The section's index.
    pub section: usize,
    /// The distance from its start.
    pub offset: u64,
}

/// The first word of a compressed section is the method, 1 or 2; that of `.debug_info` is the
/// length of a unit, which is never that short.
const COMPRESSION_METHODS: std::ops::RangeInclusive<u32> = 0..=2;

impl<'a> Sections<'a> {
    /// The debug sections of `object`; none where it has none, or compressed ones.
    pub fn of(object: &'a ObjectFile) -> Option<Self> {
        let find = |name: &str| object.sections.iter().position(|s| s.name == name);
        let bytes = |name: &str| find(name).map_or(&[][..], |s| object.bytes(s));
        let first = bytes(".debug_info").first_chunk::<4>()?;
        if COMPRESSION_METHODS.contains(&u32::from_le_bytes(*first)) {
            return None;
        }
        Some(Sections {
            object,
            info: relocate(object, find(".debug_info")),
            str_offsets: relocate(object, find(".debug_str_offsets")),
            addresses: find(".debug_addr"),
            abbreviations: bytes(".debug_abbrev"),
            strings: bytes(".debug_str"),
            line_strings: bytes(".debug_line_str"),
        })
    }

    /// `.debug_info`.
    pub fn info(&self) -> DebugInfo<Slice<'_>> {
        DebugInfo::new(&self.info.data, LittleEndian)
    }

    /// `.debug_abbrev`.
    pub fn abbreviations(&self) -> DebugAbbrev<Slice<'a>> {
        DebugAbbrev::new(self.abbreviations, LittleEndian)
    }

    /// The text at an offset of `.debug_str`.
    ///
    /// # Errors
    /// Where the section ends before the text does.
    pub fn string(&self, offset: usize) -> anyhow::Result<&'a [u8]> {
        let rest = self.strings.get(offset..).unwrap_or(&[]);
        Ok(CStr::from_bytes_until_nul(rest).context("a name outside of its section")?.to_bytes())
    }

    /// `.debug_line_str`.
    pub fn line_strings(&self) -> DebugLineStr<Slice<'a>> {
        DebugLineStr::new(self.line_strings, LittleEndian)
    }

    /// `.debug_str_offsets`.
    pub fn str_offsets(&self) -> DebugStrOffsets<Slice<'_>> {
        DebugStrOffsets::from(Slice::new(&self.str_offsets.data, LittleEndian))
    }

    /// How far into `.debug_info` a part of it begins.
    pub fn offset_in_info(&self, part: Slice<'_>) -> usize {
        part.offset_from(Slice::new(&self.info.data, LittleEndian))
    }

    /// What the address at this offset of `.debug_info` refers to.
    pub fn place_in_info(&self, offset: usize) -> Option<Place> {
        self.place(self.info.section?, offset as u64)
    }

    /// What the address at this offset of `.debug_addr` refers to.
    pub fn place_in_addresses(&self, offset: u64) -> Option<Place> {
        self.place(self.addresses?, offset)
    }

    fn place(&self, section: usize, offset: u64) -> Option<Place> {
        let relocs = &self.object.sections.get(section)?.relocs;
        let reloc = relocs.get(relocs.binary_search_by_key(&offset, |r| r.offset).ok()?)?;
        let symbol = self.object.symbols.get(reloc.symbol)?;
        let offset = symbol.value.wrapping_add_signed(reloc.addend);
        Some(Place { section: symbol.section?, offset })
    }
}

fn relocate(object: &ObjectFile, section: Option<usize>) -> Relocated {
    let Some(index) = section else { return Relocated { section, data: Vec::new() } };
    let mut data = object.bytes(index).to_vec();
    for reloc in &object.sections[index].relocs {
        let Some(symbol) = object.symbols.get(reloc.symbol) else { continue };
        let home = symbol.section.and_then(|s| object.sections.get(s));
        let debug = home.is_some_and(|s| s.kind == SectionKind::Debug);
        if !debug || !object.processor.is_debug_reference(reloc.r_type) {
            continue;
        }
        let value = symbol.value.wrapping_add_signed(reloc.addend).to_le_bytes();
        let (at, width) = (reloc.offset as usize, object.processor.field_width(reloc.r_type));
        if let Some(field) = data.get_mut(at..at + width) {
            field.copy_from_slice(&value[..width]);
        }
    }
    Relocated { section, data }
}
