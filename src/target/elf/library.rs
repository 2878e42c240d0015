//! A linked patch library: where its symbols and its thread-locals' words ended up.

use std::collections::HashMap;

use anyhow::Context;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, RelocationFlags};

use crate::target::processor;

/// What the tool has to know of a library that it linked.
#[derive(Debug)]
pub struct Library {
    /// Static address and size of each symbol, in bytes; a thread-local's address is its
    /// offset in the library's thread-local block.
    pub symbols: HashMap<String, (u64, u64)>,
    /// For each offset in the thread-local block, the address of the word that holds its
    /// distance from the thread pointer.
    pub thread_local_words: HashMap<u64, u64>,
    /// The symbols that the loader has to find, and whether each may be missing.
    pub imports: Vec<(String, bool)>,
    /// Functions that would run at load.
    pub constructors: bool,
    segments: Vec<Segment>,
}

/// A part of the file that the loader maps.
#[derive(Debug)]
struct Segment {
    address: u64,
    file: (u64, u64),
}

impl Library {
    /// Takes a linked library apart.
    ///
    /// # Errors
    /// Where the bytes are no 64-bit ELF file.
    pub fn parse(data: &[u8]) -> anyhow::Result<Self> {
        let file =
            ElfFile64::<Endianness>::parse(data).context("the linked patch is no ELF file")?;
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
        let segments = file
            .segments()
            .map(|s| Segment { address: s.address(), file: s.file_range() })
            .collect();
        Ok(Library { symbols, thread_local_words, imports, constructors, segments })
    }

    /// Where in the file the byte at a static address stands.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let (from, size) = segment.file;
            let inside = address.checked_sub(segment.address).filter(|at| *at < size)?;
            Some(from + inside)
        })
    }
}
