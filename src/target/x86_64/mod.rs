//! The x86-64 processor: how its relocations are bound to a running program, and what its code
//! must look like at a function's entry.

mod bind;
mod convention;
mod entry;
mod instruction;
#[cfg(test)]
mod tests;
mod thunk;
mod tls;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::Architecture;

use super::binary::program::TlsLayout;
use super::binary::{Draft, DraftReloc, Reloc, Target};
use super::processor::{Bound, Convention, Processor, Site};

/// The processor.
#[derive(Debug)]
pub struct X86_64;

impl Processor for X86_64 {
    fn architecture(&self) -> Architecture {
        Architecture::X86_64
    }

    fn unwind_section_type(&self) -> object::elf::SectionType {
        object::elf::SHT_X86_64_UNWIND
    }

    fn relative_32(&self) -> u32 {
        object::elf::R_X86_64_PC32.0
    }

    fn absolute(&self) -> u32 {
        object::elf::R_X86_64_64.0
    }

    fn thread_local_word(&self) -> u32 {
        object::elf::R_X86_64_TPOFF64.0
    }

    fn trap(&self) -> &'static [u8] {
        &[0xcc]
    }

    fn stub(&self, word: Target) -> (Vec<u8>, Vec<DraftReloc>) {
        bind::stub(word)
    }

    fn bind(&self, draft: &mut Draft, site: Site<'_>, bound: Bound) -> anyhow::Result<bool> {
        bind::bind(draft, site, bound)
    }

    fn is_local_dynamic(&self, r_type: u32) -> bool {
        bind::is_local_dynamic(r_type)
    }

    fn is_absolute(&self, r_type: u32) -> bool {
        bind::is_absolute(r_type)
    }

    fn is_debug_reference(&self, r_type: u32) -> bool {
        bind::is_debug_reference(r_type)
    }

    fn field_width(&self, r_type: u32) -> usize {
        bind::field_width(r_type)
    }

    fn target_distance(&self, code: Option<&[u8]>, reloc: &Reloc) -> anyhow::Result<i64> {
        bind::target_distance(code, reloc)
    }

    fn is_plain_access(&self, code: &[u8], reloc: &Reloc) -> bool {
        bind::is_plain_access(code, reloc)
    }

    fn is_call(&self, code: &[u8], reloc: &Reloc) -> bool {
        bind::is_call(code, reloc)
    }

    fn entry_hazard(&self, code: &[u8], room: u64) -> Option<&'static str> {
        entry::hazard(code, room)
    }

    fn convention(&self, code: &[u8]) -> Option<Convention> {
        Some(convention::of(code))
    }

    /// ELF Handling For Thread-Local Storage, variant II: the executable's block ends at the
    /// thread pointer.
    fn thread_pointer_offset(&self, tls: TlsLayout, block_offset: u64) -> i64 {
        block_offset as i64 - tls.size.next_multiple_of(tls.align.max(1)) as i64
    }

    fn is_mapping_symbol(&self, _: &str) -> bool {
        false
    }
}

/// Decodes the instruction at `offset` of `code`.
fn decode(code: &[u8], offset: usize) -> Option<Instruction> {
    let bytes = code.get(offset..)?;
    let mut decoder = Decoder::with_ip(64, bytes, offset as u64, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}
