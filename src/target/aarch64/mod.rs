//! The AArch64 processor: how its relocations are bound to a running program, and what its code
//! must look like at a function's entry.

mod bind;
mod instruction;
#[cfg(test)]
mod tests;
mod tls;

pub(super) use instruction::access_size;
use object::Architecture;
use object::elf::{
    R_AARCH64_ABS32, R_AARCH64_ABS64, R_AARCH64_PREL32, R_AARCH64_TLS_DTPREL, R_AARCH64_TLS_TPREL,
};

use super::binary::program::TlsLayout;
use super::binary::{Draft, DraftReloc, Reloc, Target};
use super::processor::{Bound, Convention, Processor, Site};

/// The thread pointer points to two words of the loader's; the executable's block comes after
/// them.
const THREAD_CONTROL_BLOCK: u64 = 16;

/// The processor.
#[derive(Debug)]
pub struct Aarch64;

impl Processor for Aarch64 {
    fn architecture(&self) -> Architecture {
        Architecture::Aarch64
    }

    fn unwind_section_type(&self) -> object::elf::SectionType {
        object::elf::SHT_PROGBITS
    }

    fn relative_32(&self) -> u32 {
        R_AARCH64_PREL32.0
    }

    fn absolute(&self) -> u32 {
        R_AARCH64_ABS64.0
    }

    fn thread_local_word(&self) -> u32 {
        R_AARCH64_TLS_TPREL.0
    }

    fn thread_local_descriptor(&self) -> Option<u32> {
        Some(object::elf::R_AARCH64_TLSDESC.0)
    }

    fn trap(&self) -> &'static [u8] {
        // `udf #0`
        &[0; 4]
    }

    fn stub(&self, word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
        bind::stub(word)
    }

    fn bind(&self, draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<bool> {
        bind::bind(draft, site, bound).map(|()| false)
    }

    fn is_local_dynamic(&self, _: u32) -> bool {
        false
    }

    fn is_absolute(&self, r_type: u32) -> bool {
        r_type == R_AARCH64_ABS64.0
    }

    fn is_debug_reference(&self, r_type: u32) -> bool {
        [R_AARCH64_ABS64.0, R_AARCH64_ABS32.0].contains(&r_type)
    }

    fn field_width(&self, r_type: u32) -> usize {
        if [R_AARCH64_ABS64.0, R_AARCH64_TLS_DTPREL.0].contains(&r_type) { 8 } else { 4 }
    }

    /// Addends count from the symbol, also those of PC-relative relocations.
    fn target_distance(&self, _: Option<&[u8]>, reloc: &Reloc) -> anyhow::Result<i64> {
        Ok(reloc.addend)
    }

    /// An address is put together by two instructions, of which one alone does not tell what it
    /// is for.
    fn is_plain_access(&self, _: &[u8], _: &Reloc) -> bool {
        false
    }

    fn is_call(&self, _: &[u8], reloc: &Reloc) -> bool {
        [object::elf::R_AARCH64_CALL26.0, object::elf::R_AARCH64_JUMP26.0].contains(&reloc.r_type)
    }

    fn entry_hazard(&self, _: &[u8], room: u64) -> Option<&'static str> {
        // The first instruction is overwritten whatever it is, also one that signs the return
        // address or is a landing pad: the runtime has taken away the guard that needs it.
        (room < 4).then_some("it is shorter than a jump, with another function right behind it")
    }

    fn convention(&self, _: &[u8]) -> Option<Convention> {
        None
    }

    /// ELF Handling For Thread-Local Storage, variant I.
    fn thread_pointer_offset(&self, tls: TlsLayout, block_offset: u64) -> i64 {
        (THREAD_CONTROL_BLOCK.next_multiple_of(tls.align.max(1)) + block_offset) as i64
    }

    /// ELF for the Arm 64-bit Architecture, "Mapping symbols".
    fn is_mapping_symbol(&self, name: &str) -> bool {
        ["$x", "$d"].iter().any(|kind| {
            name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
