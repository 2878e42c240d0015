//! Debug information for the functions of a patch: the sections of the objects they came from,
//! with everything that did not come along marked as dead.

use std::collections::HashMap;
use std::sync::Arc;

use super::compare::Piece;
use crate::target::binary::{
    Content, Draft, DraftReloc, DraftSection, Format, ObjectFile, SectionKind, Target,
};

/// What linkers write in the place of an address whose section they dropped: 1 in the lists
/// that a pair of zeros would end, 0 elsewhere (LLD's convention, "tombstones").
fn tombstone(section: &str) -> u64 {
    match section {
        ".debug_ranges" | ".debug_loc" => 1,
        _ => 0,
    }
}

/// Adds the debug sections of every object that gave code to the patch.
pub fn add(draft: &mut Draft, copied: &[(Piece, usize)]) {
    if draft.format == Format::MachO {
        // There debuggers read it from the objects, and not from a library.
        return;
    }
    let mut objects: Vec<Arc<ObjectFile>> = Vec::new();
    let mut sections = HashMap::new();
    for (piece, index) in copied {
        let object = &piece.object;
        sections.insert((Arc::as_ptr(object), piece.section), *index);
        let code = object.sections[piece.section].kind == SectionKind::Text;
        if code && !objects.iter().any(|o| Arc::ptr_eq(o, object)) {
            objects.push(object.clone());
        }
    }
    for object in objects {
        add_object(draft, &object, &sections);
    }
}

fn add_object(
    draft: &mut Draft,
    object: &Arc<ObjectFile>,
    copied: &HashMap<(*const ObjectFile, usize), usize>,
) {
    let key = Arc::as_ptr(object);
    let mut places = HashMap::new();
    for (index, section) in object.sections.iter().enumerate() {
        if section.kind == SectionKind::Debug {
            let mut copy = DraftSection::new(&section.name, Content::Debug, section.align);
            copy.data = object.bytes(index).to_vec();
            places.insert(index, draft.add(copy));
        }
    }
    for (&index, &place) in &places {
        let section = &object.sections[index];
        for reloc in &section.relocs {
            let symbol = object.symbols.get(reloc.symbol);
            let home = symbol.and_then(|s| s.section);
            let target = home
                .and_then(|h| places.get(&h).copied().or_else(|| copied.get(&(key, h)).copied()));
            let section = &mut draft.sections[place];
            match (symbol, target) {
                (Some(symbol), Some(target))
                    if object.processor.is_debug_reference(reloc.r_type) =>
                {
                    section.relocs.push(DraftReloc {
                        offset: reloc.offset,
                        r_type: reloc.r_type,
                        target: Target::Local { section: target, offset: symbol.value },
                        addend: reloc.addend,
                    });
                }
                _ => {
                    let at = reloc.offset as usize;
                    let width = object.processor.field_width(reloc.r_type);
                    let dead = tombstone(&section.name).to_le_bytes();
                    if let Some(field) = section.data.get_mut(at..at + width) {
                        field.copy_from_slice(&dead[..width]);
                    }
                }
            }
        }
    }
}
