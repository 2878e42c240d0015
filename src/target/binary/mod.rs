//! Objects, programs and libraries as every format has them. Each format's own folder reads its
//! files into these, and writes drafts.

pub mod draft;
pub mod library;
pub mod object_file;
pub mod program;

pub use draft::{Content, Draft, DraftReloc, DraftSection, DraftSymbol, Target, Word};
pub use library::Library;
pub use object_file::{ObjectFile, Reloc, Section, SectionKind, Symbol};
pub use program::Program;

/// The format of a file with code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ELF.
    Elf,
}

impl Format {
    /// The format of a file, by its first bytes; none where it is not known.
    pub fn of(data: &[u8]) -> Option<Format> {
        data.starts_with(&object::elf::ELFMAG).then_some(Format::Elf)
    }
}
