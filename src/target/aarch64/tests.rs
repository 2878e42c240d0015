//! Tables of instructions before and after binding.

use object::elf::*;

use super::Aarch64;
use crate::target::binary::program::TlsLayout;
use crate::target::binary::{Content, Draft, DraftSection, Format, Reloc, Target};
use crate::target::processor::{Bound, Processor, Site};

/// Type and addend of a relocation of the first instruction.
type At = (RelocationType, i64);

const IMAGE: Bound = Bound::Image { image: 0, address: 0x12_3458 };
/// `nop`
const NOP: u32 = 0xd503_201f;
/// `b .`
const BRANCH: u32 = 0x1400_0000;
/// The sections that every draft has.
const WORDS: usize = 0;
const CONSTANTS: usize = 1;
const GLUE: usize = 2;

/// Binds the relocation of one instruction.
fn bound(instruction: u32, (r_type, addend): At, to: Bound) -> anyhow::Result<Bind> {
    let mut draft = Draft::new(Format::Elf, &Aarch64);
    let mut section = DraftSection::new(".text.f", Content::Code, 16);
    section.data = [instruction, NOP].iter().flat_map(|word| word.to_le_bytes()).collect();
    let section = draft.add(section);
    let reloc = Reloc { offset: 0, r_type: r_type.0, symbol: 1, addend };
    let together = Aarch64.bind(&mut draft, Site { section, reloc, following: None }, to)?;
    assert!(!together, "no relocation deals with the next one");
    Ok(Bind { draft, section })
}

struct Bind {
    draft: Draft,
    section: usize,
}

impl Bind {
    fn words(&self, section: usize) -> Vec<u32> {
        let (words, rest) = self.draft.sections[section].data.as_chunks::<4>();
        assert!(rest.is_empty());
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn code(&self) -> u32 {
        self.words(self.section)[0]
    }

    fn glue(&self) -> Vec<u32> {
        self.words(GLUE)
    }

    /// Offset, type and the target's section of each relocation.
    fn relocs(&self, section: usize) -> Vec<(u64, RelocationType, usize)> {
        let of = |target| match target {
            Target::Local { section, .. } => section,
            Target::Undefined(_) => usize::MAX,
        };
        let relocs = self.draft.sections[section].relocs.iter();
        relocs.map(|r| (r.offset, RelocationType(r.r_type), of(r.target))).collect()
    }

    /// What the runtime writes into the words.
    fn values(&self) -> Vec<u64> {
        self.draft.bindings.iter().map(|(_, _, word)| word.value).collect()
    }
}

#[test]
fn calls_go_through_a_stub() {
    for (call, r_type) in [(0x9400_0000, R_AARCH64_CALL26), (BRANCH, R_AARCH64_JUMP26)] {
        let found = bound(call, (r_type, 0), IMAGE).unwrap();
        assert_eq!(found.code(), call);
        assert_eq!(found.relocs(found.section), [(0, r_type, GLUE)]);
        // adrp x16, word; ldr x16, [x16, word]; br x16
        assert_eq!(found.glue(), [0x9000_0010, 0xf940_0210, 0xd61f_0200]);
        let load =
            [(0, R_AARCH64_ADR_PREL_PG_HI21, WORDS), (4, R_AARCH64_LDST64_ABS_LO12_NC, WORDS)];
        assert_eq!(found.relocs(GLUE), load);
        assert_eq!(found.values(), [0x12_3458]);
    }
}

#[test]
fn the_address_of_a_page_comes_from_a_thunk_and_touches_no_other_register() {
    let cases = [
        // adrp x0, adrp x29, adr x8
        (0x9000_0000, R_AARCH64_ADR_PREL_PG_HI21, 0, [0x9000_0000, 0xf940_0000], 0x12_3000),
        (0x9000_001d, R_AARCH64_ADR_PREL_PG_HI21_NC, 0xc00, [0x9000_001d, 0xf940_03bd], 0x12_4000),
        (0x1000_0008, R_AARCH64_ADR_PREL_LO21, 4, [0x9000_0008, 0xf940_0108], 0x12_345c),
    ];
    for (instruction, r_type, addend, [adrp, load], value) in cases {
        let found = bound(instruction, (r_type, addend), IMAGE).unwrap();
        assert_eq!(found.code(), BRANCH);
        assert_eq!(found.relocs(found.section), [(0, R_AARCH64_JUMP26, GLUE)]);
        assert_eq!(found.glue(), [adrp, load, BRANCH]);
        let back = found.draft.sections[GLUE].relocs.last().unwrap();
        assert_eq!(back.target, Target::Local { section: found.section, offset: 4 });
        assert_eq!(found.values(), [value]);
    }
}

#[test]
fn what_is_added_to_a_page_is_a_constant() {
    let cases = [
        // add x0, x0, #0
        (0x9100_0000, R_AARCH64_ADD_ABS_LO12_NC, 0, 0x9111_6000),
        // add x8, x9, #0
        (0x9100_0128, R_AARCH64_ADD_ABS_LO12_NC, 1, 0x9111_6528),
        // ldrb w0, [x1]; ldrh; ldr w0; ldr x0, str x0; ldr q0
        (0x3940_0020, R_AARCH64_LDST8_ABS_LO12_NC, 1, 0x3951_6420),
        (0x7940_0020, R_AARCH64_LDST16_ABS_LO12_NC, 2, 0x7948_b420),
        (0xb940_0020, R_AARCH64_LDST32_ABS_LO12_NC, 4, 0xb944_5c20),
        (0xf940_0020, R_AARCH64_LDST64_ABS_LO12_NC, 0, 0xf942_2c20),
        (0xf900_0020, R_AARCH64_LDST64_ABS_LO12_NC, 8, 0xf902_3020),
        (0x3dc0_0020, R_AARCH64_LDST128_ABS_LO12_NC, 8, 0x3dc1_1820),
    ];
    for (instruction, r_type, addend, expected) in cases {
        let found = bound(instruction, (r_type, addend), IMAGE).unwrap();
        assert_eq!(found.code(), expected, "{instruction:#x} + {addend}: {:#x}", found.code());
        assert!(found.relocs(found.section).is_empty() && found.values().is_empty());
    }
    let misaligned = bound(0xf940_0020, (R_AARCH64_LDST64_ABS_LO12_NC, 4), IMAGE);
    assert!(misaligned.is_err_and(|e| e.to_string().contains("aligned")));
}

#[test]
fn an_entry_of_the_global_offset_table_becomes_a_word() {
    for (instruction, r_type, expected) in [
        (0x9000_0000, R_AARCH64_ADR_GOT_PAGE, R_AARCH64_ADR_PREL_PG_HI21),
        (0xf940_0000, R_AARCH64_LD64_GOT_LO12_NC, R_AARCH64_LDST64_ABS_LO12_NC),
    ] {
        let found = bound(instruction, (r_type, 0), IMAGE).unwrap();
        assert_eq!(found.code(), instruction);
        assert_eq!(found.relocs(found.section), [(0, expected, WORDS)]);
        assert_eq!(found.values(), [0x12_3458]);
    }
}

#[test]
fn what_cannot_be_bound_is_refused_by_its_number() {
    let cases = [
        (0x5400_0000, R_AARCH64_CONDBR19),
        (0x3600_0000, R_AARCH64_TSTBR14),
        (0x5800_0000, R_AARCH64_LD_PREL_LO19),
        (0xd280_0000, R_AARCH64_MOVW_UABS_G0_NC),
    ];
    for (instruction, r_type) in cases {
        let refused = bound(instruction, (r_type, 0), IMAGE).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(&format!("type {} ", r_type.0)), "{refused}");
    }
    // A relocation that does not fit its instruction.
    for (instruction, r_type) in
        [(NOP, R_AARCH64_ADR_PREL_PG_HI21), (NOP, R_AARCH64_ADD_ABS_LO12_NC)]
    {
        assert!(bound(instruction, (r_type, 0), IMAGE).is_err(), "{r_type:?}");
    }
}

#[test]
fn a_pointer_in_data_becomes_a_word_that_the_runtime_fills() {
    let mut draft = Draft::new(Format::Elf, &Aarch64);
    let mut section = DraftSection::new(".rodata.t", Content::ReadOnly, 8);
    section.data = vec![0; 16];
    let section = draft.add(section);
    let reloc = Reloc { offset: 8, r_type: R_AARCH64_ABS64.0, symbol: 1, addend: 3 };
    Aarch64.bind(&mut draft, Site { section, reloc, following: None }, IMAGE).unwrap();
    assert_eq!(draft.sections[section].content, Content::Writable);
    let (place, offset, word) = draft.bindings[0];
    assert_eq!((place, offset, word.value), (section, 8, 0x12_345b));
}

const NEW: Bound = Bound::ThreadLocalNew(Target::Local { section: GLUE, offset: 0 });
const EARLIER: Bound = Bound::ThreadLocalIn { image: 2, address: 0x5000 };

#[test]
fn a_thread_local_s_descriptor_becomes_a_word_with_its_distance() {
    let plain = (R_AARCH64_ADR_PREL_PG_HI21, R_AARCH64_LDST64_ABS_LO12_NC);
    let by_loader = (R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC);
    let cases = [
        (Bound::ThreadLocalAt(0x12_3456), plain, CONSTANTS),
        (EARLIER, plain, WORDS),
        (NEW, by_loader, GLUE),
    ];
    for (to, (page, low), home) in cases {
        // adrp x0, v; ldr x1, [x0, v]; add x0, x0, v; blr x1
        let first = bound(0x9000_0000, (R_AARCH64_TLSDESC_ADR_PAGE21, 0), to).unwrap();
        assert_eq!((first.code(), first.relocs(3)), (0x9000_0000, vec![(0, page, home)]));
        let second = bound(0xf940_0001, (R_AARCH64_TLSDESC_LD64_LO12, 0), to).unwrap();
        assert_eq!((second.code(), second.relocs(3)), (0xf940_0000, vec![(0, low, home)]));
        let third = bound(0x9100_0000, (R_AARCH64_TLSDESC_ADD_LO12, 8), to).unwrap();
        assert_eq!((third.code(), third.relocs(3)), (0x9100_2000, vec![]));
        let fourth = bound(0xd63f_0020, (R_AARCH64_TLSDESC_CALL, 0), to).unwrap();
        assert_eq!((fourth.code(), fourth.relocs(3)), (NOP, vec![]));
    }
    let at = bound(0x9000_0000, (R_AARCH64_TLSDESC_ADR_PAGE21, 0), Bound::ThreadLocalAt(0x20));
    let constants = &at.unwrap().draft.sections[CONSTANTS];
    assert_eq!(constants.data, 0x20i64.to_le_bytes());
    // Other registers than the convention's.
    let other = bound(0xf940_0041, (R_AARCH64_TLSDESC_LD64_LO12, 0), NEW);
    assert!(other.is_err_and(|e| e.to_string().contains("unknown form")));
}

#[test]
fn a_thread_local_of_the_program_is_a_constant_in_two_halves() {
    let at = Bound::ThreadLocalAt(0x12_3450);
    // add x8, x8, #0, lsl #12; add x0, x8, #0; ldr x0, [x8]
    let cases = [
        (0x9140_0108, R_AARCH64_TLSLE_ADD_TPREL_HI12, 0x9144_8d08),
        (0x9100_0100, R_AARCH64_TLSLE_ADD_TPREL_LO12_NC, 0x9111_6100),
        (0xf940_0100, R_AARCH64_TLSLE_LDST64_TPREL_LO12_NC, 0xf942_2d00),
    ];
    for (instruction, r_type, expected) in cases {
        let found = bound(instruction, (r_type, 8), at).unwrap();
        assert_eq!(found.code(), expected, "{r_type:?}: {:#x}", found.code());
        assert!(found.relocs(found.section).is_empty());
    }
    for distance in [-1, 1 << 24] {
        let far = Bound::ThreadLocalAt(distance);
        let refused = bound(0x9140_0108, (R_AARCH64_TLSLE_ADD_TPREL_HI12, 0), far);
        assert!(refused.is_err_and(|e| e.to_string().contains("out of reach")));
    }
}

#[test]
fn a_thread_local_of_a_patch_is_added_out_of_line_without_losing_a_register() {
    let cases = [
        // add x8, x8: through x16
        (0x9140_0108, [0xf81f_0ff0, 0x9000_0010, 0xf940_0210, 0x8b10_0108, 0xf841_07f0]),
        // add x16, x8: through x17
        (0x9140_0110, [0xf81f_0ff1, 0x9000_0011, 0xf940_0231, 0x8b11_0110, 0xf841_07f1]),
    ];
    for (instruction, expected) in cases {
        let found = bound(instruction, (R_AARCH64_TLSLE_ADD_TPREL_HI12, 8), NEW).unwrap();
        assert_eq!(found.code(), BRANCH);
        assert_eq!(found.glue()[..5], expected);
        let loads = &found.relocs(GLUE)[..2];
        assert_eq!(loads[0], (4, R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, GLUE));
        assert_eq!(loads[1], (8, R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC, GLUE));
    }
    let rest = bound(0x9100_0100, (R_AARCH64_TLSLE_ADD_TPREL_LO12_NC, 8), EARLIER).unwrap();
    assert_eq!(rest.code(), 0x9100_2100, "only the addend is left to add");
    assert!(bound(0x9140_0230, (R_AARCH64_TLSLE_ADD_TPREL_HI12, 0), NEW).is_err(), "x16 and x17");
}

#[test]
fn a_thread_local_of_a_library_is_asked_for_by_the_library_s_own_descriptor() {
    let own = Bound::ThreadLocalBehind { behind: 0x40, descriptor: Some(0x12_3458) };
    // adrp x0, v; ldr x1, [x0, v]; add x0, x0, v; blr x1
    let page = bound(0x9000_0000, (R_AARCH64_TLSDESC_ADR_PAGE21, 0), own).unwrap();
    assert_eq!((page.code(), page.values()), (BRANCH, vec![0x12_3000]));
    assert_eq!(page.glue(), [0x9000_0000, 0xf940_0000, BRANCH]);
    let cases = [
        (0xf940_0001, R_AARCH64_TLSDESC_LD64_LO12, 0xf942_2c01),
        (0x9100_0000, R_AARCH64_TLSDESC_ADD_LO12, 0x9111_6000),
        (0xd63f_0020, R_AARCH64_TLSDESC_CALL, 0xd63f_0020),
    ];
    for (instruction, r_type, expected) in cases {
        let found = bound(instruction, (r_type, 0), own).unwrap();
        assert_eq!(found.code(), expected, "{r_type:?}: {:#x}", found.code());
        assert!(found.relocs(found.section).is_empty() && found.values().is_empty());
    }
    let refused = |at, to| bound(0x9000_0000, at, to).map(|_| ()).unwrap_err().to_string();
    let none = Bound::ThreadLocalBehind { behind: 0x40, descriptor: None };
    let why = refused((R_AARCH64_TLSDESC_ADR_PAGE21, 0), none);
    assert!(why.contains("no descriptor"), "{why}");
    let why = refused((R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, 0), own);
    assert!(why.contains("tls-model"), "{why}");
}

#[test]
fn the_executable_s_thread_locals_come_after_the_loader_s_two_words() {
    let offset = |align, at| Aarch64.thread_pointer_offset(TlsLayout { size: 64, align }, at);
    assert_eq!((offset(8, 4), offset(16, 4), offset(64, 4)), (20, 20, 68));
}

#[test]
fn any_entry_has_room_also_one_with_a_landing_pad() {
    // ret; b .; bti c; paciasp
    for code in [0xd65f_03c0u32, BRANCH, 0xd503_245f, 0xd503_233f] {
        assert_eq!(Aarch64.entry_hazard(&code.to_le_bytes(), 4), None);
    }
    assert!(Aarch64.entry_hazard(&[], 0).is_some());
}

#[test]
fn mapping_symbols_are_told_from_names() {
    for (name, expected) in [("$x", true), ("$d.12", true), ("$xyz", false), ("main", false)] {
        assert_eq!(Aarch64.is_mapping_symbol(name), expected, "{name}");
    }
}
