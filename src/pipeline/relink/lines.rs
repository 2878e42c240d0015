//! What macros keep of the place that they are used at. An edit above moves that place, which is
//! no change: `tracing` has a static for each event, with the file and the line.

use super::compare::Piece;
use super::fingerprint::{Fingerprint, Fingerprinter, text};
use super::names;

/// Smaller numbers may be levels, and are taken for lines only where a text says so.
const FIRST_LINE: u32 = 5;

/// Whether two versions of a macro's data of this name differ in nothing but the line of a source
/// file. People's own data is never taken for that.
///
/// # Errors
/// Where an object cannot be decoded.
pub fn moved(name: &str, old: &Piece, new: &Piece) -> anyhow::Result<bool> {
    if !names::is_of_macro(&names::readable(name)) {
        return Ok(false);
    }
    let (Some(old), Some(new)) = (Placed::of(old)?, Placed::of(new)?) else { return Ok(false) };
    let lines = old.line.zip(new.line);
    Ok(old.references == new.references && differ_in_a_line(&old.bytes, &new.bytes, lines))
}

/// Whether the bytes differ in one number, which is the line.
fn differ_in_a_line(old: &[u8], new: &[u8], lines: Option<(u32, u32)>) -> bool {
    let number = |word: &[u8]| word.try_into().map(u32::from_le_bytes).ok();
    let words = old.chunks(4).zip(new.chunks(4)).filter(|(old, new)| old != new);
    let numbers: Vec<_> = words.map(|(old, new)| number(old).zip(number(new))).collect();
    old.len() == new.len()
        && match &*numbers {
            [] => true,
            [Some(numbers)] => match lines {
                Some(lines) => *numbers == lines,
                None => numbers.0.min(numbers.1) >= FIRST_LINE,
            },
            _ => false,
        }
}

/// Data with the name of a source file in it.
struct Placed {
    /// Its bytes, without the lengths of texts that have a line number in them.
    bytes: Vec<u8>,
    /// What it refers to, without such line numbers.
    references: Vec<(u64, Fingerprint)>,
    /// That line number.
    line: Option<u32>,
}

impl Placed {
    fn of(piece: &Piece) -> anyhow::Result<Option<Placed>> {
        let object = &piece.object;
        let mut prints = Fingerprinter::new(object);
        let mut bytes = object.bytes(piece.section).to_vec();
        let (mut references, mut has_file, mut line) = (Vec::new(), false, None);
        for reloc in &object.sections[piece.section].relocs {
            let text = text(object, piece.section, reloc);
            has_file |= text.as_ref().is_some_and(|(text, _)| text.ends_with(b".rs"));
            let print = match text.and_then(|(text, length)| Some((split_line(text)?, length))) {
                Some(((plain, number), length)) => {
                    line = Some(number);
                    bytes[length].fill(0);
                    blake3::hash(plain)
                }
                None => prints.reference(piece.section, reloc)?,
            };
            references.push((reloc.offset, print));
        }
        Ok(has_file.then_some(Placed { bytes, references, line }))
    }
}

/// A text such as `event src/main.rs:12`, and its line number by itself.
fn split_line(text: &[u8]) -> Option<(&[u8], u32)> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = text.split_at(text.len() - digits);
    let line = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.ends_with(b".rs:").then_some((rest, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_number_stands_behind_the_name_of_a_source_file() {
        for (text, expected) in [
            ("event src/main.rs:12", Some(("event src/main.rs:", 12))),
            ("src/main.rs:", None),
            ("src/main.rs", None),
            ("port:12", None),
            ("", None),
        ] {
            let expected = expected.map(|(text, line): (&str, u32)| (text.as_bytes(), line));
            assert_eq!(split_line(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn one_number_may_be_another_if_it_is_a_line() {
        let bytes = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let differ =
            |old: &[u32], new: &[u32], lines| differ_in_a_line(&bytes(old), &bytes(new), lines);
        assert!(differ(&[1, 20], &[1, 20], None) && differ(&[1, 20], &[1, 21], None));
        // A level, and two at once.
        assert!(!differ(&[1, 20], &[2, 20], None) && !differ(&[9, 20], &[8, 21], None));
        assert!(differ(&[1, 3], &[1, 4], Some((3, 4))));
        assert!(!differ(&[9, 20], &[8, 20], Some((20, 20))));
        assert!(!differ(&[1], &[1, 2], None));
    }
}
