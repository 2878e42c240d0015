//! What comes along with a function so that panics and debuggers can pass through it.

use hotpatch_protocol::manifest::BindingKind;

use super::Collector;
use crate::pipeline::relink::compare::Piece;
use crate::pipeline::relink::names;
use crate::target::binary::{Content, DraftReloc, DraftSection, Format, Symbol, Target, Word};
use crate::target::elf::exidx;
use crate::target::macho;
use crate::target::processor::Bound;

impl Collector<'_> {
    /// Takes along how a function that was copied is unwound.
    pub(super) fn add_unwind(&mut self, piece: &Piece, index: usize) -> anyhow::Result<()> {
        match self.draft.format {
            Format::Elf => {
                self.add_unwind_indices(piece, index);
                self.add_unwind_entries(piece, index)
            }
            Format::MachO => self.add_frame(piece, index),
        }
    }

    /// How a function of a Mach-O object is unwound.
    fn add_frame(&mut self, piece: &Piece, index: usize) -> anyhow::Result<()> {
        let Some(frame) = piece.object.frame(piece.section).cloned() else { return Ok(()) };
        let pads = frame.pads.map(|(section, offset)| {
            let target = Piece { object: piece.object.clone(), section };
            Target::Local { section: self.copy(&target), offset }
        });
        let personality = frame.personality.as_deref().map(|name| self.personality(name));
        let refers = macho::unwind::Refers {
            function: Target::Local { section: index, offset: 0 },
            pads,
            personality: personality.transpose()?,
        };
        self.frames.add(&mut self.draft, self.unwind_section, &frame, refers);
        Ok(())
    }

    /// A routine that unwind tables name: where the program has it, code that jumps there.
    fn personality(&mut self, name: &str) -> anyhow::Result<Target> {
        let processor = self.draft.processor;
        let symbol = Symbol { name: name.to_owned(), section: None, ..Symbol::default() };
        match self.undefined(&symbol)? {
            Bound::Local(target) | Bound::Loader(target) => Ok(target),
            Bound::Image { image, address } => {
                let word = Word { kind: BindingKind::Address, image, value: address };
                let draft = &mut self.draft;
                Ok(draft.entry_stub(word, |word| processor.stub(word)))
            }
            _ => anyhow::bail!("`{}` is a thread-local", names::readable(name)),
        }
    }

    /// The tables by which a function is unwound on 32-bit Arm, and what they refer to.
    fn add_unwind_indices(&mut self, piece: &Piece, index: usize) {
        let object = piece.object.clone();
        for table in exidx::indices(&object, piece.section) {
            let info = &object.sections[table];
            let mut copy = DraftSection::new(&info.name, Content::UnwindIndex(index), info.align);
            copy.data = object.bytes(table).to_vec();
            let place = self.draft.add(copy);
            for reloc in &info.relocs {
                let Some(symbol) = object.symbols.get(reloc.symbol) else { continue };
                // What is not here is only named for a linker, to bring it along.
                let Some(home) = symbol.section else { continue };
                let section = match home == piece.section {
                    true => index,
                    false => self.copy(&Piece { object: object.clone(), section: home }),
                };
                self.draft.sections[place].relocs.push(DraftReloc {
                    offset: reloc.offset,
                    r_type: reloc.r_type,
                    target: Target::Local { section, offset: symbol.value },
                    addend: reloc.addend,
                });
            }
        }
    }

    /// Unwind entries refer to their function, to its table of landing pads and to the pointer
    /// to the personality routine, which all come along.
    fn add_unwind_entries(&mut self, piece: &Piece, index: usize) -> anyhow::Result<()> {
        for entry in self.unwind.add(piece)? {
            let Some(symbol) = piece.object.symbols.get(entry.reloc.symbol) else { continue };
            let target = match symbol.section {
                Some(section) if section == piece.section => {
                    Target::Local { section: index, offset: symbol.value }
                }
                Some(section) => {
                    let target = Piece { object: piece.object.clone(), section };
                    Target::Local { section: self.copy(&target), offset: symbol.value }
                }
                None => self.draft.undefined(&symbol.name, symbol.weak),
            };
            self.draft.sections[self.unwind_section].relocs.push(DraftReloc {
                offset: entry.offset,
                r_type: entry.reloc.r_type,
                target,
                addend: entry.reloc.addend,
            });
        }
        Ok(())
    }
}
