//! The table that a patch library carries about itself, under the exported symbol [`SYMBOL`].
//!
//! It is written into the object before the link, as bytes plus relocations, and read by the
//! runtime from memory once the library is loaded and before any of its code runs. All words are
//! little-endian. A *rel* field is the distance from the manifest's first byte to the thing it
//! names, so that no dynamic relocation is needed. *Image* 0 is the program, image N is patch N;
//! an image's *offset* is a static address in its file.
//!
//! ```text
//!  0  magic "HOTPATCH"        8  version u32       12  total length u32
//! 16  patch id u32           20  entry count u32   24  binding count u32   28  canary length u32
//! 32  build id, 32 bytes, zero padded
//! 64  entries:  32 bytes each  { old_image u32, new_rel i32, old_offset u64, old_size u64, new_size u32, function u32 }
//!  …  bindings: 24 bytes each  { place_rel i32, kind u16, reserved u16, image u32, reserved u32, value u64 }
//!  …  canary: JSON of [`Canary`]
//! ```

use serde::{Deserialize, Serialize};

/// The name of the exported symbol.
pub const SYMBOL: &str = "__hotpatch_manifest";
/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"HOTPATCH";
/// The version of this layout.
pub const VERSION: u32 = 1;
/// The size of the fixed part, in bytes.
pub const HEADER_SIZE: usize = 64;
/// The size of one entry, in bytes.
pub const ENTRY_SIZE: usize = 32;
/// The size of one binding, in bytes.
pub const BINDING_SIZE: usize = 24;
/// The room for a build id, in bytes.
pub const BUILD_ID_SIZE: usize = 32;

/// What a program and a patch must have in common beside the build id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Canary {
    /// The commit hash that `rustc -vV` prints.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// 32 or 64.
    pub pointer_width: u32,
    /// `unwind` or `abort`.
    pub panic: String,
}

/// One function that the patch replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The image that has the old function.
    pub old_image: u32,
    /// From the manifest to the new function.
    pub new_rel: i32,
    /// The old function's static address in its image.
    pub old_offset: u64,
    /// How many bytes may be overwritten at the old entry (the function and the padding after it).
    pub old_size: u64,
    /// The new function's size, in bytes; 0 where it is not known.
    pub new_size: u32,
    /// Which of the names in the patch's header is this function's.
    pub function: u32,
}

/// A place of a pointer's size in the patch that the runtime fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// From the manifest to the place.
    pub place_rel: i32,
    /// What to write there.
    pub kind: BindingKind,
    /// The image that `value` is about.
    pub image: u32,
    /// A static address in that image (plus an addend, so it may lie outside).
    pub value: u64,
}

/// What a binding writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum BindingKind {
    /// The image's load address plus `value`.
    Address = 0,
    /// The word found at the image's load address plus `value`: how a thread-local of an
    /// earlier patch is reached, whose offset only that patch's own slot knows.
    Copy = 1,
    /// The number under which the loader keeps the image's thread-locals, as `__tls_get_addr`
    /// takes it; `value` means nothing.
    ThreadLocals = 2,
}

/// A manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The patch's id.
    pub patch: u32,
    /// The program's build id. One that was read has lost its trailing zeros together with the
    /// padding: compare with [`Manifest::is_for`].
    pub build_id: Vec<u8>,
    /// What the patch was compiled by and for.
    pub canary: Canary,
    /// The functions that it replaces.
    pub entries: Vec<Entry>,
    /// The places to fill.
    pub bindings: Vec<Binding>,
}

/// Where in the encoded bytes the *rel* fields of entry and binding number `n` stand: the writer
/// puts a 32-bit PC-relative relocation there, with the field's own offset as addend.
pub fn entry_rel_offset(n: usize) -> usize {
    HEADER_SIZE + n * ENTRY_SIZE + 4
}

/// See [`entry_rel_offset`]; `entries` is how many entries stand before the bindings.
pub fn binding_rel_offset(entries: usize, n: usize) -> usize {
    HEADER_SIZE + entries * ENTRY_SIZE + n * BINDING_SIZE
}

impl Manifest {
    /// The manifest as bytes. The build id is cut to [`BUILD_ID_SIZE`].
    pub fn encode(&self) -> Vec<u8> {
        let canary = serde_json::to_vec(&self.canary).unwrap_or_default();
        let total = HEADER_SIZE
            + self.entries.len() * ENTRY_SIZE
            + self.bindings.len() * BINDING_SIZE
            + canary.len();
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&MAGIC);
        for word in [
            VERSION,
            total as u32,
            self.patch,
            self.entries.len() as u32,
            self.bindings.len() as u32,
            canary.len() as u32,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&padded(&self.build_id));
        for e in &self.entries {
            out.extend_from_slice(&e.old_image.to_le_bytes());
            out.extend_from_slice(&e.new_rel.to_le_bytes());
            out.extend_from_slice(&e.old_offset.to_le_bytes());
            out.extend_from_slice(&e.old_size.to_le_bytes());
            out.extend_from_slice(&e.new_size.to_le_bytes());
            out.extend_from_slice(&e.function.to_le_bytes());
        }
        for b in &self.bindings {
            out.extend_from_slice(&b.place_rel.to_le_bytes());
            out.extend_from_slice(&(b.kind as u16).to_le_bytes());
            out.extend_from_slice(&0u16.to_le_bytes());
            out.extend_from_slice(&b.image.to_le_bytes());
            out.extend_from_slice(&0u32.to_le_bytes());
            out.extend_from_slice(&b.value.to_le_bytes());
        }
        out.extend_from_slice(&canary);
        out
    }

    /// Whether the patch was made for the program with this build id.
    pub fn is_for(&self, build_id: &[u8]) -> bool {
        padded(&self.build_id) == padded(build_id)
    }

    /// How long the manifest is that starts with `header`, in bytes.
    ///
    /// # Errors
    /// A text where this is no manifest, or one of another version.
    pub fn total_length(header: &[u8]) -> Result<usize, String> {
        let mut r = Reader { bytes: header, at: 0 };
        if r.take::<8>()? != MAGIC {
            return Err("the patch's manifest does not start with its magic".into());
        }
        match r.u32()? {
            VERSION => Ok(r.u32()? as usize),
            other => Err(format!("the patch's manifest has version {other}, not {VERSION}")),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, String> {
        let total = Self::total_length(bytes)?;
        let mut r = Reader { bytes: bytes.get(..total).ok_or(CUT)?, at: 16 };
        let (patch, entries, bindings, canary) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
        let id = r.take::<BUILD_ID_SIZE>()?;
        let used = id.iter().rposition(|&b| b != 0).map_or(0, |n| n + 1);
        let build_id = id.iter().copied().take(used).collect();
        let entries = (0..entries).map(|_| r.entry()).collect::<Result<_, _>>()?;
        let bindings = (0..bindings).map(|_| r.binding()).collect::<Result<_, _>>()?;
        let canary = r.rest(canary as usize)?;
        let canary = serde_json::from_slice(canary).map_err(|e| e.to_string())?;
        Ok(Manifest { patch, build_id, canary, entries, bindings })
    }
}

/// The build id as it stands in the header.
fn padded(build_id: &[u8]) -> [u8; BUILD_ID_SIZE] {
    let mut id = [0; BUILD_ID_SIZE];
    for (to, from) in id.iter_mut().zip(build_id) {
        *to = *from;
    }
    id
}

const CUT: &str = "the patch's manifest is cut short";

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length).ok_or(CUT)?;
        let found = self.bytes.get(self.at..end).ok_or(CUT)?;
        self.at = end;
        Ok(found)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.rest(N)?.try_into().map_err(|_| CUT.to_string())
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, String> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.take().map(u64::from_le_bytes)
    }

    fn entry(&mut self) -> Result<Entry, String> {
        Ok(Entry {
            old_image: self.u32()?,
            new_rel: self.i32()?,
            old_offset: self.u64()?,
            old_size: self.u64()?,
            new_size: self.u32()?,
            function: self.u32()?,
        })
    }

    fn binding(&mut self) -> Result<Binding, String> {
        let place_rel = self.i32()?;
        let kind = match self.u16()? {
            0 => BindingKind::Address,
            1 => BindingKind::Copy,
            2 => BindingKind::ThreadLocals,
            other => {
                return Err(format!("the patch's manifest has an unknown binding kind {other}"));
            }
        };
        self.u16()?;
        let image = self.u32()?;
        self.u32()?;
        Ok(Binding { place_rel, kind, image, value: self.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            patch: 3,
            build_id: vec![1, 2, 3, 4],
            canary: Canary {
                rustc: "abc".into(),
                target: "x86_64-unknown-linux-gnu".into(),
                pointer_width: 64,
                panic: "unwind".into(),
            },
            entries: vec![Entry {
                old_image: 0,
                new_rel: -16,
                old_offset: 0x1000,
                old_size: 32,
                new_size: 24,
                function: 1,
            }],
            bindings: vec![
                Binding { place_rel: 64, kind: BindingKind::Address, image: 0, value: 0x2000 },
                Binding { place_rel: 72, kind: BindingKind::Copy, image: 2, value: 0x3000 },
            ],
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_went_in() {
        assert_eq!(Manifest::decode(&sample().encode()).unwrap(), sample());
    }

    #[test]
    fn a_build_id_may_end_in_zeros() {
        let id = [0xab, 0xcd, 0, 0];
        let read = Manifest { build_id: id.into(), ..sample() }.encode();
        let read = Manifest::decode(&read).unwrap();
        assert!(read.is_for(&id));
        assert!(!read.is_for(&[0xab, 0xcd, 0, 1]) && !read.is_for(&[0xab]) && !read.is_for(&[]));
    }

    #[test]
    fn a_manifest_cut_anywhere_is_an_error() {
        let bytes = sample().encode();
        for cut in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_rel_fields_stand_where_the_writer_relocates_them() {
        let bytes = sample().encode();
        let at = |o: usize| i32::from_le_bytes(bytes[o..o + 4].try_into().unwrap());
        assert_eq!(at(entry_rel_offset(0)), -16);
        assert_eq!(at(binding_rel_offset(1, 0)), 64);
        assert_eq!(at(binding_rel_offset(1, 1)), 72);
    }
}
