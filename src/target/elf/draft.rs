//! Writing a draft as an ELF object.

use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    BinaryFormat, Endianness, FileFlags, RelocationFlags, SectionFlags, SymbolFlags, SymbolKind,
    SymbolScope,
};

use super::exidx;
use crate::target::binary::{Content, Draft, DraftReloc, DraftSection, Encoding, Target};
use crate::target::processor::Processor;

/// A section of the object, and how relocations name it.
struct Home {
    id: SectionId,
    /// The symbol at its start.
    start: SymbolId,
    /// Where code is encoded in more than one way: the symbols that tell how, by their offsets.
    functions: Vec<(u64, SymbolId)>,
}

/// A draft's object file.
///
/// # Errors
/// Where the object cannot be written.
pub fn write(draft: &Draft) -> anyhow::Result<Vec<u8>> {
    let processor = draft.processor;
    let mut object = Object::new(BinaryFormat::Elf, processor.architecture(), Endianness::Little);
    object.flags = FileFlags::Elf {
        os_abi: object::elf::ELFOSABI_NONE,
        abi_version: 0,
        e_flags: processor.file_flags(),
    };
    let homes: Vec<_> =
        draft.sections.iter().map(|s| write_section(&mut object, s, processor)).collect();
    let undefined: Vec<_> =
        draft.undefined.iter().map(|(name, weak)| undefined(&mut object, name, *weak)).collect();
    for (section, home) in draft.sections.iter().zip(&homes) {
        let mut data = section.data.clone();
        for reloc in &section.relocs {
            let (symbol, extra) = match reloc.target {
                Target::Local { section: to, offset } => {
                    named(&mut object, section, &homes[to], offset)
                }
                Target::Undefined(index) => (undefined[index], 0),
            };
            let mut reloc = DraftReloc { addend: reloc.addend + extra, ..*reloc };
            processor.put_addend(&mut data, &mut reloc)?;
            let r_type = object::elf::RelocationType(reloc.r_type);
            let flags = RelocationFlags::Elf { r_type };
            let (offset, addend) = (reloc.offset, reloc.addend);
            object.add_relocation(home.id, Relocation { offset, symbol, addend, flags })?;
        }
        match section.zero_fill {
            0 => object.append_section_data(home.id, &data, section.align),
            size => object.append_section_bss(home.id, size, section.align),
        };
    }
    exidx::add_attributes(&mut object, processor.attributes());
    let mut bytes = object.write()?;
    exidx::link(&mut bytes, &draft.sections)?;
    Ok(bytes)
}

/// The symbol for a place, and how far behind it that lies. Where functions tell by their address
/// how they are encoded, only a function's own symbol does; tables of places want none of that.
fn named(
    object: &mut Object<'_>,
    from: &DraftSection,
    home: &Home,
    offset: u64,
) -> (SymbolId, i64) {
    if home.functions.is_empty() {
        return (home.start, offset as i64);
    }
    let of_places = matches!(from.content, Content::Debug | Content::UnwindIndex(_));
    match home.functions.iter().find(|(at, _)| *at == offset && !of_places) {
        Some((_, function)) => (*function, 0),
        None => (object.section_symbol(home.id), offset as i64),
    }
}

fn write_section(
    object: &mut Object<'_>,
    section: &DraftSection,
    processor: &dyn Processor,
) -> Home {
    let (kind, sh_type, sh_flags) = kind_of(section, processor);
    let id = object.add_section(Vec::new(), section.name.clone().into_bytes(), kind);
    *object.section_flags_mut(id) = SectionFlags::Elf { sh_type, sh_flags };
    let kind = match section.content {
        Content::Code => SymbolKind::Text,
        Content::ThreadLocal => SymbolKind::Tls,
        _ => SymbolKind::Data,
    };
    let mut add = |name: &str, offset: u64, size: u64, kind: SymbolKind, exported: bool| {
        let t32 = section.encodings.at(offset) == Some(Encoding::T32) && kind == SymbolKind::Text;
        let mark = if t32 { processor.code_mark() } else { 0 };
        object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: offset | mark,
            size,
            kind,
            scope: if exported { SymbolScope::Dynamic } else { SymbolScope::Compilation },
            weak: false,
            section: SymbolSection::Section(id),
            flags: SymbolFlags::None,
        })
    };
    let mut symbols: Vec<_> = section
        .symbols
        .iter()
        .map(|s| (s.offset, add(&s.name, s.offset, s.size, kind, s.exported)))
        .collect();
    let encoded = section.content == Content::Code && section.encodings.iter().next().is_some();
    if encoded && symbols.iter().all(|(offset, _)| *offset != 0) {
        symbols.push((0, add("hotpatch.code", 0, section.data.len() as u64, kind, false)));
    }
    for (offset, encoding) in section.encodings.iter() {
        let name = match encoding {
            Encoding::A32 => "$a",
            Encoding::T32 => "$t",
            Encoding::Data => "$d",
        };
        add(name, offset, 0, SymbolKind::Label, false);
    }
    let start = symbols.iter().find(|(offset, _)| *offset == 0).map(|(_, symbol)| *symbol);
    let start = start.unwrap_or_else(|| object.section_symbol(id));
    Home { id, start, functions: if encoded { symbols } else { Vec::new() } }
}

fn kind_of(
    section: &DraftSection,
    processor: &dyn Processor,
) -> (object::SectionKind, object::elf::SectionType, object::elf::SectionFlags) {
    use object::elf::{
        SHF_ALLOC, SHF_EXECINSTR, SHF_LINK_ORDER, SHF_TLS, SHF_WRITE, SHT_ARM_EXIDX, SHT_NOBITS,
        SHT_PROGBITS, SectionFlags as Flags,
    };
    let alloc = SHF_ALLOC.0;
    let (kind, flags) = match section.content {
        Content::Code => (object::SectionKind::Text, alloc | SHF_EXECINSTR.0),
        Content::ReadOnly => (object::SectionKind::ReadOnlyData, alloc),
        Content::Writable | Content::ThreadLocalDescriptor => {
            (object::SectionKind::Data, alloc | SHF_WRITE.0)
        }
        Content::ThreadLocal => (object::SectionKind::Tls, alloc | SHF_WRITE.0 | SHF_TLS.0),
        Content::Unwind | Content::CompactUnwind => (object::SectionKind::ReadOnlyData, alloc),
        Content::UnwindIndex(_) => (object::SectionKind::ReadOnlyData, alloc | SHF_LINK_ORDER.0),
        Content::Debug => (object::SectionKind::Debug, 0),
    };
    let zero_fill = section.zero_fill > 0;
    let sh_type = match section.content {
        Content::Unwind => processor.unwind_section_type(),
        Content::UnwindIndex(_) => SHT_ARM_EXIDX,
        _ if zero_fill => SHT_NOBITS,
        _ => SHT_PROGBITS,
    };
    let kind = match kind {
        object::SectionKind::Data if zero_fill => object::SectionKind::UninitializedData,
        object::SectionKind::Tls if zero_fill => object::SectionKind::UninitializedTls,
        other => other,
    };
    (kind, sh_type, Flags(flags))
}

fn undefined(object: &mut Object<'_>, name: &str, weak: bool) -> SymbolId {
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value: 0,
        size: 0,
        kind: SymbolKind::Unknown,
        scope: SymbolScope::Unknown,
        weak,
        section: SymbolSection::Undefined,
        flags: SymbolFlags::None,
    })
}
