//! Tables of instructions before and after binding. (The numbers are those of the ABI's documents and
//! of an assembler, none of them made here.)

use object::elf::{R_ARM_THM_PC22 as R_ARM_THM_CALL, *};

use super::Arm;
use super::fields::Field;
use crate::target::binary::program::TlsLayout;
use crate::target::binary::{
    Content, Draft, DraftReloc, DraftSection, Encoding, Encodings, Format, Reloc, Target,
};
use crate::target::processor::{Bound, Processor, Site};

const IMAGE: Bound = Bound::Image { image: 0, address: 0x12_3459 };
/// The sections that every draft has, and the first one that is added.
const WORDS: usize = 0;
const CODE: usize = 3;
/// The first section of stubs and thunks.
const GLUE: usize = 4;

#[test]
fn fields_are_read_and_written() {
    let cases: [(Field, [u8; 4], i64); 15] = [
        (Field::Word, [0xf8, 0xff, 0xff, 0xff], -8),
        (Field::Word31, [0xf8, 0xff, 0xff, 0xff], -8),
        // bl #660; b .
        (Field::Branch, [0xa5, 0x00, 0x00, 0xeb], 660),
        (Field::Branch, [0xfe, 0xff, 0xff, 0xea], -8),
        // bl #420; bl #-4; b.w #584; b.w #-4
        (Field::BranchT32, [0x00, 0xf0, 0xd2, 0xf8], 420),
        (Field::BranchT32, [0xff, 0xf7, 0xfe, 0xff], -4),
        (Field::BranchT32, [0x00, 0xf0, 0x24, 0xb9], 584),
        (Field::BranchT32, [0xff, 0xf7, 0xfe, 0xbf], -4),
        // b.w #0xffffffe, the farthest
        (Field::BranchT32, [0xff, 0xf3, 0xff, 0x97], 0xff_fffe),
        // bne.w #420
        (Field::ConditionalT32, [0x40, 0xf0, 0xd2, 0x80], 420),
        // movw r12, #0x1234; movt r12, #0x5678; movw r0, #-16
        (Field::Half, [0x34, 0xc2, 0x01, 0xe3], 0x1234),
        (Field::Half, [0x78, 0xc6, 0x45, 0xe3], 0x5678),
        (Field::Half, [0xf0, 0x0f, 0x0f, 0xe3], -16),
        (Field::HalfT32, [0x41, 0xf2, 0x34, 0x2c], 0x1234),
        (Field::HalfT32, [0xc5, 0xf2, 0x78, 0x6c], 0x5678),
    ];
    for (field, bytes, number) in cases {
        assert_eq!(field.read(bytes), number, "{field:?} {bytes:x?}");
        let empty = field.write(bytes, 0).unwrap();
        assert_eq!(field.read(empty), 0, "{field:?} {bytes:x?}");
        assert_eq!(field.write(empty, number), Some(bytes), "{field:?} {number}");
    }
    for (field, far) in [
        (Field::Branch, 1 << 25),
        (Field::BranchT32, 1 << 24),
        (Field::ConditionalT32, 1 << 20),
        (Field::Half, 1 << 15),
        (Field::Word31, 1 << 30),
    ] {
        assert_eq!(field.write([0; 4], far), None, "{field:?}");
    }
}

fn halves(code: &[u16]) -> Vec<u8> {
    code.iter().flat_map(|half| half.to_le_bytes()).collect()
}

fn words(code: &[u32]) -> Vec<u8> {
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Code with a literal behind it.
fn encoded(encoding: Encoding, data: u64) -> Encodings {
    let mut encodings = Encodings::all(encoding);
    encodings.set(data, Encoding::Data);
    encodings
}

#[test]
fn an_addend_counts_from_the_symbol_and_comes_back_as_it_was() {
    // ldr r0, literal; add r0, pc; literal
    let narrow = || [halves(&[0x4800, 0x4478]), words(&[0xffff_fffe])].concat();
    // ldr r0, literal; add r0, pc, r0; literal
    let wide = || words(&[0xe59f_fffc, 0xe08f_0000, 0xffff_fffc]);
    let t32 = encoded(Encoding::T32, 4);
    let a32 = encoded(Encoding::A32, 8);
    let cases = [
        (halves(&[0xf7ff, 0xfffe]), Some(&t32), R_ARM_THM_CALL, 0, 0),
        (halves(&[0xf7ff, 0xbffe]), Some(&t32), R_ARM_THM_JUMP24, 0, 0),
        (words(&[0xebff_fffe]), Some(&a32), R_ARM_CALL, 0, 0),
        (words(&[0xeaff_ffff]), Some(&a32), R_ARM_JUMP24, 0, 4),
        (narrow(), Some(&t32), R_ARM_REL32, 4, 0),
        (wide(), Some(&a32), R_ARM_REL32, 8, 0),
        (narrow(), Some(&t32), R_ARM_GOT_PREL, 4, 0),
        (words(&[0x18]), None, R_ARM_ABS32, 0, 0x18),
        (words(&[0x18]), None, R_ARM_REL32, 0, 0x18),
        (words(&[0x7fff_fff8]), None, R_ARM_PREL31, 0, -8),
        (words(&[8]), None, R_ARM_TARGET1, 0, 8),
    ];
    for (before, encodings, r_type, offset, addend) in cases {
        let mut reloc = Reloc { offset, r_type: r_type.0, symbol: 1, addend: 0 };
        let mut bytes = before.clone();
        Arm.take_addend(&mut bytes, encodings, &mut reloc);
        assert_eq!((reloc.r_type, reloc.addend), (r_type.0, addend), "{r_type:?}");
        let target = Target::Undefined(0);
        let mut back = DraftReloc { offset, r_type: r_type.0, target, addend };
        Arm.put_addend(&mut bytes, &mut back).unwrap();
        assert_eq!((bytes, back.addend), (before, 0), "{r_type:?}");
    }
    // No instruction adds the program counter where this says.
    let mut reloc = Reloc { offset: 4, r_type: R_ARM_REL32.0, symbol: 1, addend: 0 };
    let mut odd = [halves(&[0x4800, 0x4478]), words(&[0x40])].concat();
    Arm.take_addend(&mut odd, Some(&t32), &mut reloc);
    assert_eq!(reloc.r_type, Reloc::UNKNOWN);
}

struct Bind(Draft);

fn bound(
    code: Vec<u8>,
    encodings: Encodings,
    (offset, r_type): (u64, RelocationType),
) -> anyhow::Result<Bind> {
    let mut draft = Draft::new(Format::Elf, &Arm);
    let mut section = DraftSection::new(".text.f", Content::Code, 4);
    (section.data, section.encodings) = (code, encodings);
    assert_eq!(draft.add(section), CODE);
    let reloc = Reloc { offset, r_type: r_type.0, symbol: 1, addend: 0 };
    let site = Site { section: CODE, reloc, following: None };
    assert!(!Arm.bind(&mut draft, site, IMAGE)?, "no relocation deals with the next one");
    Ok(Bind(draft))
}

impl Bind {
    fn halves(&self, section: usize) -> Vec<u16> {
        let (halves, _) = self.0.sections[section].data.as_chunks::<2>();
        halves.iter().map(|half| u16::from_le_bytes(*half)).collect()
    }

    fn words(&self, section: usize) -> Vec<u32> {
        let (words, _) = self.0.sections[section].data.as_chunks::<4>();
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// Offset, type, the target's section and the addend of each relocation.
    fn relocs(&self, section: usize) -> Vec<(u64, RelocationType, usize, i64)> {
        let of = |target| match target {
            Target::Local { section, .. } => section,
            Target::Undefined(_) => usize::MAX,
        };
        let relocs = self.0.sections[section].relocs.iter();
        relocs.map(|r| (r.offset, RelocationType(r.r_type), of(r.target), r.addend)).collect()
    }

    fn values(&self) -> Vec<u64> {
        self.0.bindings.iter().map(|(_, _, word)| word.value).collect()
    }
}

#[test]
fn calls_go_through_a_stub_of_their_own_encoding() {
    for (call, r_type) in [(0xfffe, R_ARM_THM_CALL), (0xbffe, R_ARM_THM_JUMP24)] {
        let code = halves(&[0xf7ff, call]);
        let found = bound(code, Encodings::all(Encoding::T32), (0, r_type)).unwrap();
        assert_eq!(found.halves(CODE), [0xf7ff, call]);
        assert_eq!(found.relocs(CODE), [(0, r_type, GLUE, 0)]);
        // movw r12, #0; movt r12, #0; add r12, pc; ldr.w pc, [r12]; nop
        let stub = [0xf240, 0x0c00, 0xf2c0, 0x0c00, 0x44fc, 0xf8dc, 0xf000, 0xbf00];
        assert_eq!(found.halves(GLUE), stub);
        let word = [(0, R_ARM_THM_MOVW_PREL_NC, WORDS, -12), (4, R_ARM_THM_MOVT_PREL, WORDS, -8)];
        assert_eq!(found.relocs(GLUE), word);
        assert_eq!(found.0.sections[GLUE].encodings, Encodings::all(Encoding::T32));
        assert_eq!(found.values(), [0x12_3459], "the lowest bit tells the processor of T32");
    }
    for (call, r_type) in [(0xebff_fffe, R_ARM_CALL), (0xeaff_fffe, R_ARM_JUMP24)] {
        let found = bound(words(&[call]), Encodings::all(Encoding::A32), (0, r_type)).unwrap();
        assert_eq!(found.relocs(CODE), [(0, r_type, GLUE, 0)]);
        // movw r12, #0; movt r12, #0; ldr pc, [pc, r12]
        assert_eq!(found.words(GLUE), [0xe300_c000, 0xe340_c000, 0xe79f_f00c]);
        let word = [(0, R_ARM_MOVW_PREL_NC, WORDS, -16), (4, R_ARM_MOVT_PREL, WORDS, -12)];
        assert_eq!(found.relocs(GLUE), word);
        assert_eq!(found.0.sections[WORDS].data.len(), 4, "a pointer's size");
    }
}

#[test]
fn a_distance_in_a_literal_leads_to_a_word_in_a32() {
    // ldr r1, literal; add r1, pc, r1; nop; literal
    let code = words(&[0xe59f_1004, 0xe08f_1001, 0xe320_f000, 0]);
    let found = bound(code, encoded(Encoding::A32, 12), (12, R_ARM_REL32)).unwrap();
    // ldr r1, [pc, r1]
    assert_eq!(found.words(CODE), [0xe59f_1004, 0xe79f_1001, 0xe320_f000, 0]);
    assert_eq!(found.relocs(CODE), [(12, R_ARM_REL32, WORDS, 0)]);
    let cases = [
        // ldreq r2, [pc, r1]: movw r2, …; movt r2, …; ldr r2, [pc, r2]; ldr r2, [r2]
        (0x079f_2001, 0, vec![0xe300_2000, 0xe340_2000, 0xe79f_2002, 0xe592_2000]),
        // ldrbeq r2, [pc, r1]
        (0x07df_2001, 0, vec![0xe300_2000, 0xe340_2000, 0xe79f_2002, 0xe5d2_2000]),
        // streq r2, [pc, r1]: through r12, which is kept
        (
            0x078f_2001,
            4,
            vec![0xe52d_c004, 0xe300_c000, 0xe340_c000, 0xe79f_c00c, 0xe58c_2000, 0xe49d_c004],
        ),
    ];
    for (access, first, expected) in cases {
        let code = words(&[0xe59f_1004, access, 0xe320_f000, 0]);
        let found = bound(code, encoded(Encoding::A32, 12), (12, R_ARM_REL32)).unwrap();
        assert_eq!(found.words(CODE)[1], 0x0aff_fffe, "beq");
        assert_eq!(found.relocs(CODE), [(4, R_ARM_JUMP24, GLUE, 0)]);
        assert_eq!(found.words(GLUE)[..expected.len()], expected, "{access:#x}");
        let relocs = found.relocs(GLUE);
        assert_eq!(relocs[0], (first, R_ARM_MOVW_PREL_NC, WORDS, -16));
        let back = found.0.sections[GLUE].relocs[2].target;
        assert_eq!(back, Target::Local { section: CODE, offset: 8 });
    }
    // ldrd r2, [pc, r1]
    let code = words(&[0xe59f_1004, 0xe18f_20d1, 0xe320_f000, 0]);
    assert!(bound(code, encoded(Encoding::A32, 12), (12, R_ARM_REL32)).is_err());
}

/// movw r9, …; movt r9, …; add r9, pc; ldr.w r9, [r9]; b.w
const THUNK: [u16; 9] = [0xf240, 0x0900, 0xf2c0, 0x0900, 0x44f9, 0xf8d9, 0x9000, 0xf7ff, 0xbffe];

#[test]
fn a_distance_in_a_literal_is_loaded_out_of_line_in_t32() {
    // ldr.w r9, literal; add r9, pc; nop; literal
    let code = [halves(&[0xf8df, 0x9004, 0x44f9, 0xbf00]), words(&[0])].concat();
    let found = bound(code, encoded(Encoding::T32, 8), (8, R_ARM_REL32)).unwrap();
    assert_eq!(found.halves(CODE)[..4], [0xf7ff, 0xbffe, 0xbf00, 0xbf00], "b.w; nop; nop");
    assert_eq!(found.relocs(CODE), [(0, R_ARM_THM_JUMP24, GLUE, 0)]);
    assert_eq!(found.halves(GLUE)[..9], THUNK);
    let back = found.0.sections[GLUE].relocs[2].target;
    assert_eq!(back, Target::Local { section: CODE, offset: 6 });
    // ldr r1, literal; nop; add r1, pc; nop; literal: something stands between
    let code = [halves(&[0x4901, 0xbf00, 0x4479, 0xbf00]), words(&[0])].concat();
    let found = bound(code, encoded(Encoding::T32, 8), (8, R_ARM_REL32)).unwrap();
    // b.n to behind the literal, and b.w from there
    assert_eq!(found.halves(CODE), [0x4901, 0xbf00, 0xe002, 0xbf00, 0, 0, 0xf7ff, 0xbffe]);
    assert_eq!(found.relocs(CODE), [(12, R_ARM_THM_JUMP24, GLUE, 0)]);
    assert_eq!(found.0.sections[CODE].encodings.at(12), Some(Encoding::T32));
}

#[test]
fn what_cannot_be_loaded_out_of_line_is_refused() {
    // it eq; addeq r1, pc
    let code = [halves(&[0x4901, 0xbf08, 0x4479, 0xbf00]), words(&[0])].concat();
    let refused = bound(code, encoded(Encoding::T32, 8), (8, R_ARM_REL32)).map(|_| ());
    assert!(refused.unwrap_err().to_string().contains("condition"));
    let mut far = [halves(&[0x4901, 0xbf00, 0x4479, 0xbf00]), words(&[0])].concat();
    far.resize(4096, 0);
    let refused = bound(far, encoded(Encoding::T32, 8), (8, R_ARM_REL32)).map(|_| ());
    assert!(refused.unwrap_err().to_string().contains("too far"));
    for r_type in [R_ARM_MOVW_ABS_NC, R_ARM_THM_MOVT_ABS, R_ARM_ABS32] {
        let refused = bound(words(&[0]), Encodings::all(Encoding::T32), (0, r_type)).map(|_| ());
        assert!(refused.unwrap_err().to_string().contains("relocation-model=pic"), "{r_type:?}");
    }
    let refused = bound(words(&[0]), Encodings::all(Encoding::A32), (0, R_ARM_THM_PC8));
    assert!(refused.map(|_| ()).unwrap_err().to_string().contains("type 11 "));
}

#[test]
fn halves_of_a_distance_are_bound_like_a_literal() {
    // movw r9, …; movt r9, …; add r9, pc
    let code = halves(&[0xf64f, 0x79f4, 0xf6cf, 0x79f8, 0x44f9]);
    let encodings = Encodings::all(Encoding::T32);
    let low = bound(code.clone(), encodings.clone(), (0, R_ARM_THM_MOVW_PREL_NC)).unwrap();
    assert!(low.relocs(CODE).is_empty(), "the upper half's thunk makes all of it");
    let found = bound(code, encodings, (4, R_ARM_THM_MOVT_PREL)).unwrap();
    assert_eq!(found.halves(CODE)[2..], [0xf7ff, 0xbffe, 0xbf00]);
    assert_eq!(found.halves(GLUE)[..9], THUNK);
    // movw r1, #-16; movt r1, #-12; add r1, pc, r1
    let code = words(&[0xe30f_1ff0, 0xe34f_1ff4, 0xe08f_1001]);
    let encodings = Encodings::all(Encoding::A32);
    let found = bound(code.clone(), encodings.clone(), (0, R_ARM_MOVW_PREL_NC)).unwrap();
    assert_eq!(found.words(CODE)[2], 0xe79f_1001);
    assert_eq!(found.relocs(CODE), [(0, R_ARM_MOVW_PREL_NC, WORDS, 0)]);
    let found = bound(code, encodings, (4, R_ARM_MOVT_PREL)).unwrap();
    assert_eq!(found.relocs(CODE), [(4, R_ARM_MOVT_PREL, WORDS, 0)]);
}

#[test]
fn an_entry_of_the_global_offset_table_becomes_a_word() {
    for (r_type, expected) in [(R_ARM_GOT_PREL, R_ARM_REL32), (R_ARM_GOT32, R_ARM_GOTOFF)] {
        let code = [halves(&[0x4800, 0x4478]), words(&[0xffff_fffe])].concat();
        let found = bound(code.clone(), encoded(Encoding::T32, 4), (4, r_type)).unwrap();
        assert_eq!(found.0.sections[CODE].data, code);
        assert_eq!(found.relocs(CODE), [(4, expected, WORDS, 0)]);
        assert_eq!(found.values(), [0x12_3459]);
    }
}

#[test]
fn pointers_in_data_become_words_and_those_of_unwind_tables_lead_to_a_stub() {
    let bind = |r_type: RelocationType| {
        let mut draft = Draft::new(Format::Elf, &Arm);
        let mut section = DraftSection::new(".rodata.t", Content::ReadOnly, 4);
        section.data = vec![0; 8];
        draft.add(section);
        let reloc = Reloc { offset: 4, r_type: r_type.0, symbol: 1, addend: 0 };
        let site = Site { section: CODE, reloc, following: None };
        Arm.bind(&mut draft, site, IMAGE).unwrap();
        Bind(draft)
    };
    for r_type in [R_ARM_ABS32, R_ARM_TARGET1] {
        let found = bind(r_type);
        assert_eq!(found.0.sections[CODE].content, Content::Writable);
        let (place, offset, word) = found.0.bindings[0];
        assert_eq!((place, offset, word.value), (CODE, 4, 0x12_3459));
    }
    let found = bind(R_ARM_PREL31);
    assert_eq!(found.relocs(CODE), [(4, R_ARM_PREL31, GLUE, 0)]);
    assert_eq!(found.0.sections[GLUE].encodings, Encodings::all(Encoding::A32));
    assert_eq!(bind(R_ARM_TARGET2).relocs(CODE), [(4, R_ARM_REL32, WORDS, 0)]);
}

#[test]
fn thread_locals_of_the_system_are_refused() {
    let mut draft = Draft::new(Format::Elf, &Arm);
    draft.add(DraftSection::new(".text.f", Content::Code, 4));
    let reloc = Reloc { offset: 0, r_type: R_ARM_TLS_GD32.0, symbol: 1, addend: 0 };
    let site = Site { section: CODE, reloc, following: None };
    let refused = Arm.bind(&mut draft, site, Bound::ThreadLocalAt(8)).unwrap_err();
    assert!(refused.to_string().contains("thread-local"), "{refused}");
    let offset = |align, at| Arm.thread_pointer_offset(TlsLayout { size: 64, align }, at);
    assert_eq!((offset(4, 4), offset(8, 4), offset(64, 4)), (12, 12, 68));
}

#[test]
fn mapping_symbols_tell_the_encoding() {
    for (name, expected) in [
        ("$a", Some(Encoding::A32)),
        ("$t", Some(Encoding::T32)),
        ("$d.12", Some(Encoding::Data)),
        ("$tick", None),
        ("main", None),
        ("$", None),
    ] {
        assert_eq!(Arm.encoding_from(name), expected, "{name}");
        assert_eq!(Arm.is_mapping_symbol(name), expected.is_some(), "{name}");
    }
}
