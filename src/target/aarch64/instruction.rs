//! The few instructions that binding reads and writes. (Arm Architecture Reference Manual, C6.)

/// `nop`
pub const NOP: u32 = 0xd503_201f;
/// `b` with a distance that is still open.
pub const BRANCH: u32 = 0x1400_0000;
/// A register that neither callers nor callees rely on across a call ("intra-procedure-call").
pub const IP0: u32 = 16;
/// The second one of these.
pub const IP1: u32 = 17;

/// `adrp xD, …` with a distance that is still open.
pub fn adrp(to: u32) -> u32 {
    0x9000_0000 | to
}

/// `ldr xT, [xN, …]` with an offset that is still open.
pub fn load(to: u32, base: u32) -> u32 {
    0xf940_0000 | (base << 5) | to
}

/// `add xD, xN, xM`
pub fn add(to: u32, first: u32, second: u32) -> u32 {
    0x8b00_0000 | (second << 16) | (first << 5) | to
}

/// `br xN`
pub fn branch_to_register(register: u32) -> u32 {
    0xd61f_0000 | (register << 5)
}

/// `str xT, [sp, #-16]!`
pub fn push(register: u32) -> u32 {
    0xf81f_0fe0 | register
}

/// `ldr xT, [sp], #16`
pub fn pop(register: u32) -> u32 {
    0xf841_07e0 | register
}

/// The register that is written, of most instructions.
pub fn destination(word: u32) -> u32 {
    word & 0x1f
}

/// The first register that is read, of most instructions.
pub fn base(word: u32) -> u32 {
    (word >> 5) & 0x1f
}

/// `adrp` or `adr`.
pub fn is_page_address(word: u32) -> bool {
    word & 0x1f00_0000 == 0x1000_0000
}

/// `add` of an immediate to a 64-bit register.
pub fn is_add_immediate(word: u32) -> bool {
    word & 0xff80_0000 == 0x9100_0000
}

/// A load or store with an unsigned offset: the size of what it moves in bytes.
pub fn access_size(word: u32) -> Option<u64> {
    if word & 0x3b00_0000 != 0x3900_0000 {
        return None;
    }
    let vector = word & 0x0480_0000 == 0x0480_0000;
    match (word >> 30, vector) {
        (0, true) => Some(16),
        (size, _) => Some(1 << size),
    }
}

/// `ldr xT, [xN, …]`
pub fn is_load_of_address(word: u32) -> bool {
    word & 0xffc0_0000 == 0xf940_0000
}

/// The same instruction with another 12-bit immediate.
pub fn with_immediate(word: u32, value: u32) -> u32 {
    (word & !(0xfff << 10)) | ((value & 0xfff) << 10)
}
