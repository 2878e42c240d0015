//! A relocatable object, taken apart into the pieces that a linker moves around: sections, the
//! symbols in them and the relocations between them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use object::read::elf::{ElfFile64, ElfSection64, FileHeader, SectionHeader};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget,
    SymbolSection,
};

use crate::target::processor::{self, Processor};

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
    /// `.eh_frame`.
    EhFrame,
    /// Lists of functions that run at load or unload.
    Constructors,
    /// `.debug_*`.
    Debug,
    /// Everything that never reaches a patch (notes, groups, symbol tables).
    Other,
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
    /// Where its bytes stand in the file; none for `.bss` and `.tbss`.
    range: Option<Range<usize>>,
    /// Sorted by offset.
    pub relocs: Vec<Reloc>,
    /// The named symbols defined in it, as indices into [`ObjectFile::symbols`].
    pub symbols: Vec<usize>,
}

/// A relocation: the linker writes the target's address, combined with the addend, at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// Where in the section.
    pub offset: u64,
    /// The processor's relocation type.
    pub r_type: u32,
    /// Index into [`ObjectFile::symbols`].
    pub symbol: usize,
    /// The constant to add.
    pub addend: i64,
}

/// A symbol of the object.
#[derive(Debug, Clone)]
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
    /// Whose code it is.
    pub processor: &'static dyn Processor,
    /// Where it came from, for messages.
    pub path: PathBuf,
    data: Vec<u8>,
    /// By index; index 0 is ELF's null section.
    pub sections: Vec<Section>,
    /// By index; index 0 is ELF's null symbol.
    pub symbols: Vec<Symbol>,
    defined: HashMap<String, usize>,
    renamed: BTreeMap<String, String>,
}

impl ObjectFile {
    /// Reads and parses the object at `path`.
    ///
    /// # Errors
    /// Where the file cannot be read or is no 64-bit little-endian ELF object.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let data =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path, data)
    }

    /// Parses an object's bytes; `path` is for messages.
    ///
    /// # Errors
    /// Where the bytes are no 64-bit little-endian ELF object.
    pub fn parse(path: &Path, data: Vec<u8>) -> anyhow::Result<Self> {
        let what = || format!("{} is not an ELF object that can be read", path.display());
        let file = ElfFile64::<Endianness>::parse(&*data).with_context(what)?;
        anyhow::ensure!(file.elf_header().is_little_endian(), "{}", what());
        let processor = processor::of_elf(file.elf_header().e_machine(Endianness::Little))
            .with_context(what)?;
        let symbols = read_symbols(&file, processor);
        let mut sections = vec![null_section()];
        for section in file.sections() {
            while sections.len() < section.index().0 {
                sections.push(null_section());
            }
            sections.push(read_section(&section).with_context(what)?);
        }
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
        Ok(ObjectFile { processor, path, data, sections, symbols, defined, renamed })
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

fn null_section() -> Section {
    Section {
        name: String::new(),
        kind: SectionKind::Other,
        align: 1,
        size: 0,
        range: None,
        relocs: Vec::new(),
        symbols: Vec::new(),
    }
}

fn read_symbols(file: &ElfFile64<'_, Endianness>, processor: &dyn Processor) -> Vec<Symbol> {
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
            value: symbol.address(),
            size: symbol.size(),
            local: symbol.is_local(),
            weak: symbol.is_weak(),
        });
    }
    symbols
}

fn read_section(section: &ElfSection64<'_, '_, Endianness>) -> anyhow::Result<Section> {
    let name = section.name()?.to_owned();
    let header = section.elf_section_header();
    let endian = Endianness::Little;
    let kind = kind_of(&name, header.sh_type(endian), header.sh_flags(endian));
    let kind = match kind {
        SectionKind::Merge { strings, .. } => {
            SectionKind::Merge { strings, entry: header.sh_entsize(endian) }
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
        range: section.file_range().map(|(at, size)| at as usize..(at + size) as usize),
        relocs,
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
        SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_TLS, SHF_WRITE, SHT_FINI_ARRAY,
        SHT_INIT_ARRAY, SHT_NOBITS, SHT_PREINIT_ARRAY, SHT_PROGBITS,
    };
    let has = |flag: object::elf::SectionFlags| sh_flags.0 & flag.0 != 0;
    let constructors = [SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY];
    if name == ".eh_frame" {
        SectionKind::EhFrame
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
