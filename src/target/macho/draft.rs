//! Writing a draft as a Mach-O object: what is a section of its own in other formats becomes a
//! piece, with a symbol at its start, of one of the few sections that there are.

use std::collections::HashMap;

use anyhow::Context;
use object::macho as m;
use object::write::{
    MachOBuildVersion, Mangling, Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection,
};
use object::{
    BinaryFormat, Endianness, RelocationFlags, SectionFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};

use super::{relocation, symbol_of};
use crate::target::binary::{Content, Draft, DraftReloc, DraftSection, Target};

/// Where a section of the draft went.
#[derive(Debug, Clone, Copy)]
struct Place {
    section: SectionId,
    offset: u64,
    start: SymbolId,
}

/// Writes a draft's object file, without debug information.
///
/// # Errors
/// Where the object cannot be written.
pub fn write(draft: &Draft) -> anyhow::Result<Vec<u8>> {
    let architecture = draft.processor.architecture();
    let mut object = Object::new(BinaryFormat::MachO, architecture, Endianness::Little);
    // Names have their underscores here.
    object.set_mangling(Mangling::None);
    object.set_subsections_via_symbols();
    if let Some(version) = draft.version {
        let mut wanted = MachOBuildVersion::default();
        wanted.platform = m::Platform(version.platform);
        wanted.minos = m::Version(version.oldest);
        wanted.sdk = m::Version(version.sdk);
        object.set_macho_build_version(wanted);
    }
    let mut sections = HashMap::new();
    let mut places = Vec::new();
    for (number, section) in draft.sections.iter().enumerate() {
        let empty = section.data.is_empty() && section.zero_fill == 0;
        let written = section.content != Content::Debug && !empty;
        places.push(written.then(|| add(&mut object, &mut sections, section, number)));
    }
    let undefined: Vec<_> =
        draft.undefined.iter().map(|(name, weak)| undefined(&mut object, name, *weak)).collect();
    for (section, place) in draft.sections.iter().zip(&places) {
        let Some(place) = place else { continue };
        for reloc in &section.relocs {
            let (symbol, inside) = match reloc.target {
                Target::Local { section, offset } => {
                    let target = places.get(section).copied().flatten();
                    (target.context("a relocation of nothing")?.start, offset as i64)
                }
                Target::Undefined(index) => (undefined[index], 0),
            };
            relocate(&mut object, (draft, section, *place), reloc, (symbol, inside))?;
        }
    }
    Ok(object.write()?)
}

fn relocate(
    object: &mut Object<'_>,
    (draft, section, place): (&Draft, &DraftSection, Place),
    reloc: &DraftReloc,
    (symbol, inside): (SymbolId, i64),
) -> anyhow::Result<()> {
    let code = section.content == Content::Code;
    let form = relocation::to_macho(draft.processor.architecture(), reloc.r_type, code);
    let form = form
        .with_context(|| format!("a relocation of type {} has no form in Mach-O", reloc.r_type))?;
    let mut addend = reloc.addend + inside;
    if form.difference {
        // It counts from the start of the piece instead of from the field.
        addend -= reloc.offset as i64;
    }
    let written = Relocation {
        offset: place.offset + reloc.offset,
        symbol,
        addend,
        flags: RelocationFlags::MachO {
            r_type: form.kind,
            r_pcrel: form.relative,
            r_length: form.length,
        },
    };
    let from = form.difference.then_some(place.start);
    Ok(object.add_relocation_with_subtractor(place.section, written, from)?)
}

/// Segment, name, kind and flags of the section for some content.
fn home(section: &DraftSection) -> (&'static str, &'static str, SectionKind, m::SectionFlags) {
    let zero_fill = section.zero_fill > 0;
    let code = m::S_ATTR_PURE_INSTRUCTIONS | m::S_ATTR_SOME_INSTRUCTIONS;
    let regular: m::SectionFlags = m::S_REGULAR.into();
    let frames = m::S_ATTR_NO_TOC | m::S_ATTR_STRIP_STATIC_SYMS | m::S_ATTR_LIVE_SUPPORT;
    match section.content {
        Content::Code => ("__TEXT", "__text", SectionKind::Text, regular | code),
        Content::Writable if zero_fill => {
            ("__DATA", "__bss", SectionKind::UninitializedData, m::S_ZEROFILL.into())
        }
        Content::Writable => ("__DATA", "__data", SectionKind::Data, regular),
        Content::ThreadLocal if zero_fill => {
            let flags = m::S_THREAD_LOCAL_ZEROFILL.into();
            ("__DATA", "__thread_bss", SectionKind::UninitializedTls, flags)
        }
        Content::ThreadLocal => {
            ("__DATA", "__thread_data", SectionKind::Tls, m::S_THREAD_LOCAL_REGULAR.into())
        }
        Content::ThreadLocalDescriptor => {
            let flags = m::S_THREAD_LOCAL_VARIABLES.into();
            ("__DATA", "__thread_vars", SectionKind::TlsVariables, flags)
        }
        Content::Unwind => {
            let flags: m::SectionFlags = m::S_COALESCED.into();
            ("__TEXT", "__eh_frame", SectionKind::ReadOnlyData, flags | frames)
        }
        Content::CompactUnwind => {
            let flags = regular | m::S_ATTR_DEBUG;
            ("__LD", "__compact_unwind", SectionKind::ReadOnlyData, flags)
        }
        Content::ReadOnly | Content::Debug | Content::UnwindIndex(_) => {
            ("__TEXT", "__const", SectionKind::ReadOnlyData, regular)
        }
    }
}

fn add(
    object: &mut Object<'_>,
    sections: &mut HashMap<&'static str, SectionId>,
    section: &DraftSection,
    number: usize,
) -> Place {
    let (segment, name, kind, flags) = home(section);
    let id = *sections.entry(name).or_insert_with(|| {
        let (segment, name) = (segment.as_bytes().to_vec(), name.as_bytes().to_vec());
        let id = object.add_section(segment, name, kind);
        *object.section_flags_mut(id) = SectionFlags::MachO { flags, reserved2: 0 };
        id
    });
    let offset = match section.zero_fill {
        0 => object.append_section_data(id, &section.data, section.align),
        size => object.append_section_bss(id, size, section.align),
    };
    let mut symbol = |name: String, inside: u64, exported: bool| {
        let external = if exported { m::N_EXT } else { m::SymbolFlags(0) };
        object.add_symbol(Symbol {
            name: name.into_bytes(),
            value: offset + inside,
            size: 0,
            kind: if section.content == Content::Code {
                SymbolKind::Text
            } else {
                SymbolKind::Data
            },
            scope: if exported { SymbolScope::Dynamic } else { SymbolScope::Compilation },
            weak: false,
            section: SymbolSection::Section(id),
            flags: SymbolFlags::MachO {
                n_type: m::SymbolFlags::from(m::N_SECT) | external,
                // Inside of a piece, where it begins none of its own.
                n_desc: if inside > 0 { m::N_ALT_ENTRY } else { m::SymbolDesc(0) },
            },
        })
    };
    let mut start = None;
    for own in &section.symbols {
        let added = symbol(symbol_of(&own.name), own.offset, own.exported);
        if own.offset == 0 {
            start.get_or_insert(added);
        }
    }
    // The linker's own kind of label, which does not come into the library.
    let start = start.unwrap_or_else(|| symbol(format!("l_hotpatch.{number}"), 0, false));
    Place { section: id, offset, start }
}

fn undefined(object: &mut Object<'_>, name: &str, weak: bool) -> SymbolId {
    object.add_symbol(Symbol {
        name: symbol_of(name).into_bytes(),
        value: 0,
        size: 0,
        kind: SymbolKind::Unknown,
        scope: SymbolScope::Dynamic,
        weak,
        section: SymbolSection::Undefined,
        flags: SymbolFlags::None,
    })
}
