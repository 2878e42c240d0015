//! A guest library for one process: its words filled, its table in that process's addresses.

use std::path::Path;

use hotpatch_protocol::manifest::BindingKind;
use subsecond_types::JumpTable;

use crate::pipeline::relink::GuestLibrary;

/// What is known of the process.
pub struct Place<'a> {
    /// The load address of the program.
    pub program: u64,
    /// The load addresses of the guest libraries that it has loaded.
    pub libraries: &'a [Option<u64>],
    /// Reads eight bytes of its memory.
    pub read: &'a dyn Fn(u64) -> Option<u64>,
}

impl Place<'_> {
    fn base(&self, image: u32) -> Result<u64, String> {
        let known = match image.checked_sub(1) {
            None => Some(self.program),
            Some(index) => self.libraries.get(index as usize).copied().flatten(),
        };
        known.ok_or_else(|| {
            format!("it uses a static of guest library {image}, which the process has not loaded")
        })
    }

    /// The library's bytes for this process.
    ///
    /// # Errors
    /// A text where a word's value cannot be known.
    pub fn fill(&self, library: &GuestLibrary) -> Result<Vec<u8>, String> {
        let mut bytes = library.bytes.clone();
        for word in &library.words {
            let address = self.base(word.image)?.wrapping_add(word.value);
            let value = match word.kind {
                BindingKind::Address => address,
                BindingKind::ThreadLocals => {
                    return Err("it uses a thread-local of a shared library".into());
                }
                BindingKind::Copy => (self.read)(address).ok_or(
                    "it uses a thread-local of an earlier patch, and the memory of the process \
                     cannot be read",
                )?,
            };
            let field = bytes.get_mut(word.offset..word.offset + 8);
            field.ok_or("a word lies outside of the file")?.copy_from_slice(&value.to_le_bytes());
        }
        Ok(bytes)
    }

    /// The table. Its old addresses count from where the program is loaded; those of an earlier
    /// library, which lies somewhere else, are given in the same way where it lies behind.
    pub fn table(&self, library: &GuestLibrary, file: &Path) -> JumpTable {
        let key = |image, old: u64| {
            let address = self.base(image).ok()?.checked_add(old)?;
            address.checked_sub(self.program)
        };
        let replaced = library.replaced.iter();
        JumpTable {
            lib: file.into(),
            map: replaced.filter_map(|r| Some((key(r.image, r.old)?, r.new))).collect(),
            aslr_reference: library.program_anchor,
            new_base_address: library.library_anchor,
            ifunc_count: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::relink::{FileWord, Replacement};

    fn library() -> GuestLibrary {
        let word = |offset, kind, image, value| FileWord { offset, kind, image, value };
        let replaced = |image, old, new| Replacement { image, old, new };
        GuestLibrary {
            number: 2,
            name: "l.so".into(),
            bytes: vec![0; 24],
            words: vec![
                word(0, BindingKind::Address, 0, 0x10),
                word(8, BindingKind::Copy, 1, 0x20),
                word(16, BindingKind::Address, 0, 8_u64.wrapping_neg()),
            ],
            program_anchor: 1,
            library_anchor: 2,
            replaced: vec![replaced(0, 0x100, 0x5), replaced(1, 0x200, 0x6)],
        }
    }

    fn words(bytes: &[u8]) -> Vec<u64> {
        bytes.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect()
    }

    #[test]
    fn words_are_addresses_of_that_process() {
        let read = |address| (address == 0x7020).then_some(0xdead);
        let place = Place { program: 0x4000, libraries: &[Some(0x7000)], read: &read };
        assert_eq!(words(&place.fill(&library()).unwrap()), [0x4010, 0xdead, 0x3ff8]);
    }

    #[test]
    fn what_cannot_be_known_is_an_error_and_no_guess() {
        let nothing = |_| None;
        let unread = Place { program: 0, libraries: &[Some(0)], read: &nothing };
        assert!(unread.fill(&library()).unwrap_err().contains("cannot be read"));
        let unloaded = Place { program: 0, libraries: &[None], read: &nothing };
        assert!(unloaded.fill(&library()).unwrap_err().contains("guest library 1"));
    }

    #[test]
    fn earlier_libraries_are_replaced_by_their_distance_from_the_program() {
        let read = |_| None;
        let map = |program, library_at| {
            let libraries = [library_at];
            let place = Place { program, libraries: &libraries, read: &read };
            let mut map: Vec<_> =
                place.table(&library(), Path::new("/l.so")).map.into_iter().collect();
            map.sort();
            map
        };
        assert_eq!(map(0x4000, Some(0x7000)), [(0x100, 0x5), (0x3200, 0x6)]);
        assert_eq!(map(0x9000, Some(0x7000)), [(0x100, 0x5)], "it lies in front of the program");
        assert_eq!(map(0x4000, None), [(0x100, 0x5)]);
    }
}
