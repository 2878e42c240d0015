//! A linked patch library: where its symbols and its thread-locals' words ended up.

use std::collections::HashMap;

use super::Format;
use crate::target::{elf, macho};

/// What the tool has to know of a library that it linked.
#[derive(Debug)]
pub struct Library {
    /// Static address and size of each symbol, in bytes; a thread-local's address is its
    /// offset in the library's thread-local block.
    pub symbols: HashMap<String, (u64, u64)>,
    /// For each offset in the thread-local block, the address of the word that holds its
    /// distance from the thread pointer.
    pub thread_local_words: HashMap<u64, u64>,
    /// The symbols that the loader has to find and in Mach-O the linker did not, and whether each
    /// may be missing.
    pub imports: Vec<(String, bool)>,
    /// Functions that would run at load.
    pub constructors: bool,
    /// What the loader maps.
    pub(in crate::target) segments: Vec<Segment>,
}

/// A part of the file that the loader maps.
#[derive(Debug)]
pub struct Segment {
    /// Its static address.
    pub address: u64,
    /// Where it stands in the file, and its size there in bytes.
    pub file: (u64, u64),
}

impl Library {
    /// Takes a linked library apart.
    ///
    /// # Errors
    /// Where the bytes are no 64-bit library.
    pub fn parse(data: &[u8]) -> anyhow::Result<Self> {
        match Format::of(data) {
            Some(Format::Elf) => elf::library::parse(data),
            Some(Format::MachO) => macho::library::parse(data),
            None => anyhow::bail!("the format of the linked patch is not known"),
        }
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
