//! A relocatable object, taken apart into the pieces that a linker moves around: sections, the
//! symbols in them and the relocations between them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Encodings, Format};
use crate::target::macho::frames::{Frame, Frames};
use crate::target::processor::Processor;
use crate::target::{elf, macho};

/// What a section holds, as far as binding has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Machine code.
    Text,
    /// Immutable data, with or without pointers in it.
    ReadOnly,
    /// Immutable pieces that linkers merge by content: NUL-terminated strings, or entries of
    /// the given size in bytes.
    Merge {
        /// Strings end at a NUL; otherwise each piece has `entry` bytes.
        strings: bool,
        /// The size of a piece, or of a character.
        entry: u64,
    },
    /// Mutable data (`.data`, `.bss`).
    Mutable,
    /// The initial values of thread-locals (`.tdata`, `.tbss`).
    ThreadLocal,
    /// What the code of Mach-O programs reaches a thread-local by.
    ThreadLocalDescriptor,
    /// `.eh_frame`.
    EhFrame,
    /// `.ARM.exidx`: how the functions of one section of code are unwound.
    UnwindIndex,
    /// Lists of functions that run at load or unload.
    Constructors,
    /// `.debug_*`.
    Debug,
    /// Everything that never reaches a patch (notes, groups, symbol tables).
    Other,
}

impl SectionKind {
    /// Whether the program holds values there.
    pub fn keeps_values(self) -> bool {
        use SectionKind::{Mutable, ThreadLocal, ThreadLocalDescriptor};
        matches!(self, Mutable | ThreadLocal | ThreadLocalDescriptor)
    }
}

/// A section with the relocations that apply to it.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name, such as `.text._ZN4main4tick17h…E`.
    pub name: String,
    /// What it holds.
    pub kind: SectionKind,
    /// Its alignment in bytes.
    pub align: u64,
    /// Its size in bytes.
    pub size: u64,
    /// How many of these bytes at most are none of its own but stand in front of the next symbol,
    /// where symbols do not tell sizes.
    pub padding: u64,
    /// Where its bytes stand in the file; none for `.bss` and `.tbss`.
    pub(in crate::target) range: Option<Range<usize>>,
    /// Sorted by offset.
    pub relocs: Vec<Reloc>,
    /// How the code in it is encoded, on processors that have more than one way.
    pub encodings: Encodings,
    /// The named symbols defined in it, as indices into [`ObjectFile::symbols`].
    pub symbols: Vec<usize>,
}

/// A relocation: the linker writes the target's address, combined with the addend, at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// Where in the section.
    pub offset: u64,
    /// The processor's relocation type, by its number in ELF files in every format.
    pub r_type: u32,
    /// Index into [`ObjectFile::symbols`].
    pub symbol: usize,
    /// The constant to add.
    pub addend: i64,
}

impl Reloc {
    /// The type of a relocation that no processor in ELF has.
    pub const UNKNOWN: u32 = u32::MAX;
}

/// A symbol of the object.
#[derive(Debug, Clone, Default)]
pub struct Symbol {
    /// Its name; empty for a section symbol.
    pub name: String,
    /// The index of the section it is defined in; none where it is undefined.
    pub section: Option<usize>,
    /// Its offset in that section.
    pub value: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Visible in this object only.
    pub local: bool,
    /// A reference or definition that may be missing or replaced.
    pub weak: bool,
}

/// A relocatable object.
#[derive(Debug, Clone)]
pub struct ObjectFile {
    /// The format of its file.
    pub format: Format,
    /// Whose code it is.
    pub processor: &'static dyn Processor,
    /// Where it came from, for messages.
    pub path: PathBuf,
    data: Vec<u8>,
    /// By index; index 0 is ELF's null section.
    pub sections: Vec<Section>,
    /// By index; index 0 is ELF's null symbol.
    pub symbols: Vec<Symbol>,
    /// How its functions are unwound, in Mach-O.
    pub(in crate::target) frames: Frames,
    defined: HashMap<String, usize>,
    renamed: BTreeMap<String, String>,
}

impl ObjectFile {
    /// Reads and parses the object at `path`.
    ///
    /// # Errors
    /// Where the file cannot be read or is no 64-bit little-endian object.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let data =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path, data)
    }

    /// Parses an object's bytes; `path` is for messages.
    ///
    /// # Errors
    /// Where the bytes are no 64-bit little-endian object.
    pub fn parse(path: &Path, data: Vec<u8>) -> anyhow::Result<Self> {
        match Format::of(&data) {
            Some(Format::Elf) => elf::object_file::parse(path, data),
            Some(Format::MachO) => macho::object_file::parse(path, data),
            None => anyhow::bail!("{} is not an object that can be read", path.display()),
        }
    }

    /// Puts an object together. Its sections name no symbols yet.
    pub(in crate::target) fn new(
        (path, data): (&Path, Vec<u8>),
        (format, processor): (Format, &'static dyn Processor),
        (mut sections, symbols): (Vec<Section>, Vec<Symbol>),
    ) -> Self {
        let mut defined = HashMap::new();
        for (index, symbol) in symbols.iter().enumerate() {
            let Some(section) = symbol.section else { continue };
            if symbol.name.is_empty() {
                continue;
            }
            if let Some(section) = sections.get_mut(section) {
                section.symbols.push(index);
            }
            defined.insert(symbol.name.clone(), index);
        }
        let (path, renamed) = (path.to_owned(), BTreeMap::new());
        let frames = Frames::default();
        ObjectFile { format, processor, path, data, sections, symbols, frames, defined, renamed }
    }

    /// Gives symbols other names, as if the compiler had called them that.
    pub fn rename(&mut self, names: &BTreeMap<String, String>) {
        if names.is_empty() {
            return;
        }
        for (index, symbol) in self.symbols.iter_mut().enumerate() {
            let Some(name) = names.get(&symbol.name) else { continue };
            if self.defined.remove(&symbol.name).is_some() {
                self.defined.insert(name.clone(), index);
            }
            symbol.name.clone_from(name);
        }
        for name in self.renamed.values_mut() {
            if let Some(newer) = names.get(name) {
                name.clone_from(newer);
            }
        }
        for (old, new) in names {
            self.renamed.entry(old.clone()).or_insert_with(|| new.clone());
        }
    }

    /// The name that a symbol has, by the name that the compiler gave it.
    pub fn name_now<'n>(&'n self, compiled: &'n [u8]) -> &'n [u8] {
        let name = std::str::from_utf8(compiled).ok();
        let renamed = name.filter(|_| !self.renamed.is_empty()).and_then(|n| self.renamed.get(n));
        renamed.map_or(compiled, |name| name.as_bytes())
    }

    /// A section's bytes; empty for `.bss` and `.tbss`.
    pub fn bytes(&self, section: usize) -> &[u8] {
        self.sections
            .get(section)
            .and_then(|s| s.range.clone())
            .and_then(|r| self.data.get(r))
            .unwrap_or(&[])
    }

    /// Whether the section has no bytes in the file, only a size.
    pub fn is_zero_fill(&self, section: usize) -> bool {
        self.sections.get(section).is_some_and(|s| s.range.is_none() && s.size > 0)
    }

    /// How the function in a section is unwound, in Mach-O.
    pub fn frame(&self, section: usize) -> Option<&Frame> {
        self.frames.of(section)
    }

    /// The symbol defined here under this name.
    pub fn definition(&self, name: &str) -> Option<&Symbol> {
        self.defined.get(name).and_then(|&i| self.symbols.get(i))
    }

    /// The names of all symbols defined here.
    pub fn definitions(&self) -> impl Iterator<Item = &str> {
        self.defined.keys().map(String::as_str)
    }

    /// The symbol that names the place `offset` in `section`, and the distance to it: the one
    /// with the highest value that is not beyond.
    pub fn symbol_at(&self, section: usize, offset: u64) -> Option<(&Symbol, u64)> {
        let symbols = &self.sections.get(section)?.symbols;
        symbols
            .iter()
            .filter_map(|&i| self.symbols.get(i))
            .filter(|s| s.value <= offset)
            .max_by_key(|s| s.value)
            .map(|s| (s, offset - s.value))
    }
}
