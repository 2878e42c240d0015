//! Reading a relocatable Mach-O object.

use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use object::macho as m;
use object::read::macho::{MachHeader, MachOFile64, Nlist, Section as _};
use object::{Endianness, Object, ObjectSection};

use super::{frames, name_of, relocations};
use crate::target::binary::{Encodings, Format, ObjectFile, Section, SectionKind, Symbol};
use crate::target::processor;

/// A section as the file has it.
#[derive(Debug)]
pub struct Raw {
    /// What it holds.
    pub kind: SectionKind,
    /// Its name, such as `__TEXT,__text`.
    pub name: String,
    /// Its address in the object, which has all sections one behind the other.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes stand in the file; none where it has none.
    pub file: Option<usize>,
    /// Its alignment in bytes.
    pub align: u64,
    /// Its relocations, pairs in order.
    pub relocs: Vec<m::RelocationInfo>,
}

/// A symbol as the file has it.
#[derive(Debug)]
pub struct RawSymbol {
    /// Its name in other formats; empty for a mere label.
    pub name: String,
    /// The index of its section.
    pub section: Option<usize>,
    /// Its address.
    pub address: u64,
    /// Whether it begins a piece of its section.
    begins: bool,
    local: bool,
    weak: bool,
}

/// An object's sections, symbols, and the pieces between the symbols.
#[derive(Debug)]
pub struct Pieces {
    /// The sections in the file.
    pub raw: Vec<Raw>,
    /// The symbols in the file.
    pub symbols: Vec<RawSymbol>,
    /// The pieces, in the order of sections and addresses.
    pub sections: Vec<Section>,
    /// The address of each piece.
    pub starts: Vec<u64>,
    /// The pieces of each section.
    pub of: Vec<Range<usize>>,
}

/// Parses an object's bytes; `path` is for messages.
///
/// # Errors
/// Where the bytes are no 64-bit little-endian Mach-O object.
pub fn parse(path: &Path, mut data: Vec<u8>) -> anyhow::Result<ObjectFile> {
    let what = || format!("{} is not a Mach-O object that can be read", path.display());
    let file = MachOFile64::<Endianness>::parse(&*data).with_context(what)?;
    anyhow::ensure!(file.is_little_endian(), "{}", what());
    let cpu = file.macho_header().cputype(file.endian());
    let processor = processor::of_macho(cpu).with_context(what)?;
    let raw = read_sections(&file).with_context(what)?;
    let symbols = read_symbols(&file).with_context(what)?;
    let mut pieces = Pieces::of(raw, symbols);
    let relocs = relocations::read(&pieces, processor.architecture(), &mut data);
    for (section, reloc) in relocs {
        pieces.sections[section].relocs.push(reloc);
    }
    for section in &mut pieces.sections {
        section.relocs.sort_by_key(|r| r.offset);
    }
    let frames = frames::read(&pieces, processor.architecture(), &data).with_context(what)?;
    pieces.drop_padding(&frames, &data, processor.trap());
    let symbols = pieces.named_symbols();
    let (kind, parts) = ((Format::MachO, processor), (pieces.sections, symbols));
    let mut object = ObjectFile::new((path, data), kind, parts);
    object.frames = frames;
    Ok(object)
}

impl Pieces {
    fn of(raw: Vec<Raw>, symbols: Vec<RawSymbol>) -> Self {
        let mut starts_in = vec![Vec::new(); raw.len()];
        for symbol in symbols.iter().filter(|s| s.begins) {
            if let Some(list) = symbol.section.and_then(|s| starts_in.get_mut(s)) {
                list.push(symbol.address);
            }
        }
        let (mut sections, mut starts, mut of) = (Vec::new(), Vec::new(), Vec::new());
        for (section, mut list) in raw.iter().zip(starts_in) {
            let begin = sections.len();
            if !is_divided(section.kind) {
                list.clear();
            }
            list.push(section.address);
            list.sort_unstable();
            list.dedup();
            let ends = list.iter().skip(1).copied().chain([section.address + section.size]);
            for (&start, end) in list.iter().zip(ends) {
                sections.push(piece(section, start, end));
                starts.push(start);
            }
            of.push(begin..sections.len());
        }
        Pieces { raw, symbols, sections, starts, of }
    }

    /// The piece of a section that an address belongs to, and the distance from its start.
    pub fn at(&self, section: usize, address: u64) -> Option<(usize, u64)> {
        let range = self.of.get(section)?.clone();
        let starts = self.starts.get(range.clone())?;
        let before = starts.partition_point(|&start| start <= address).checked_sub(1)?;
        Some((range.start + before, address - starts[before]))
    }

    /// The piece that has the byte at an address.
    pub fn with(&self, address: u64) -> Option<(usize, u64)> {
        let holds = |raw: &Raw| (raw.address..raw.address + raw.size).contains(&address);
        let mut found = self.raw.iter().enumerate().filter(|(_, raw)| holds(raw));
        let (section, _) = found.next()?;
        self.at(section, address)
    }

    /// The index of the symbol that stands for a piece itself, behind the file's own.
    pub fn symbol_of(&self, piece: usize) -> usize {
        self.symbols.len() + piece
    }

    /// Functions are aligned with code that does nothing, which belongs to none of them.
    fn drop_padding(&mut self, frames: &frames::Frames, data: &[u8], trap: &[u8]) {
        for (index, section) in self.sections.iter_mut().enumerate() {
            let Some(length) = frames.length(index).filter(|l| *l < section.size) else { continue };
            let Some(range) = section.range.clone() else { continue };
            let behind = data.get(range.start + length as usize..range.end).unwrap_or(&[]);
            let relocated = section.relocs.iter().any(|r| r.offset >= length);
            if !relocated && is_padding(behind, trap) {
                section.size = length;
                section.range = Some(range.start..range.start + length as usize);
            }
        }
    }

    fn named_symbols(&self) -> Vec<Symbol> {
        let mut symbols = Vec::new();
        for symbol in &self.symbols {
            let place = symbol.section.and_then(|section| self.at(section, symbol.address));
            symbols.push(Symbol {
                name: symbol.name.clone(),
                section: place.map(|(piece, _)| piece),
                value: place.map_or(0, |(_, offset)| offset),
                size: 0,
                local: symbol.local,
                weak: symbol.weak,
            });
        }
        symbols.extend((0..self.sections.len()).map(|piece| Symbol {
            name: String::new(),
            section: Some(piece),
            value: 0,
            size: 0,
            local: true,
            weak: false,
        }));
        symbols
    }
}

/// Whether all of it is `nop` (of any length) or what is put between functions.
fn is_padding(bytes: &[u8], trap: &[u8]) -> bool {
    const ALIGNMENT: usize = 16;
    let mut decoder = iced_x86::Decoder::new(64, bytes, iced_x86::DecoderOptions::NONE);
    let one_byte = trap.len() == 1;
    bytes.len() < ALIGNMENT
        && one_byte
        && decoder.iter().all(|i| matches!(i.mnemonic(), iced_x86::Mnemonic::Nop))
}

/// Whether a linker moves the pieces of such a section around one by one.
fn is_divided(kind: SectionKind) -> bool {
    use SectionKind::{Mutable, ReadOnly, Text, ThreadLocal, ThreadLocalDescriptor};
    matches!(kind, Text | ReadOnly | Mutable | ThreadLocal | ThreadLocalDescriptor)
}

fn piece(raw: &Raw, start: u64, end: u64) -> Section {
    let inside = start - raw.address;
    // A piece is aligned as far as its place in the section is.
    let align = if inside == 0 { raw.align } else { raw.align.min(1 << inside.trailing_zeros()) };
    let at = raw.file.map(|file| file + inside as usize);
    Section {
        name: raw.name.clone(),
        kind: raw.kind,
        align: align.max(1),
        size: end - start,
        padding: raw.align.saturating_sub(1).min(end - start),
        range: at.map(|at| at..at + (end - start) as usize),
        relocs: Vec::new(),
        encodings: Encodings::default(),
        symbols: Vec::new(),
    }
}

fn read_sections(file: &MachOFile64<'_, Endianness>) -> anyhow::Result<Vec<Raw>> {
    let mut found = Vec::new();
    for section in file.sections() {
        let header = section.macho_section();
        let flags = header.flags(file.endian());
        let segment = section.segment_name()?.unwrap_or_default();
        let name = section.name()?;
        let kind = kind_of(segment, name, flags.typ());
        let relocs = section.macho_relocations()?.iter().map(|r| r.info(file.endian()));
        found.push(Raw {
            kind,
            name: match kind {
                SectionKind::Debug => debug_name(name),
                _ => format!("{segment},{name}"),
            },
            address: section.address(),
            size: section.size(),
            file: section.file_range().map(|(at, _)| at as usize),
            align: section.align(),
            relocs: relocs.collect(),
        });
    }
    Ok(found)
}

/// What ELF calls a debug section: the names in Mach-O end after 16 letters.
fn debug_name(name: &str) -> String {
    match name {
        "__debug_str_offs" => ".debug_str_offsets".into(),
        _ => name.replacen("__", ".", 1),
    }
}

fn kind_of(segment: &str, name: &str, kind: m::SectionType) -> SectionKind {
    let merge = |strings, entry| SectionKind::Merge { strings, entry };
    match kind {
        _ if segment == "__DWARF" => SectionKind::Debug,
        m::S_CSTRING_LITERALS => merge(true, 1),
        m::S_4BYTE_LITERALS => merge(false, 4),
        m::S_8BYTE_LITERALS => merge(false, 8),
        m::S_16BYTE_LITERALS => merge(false, 16),
        m::S_MOD_INIT_FUNC_POINTERS
        | m::S_MOD_TERM_FUNC_POINTERS
        | m::S_INIT_FUNC_OFFSETS
        | m::S_THREAD_LOCAL_INIT_FUNCTION_POINTERS => SectionKind::Constructors,
        m::S_THREAD_LOCAL_REGULAR | m::S_THREAD_LOCAL_ZEROFILL => SectionKind::ThreadLocal,
        m::S_THREAD_LOCAL_VARIABLES => SectionKind::ThreadLocalDescriptor,
        m::S_ZEROFILL => SectionKind::Mutable,
        _ => match (segment, name) {
            ("__TEXT", "__text") => SectionKind::Text,
            ("__TEXT", "__eh_frame") => SectionKind::EhFrame,
            ("__TEXT" | "__DATA" | "__DATA_CONST", "__const") | ("__TEXT", "__gcc_except_tab") => {
                SectionKind::ReadOnly
            }
            ("__DATA", "__data") => SectionKind::Mutable,
            _ => SectionKind::Other,
        },
    }
}

fn read_symbols(file: &MachOFile64<'_, Endianness>) -> anyhow::Result<Vec<RawSymbol>> {
    let (endian, table) = (file.endian(), file.macho_symbol_table());
    let mut found = Vec::new();
    for symbol in table.iter() {
        let text = symbol.name(endian, table.strings())?;
        let text = String::from_utf8_lossy(text);
        let (flags, described) = (symbol.n_type(), symbol.n_desc(endian));
        let section = symbol.is_definition().then(|| usize::from(symbol.n_sect()));
        let section = section.and_then(|number| number.checked_sub(1));
        let label = text.starts_with('L') || text.starts_with("ltmp") || symbol.is_stab();
        found.push(RawSymbol {
            name: if symbol.is_stab() { String::new() } else { name_of(&text) },
            section,
            address: symbol.n_value(endian),
            begins: section.is_some() && !label && !described.contains(m::N_ALT_ENTRY),
            local: !flags.is_ext(),
            weak: described.contains(m::N_WEAK_DEF) || described.contains(m::N_WEAK_REF),
        });
    }
    Ok(found)
}
