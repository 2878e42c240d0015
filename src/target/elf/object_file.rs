//! Reading a relocatable ELF object.

use std::path::Path;

use anyhow::Context;
use object::elf::{FileHeader32, FileHeader64, STT_FUNC};
use object::read::elf::{ElfFile, ElfSection, FileHeader, SectionHeader, Sym};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget,
    SymbolSection,
};

use crate::target::binary::{Encodings, Format, ObjectFile, Reloc, Section, SectionKind, Symbol};
use crate::target::elf::Class;
use crate::target::processor::{self, Processor};

/// Parses an object's bytes; `path` is for messages.
///
/// # Errors
/// Where the bytes are no little-endian ELF object.
pub fn parse(path: &Path, mut data: Vec<u8>) -> anyhow::Result<ObjectFile> {
    let what = || format!("{} is not an ELF object that can be read", path.display());
    let read = match Class::of(&data) {
        Class::Elf32 => read::<FileHeader32<Endianness>>(&data),
        Class::Elf64 => read::<FileHeader64<Endianness>>(&data),
    };
    let (processor, mut sections, symbols) = read.with_context(what)?;
    for section in &mut sections {
        let bytes = section.range.clone().and_then(|range| data.get_mut(range));
        let (Some(bytes), encodings) = (bytes, &section.encodings) else { continue };
        let code = section.kind == SectionKind::Text;
        for reloc in &mut section.relocs {
            processor.take_addend(bytes, code.then_some(encodings), reloc);
        }
    }
    Ok(ObjectFile::new((path, data), (Format::Elf, processor), (sections, symbols)))
}

type Parts = (&'static dyn Processor, Vec<Section>, Vec<Symbol>);

fn read<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> anyhow::Result<Parts> {
    let file = ElfFile::<Elf>::parse(data)?;
    anyhow::ensure!(file.elf_header().is_little_endian(), "it is for a big-endian processor");
    let processor = processor::of_elf(file.elf_header().e_machine(Endianness::Little))?;
    let symbols = read_symbols(&file, processor);
    let mut sections = vec![null_section()];
    for section in file.sections() {
        while sections.len() < section.index().0 {
            sections.push(null_section());
        }
        sections.push(read_section(&section)?);
    }
    for symbol in file.symbols() {
        let encoding = symbol.name().ok().and_then(|name| processor.encoding_from(name));
        let home = symbol.section_index().and_then(|index| sections.get_mut(index.0));
        if let (Some(encoding), Some(section)) = (encoding, home) {
            section.encodings.set(symbol.address(), encoding);
        }
    }
    Ok((processor, sections, symbols))
}

fn null_section() -> Section {
    Section {
        name: String::new(),
        kind: SectionKind::Other,
        align: 1,
        size: 0,
        padding: 0,
        range: None,
        relocs: Vec::new(),
        encodings: Encodings::default(),
        symbols: Vec::new(),
    }
}

fn read_symbols<Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Elf>,
    processor: &dyn Processor,
) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for symbol in file.symbols() {
        while symbols.len() < symbol.index().0 {
            symbols.push(Symbol {
                name: String::new(),
                section: None,
                value: 0,
                size: 0,
                local: true,
                weak: false,
            });
        }
        let section_symbol = symbol.kind() == object::SymbolKind::Section;
        let file_symbol = symbol.kind() == object::SymbolKind::File;
        let name = match symbol.name() {
            Ok(name) if !section_symbol && !file_symbol && !processor.is_mapping_symbol(name) => {
                name
            }
            _ => "",
        };
        symbols.push(Symbol {
            name: name.to_owned(),
            section: match symbol.section() {
                SymbolSection::Section(index) => Some(index.0),
                _ => None,
            },
            value: match symbol.elf_symbol().st_type() {
                STT_FUNC => symbol.address() & !processor.code_mark(),
                _ => symbol.address(),
            },
            size: symbol.size(),
            local: symbol.is_local(),
            weak: symbol.is_weak(),
        });
    }
    symbols
}

fn read_section<Elf: FileHeader<Endian = Endianness>>(
    section: &ElfSection<'_, '_, Elf>,
) -> anyhow::Result<Section> {
    let name = section.name()?.to_owned();
    let header = section.elf_section_header();
    let endian = Endianness::Little;
    let kind = kind_of(&name, header.sh_type(endian), header.sh_flags(endian));
    let kind = match kind {
        SectionKind::Merge { strings, .. } => {
            SectionKind::Merge { strings, entry: header.sh_entsize(endian).into() }
        }
        other => other,
    };
    let mut relocs = Vec::new();
    for (offset, reloc) in section.relocations() {
        let RelocationFlags::Elf { r_type } = reloc.flags() else {
            anyhow::bail!("section {name} has a relocation without an ELF type");
        };
        let RelocationTarget::Symbol(symbol) = reloc.target() else {
            continue;
        };
        relocs.push(Reloc { offset, r_type: r_type.0, symbol: symbol.0, addend: reloc.addend() });
    }
    relocs.sort_by_key(|r| r.offset);
    Ok(Section {
        kind,
        align: section.align().max(1),
        size: section.size(),
        padding: 0,
        range: section.file_range().map(|(at, size)| at as usize..(at + size) as usize),
        relocs,
        encodings: Encodings::default(),
        symbols: Vec::new(),
        name,
    })
}

fn kind_of(
    name: &str,
    sh_type: object::elf::SectionType,
    sh_flags: object::elf::SectionFlags,
) -> SectionKind {
    use object::elf::{
        SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_TLS, SHF_WRITE, SHT_ARM_EXIDX,
        SHT_FINI_ARRAY, SHT_INIT_ARRAY, SHT_NOBITS, SHT_PREINIT_ARRAY, SHT_PROGBITS,
    };
    let has = |flag: object::elf::SectionFlags| sh_flags.0 & flag.0 != 0;
    let constructors = [SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY];
    if name == ".eh_frame" {
        SectionKind::EhFrame
    } else if sh_type == SHT_ARM_EXIDX && name.starts_with(".ARM.exidx") {
        SectionKind::UnwindIndex
    } else if name.starts_with(".debug_") && name != ".debug_gdb_scripts" {
        SectionKind::Debug
    } else if constructors.contains(&sh_type) || name.starts_with(".ctors") {
        SectionKind::Constructors
    } else if !has(SHF_ALLOC) || ![SHT_PROGBITS, SHT_NOBITS].contains(&sh_type) {
        SectionKind::Other
    } else if has(SHF_TLS) {
        SectionKind::ThreadLocal
    } else if has(SHF_EXECINSTR) {
        SectionKind::Text
    } else if has(SHF_MERGE) {
        SectionKind::Merge { strings: has(SHF_STRINGS), entry: 0 }
    } else if has(SHF_WRITE) && !name.starts_with(".data.rel.ro") {
        SectionKind::Mutable
    } else {
        SectionKind::ReadOnly
    }
}
