//! Writing a draft as an ELF object.

use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    BinaryFormat, Endianness, RelocationFlags, SectionFlags, SymbolFlags, SymbolKind, SymbolScope,
};

use crate::target::binary::{Content, Draft, DraftSection, Target};

/// A draft's object file.
///
/// # Errors
/// Where the object cannot be written.
pub fn write(draft: &Draft) -> anyhow::Result<Vec<u8>> {
    let architecture = draft.processor.architecture();
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let unwind = draft.processor.unwind_section_type();
    let ids: Vec<_> =
        draft.sections.iter().map(|s| write_section(&mut object, s, unwind)).collect();
    let undefined: Vec<_> =
        draft.undefined.iter().map(|(name, weak)| undefined(&mut object, name, *weak)).collect();
    for (section, (id, _)) in draft.sections.iter().zip(&ids) {
        for reloc in &section.relocs {
            let (symbol, extra) = match reloc.target {
                Target::Local { section, offset } => (ids[section].1, offset as i64),
                Target::Undefined(index) => (undefined[index], 0),
            };
            object.add_relocation(
                *id,
                Relocation {
                    offset: reloc.offset,
                    symbol,
                    addend: reloc.addend + extra,
                    flags: RelocationFlags::Elf {
                        r_type: object::elf::RelocationType(reloc.r_type),
                    },
                },
            )?;
        }
    }
    Ok(object.write()?)
}

fn write_section(
    object: &mut Object<'_>,
    section: &DraftSection,
    unwind: object::elf::SectionType,
) -> (SectionId, SymbolId) {
    use object::elf::{
        SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS,
        SectionFlags as Flags,
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
        Content::Debug => (object::SectionKind::Debug, 0),
    };
    let zero_fill = section.zero_fill > 0;
    let sh_type = match section.content {
        Content::Unwind => unwind,
        _ if zero_fill => SHT_NOBITS,
        _ => SHT_PROGBITS,
    };
    let kind = match kind {
        object::SectionKind::Data if zero_fill => object::SectionKind::UninitializedData,
        object::SectionKind::Tls if zero_fill => object::SectionKind::UninitializedTls,
        other => other,
    };
    let id = object.add_section(Vec::new(), section.name.clone().into_bytes(), kind);
    *object.section_flags_mut(id) = SectionFlags::Elf { sh_type, sh_flags: Flags(flags) };
    if zero_fill {
        object.append_section_bss(id, section.zero_fill, section.align);
    } else {
        object.append_section_data(id, &section.data, section.align);
    }
    let kind = match section.content {
        Content::Code => SymbolKind::Text,
        Content::ThreadLocal => SymbolKind::Tls,
        _ => SymbolKind::Data,
    };
    let mut start = None;
    for symbol in &section.symbols {
        let added = object.add_symbol(Symbol {
            name: symbol.name.clone().into_bytes(),
            value: symbol.offset,
            size: symbol.size,
            kind,
            scope: if symbol.exported { SymbolScope::Dynamic } else { SymbolScope::Compilation },
            weak: false,
            section: SymbolSection::Section(id),
            flags: SymbolFlags::None,
        });
        if symbol.offset == 0 {
            start.get_or_insert(added);
        }
    }
    let start = start.unwrap_or_else(|| object.section_symbol(id));
    (id, start)
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
