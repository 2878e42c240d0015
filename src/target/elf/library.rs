//! Reading a linked ELF library.

use std::collections::HashMap;

use anyhow::Context;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{ElfFile, FileHeader};
use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, RelocationFlags};

use crate::target::binary::Library;
use crate::target::binary::library::Segment;
use crate::target::elf::Class;
use crate::target::processor;

/// Takes a linked library apart.
///
/// # Errors
/// Where the bytes are no ELF file.
pub fn parse(data: &[u8]) -> anyhow::Result<Library> {
    match Class::of(data) {
        Class::Elf32 => read::<FileHeader32<Endianness>>(data),
        Class::Elf64 => read::<FileHeader64<Endianness>>(data),
    }
}

fn read<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> anyhow::Result<Library> {
    let file = ElfFile::<Elf>::parse(data).context("the linked patch is no ELF file")?;
    let symbols = file
        .symbols()
        .filter(|s| !s.is_undefined())
        .filter_map(|s| Some((s.name().ok()?.to_owned(), (s.address(), s.size()))))
        .collect();
    let imports = file
        .dynamic_symbols()
        .filter(|s| s.is_undefined())
        .filter_map(|s| Some((s.name().ok()?.to_owned(), s.is_weak())))
        .collect();
    let endian = file.endian();
    let word = processor::of_elf(file.elf_header().e_machine(endian))?.thread_local_word();
    let mut thread_local_words = HashMap::new();
    for (address, reloc) in file.dynamic_relocations().into_iter().flatten() {
        let RelocationFlags::Elf { r_type } = reloc.flags() else { continue };
        if r_type.0 == word {
            thread_local_words.insert(reloc.addend() as u64, address);
        }
    }
    let constructors = file
        .sections()
        .any(|s| [Ok(".init_array"), Ok(".preinit_array"), Ok(".ctors")].contains(&s.name()));
    let segments =
        file.segments().map(|s| Segment { address: s.address(), file: s.file_range() }).collect();
    Ok(Library { symbols, thread_local_words, imports, constructors, segments })
}
