//! What binding asks of a processor, and which processors there are.

use std::fmt::Debug;

use object::Architecture;

use super::binary::program::TlsLayout;
use super::binary::{Draft, DraftReloc, Encoding, Encodings, Reloc, Target};
use super::{aarch64, arm, x86_64};

/// What the symbol of a relocation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A copy in the patch.
    Local(Target),
    /// Something in the image: its number and static address there.
    Image {
        /// 0 is the program, N is patch N.
        image: u32,
        /// A static address.
        address: u64,
    },
    /// A thread-local of the program, at a constant distance from the thread pointer.
    ThreadLocalAt(i64),
    /// A thread-local of a program that is a shared library. Where it is, each thread asks the
    /// loader.
    ThreadLocalBehind {
        /// How far behind the start of the library's thread-locals it lies.
        behind: u64,
        /// The static address of the library's own descriptor of it, where it has one.
        descriptor: Option<u64>,
    },
    /// A thread-local of an earlier patch: where that patch keeps its distance from the
    /// thread pointer.
    ThreadLocalIn {
        /// The patch.
        image: u32,
        /// The static address of the 8-byte word.
        address: u64,
    },
    /// A thread-local that this patch adds.
    ThreadLocalNew(Target),
    /// Left to the loader.
    Loader(Target),
}

/// One relocation in its place.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The draft section that the relocated bytes were copied to.
    pub section: usize,
    /// The relocation; its `symbol` field means nothing here.
    pub reloc: Reloc,
    /// The relocation after it in the same section.
    pub following: Option<&'a Reloc>,
}

/// How a function takes its arguments and gives its result, as far as its code shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Convention {
    /// What it reads of the arguments' registers for integers, in their order.
    pub integers: [Integer; 6],
    /// The arguments' registers for floating point that it reads, one bit each.
    pub floats: u8,
    /// It reads arguments from the stack.
    pub stack: bool,
    /// Whether each register that a second or a floating-point part of a result may be in has
    /// one, where that is known.
    pub results: [Option<bool>; 3],
}

/// What a function reads of an argument's register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Integer {
    /// Nothing.
    #[default]
    Unread,
    /// Up to four bytes.
    Narrow,
    /// All of it.
    Wide,
}

impl Integer {
    /// For a read of so many bytes.
    pub fn of_width(bytes: usize) -> Self {
        if bytes > 4 { Integer::Wide } else { Integer::Narrow }
    }
}

/// A processor, as far as its relocations and its code matter.
pub trait Processor: Debug + Sync {
    /// Its name in object files.
    fn architecture(&self) -> Architecture;

    /// The type of `.eh_frame` sections.
    fn unwind_section_type(&self) -> object::elf::SectionType;

    /// What the header of an object says beside the processor.
    fn file_flags(&self) -> object::elf::FileFlags {
        object::elf::FileFlags(0)
    }

    /// What objects tell linkers of their code, on processors where they do.
    fn attributes(&self) -> &'static [u8] {
        &[]
    }

    /// The relocation that writes a 32-bit distance from the field to its target.
    fn relative_32(&self) -> u32;

    /// The relocation that writes a full pointer.
    fn absolute(&self) -> u32;

    /// The size of a pointer, in bytes.
    fn pointer(&self) -> u64 {
        8
    }

    /// The bit of a function's address that tells how its code is encoded, and is no part of where
    /// it stands; 0 where there is none.
    fn code_mark(&self) -> u64 {
        0
    }

    /// The encoding that a mapping symbol of this name begins, on processors that have several.
    fn encoding_from(&self, _name: &str) -> Option<Encoding> {
        None
    }

    /// Where objects keep addends in the bytes that are relocated, moves one from there into the
    /// relocation: from then on it counts from the symbol. What the bytes keep is how far from the
    /// relocated place the processor counts. `encodings` is given for code.
    fn take_addend(&self, _bytes: &mut [u8], _encodings: Option<&Encodings>, _reloc: &mut Reloc) {}

    /// The other way round, for an object that is written.
    ///
    /// # Errors
    /// Where the addend does not fit its place.
    fn put_addend(&self, _bytes: &mut [u8], _reloc: &mut DraftReloc) -> anyhow::Result<()> {
        Ok(())
    }

    /// The dynamic relocation of a word that holds a thread-local's distance from the thread
    /// pointer.
    fn thread_local_word(&self) -> u32;

    /// The dynamic relocation of a thread-local's descriptor, where code of libraries asks by these.
    fn thread_local_descriptor(&self) -> Option<u32> {
        None
    }

    /// Code that traps, for the gaps between pieces of code.
    fn trap(&self) -> &'static [u8];

    /// Code that jumps to the address in a word, and its relocations.
    fn stub(&self, word: Target) -> (Vec<u8>, Vec<DraftReloc>);

    /// How a stub is encoded, on processors that have more than one way.
    fn stub_encodings(&self) -> Encodings {
        Encodings::default()
    }

    /// Binds one relocation; returns true where it also dealt with the following one (the call
    /// of a thread-local access sequence).
    ///
    /// # Errors
    /// Where the code uses a form that cannot be bound; the message says which and why.
    fn bind(&self, draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<bool>;

    /// Whether a thread-local access sequence starts here that needs no symbol of its own.
    fn is_local_dynamic(&self, r_type: u32) -> bool;

    /// Whether the relocation asks for a full pointer in data.
    fn is_absolute(&self, r_type: u32) -> bool;

    /// Whether a relocation in debug information names an address or a place in another debug
    /// section (and not, for one, an offset in a thread-local block).
    fn is_debug_reference(&self, r_type: u32) -> bool;

    /// How many bytes a relocation in debug information writes.
    fn field_width(&self, r_type: u32) -> usize;

    /// How far behind the symbol's address the target of a relocation lies, in bytes. `code` is
    /// the section that has the relocation, where that is code.
    ///
    /// # Errors
    /// Where the code cannot be decoded.
    fn target_distance(&self, code: Option<&[u8]>, reloc: &Reloc) -> anyhow::Result<i64>;

    /// Whether a relocation in code only reads or writes memory (and does not take the target's
    /// address), so that a copy of immutable data serves as well.
    fn is_plain_access(&self, code: &[u8], reloc: &Reloc) -> bool;

    /// Whether a relocation in code only calls its target or jumps there, and makes no pointer
    /// of it.
    fn is_call(&self, code: &[u8], reloc: &Reloc) -> bool;

    /// Why the entry of a function cannot be overwritten with a jump, where it cannot: `code` is
    /// the function, `room` the bytes from its entry to the next symbol.
    fn entry_hazard(&self, code: &[u8], room: u64) -> Option<&'static str>;

    /// How the code of one function takes its arguments and gives its result; nothing where that
    /// cannot be read.
    fn convention(&self, code: &[u8]) -> Option<Convention>;

    /// The constant distance from the thread pointer to a thread-local of an executable.
    fn thread_pointer_offset(&self, tls: TlsLayout, block_offset: u64) -> i64;

    /// Whether a symbol only tells code and data apart.
    fn is_mapping_symbol(&self, name: &str) -> bool;
}

/// The processor of Mach-O files with this number.
///
/// # Errors
/// Where its code cannot be bound.
pub fn of_macho(cpu: object::macho::CpuType) -> anyhow::Result<&'static dyn Processor> {
    match cpu {
        object::macho::CPU_TYPE_ARM64 => Ok(&aarch64::Aarch64),
        object::macho::CPU_TYPE_X86_64 => Ok(&x86_64::X86_64),
        other => anyhow::bail!("its processor (Mach-O type {}) is not supported", other.0),
    }
}

/// The processor of ELF files with this machine number.
///
/// # Errors
/// Where its code cannot be bound.
pub fn of_elf(machine: object::elf::Machine) -> anyhow::Result<&'static dyn Processor> {
    match machine {
        object::elf::EM_AARCH64 => Ok(&aarch64::Aarch64),
        object::elf::EM_ARM => Ok(&arm::Arm),
        object::elf::EM_X86_64 => Ok(&x86_64::X86_64),
        other => anyhow::bail!("its processor (ELF machine {}) is not supported", other.0),
    }
}
