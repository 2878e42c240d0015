//! A relocatable object while it is put together: pieces copied from other objects, and the
//! words, stubs and thunks that join them to what the program has.

use std::collections::HashMap;

use hotpatch_protocol::manifest::BindingKind;

use super::program::Version;
use super::{Encoding, Encodings, Format};
use crate::target::processor::Processor;
use crate::target::{elf, macho};

/// What a section of the draft becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Executable.
    Code,
    /// Read-only after the link.
    ReadOnly,
    /// Writable, so that the runtime can fill words in it.
    Writable,
    /// Thread-local.
    ThreadLocal,
    /// What code reaches a thread-local by, in Mach-O.
    ThreadLocalDescriptor,
    /// `.eh_frame`.
    Unwind,
    /// How the functions of the section with this index are unwound, on 32-bit Arm.
    UnwindIndex(usize),
    /// `__compact_unwind`, in Mach-O.
    CompactUnwind,
    /// Not loaded.
    Debug,
}

/// The place a relocation of the draft refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An offset in a section of the draft.
    Local {
        /// Index into [`Draft::sections`].
        section: usize,
        /// In bytes.
        offset: u64,
    },
    /// An undefined symbol, by index, that the loader resolves.
    Undefined(usize),
}

/// A relocation of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftReloc {
    /// Where in the section.
    pub offset: u64,
    /// The processor's relocation type, by its number in ELF files in every format.
    pub r_type: u32,
    /// What it refers to.
    pub target: Target,
    /// The constant to add.
    pub addend: i64,
}

/// A section of the draft.
#[derive(Debug)]
pub struct DraftSection {
    /// Its name in the object.
    pub name: String,
    /// What it becomes.
    pub content: Content,
    /// In bytes.
    pub align: u64,
    /// Its bytes; empty for zero-filled sections.
    pub data: Vec<u8>,
    /// The size of a zero-filled section, in bytes.
    pub zero_fill: u64,
    /// In any order.
    pub relocs: Vec<DraftReloc>,
    /// How the code in it is encoded, on processors that have more than one way.
    pub encodings: Encodings,
    /// The symbols in it; the first, where it stands at the start, is the one that relocations
    /// name.
    pub symbols: Vec<DraftSymbol>,
}

/// A symbol of the draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftSymbol {
    /// Its name.
    pub name: String,
    /// Its offset in its section.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the library exports it.
    pub exported: bool,
}

impl DraftSection {
    /// An empty section.
    pub fn new(name: impl Into<String>, content: Content, align: u64) -> Self {
        DraftSection {
            name: name.into(),
            content,
            align,
            data: Vec::new(),
            zero_fill: 0,
            relocs: Vec::new(),
            encodings: Encodings::default(),
            symbols: Vec::new(),
        }
    }
}

/// A word that the runtime fills: `kind`, image and value as in the manifest's bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word {
    /// What to write.
    pub kind: BindingKind,
    /// Image 0 is the program, image N is patch N.
    pub image: u32,
    /// A static address in that image.
    pub value: u64,
}

/// The object under construction.
#[derive(Debug)]
pub struct Draft {
    /// The format of its file.
    pub format: Format,
    /// Whose code it is.
    pub processor: &'static dyn Processor,
    /// The system that it is for, in Mach-O.
    pub version: Option<Version>,
    /// In the order in which they were added.
    pub sections: Vec<DraftSection>,
    /// The names that the loader resolves, and whether each may be missing.
    pub undefined: Vec<(String, bool)>,
    /// Places that the runtime fills: section, offset, word.
    pub bindings: Vec<(usize, u64, Word)>,
    words: HashMap<Word, u64>,
    constants: HashMap<i64, u64>,
    places: HashMap<u64, u64>,
    stubs: HashMap<(Word, Option<Encoding>), Target>,
    glue: HashMap<Option<Encoding>, usize>,
    entry_stubs: HashMap<Word, usize>,
    undefined_index: HashMap<String, usize>,
}

/// The section with the words that the runtime fills.
const WORDS: usize = 0;
/// The section with constants that the tool knows.
const CONSTANTS: usize = 1;
/// The section with stubs and thunks.
const GLUE: usize = 2;

impl Draft {
    /// An empty one.
    pub fn new(format: Format, processor: &'static dyn Processor) -> Self {
        Draft {
            format,
            processor,
            version: None,
            sections: vec![
                DraftSection::new(".data.hotpatch.words", Content::Writable, 8),
                DraftSection::new(".rodata.hotpatch.constants", Content::ReadOnly, 8),
                DraftSection::new(".text.hotpatch.glue", Content::Code, 16),
            ],
            undefined: Vec::new(),
            bindings: Vec::new(),
            words: HashMap::new(),
            constants: HashMap::new(),
            places: HashMap::new(),
            stubs: HashMap::new(),
            glue: HashMap::from([(None, GLUE)]),
            entry_stubs: HashMap::new(),
            undefined_index: HashMap::new(),
        }
    }

    /// Adds a section and tells its index.
    pub fn add(&mut self, section: DraftSection) -> usize {
        self.sections.push(section);
        self.sections.len() - 1
    }

    /// A word of a pointer's size that the runtime fills; equal words are one.
    pub fn word(&mut self, word: Word) -> Target {
        if let Some(&offset) = self.words.get(&word) {
            return Target::Local { section: WORDS, offset };
        }
        let offset = self.sections[WORDS].data.len() as u64;
        let end = (offset + self.processor.pointer()) as usize;
        self.sections[WORDS].data.resize(end, 0);
        self.words.insert(word, offset);
        self.bindings.push((WORDS, offset, word));
        Target::Local { section: WORDS, offset }
    }

    /// An 8-byte constant.
    pub fn constant(&mut self, value: i64) -> Target {
        let data = &mut self.sections[CONSTANTS].data;
        let offset = *self.constants.entry(value).or_insert_with(|| {
            data.extend_from_slice(&value.to_le_bytes());
            data.len() as u64 - 8
        });
        Target::Local { section: CONSTANTS, offset }
    }

    /// What `__tls_get_addr` is given for the place so many bytes behind the start of the program's
    /// thread-locals: two words, of which the runtime fills the first.
    pub fn thread_local_place(&mut self, behind: u64) -> Target {
        let data = &mut self.sections[WORDS].data;
        let next = data.len() as u64;
        let offset = *self.places.entry(behind).or_insert(next);
        if offset == next {
            data.extend_from_slice(&[0; 8]);
            data.extend_from_slice(&behind.to_le_bytes());
            let word = Word { kind: BindingKind::ThreadLocals, image: 0, value: 0 };
            self.bindings.push((WORDS, offset, word));
        }
        Target::Local { section: WORDS, offset }
    }

    /// A piece of code that jumps to the address in a word; equal stubs are one. `make` gets
    /// the draft and the word's place and returns the code and its relocations.
    pub fn stub(
        &mut self,
        word: Word,
        make: impl FnOnce(Target) -> (Vec<u8>, Vec<DraftReloc>),
    ) -> Target {
        self.stub_in(None, word, make)
    }

    /// A stub that is encoded in one way, on processors that have more than one.
    pub fn stub_in(
        &mut self,
        encoding: Option<Encoding>,
        word: Word,
        make: impl FnOnce(Target) -> (Vec<u8>, Vec<DraftReloc>),
    ) -> Target {
        if let Some(&known) = self.stubs.get(&(word, encoding)) {
            return known;
        }
        let place = self.word(word);
        let (code, relocs) = make(place);
        let target = self.glue_in(encoding, &code, relocs);
        self.stubs.insert((word, encoding), target);
        target
    }

    /// A stub with a section and a symbol of its own, which linkers ask of what unwind tables name.
    pub fn entry_stub(
        &mut self,
        word: Word,
        make: impl FnOnce(Target) -> (Vec<u8>, Vec<DraftReloc>),
    ) -> Target {
        if let Some(&section) = self.entry_stubs.get(&word) {
            return Target::Local { section, offset: 0 };
        }
        let place = self.word(word);
        let (code, relocs) = make(place);
        let mut section = DraftSection::new(".text.hotpatch.stub", Content::Code, 16);
        (section.data, section.relocs) = (code, relocs);
        section.encodings = self.processor.stub_encodings();
        let section = self.add(section);
        self.entry_stubs.insert(word, section);
        Target::Local { section, offset: 0 }
    }

    /// Appends code to the glue section; the relocations' offsets are relative to the code.
    pub fn glue(&mut self, code: &[u8], relocs: Vec<DraftReloc>) -> Target {
        self.glue_in(None, code, relocs)
    }

    /// Appends code that is encoded in one way, on processors that have more than one.
    pub fn glue_in(
        &mut self,
        encoding: Option<Encoding>,
        code: &[u8],
        relocs: Vec<DraftReloc>,
    ) -> Target {
        let home = self.glue_section(encoding);
        let section = &mut self.sections[home];
        let gap = section.data.len().next_multiple_of(8) - section.data.len();
        section.data.extend(self.processor.trap().iter().cycle().take(gap));
        let offset = section.data.len() as u64;
        section.data.extend_from_slice(code);
        for mut reloc in relocs {
            reloc.offset += offset;
            section.relocs.push(reloc);
        }
        Target::Local { section: home, offset }
    }

    /// The section with stubs and thunks of one encoding.
    fn glue_section(&mut self, encoding: Option<Encoding>) -> usize {
        if let Some(&known) = self.glue.get(&encoding) {
            return known;
        }
        let mut section = DraftSection::new(".text.hotpatch.glue", Content::Code, 16);
        section.encodings = encoding.map(Encodings::all).unwrap_or_default();
        let index = self.add(section);
        self.glue.insert(encoding, index);
        index
    }

    /// A symbol that the loader resolves.
    pub fn undefined(&mut self, name: &str, weak: bool) -> Target {
        let next = self.undefined.len();
        let index = *self.undefined_index.entry(name.to_owned()).or_insert(next);
        if index == next {
            self.undefined.push((name.to_owned(), weak));
        } else if !weak {
            self.undefined[index].1 = false;
        }
        Target::Undefined(index)
    }

    /// The object file's bytes.
    ///
    /// # Errors
    /// Where the object cannot be written.
    pub fn write(&self) -> anyhow::Result<Vec<u8>> {
        match self.format {
            Format::Elf => elf::draft::write(self),
            Format::MachO => macho::draft::write(self),
        }
    }
}
