//! How the functions of a Mach-O object are unwound: in a word each (`__compact_unwind`), or, where
//! that does not do, by an entry of `__eh_frame`, whose addresses may have no relocations.
//! (LLVM's `MachO/CompactUnwindSupport`, Apple's `compact_unwind_encoding.h`.)

use std::collections::HashMap;
use std::ops::Range;

use anyhow::Context;
use object::Architecture;
use object::macho::RelocationInfo;

use super::object_file::{Pieces, Raw};
use super::relocation;
use crate::target::binary::SectionKind;

/// The size of an entry of `__compact_unwind`, in bytes.
pub const COMPACT_ENTRY: usize = 32;

/// How one function is unwound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's size in bytes.
    pub length: u64,
    /// In which form that is said.
    pub form: Form,
    /// The function's table of landing pads: its piece and the offset there.
    pub pads: Option<(usize, u64)>,
    /// The name of the routine that reads the table.
    pub personality: Option<String>,
}

/// The two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A word.
    Compact(u32),
    /// An entry of `__eh_frame`.
    Dwarf {
        /// The common entry that it refers to.
        common: Vec<u8>,
        /// Where the common entry has the distance to a pointer to the personality routine.
        personality_at: Option<usize>,
        /// The entry, without its addresses.
        entry: Vec<u8>,
        /// Where it has the distance to the table of landing pads.
        pads_at: Option<usize>,
    },
}

/// The frames of an object's functions, by piece.
#[derive(Debug, Clone, Default)]
pub struct Frames(HashMap<usize, Frame>);

/// Where a function's address stands in an entry of `__eh_frame`.
pub const FUNCTION_AT: usize = 8;

impl Frames {
    /// How the function in a piece is unwound.
    pub fn of(&self, piece: usize) -> Option<&Frame> {
        self.0.get(&piece)
    }

    /// The size of the function in a piece, in bytes.
    pub fn length(&self, piece: usize) -> Option<u64> {
        self.of(piece).map(|frame| frame.length)
    }
}

/// Reads the frames of an object.
///
/// # Errors
/// Where they are malformed or in a form that is not known.
pub fn read(pieces: &Pieces, of: Architecture, data: &[u8]) -> anyhow::Result<Frames> {
    let mut frames = Frames::default();
    for raw in pieces.raw.iter().filter(|raw| raw.kind == SectionKind::EhFrame) {
        read_dwarf(&Reader { pieces, of, raw, bytes: bytes_of(raw, data) }, &mut frames)?;
    }
    for raw in pieces.raw.iter().filter(|raw| raw.name == "__LD,__compact_unwind") {
        read_compact(&Reader { pieces, of, raw, bytes: bytes_of(raw, data) }, &mut frames)?;
    }
    Ok(frames)
}

fn bytes_of<'a>(raw: &Raw, data: &'a [u8]) -> &'a [u8] {
    raw.file.and_then(|at| data.get(at..at + raw.size as usize)).unwrap_or(&[])
}

/// One section with such information.
struct Reader<'a> {
    pieces: &'a Pieces,
    of: Architecture,
    raw: &'a Raw,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn word(&self, at: usize) -> anyhow::Result<u32> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|b| u32::from_le_bytes(*b)).context("unwind information is cut short")
    }

    fn long(&self, at: usize) -> anyhow::Result<i64> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|b| i64::from_le_bytes(*b)).context("unwind information is cut short")
    }

    fn relocs(&self, at: usize) -> impl Iterator<Item = &RelocationInfo> {
        self.raw.relocs.iter().filter(move |r| r.r_address as usize == at)
    }

    fn symbol(&self, reloc: &RelocationInfo) -> Option<&super::object_file::RawSymbol> {
        self.pieces.symbols.get(reloc.r_symbolnum as usize).filter(|_| reloc.r_extern)
    }

    /// The address in a field of eight bytes.
    fn absolute(&self, at: usize) -> anyhow::Result<u64> {
        let base = self.relocs(at).find_map(|r| self.symbol(r)).map_or(0, |s| s.address);
        Ok(base.wrapping_add_signed(self.long(at)?))
    }

    /// The address that a field of eight bytes has the distance to.
    fn relative(&self, at: usize) -> anyhow::Result<u64> {
        let mut address = self.long(at)?;
        for reloc in self.relocs(at) {
            let Some(symbol) = self.symbol(reloc) else { continue };
            let taken = relocation::is_subtrahend(self.of, reloc.r_type);
            address += if taken { -(symbol.address as i64) } else { symbol.address as i64 };
        }
        let place = self.raw.address as i64 + at as i64;
        Ok((place + address) as u64)
    }

    /// The name of the symbol that a field refers to.
    fn name(&self, at: usize) -> Option<String> {
        self.relocs(at).find_map(|r| self.symbol(r)).map(|s| s.name.clone())
    }
}

fn read_compact(reader: &Reader<'_>, frames: &mut Frames) -> anyhow::Result<()> {
    for at in (0..reader.bytes.len()).step_by(COMPACT_ENTRY) {
        let Some((piece, 0)) = reader.pieces.with(reader.absolute(at)?) else { continue };
        let encoding = reader.word(at + 12)?;
        if is_dwarf(reader.of, encoding) {
            continue;
        }
        let pads = match reader.relocs(at + 24).next() {
            Some(_) => reader.pieces.with(reader.absolute(at + 24)?),
            None => None,
        };
        let frame = Frame {
            length: u64::from(reader.word(at + 8)?),
            form: Form::Compact(encoding),
            pads,
            personality: reader.name(at + 16),
        };
        frames.0.insert(piece, frame);
    }
    Ok(())
}

/// Whether a word only says that there is an entry of `__eh_frame`.
fn is_dwarf(of: Architecture, encoding: u32) -> bool {
    let mode = if of == Architecture::X86_64 { 0x0400_0000 } else { 0x0300_0000 };
    encoding & 0x0f00_0000 == mode
}

/// What a common entry says of the form of those that refer to it.
#[derive(Debug, Clone)]
struct Common {
    range: Range<usize>,
    personality_at: Option<usize>,
    has_pads: bool,
}

fn read_dwarf(reader: &Reader<'_>, frames: &mut Frames) -> anyhow::Result<()> {
    let mut commons: HashMap<usize, Common> = HashMap::new();
    let mut at = 0;
    while at + 4 <= reader.bytes.len() {
        let length = reader.word(at)? as usize;
        if length == 0 {
            break;
        }
        let range = at..at + 4 + length;
        anyhow::ensure!(range.end <= reader.bytes.len(), "an unwind record runs over its section");
        let back = reader.word(at + 4)? as usize;
        if back == 0 {
            commons.insert(at, common(reader, range.clone())?);
        } else {
            let common = (at + 4).checked_sub(back).and_then(|at| commons.get(&at));
            let common = common.context("an unwind record has no common entry")?;
            if let Some((piece, frame)) = entry(reader, range.clone(), common)? {
                frames.0.insert(piece, frame);
            }
        }
        at = range.end;
    }
    Ok(())
}

/// A pointer as a distance of eight bytes, and one to a pointer, of four.
const RELATIVE: u8 = 0x10;
const RELATIVE_TO_POINTER: u8 = 0x9b;

fn common(reader: &Reader<'_>, range: Range<usize>) -> anyhow::Result<Common> {
    let unknown = "a common unwind record has an unknown form";
    let byte = |at: usize| reader.bytes.get(at).copied().context(unknown);
    let text = reader.bytes.get(range.start + 9..range.end).context(unknown)?;
    let end = text.iter().position(|b| *b == 0).context(unknown)?;
    let letters = text.get(..end).context(unknown)?;
    // Two alignments and a register, of one byte each, and the length of what the letters say.
    let mut at = range.start + 9 + end + 1 + 4;
    let mut found = Common { range: range.clone(), personality_at: None, has_pads: false };
    anyhow::ensure!(letters.first() == Some(&b'z') && byte(range.start + 8)? == 1, unknown);
    for letter in letters.iter().skip(1) {
        let form = byte(at)?;
        at += 1;
        match (letter, form) {
            (b'P', RELATIVE_TO_POINTER) => {
                found.personality_at = Some(at - range.start);
                at += 4;
            }
            (b'L', RELATIVE) => found.has_pads = true,
            (b'R', RELATIVE) => {}
            _ => anyhow::bail!(unknown),
        }
    }
    Ok(found)
}

fn entry(
    reader: &Reader<'_>,
    range: Range<usize>,
    common: &Common,
) -> anyhow::Result<Option<(usize, Frame)>> {
    let function = range.start + FUNCTION_AT;
    let Some((piece, 0)) = reader.pieces.with(reader.relative(function)?) else { return Ok(None) };
    let length = reader.long(function + 8)? as u64;
    let said = function + 16;
    let pads_at = Some(said + 1).filter(|_| common.has_pads && reader.bytes.get(said) == Some(&8));
    let copy = |range: &Range<usize>| reader.bytes.get(range.clone()).unwrap_or(&[]).to_vec();
    let mut bytes = copy(&range);
    let mut shared = copy(&common.range);
    for field in [Some(function), pads_at].into_iter().flatten() {
        let at = field - range.start;
        bytes.get_mut(at..at + 8).context("an unwind record is cut short")?.fill(0);
    }
    if let Some(at) = common.personality_at {
        shared.get_mut(at..at + 4).context("an unwind record is cut short")?.fill(0);
    }
    let pads = match pads_at {
        Some(at) => reader.pieces.with(reader.relative(at)?),
        None => None,
    };
    let personality_at = common.personality_at;
    let personality = personality_at.and_then(|at| reader.name(common.range.start + at));
    let form = Form::Dwarf {
        common: shared,
        personality_at,
        entry: bytes,
        pads_at: pads_at.map(|at| at - range.start),
    };
    Ok(Some((piece, Frame { length, form, pads, personality })))
}
