//! The process's memory map: where code may be made writable, where there is room for islands.

use std::io;

/// One line of `/proc/self/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// `PROT_READ` and so on.
    pub protection: i32,
    /// The kernel's name for it where it is the program's heap or the first thread's stack.
    pub grows: Option<Grows>,
}

/// A mapping that the kernel enlarges by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grows {
    /// The heap.
    Up,
    /// The first thread's stack.
    Down,
}

/// All mappings, by address.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn read() -> io::Result<Vec<Mapping>> {
    let text = std::fs::read_to_string("/proc/self/maps")?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?;
    let protection = [('r', libc::PROT_READ), ('w', libc::PROT_WRITE), ('x', libc::PROT_EXEC)]
        .iter()
        .filter(|(letter, _)| flags.contains(*letter))
        .fold(libc::PROT_NONE, |all, (_, bit)| all | bit);
    let grows = match words.nth(3) {
        Some("[heap]") => Some(Grows::Up),
        Some("[stack]") => Some(Grows::Down),
        _ => None,
    };
    Some(Mapping {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        protection,
        grows,
    })
}

/// The lowest address that is ever used.
const LOWEST: usize = 0x1_0000;
/// The highest address that is ever used; user space ends a little above it.
const HIGHEST: usize = 0x7fff_ffff_0000;

/// Free places of `length` bytes, of which every byte is within `reach` of `target`; the nearest
/// comes first. All numbers are multiples of the page size but `target`.
pub fn gaps_near(maps: &[Mapping], target: usize, length: usize, reach: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let mut low = LOWEST;
    let mut below = None;
    for mapping in maps.iter().map(Some).chain([None]) {
        let high = mapping.map_or(HIGHEST, |m| m.start);
        let above = mapping.and_then(|m| m.grows);
        if high > low && high - low >= length {
            let from_above = high - length;
            // Room for growing is left to the heap and to the stack; elsewhere the place next to
            // a mapping is the nearest.
            let candidates = match (below, above) {
                (Some(Grows::Up), Some(Grows::Down)) => [None, None],
                (Some(Grows::Up), _) => [Some(from_above), None],
                (_, Some(Grows::Down)) => [Some(low), None],
                _ => [Some(low), Some(from_above)],
            };
            places.extend(candidates.into_iter().flatten());
        }
        let Some(mapping) = mapping else { break };
        low = low.max(mapping.end);
        below = mapping.grows;
    }
    let distance = |place: &usize| place.abs_diff(target).max((place + length).abs_diff(target));
    places.retain(|place| distance(place) <= reach);
    places.sort_by_key(distance);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "55d0c0000000-55d0c0021000 rw-p 00000000 00:00 0                  [heap]";
        let expected = Mapping {
            start: 0x55d0_c000_0000,
            end: 0x55d0_c002_1000,
            protection: libc::PROT_READ | libc::PROT_WRITE,
            grows: Some(Grows::Up),
        };
        assert_eq!(parse(line), Some(expected));
        let line = "7f00-7f01 r-xp 00000000 00:00 0  /a b";
        assert_eq!(parse(line).map(|m| m.protection), Some(libc::PROT_READ | libc::PROT_EXEC));
    }

    #[test]
    fn the_nearest_gap_comes_first_and_the_heap_keeps_its_room() {
        let mapping = |start, end, grows| Mapping { start, end, protection: 0, grows };
        let maps = [
            mapping(0x10_0000, 0x11_0000, None),
            mapping(0x12_0000, 0x13_0000, Some(Grows::Up)),
            mapping(0x20_0000, 0x21_0000, None),
        ];
        let found = gaps_near(&maps, 0x10_8000, 0x1000, 0x10_0000);
        assert_eq!(found.first(), Some(&0xf_f000));
        assert!(!found.contains(&0x13_0000), "{found:x?}");
        assert!(found.iter().all(|p| p.abs_diff(0x10_8000) <= 0x10_0000));
    }
}
