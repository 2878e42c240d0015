//! The 32-bit Arm processor (ARMv7-A): how its relocations are bound to a running program. There are
//! two encodings of its code, A32 and T32; the lowest bit of a function's address tells which.

mod bind;
mod distance;
mod fields;
mod instruction;
mod literal;
#[cfg(test)]
mod tests;

use object::Architecture;
use object::elf::{
    R_ARM_ABS32, R_ARM_CALL, R_ARM_GOT_PREL, R_ARM_GOTPC as R_ARM_BASE_PREL, R_ARM_JUMP24,
    R_ARM_MOVT_PREL, R_ARM_MOVW_PREL_NC, R_ARM_PC24, R_ARM_PLT32, R_ARM_REL32, R_ARM_TARGET1,
    R_ARM_THM_JUMP19, R_ARM_THM_JUMP24, R_ARM_THM_MOVT_PREL, R_ARM_THM_MOVW_PREL_NC,
    R_ARM_THM_PC22 as R_ARM_THM_CALL, R_ARM_TLS_TPOFF32, RelocationType,
};

use super::binary::program::TlsLayout;
use super::binary::{Draft, DraftReloc, Encoding, Encodings, Reloc, Target};
use super::processor::{Bound, Convention, Processor, Site};
use fields::Field;

/// The thread pointer points to two words of the loader's; the executable's block comes after
/// them.
const THREAD_CONTROL_BLOCK: u64 = 8;

/// What linkers have to know of the code: ARMv7-A with both encodings, arguments in integer
/// registers. (Addenda to the ABI for the Arm Architecture, "Build attributes": CPU_arch,
/// CPU_arch_profile, ARM_ISA_use, THUMB_ISA_use.)
const ATTRIBUTES: &[u8] = b"A\x18\0\0\0aeabi\0\x01\x0e\0\0\0\x06\x0a\x07\x41\x08\x01\x09\x02\0";

/// The processor.
#[derive(Debug)]
pub struct Arm;

impl Processor for Arm {
    fn architecture(&self) -> Architecture {
        Architecture::Arm
    }

    fn unwind_section_type(&self) -> object::elf::SectionType {
        object::elf::SHT_PROGBITS
    }

    fn file_flags(&self) -> object::elf::FileFlags {
        object::elf::EF_ARM_EABI_VER5
    }

    fn attributes(&self) -> &'static [u8] {
        ATTRIBUTES
    }

    fn relative_32(&self) -> u32 {
        R_ARM_REL32.0
    }

    fn absolute(&self) -> u32 {
        R_ARM_ABS32.0
    }

    fn pointer(&self) -> u64 {
        4
    }

    fn code_mark(&self) -> u64 {
        1
    }

    fn thread_local_word(&self) -> u32 {
        R_ARM_TLS_TPOFF32.0
    }

    /// `udf` in both encodings.
    fn trap(&self) -> &'static [u8] {
        &[0xfe, 0xde, 0xff, 0xe7]
    }

    /// In A32: an unwind table's pointers to code have no room for the bit that tells of T32.
    fn stub(&self, word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
        bind::stub(Encoding::A32, word)
    }

    fn stub_encodings(&self) -> Encodings {
        Encodings::all(Encoding::A32)
    }

    fn bind(&self, draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<bool> {
        bind::bind(draft, site, bound).map(|()| false)
    }

    fn is_local_dynamic(&self, _: u32) -> bool {
        false
    }

    fn is_absolute(&self, r_type: u32) -> bool {
        [R_ARM_ABS32.0, R_ARM_TARGET1.0].contains(&r_type)
    }

    fn is_debug_reference(&self, r_type: u32) -> bool {
        r_type == R_ARM_ABS32.0
    }

    fn field_width(&self, _: u32) -> usize {
        4
    }

    /// Addends count from the symbol, since the bytes keep where the processor counts from.
    fn target_distance(&self, _: Option<&[u8]>, reloc: &Reloc) -> anyhow::Result<i64> {
        Ok(reloc.addend)
    }

    /// A distance is loaded from a literal and added to the program counter, which does not tell
    /// what the sum is for.
    fn is_plain_access(&self, _: &[u8], _: &Reloc) -> bool {
        false
    }

    fn is_call(&self, _: &[u8], reloc: &Reloc) -> bool {
        const CALLS: [RelocationType; 7] = [
            R_ARM_CALL,
            R_ARM_JUMP24,
            R_ARM_PC24,
            R_ARM_PLT32,
            R_ARM_THM_CALL,
            R_ARM_THM_JUMP24,
            R_ARM_THM_JUMP19,
        ];
        CALLS.contains(&RelocationType(reloc.r_type))
    }

    /// A branch has four bytes in both encodings.
    fn entry_hazard(&self, _: &[u8], room: u64) -> Option<&'static str> {
        (room < 4).then_some("it is shorter than a jump, with another function right behind it")
    }

    fn convention(&self, _: &[u8]) -> Option<Convention> {
        None
    }

    /// ELF Handling For Thread-Local Storage, variant I.
    fn thread_pointer_offset(&self, tls: TlsLayout, block_offset: u64) -> i64 {
        (THREAD_CONTROL_BLOCK.next_multiple_of(tls.align.max(1)) + block_offset) as i64
    }

    fn is_mapping_symbol(&self, name: &str) -> bool {
        self.encoding_from(name).is_some()
    }

    /// ELF for the Arm Architecture, "Mapping symbols".
    fn encoding_from(&self, name: &str) -> Option<Encoding> {
        let (kind, rest) = name.split_at_checked(2)?;
        if !rest.is_empty() && !rest.starts_with('.') {
            return None;
        }
        match kind {
            "$a" => Some(Encoding::A32),
            "$t" => Some(Encoding::T32),
            "$d" => Some(Encoding::Data),
            _ => None,
        }
    }

    fn take_addend(&self, bytes: &mut [u8], encodings: Option<&Encodings>, reloc: &mut Reloc) {
        let Some(field) = Field::of(reloc.r_type) else { return };
        let place = reloc.offset as usize;
        let Some(at) = bytes.get(place..).and_then(<[u8]>::first_chunk) else { return };
        let found = field.read(*at);
        let Some(bias) = bias(bytes, encodings, reloc, (field, found)) else {
            reloc.r_type = Reloc::UNKNOWN;
            return;
        };
        // What the field holds apart from the addend.
        let kept = field.write(*at, bias);
        if let (Some(kept), Some(at)) = (kept, bytes.get_mut(place..place + 4)) {
            at.copy_from_slice(&kept);
            reloc.addend = found - bias;
        }
    }

    fn put_addend(&self, bytes: &mut [u8], reloc: &mut DraftReloc) -> anyhow::Result<()> {
        let Some(field) = Field::of(reloc.r_type) else { return Ok(()) };
        let place = reloc.offset as usize;
        let at = bytes.get_mut(place..).and_then(<[u8]>::first_chunk_mut);
        let at = at.ok_or_else(|| anyhow::anyhow!("a relocation lies outside its section"))?;
        let sum = field.read(*at) + reloc.addend;
        *at = field.write(*at, sum).ok_or_else(|| {
            anyhow::anyhow!("a relocation of type {} cannot hold {sum}", reloc.r_type)
        })?;
        reloc.addend = 0;
        Ok(())
    }
}

/// What a field of an object holds when its addend is 0: minus the distance from the field to where
/// the processor counts from. None where that is not known.
fn bias(
    bytes: &[u8],
    encodings: Option<&Encodings>,
    reloc: &Reloc,
    (field, found): (Field, i64),
) -> Option<i64> {
    if let Some(bias) = field.bias() {
        return Some(-bias);
    }
    let Some(encodings) = encodings else { return Some(0) };
    match RelocationType(reloc.r_type) {
        // The place in the table of addresses counts, and not the symbol.
        R_ARM_GOT_PREL | R_ARM_BASE_PREL => Some(found),
        R_ARM_REL32
        | R_ARM_MOVW_PREL_NC
        | R_ARM_MOVT_PREL
        | R_ARM_THM_MOVW_PREL_NC
        | R_ARM_THM_MOVT_PREL => {
            literal::user(bytes, encodings, reloc.offset, found).map(|_| found)
        }
        _ => Some(0),
    }
}
