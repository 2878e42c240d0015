//! Where objects keep addends: in the bytes that are relocated. (ELF for the Arm Architecture,
//! "Addends and PC-bias compensation" and "Relocation types".)

use object::elf::{
    R_ARM_ABS32, R_ARM_ABS32_NOI, R_ARM_CALL, R_ARM_GOT_PREL, R_ARM_GOT32 as R_ARM_GOT_BREL,
    R_ARM_GOTOFF as R_ARM_GOTOFF32, R_ARM_GOTPC as R_ARM_BASE_PREL, R_ARM_JUMP24, R_ARM_MOVT_ABS,
    R_ARM_MOVT_PREL, R_ARM_MOVW_ABS_NC, R_ARM_MOVW_PREL_NC, R_ARM_PC24, R_ARM_PLT32, R_ARM_PREL31,
    R_ARM_REL32, R_ARM_REL32_NOI, R_ARM_TARGET1, R_ARM_TARGET2, R_ARM_THM_JUMP19, R_ARM_THM_JUMP24,
    R_ARM_THM_MOVT_ABS, R_ARM_THM_MOVT_PREL, R_ARM_THM_MOVW_ABS_NC, R_ARM_THM_MOVW_PREL_NC,
    R_ARM_THM_PC22 as R_ARM_THM_CALL, RelocationType,
};

/// The form of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A word.
    Word,
    /// The lower 31 bits of a word.
    Word31,
    /// The 24 bits of a branch in A32, in words.
    Branch,
    /// The bits of `b.w` or `bl` in T32, in halves of a word.
    BranchT32,
    /// The bits of `b.w` with a condition in T32.
    ConditionalT32,
    /// The 16 bits of `movw` or `movt` in A32.
    Half,
    /// Those in T32.
    HalfT32,
}

impl Field {
    /// The field that a relocation writes, where it is known here.
    pub fn of(r_type: u32) -> Option<Field> {
        Some(match RelocationType(r_type) {
            R_ARM_ABS32 | R_ARM_REL32 | R_ARM_TARGET1 | R_ARM_TARGET2 | R_ARM_GOT_PREL
            | R_ARM_GOT_BREL | R_ARM_GOTOFF32 | R_ARM_BASE_PREL | R_ARM_ABS32_NOI
            | R_ARM_REL32_NOI => Field::Word,
            R_ARM_PREL31 => Field::Word31,
            R_ARM_CALL | R_ARM_JUMP24 | R_ARM_PC24 | R_ARM_PLT32 => Field::Branch,
            R_ARM_THM_CALL | R_ARM_THM_JUMP24 => Field::BranchT32,
            R_ARM_THM_JUMP19 => Field::ConditionalT32,
            R_ARM_MOVW_ABS_NC | R_ARM_MOVT_ABS | R_ARM_MOVW_PREL_NC | R_ARM_MOVT_PREL => {
                Field::Half
            }
            R_ARM_THM_MOVW_ABS_NC
            | R_ARM_THM_MOVT_ABS
            | R_ARM_THM_MOVW_PREL_NC
            | R_ARM_THM_MOVT_PREL => Field::HalfT32,
            _ => return None,
        })
    }

    /// How far behind its start the processor counts from, where the field alone tells.
    pub fn bias(self) -> Option<i64> {
        match self {
            Field::Branch => Some(8),
            Field::BranchT32 | Field::ConditionalT32 => Some(4),
            _ => None,
        }
    }

    /// The number in the field.
    pub fn read(self, bytes: [u8; 4]) -> i64 {
        let word = u32::from_le_bytes(bytes);
        let (first, second) = (word & 0xffff, word >> 16);
        match self {
            Field::Word => i64::from(word as i32),
            Field::Word31 => signed(word, 31),
            Field::Branch => signed(word, 24) << 2,
            Field::BranchT32 => {
                let sign = (first >> 10) & 1;
                let j = |shift: u32| ((second >> shift) & 1) ^ sign ^ 1;
                let high = (sign << 23) | (j(13) << 22) | (j(11) << 21);
                signed(high | ((first & 0x3ff) << 11) | (second & 0x7ff), 24) << 1
            }
            Field::ConditionalT32 => {
                let high = (((first >> 10) & 1) << 19) | (((second >> 11) & 1) << 18);
                let middle = (((second >> 13) & 1) << 17) | ((first & 0x3f) << 11);
                signed(high | middle | (second & 0x7ff), 20) << 1
            }
            Field::Half => signed(((word >> 4) & 0xf000) | (word & 0xfff), 16),
            Field::HalfT32 => {
                let high = ((first & 0xf) << 12) | (((first >> 10) & 1) << 11);
                signed(high | (((second >> 12) & 7) << 8) | (second & 0xff), 16)
            }
        }
    }

    /// The same bytes with another number in the field; none where it does not fit.
    pub fn write(self, bytes: [u8; 4], number: i64) -> Option<[u8; 4]> {
        let word = u32::from_le_bytes(bytes);
        let n = number as u32;
        let bit = |at: u32| (n >> at) & 1;
        let word = match self {
            // A word wraps around: addresses have 32 bits.
            Field::Word => n,
            Field::Word31 => (word & (1 << 31)) | (n & 0x7fff_ffff),
            Field::Branch => (word & 0xff00_0000) | ((n >> 2) & 0x00ff_ffff),
            Field::BranchT32 => {
                let sign = bit(24);
                let first = (word & 0xf800) | (sign << 10) | ((n >> 12) & 0x3ff);
                let j = |at: u32| bit(at) ^ sign ^ 1;
                let second = ((word >> 16) & 0xd000) | (j(23) << 13) | (j(22) << 11);
                first | ((second | ((n >> 1) & 0x7ff)) << 16)
            }
            Field::ConditionalT32 => {
                let first = (word & 0xfbc0) | (bit(20) << 10) | ((n >> 12) & 0x3f);
                let second = ((word >> 16) & 0xd000) | (bit(18) << 13) | (bit(19) << 11);
                first | ((second | ((n >> 1) & 0x7ff)) << 16)
            }
            Field::Half => (word & 0xfff0_f000) | ((n & 0xf000) << 4) | (n & 0xfff),
            Field::HalfT32 => {
                let first = (word & 0xfbf0) | ((n >> 12) & 0xf) | (bit(11) << 10);
                let second = ((word >> 16) & 0x8f00) | (((n >> 8) & 7) << 12) | (n & 0xff);
                first | (second << 16)
            }
        };
        let bytes = word.to_le_bytes();
        let fits = matches!(self, Field::Word) || self.read(bytes) == number;
        fits.then_some(bytes)
    }
}

fn signed(value: u32, bits: u32) -> i64 {
    let above = 32 - bits;
    i64::from(((value << above) as i32) >> above)
}
