//! The few instructions that binding reads and writes. (Arm Architecture Reference Manual, ARMv7-A,
//! A8.8.) An instruction of T32 that has 32 bits is two halves, the first one in front.

/// A register that neither callers nor callees rely on across a call ("intra-procedure-call").
pub const IP: u32 = 12;
/// The program counter.
pub const PC: u32 = 15;
/// `nop` in T32.
pub const NOP: u16 = 0xbf00;
/// `b.w` in T32 with a distance that is still open; it counts from 4 bytes behind its start.
pub const BRANCH_WIDE: [u16; 2] = [0xf7ff, 0xbffe];
const BRANCH: u32 = 0x0aff_fffe;
/// The condition "always".
pub const ALWAYS: u32 = 0xe << 28;
const CONDITION: u32 = 0xf << 28;

/// `movw rD, #n` in A32, where n is the lower half of a number.
pub fn movw(to: u32, n: u32) -> u32 {
    ALWAYS | 0x0300_0000 | (to << 12) | halves(n)
}

/// `movt rD, #n` in A32.
pub fn movt(to: u32, n: u32) -> u32 {
    ALWAYS | 0x0340_0000 | (to << 12) | halves(n)
}

fn halves(n: u32) -> u32 {
    ((n & 0xf000) << 4) | (n & 0x0fff)
}

/// `ldr rT, [pc, rM]` in A32, under the condition of an instruction.
pub fn load_from_pc(like: u32, to: u32, index: u32) -> u32 {
    (like & CONDITION) | 0x079f_0000 | (to << 12) | index
}

/// `b` in A32, under the condition of an instruction; it counts from 8 bytes behind its start.
pub fn branch(like: u32) -> u32 {
    (like & CONDITION) | BRANCH
}

/// `add rD, pc, rM` in A32: both registers.
pub fn added_to_pc(word: u32) -> Option<(u32, u32)> {
    (word & 0x0fff_0ff0 == 0x008f_0000).then_some(((word >> 12) & 0xf, word & 0xf))
}

/// Whether an instruction of A32 has the program counter as its first operand.
pub fn reads_pc(word: u32) -> bool {
    word & 0x000f_0000 == 0x000f_0000
}

/// A load of A32 from `[pc, rM]`: the register, and the same load from the address that is in it.
pub fn loaded_from_pc(word: u32) -> Option<(u32, u32)> {
    let to = (word >> 12) & 0xf;
    let plain = match word & 0x0fff_0ff0 {
        0x079f_0000 => 0x0590_0000, // ldr
        0x07df_0000 => 0x05d0_0000, // ldrb
        0x019f_00b0 => 0x01d0_00b0, // ldrh
        0x019f_00d0 => 0x01d0_00d0, // ldrsb
        0x019f_00f0 => 0x01d0_00f0, // ldrsh
        _ => return None,
    };
    (to != 15).then_some((to, ALWAYS | plain | (to << 16) | (to << 12)))
}

/// A store of A32 to `[pc, rM]`: the register, and the same store to `[rN]`.
pub fn stored_to_pc(word: u32, base: u32) -> Option<(u32, u32)> {
    let from = (word >> 12) & 0xf;
    let plain = match word & 0x0fff_0ff0 {
        0x078f_0000 => 0x0580_0000, // str
        0x07cf_0000 => 0x05c0_0000, // strb
        0x018f_00b0 => 0x01c0_00b0, // strh
        _ => return None,
    };
    Some((from, ALWAYS | plain | (base << 16) | (from << 12)))
}

/// `push {rT}` in A32.
pub fn push(register: u32) -> u32 {
    ALWAYS | 0x052d_0004 | (register << 12)
}

/// `pop {rT}` in A32.
pub fn pop(register: u32) -> u32 {
    ALWAYS | 0x049d_0004 | (register << 12)
}

/// `movw rD, #n` in T32.
pub fn movw_t32(to: u32, n: u32) -> [u16; 2] {
    wide_move(0xf240, to, n)
}

/// `movt rD, #n` in T32.
pub fn movt_t32(to: u32, n: u32) -> [u16; 2] {
    wide_move(0xf2c0, to, n)
}

fn wide_move(opcode: u16, to: u32, n: u32) -> [u16; 2] {
    let first = opcode | (((n >> 11) & 1) << 10) as u16 | ((n >> 12) & 0xf) as u16;
    let second = (((n >> 8) & 7) << 12) as u16 | (to << 8) as u16 | (n & 0xff) as u16;
    [first, second]
}

/// `add rD, pc` in T32.
pub fn add_pc(to: u32) -> u16 {
    0x4478 | ((to & 8) << 4) as u16 | (to & 7) as u16
}

/// The register of `add rD, pc` in T32.
pub fn added_to_pc_t32(half: u16) -> Option<u32> {
    (half & 0xff78 == 0x4478).then_some(u32::from((half & 0x80) >> 4 | half & 7))
}

/// `ldr.w rT, [rN]` in T32.
pub fn load_t32(to: u32, base: u32) -> [u16; 2] {
    [0xf8d0 | base as u16, (to << 12) as u16]
}

/// `b` of 16 bits in T32, so many bytes from 4 behind its start; none where that is too far.
pub fn branch_narrow(distance: i64) -> Option<u16> {
    let fits = (-2048..2048).contains(&distance) && distance % 2 == 0;
    fits.then_some(0xe000 | ((distance >> 1) & 0x7ff) as u16)
}

/// Whether an instruction of T32 that begins so has 32 bits.
pub fn is_wide(first: u16) -> bool {
    first >> 11 >= 0b11101
}

/// How many instructions of T32 behind this one run under its conditions (`it`).
pub fn conditional_after(half: u16) -> usize {
    match (half & 0xff00, half & 0xf) {
        (0xbf00, mask) if mask != 0 => 4 - mask.trailing_zeros() as usize,
        _ => 0,
    }
}

/// The register and the literal's place of `ldr rT, [pc, #n]` in T32 that stands at `at`.
pub fn literal_load(first: u16, second: u16, at: i64) -> Option<(u32, i64)> {
    let from = (at + 4) & !3;
    if first & 0xf800 == 0x4800 {
        return Some((u32::from(first >> 8 & 7), from + i64::from(first & 0xff) * 4));
    }
    let distance = i64::from(second & 0xfff);
    let place = match first {
        0xf8df => from + distance,
        0xf85f => from - distance,
        _ => return None,
    };
    Some((u32::from(second >> 12), place))
}
