//! Reading a linked Mach-O library.

use std::collections::HashMap;

use anyhow::Context;
use object::macho as m;
use object::read::macho::{MachOFile64, Section as _};
use object::{Endianness, Object, ObjectSegment};

use super::program;
use crate::target::binary::Library;
use crate::target::binary::library::Segment;

/// Takes a linked library apart. Its imports are those that the linker found in no library.
///
/// # Errors
/// Where the bytes are no 64-bit Mach-O file.
pub fn parse(data: &[u8]) -> anyhow::Result<Library> {
    let file =
        MachOFile64::<Endianness>::parse(data).context("the linked patch is no Mach-O file")?;
    let symbols = program::definitions(&file)?;
    let symbols = symbols.into_iter().map(|(name, d)| (name, (d.address, d.size))).collect();
    let imports = program::undefined(&file)?.into_iter();
    let open = imports.filter(|(_, library, _)| *library == m::DYNAMIC_LOOKUP_ORDINAL);
    let imports = open.map(|(name, _, weak)| (name, weak)).collect();
    let constructors = file.sections().any(|section| {
        let kind = section.macho_section().flags(file.endian()).typ();
        [m::S_MOD_INIT_FUNC_POINTERS, m::S_INIT_FUNC_OFFSETS].contains(&kind)
    });
    let segments =
        file.segments().map(|s| Segment { address: s.address(), file: s.file_range() }).collect();
    let thread_local_words = HashMap::new();
    Ok(Library { symbols, thread_local_words, imports, constructors, segments })
}
