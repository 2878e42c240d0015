//! The relocations of a Mach-O object, each with its target and addend: part of these stands in
//! the relocated bytes, which are cleared, as ELF objects have them.

use object::Architecture;
use object::macho::{self as m, RelocationInfo};

use super::object_file::{Pieces, Raw};
use super::relocation;
use crate::target::binary::{Reloc, SectionKind};

/// What an earlier entry says of the next one.
#[derive(Default)]
struct Before {
    addend: i64,
    /// The address that is subtracted; the inner option is none where that is another object's.
    subtrahend: Option<Option<u64>>,
}

/// A relocation's target: a symbol's index, and the distance to it.
struct Aim {
    symbol: usize,
    addend: i64,
}

/// The relocations with the pieces they are in.
pub fn read(pieces: &Pieces, of: Architecture, data: &mut [u8]) -> Vec<(usize, Reloc)> {
    let mut found = Vec::new();
    for (number, raw) in pieces.raw.iter().enumerate() {
        if raw.kind == SectionKind::EhFrame || raw.kind == SectionKind::Other {
            continue;
        }
        let mut before = Before::default();
        for info in &raw.relocs {
            if of == Architecture::Aarch64 && info.r_type == m::ARM64_RELOC_ADDEND {
                // A number of 24 bits.
                before.addend = i64::from((info.r_symbolnum << 8) as i32 >> 8);
                continue;
            }
            if relocation::is_subtrahend(of, info.r_type) {
                let symbol = pieces.symbols.get(info.r_symbolnum as usize);
                let defined = symbol.filter(|s| info.r_extern && s.section.is_some());
                before.subtrahend = Some(defined.map(|s| s.address));
                continue;
            }
            let before = std::mem::take(&mut before);
            let place = raw.address + u64::from(info.r_address);
            let Some((piece, offset)) = pieces.at(number, place) else { continue };
            let Some(field) = field(raw, info, data) else { continue };
            let reloc = translate(pieces, of, (raw, info), (&before, field));
            let Some((r_type, aim)) = reloc else { continue };
            clear(of, raw, info, data);
            let r_type = match before.subtrahend {
                None => r_type,
                Some(Some(from)) if pieces.at(number, from).is_some_and(|(p, _)| p == piece) => {
                    relocation::relative(of, 1 << info.r_length)
                }
                Some(_) => Reloc::UNKNOWN,
            };
            let from = before.subtrahend.flatten().map_or(0, |from| place as i64 - from as i64);
            let addend = aim.addend + from;
            found.push((piece, Reloc { offset, r_type, symbol: aim.symbol, addend }));
        }
    }
    found
}

/// The bytes that a relocation writes, as a number.
fn field(raw: &Raw, info: &RelocationInfo, data: &[u8]) -> Option<i64> {
    let at = raw.file? + info.r_address as usize;
    Some(match info.r_length {
        3 => i64::from_le_bytes(*data.get(at..)?.first_chunk()?),
        _ => i64::from(i32::from_le_bytes(*data.get(at..)?.first_chunk()?)),
    })
}

/// Instructions of AArch64 keep the rest of their bits; the field itself is empty there.
fn clear(of: Architecture, raw: &Raw, info: &RelocationInfo, data: &mut [u8]) {
    let number = of == Architecture::X86_64 || info.r_type == m::ARM64_RELOC_UNSIGNED;
    let Some(file) = raw.file.filter(|_| number) else { return };
    let at = file + info.r_address as usize;
    if let Some(field) = data.get_mut(at..at + (1 << info.r_length)) {
        field.fill(0);
    }
}

fn translate(
    pieces: &Pieces,
    of: Architecture,
    (raw, info): (&Raw, &RelocationInfo),
    (before, field): (&Before, i64),
) -> Option<(u32, Aim)> {
    let instruction = field as u32;
    let r_type = relocation::to_elf(of, (info.r_type, info.r_length), instruction);
    let r_type = r_type.map_or(Reloc::UNKNOWN, |r_type| r_type.0);
    let x86 = of == Architecture::X86_64;
    let number = x86 || info.r_type == m::ARM64_RELOC_UNSIGNED;
    let inside = if number { field } else { 0 } + before.addend;
    // ELF counts from the field, Mach-O from its end.
    let behind = if x86 && info.r_pcrel { 4 } else { 0 };
    if info.r_extern {
        let symbol = info.r_symbolnum as usize;
        return Some((r_type, Aim { symbol, addend: inside - behind }));
    }
    let section = (info.r_symbolnum as usize).checked_sub(1)?;
    let behind = behind + relocation::bytes_behind(of, info.r_type);
    let place = raw.address as i64 + i64::from(info.r_address);
    let address = if info.r_pcrel { place + behind + inside } else { inside };
    let (piece, offset) = pieces.at(section, u64::try_from(address).ok()?)?;
    let aim = Aim { symbol: pieces.symbol_of(piece), addend: offset as i64 - behind };
    Some((r_type, aim))
}
