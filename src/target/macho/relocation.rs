//! Relocations of Mach-O files, as the ones of ELF files that mean the same: the pipeline knows a
//! relocation by its number in ELF. (Apple's `mach-o/arm64/reloc.h` and `mach-o/x86_64/reloc.h`.)

use object::Architecture;
use object::elf as e;
use object::macho as m;
use object::macho::RelocationType;

use crate::target::aarch64::access_size;

/// What follows a field of four bytes up to the end of its instruction, which a relative
/// relocation of x86-64 tells by its type.
pub fn bytes_behind(architecture: Architecture, kind: RelocationType) -> i64 {
    match (architecture, kind) {
        (Architecture::X86_64, m::X86_64_RELOC_SIGNED_1) => 1,
        (Architecture::X86_64, m::X86_64_RELOC_SIGNED_2) => 2,
        (Architecture::X86_64, m::X86_64_RELOC_SIGNED_4) => 4,
        _ => 0,
    }
}

/// Whether the relocation is the first of a pair that writes the difference of two addresses.
pub fn is_subtrahend(architecture: Architecture, kind: RelocationType) -> bool {
    match architecture {
        Architecture::X86_64 => kind == m::X86_64_RELOC_SUBTRACTOR,
        _ => kind == m::ARM64_RELOC_SUBTRACTOR,
    }
}

/// The ELF relocation that means the same; none where there is none. `length` is the power of two
/// of the field's bytes, `instruction` what stands there.
pub fn to_elf(
    architecture: Architecture,
    (kind, length): (RelocationType, u8),
    instruction: u32,
) -> Option<e::RelocationType> {
    if architecture == Architecture::X86_64 {
        return Some(match kind {
            m::X86_64_RELOC_UNSIGNED if length == 3 => e::R_X86_64_64,
            m::X86_64_RELOC_UNSIGNED if length == 2 => e::R_X86_64_32,
            m::X86_64_RELOC_BRANCH => e::R_X86_64_PLT32,
            m::X86_64_RELOC_SIGNED
            | m::X86_64_RELOC_SIGNED_1
            | m::X86_64_RELOC_SIGNED_2
            | m::X86_64_RELOC_SIGNED_4 => e::R_X86_64_PC32,
            m::X86_64_RELOC_GOT_LOAD => e::R_X86_64_REX_GOTPCRELX,
            m::X86_64_RELOC_GOT => e::R_X86_64_GOTPCREL,
            m::X86_64_RELOC_TLV => e::R_X86_64_GOTPC32_TLSDESC,
            _ => return None,
        });
    }
    Some(match kind {
        m::ARM64_RELOC_UNSIGNED if length == 3 => e::R_AARCH64_ABS64,
        m::ARM64_RELOC_UNSIGNED if length == 2 => e::R_AARCH64_ABS32,
        m::ARM64_RELOC_BRANCH26 if is_call(instruction) => e::R_AARCH64_CALL26,
        m::ARM64_RELOC_BRANCH26 => e::R_AARCH64_JUMP26,
        m::ARM64_RELOC_PAGE21 => e::R_AARCH64_ADR_PREL_PG_HI21,
        m::ARM64_RELOC_PAGEOFF12 => match access_size(instruction) {
            None => e::R_AARCH64_ADD_ABS_LO12_NC,
            Some(1) => e::R_AARCH64_LDST8_ABS_LO12_NC,
            Some(2) => e::R_AARCH64_LDST16_ABS_LO12_NC,
            Some(4) => e::R_AARCH64_LDST32_ABS_LO12_NC,
            Some(8) => e::R_AARCH64_LDST64_ABS_LO12_NC,
            Some(_) => e::R_AARCH64_LDST128_ABS_LO12_NC,
        },
        m::ARM64_RELOC_GOT_LOAD_PAGE21 => e::R_AARCH64_ADR_GOT_PAGE,
        m::ARM64_RELOC_GOT_LOAD_PAGEOFF12 => e::R_AARCH64_LD64_GOT_LO12_NC,
        m::ARM64_RELOC_POINTER_TO_GOT => e::R_AARCH64_GOTPCREL32,
        m::ARM64_RELOC_TLVP_LOAD_PAGE21 => e::R_AARCH64_TLSDESC_ADR_PAGE21,
        m::ARM64_RELOC_TLVP_LOAD_PAGEOFF12 => e::R_AARCH64_TLSDESC_LD64_LO12,
        _ => return None,
    })
}

/// `bl`, as against `b`.
fn is_call(instruction: u32) -> bool {
    instruction & 0xfc00_0000 == 0x9400_0000
}

/// The ELF relocation that writes the distance from the field to its target, for a field of as
/// many bytes.
pub fn relative(architecture: Architecture, bytes: usize) -> u32 {
    match (architecture, bytes) {
        (Architecture::X86_64, 8) => e::R_X86_64_PC64.0,
        (Architecture::X86_64, _) => e::R_X86_64_PC32.0,
        (_, 8) => e::R_AARCH64_PREL64.0,
        (_, _) => e::R_AARCH64_PREL32.0,
    }
}

/// The ELF relocation that writes the distance to a word with an address.
pub fn to_pointer(architecture: Architecture) -> u32 {
    match architecture {
        Architecture::X86_64 => e::R_X86_64_GOTPCREL.0,
        _ => e::R_AARCH64_GOTPCREL32.0,
    }
}

/// How a Mach-O file writes what an ELF relocation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its type.
    pub kind: RelocationType,
    /// Whether it counts from the field.
    pub relative: bool,
    /// The power of two of the field's bytes.
    pub length: u8,
    /// Whether it is the second of a pair that writes the distance from another symbol, since
    /// data has no relative relocations.
    pub difference: bool,
}

/// How a relocation is written; none where that is not known. `code` tells whether the field is
/// part of an instruction.
pub fn to_macho(architecture: Architecture, r_type: u32, code: bool) -> Option<Form> {
    let form = |kind, relative, length| Form { kind, relative, length, difference: false };
    let r_type = e::RelocationType(r_type);
    if architecture == Architecture::X86_64 {
        let difference = |length| Form {
            kind: m::X86_64_RELOC_UNSIGNED,
            relative: false,
            length,
            difference: true,
        };
        return Some(match r_type {
            e::R_X86_64_64 => form(m::X86_64_RELOC_UNSIGNED, false, 3),
            e::R_X86_64_PLT32 => form(m::X86_64_RELOC_BRANCH, true, 2),
            // The number of bytes behind the field matters only where a section is meant.
            e::R_X86_64_PC32 if code => form(m::X86_64_RELOC_SIGNED, true, 2),
            e::R_X86_64_PC32 => difference(2),
            e::R_X86_64_PC64 => difference(3),
            e::R_X86_64_REX_GOTPCRELX => form(m::X86_64_RELOC_GOT_LOAD, true, 2),
            e::R_X86_64_GOTPCREL => form(m::X86_64_RELOC_GOT, true, 2),
            e::R_X86_64_GOTPC32_TLSDESC => form(m::X86_64_RELOC_TLV, true, 2),
            _ => return None,
        });
    }
    let difference =
        |length| Form { kind: m::ARM64_RELOC_UNSIGNED, relative: false, length, difference: true };
    Some(match r_type {
        e::R_AARCH64_ABS64 => form(m::ARM64_RELOC_UNSIGNED, false, 3),
        e::R_AARCH64_CALL26 | e::R_AARCH64_JUMP26 => form(m::ARM64_RELOC_BRANCH26, true, 2),
        e::R_AARCH64_ADR_PREL_PG_HI21 => form(m::ARM64_RELOC_PAGE21, true, 2),
        e::R_AARCH64_ADD_ABS_LO12_NC
        | e::R_AARCH64_LDST8_ABS_LO12_NC
        | e::R_AARCH64_LDST16_ABS_LO12_NC
        | e::R_AARCH64_LDST32_ABS_LO12_NC
        | e::R_AARCH64_LDST64_ABS_LO12_NC
        | e::R_AARCH64_LDST128_ABS_LO12_NC => form(m::ARM64_RELOC_PAGEOFF12, false, 2),
        e::R_AARCH64_ADR_GOT_PAGE => form(m::ARM64_RELOC_GOT_LOAD_PAGE21, true, 2),
        e::R_AARCH64_LD64_GOT_LO12_NC => form(m::ARM64_RELOC_GOT_LOAD_PAGEOFF12, false, 2),
        e::R_AARCH64_GOTPCREL32 => form(m::ARM64_RELOC_POINTER_TO_GOT, true, 2),
        e::R_AARCH64_TLSDESC_ADR_PAGE21 => form(m::ARM64_RELOC_TLVP_LOAD_PAGE21, true, 2),
        e::R_AARCH64_TLSDESC_LD64_LO12 => form(m::ARM64_RELOC_TLVP_LOAD_PAGEOFF12, false, 2),
        e::R_AARCH64_PREL32 => difference(2),
        e::R_AARCH64_PREL64 => difference(3),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `add x0, x0, #0`, `ldr x0, [x0]`, `ldrb w0, [x0]`, `bl 0`, `b 0`.
    const INSTRUCTIONS: [u32; 5] =
        [0x9100_0000, 0xf940_0000, 0x3940_0000, 0x9400_0000, 0x1400_0000];

    #[test]
    fn what_is_read_is_written_the_same_way() {
        let kinds = |architecture, range: std::ops::Range<u8>| {
            let mut seen = 0;
            for kind in range.map(RelocationType) {
                for instruction in INSTRUCTIONS {
                    let length = if kind.0 == 0 { 3 } else { 2 };
                    let Some(elf) = to_elf(architecture, (kind, length), instruction) else {
                        continue;
                    };
                    let form = to_macho(architecture, elf.0, true);
                    let form = form.unwrap_or_else(|| panic!("{elf:?} cannot be written"));
                    let behind = bytes_behind(architecture, kind) > 0;
                    assert!(form.kind == kind || behind, "{kind:?} became {form:?}");
                    assert_eq!((form.length, form.difference), (length, false), "{kind:?}");
                    seen += 1;
                }
            }
            seen / INSTRUCTIONS.len()
        };
        assert_eq!(kinds(Architecture::X86_64, 0..10), 9);
        assert_eq!(kinds(Architecture::Aarch64, 0..11), 9);
    }

    #[test]
    fn the_instruction_tells_what_a_page_offset_is_for() {
        let of =
            |instruction| to_elf(Architecture::Aarch64, (m::ARM64_RELOC_PAGEOFF12, 2), instruction);
        let wanted = [
            e::R_AARCH64_ADD_ABS_LO12_NC,
            e::R_AARCH64_LDST64_ABS_LO12_NC,
            e::R_AARCH64_LDST8_ABS_LO12_NC,
        ];
        for (instruction, wanted) in INSTRUCTIONS.into_iter().zip(wanted) {
            assert_eq!(of(instruction), Some(wanted), "{instruction:#x}");
        }
    }
}
