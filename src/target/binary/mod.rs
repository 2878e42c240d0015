//! Objects, programs and libraries as every format has them. Each format's own folder reads its
//! files into these, and writes drafts.

pub mod draft;
pub mod encodings;
pub mod library;
pub mod object_file;
pub mod program;

pub use draft::{Content, Draft, DraftReloc, DraftSection, DraftSymbol, Target, Word};
pub use encodings::{Encoding, Encodings};
pub use library::Library;
pub use object_file::{ObjectFile, Reloc, Section, SectionKind, Symbol};
pub use program::Program;

/// The format of a file with code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ELF.
    Elf,
    /// Mach-O.
    MachO,
}

impl Format {
    /// Whether the entries of functions in a running program can be overwritten. Where they cannot,
    /// old code goes on calling old functions, and whoever is to call a new one has to be new too.
    pub fn has_detours(self) -> bool {
        self == Format::Elf
    }

    /// Whether symbols tell the sizes of what they name.
    pub fn has_sizes(self) -> bool {
        self == Format::Elf
    }

    /// What a symbol in a file of this format is called in the pipeline.
    pub fn name_of(self, symbol: &str) -> String {
        match self {
            Format::Elf => symbol.to_owned(),
            Format::MachO => super::macho::name_of(symbol),
        }
    }

    /// The name of a shared library's file.
    pub fn library(self, crate_name: &str, what: &str) -> String {
        let suffix = match self {
            Format::Elf => "so",
            Format::MachO => "dylib",
        };
        format!("lib{crate_name}.{what}.{suffix}")
    }
    /// The format of a file, by its first bytes; none where it is not known.
    pub fn of(data: &[u8]) -> Option<Format> {
        let macho = object::macho::MH_MAGIC_64.to_le_bytes();
        if data.starts_with(&object::elf::ELFMAG) {
            Some(Format::Elf)
        } else {
            data.starts_with(&macho).then_some(Format::MachO)
        }
    }
}
