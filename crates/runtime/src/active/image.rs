//! Images: the program and the patches that it has loaded. What is asked of one is answered by the
//! dynamic loader's own list, so that no address is written to or read from that is not there.

use std::ffi::{CStr, CString, OsStr, c_void};
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::arch::LANDING_PADS;
use super::sys::page_size;

/// A segment that may be executed.
pub const PF_X: u32 = 1;
const PF_W: u32 = 2;
/// A segment that may be read.
pub const PF_R: u32 = 4;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_PROPERTY: u32 = 0x6474_e553;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const NT_GNU_BUILD_ID: u32 = 3;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;

/// What a stretch of an image must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Reading.
    Read,
    /// Writing, also after the loader has finished.
    Write,
    /// Executing.
    Execute,
}

/// A loaded file.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The difference between run-time and static addresses.
    pub base: usize,
    /// The GNU build id; empty where there is none.
    pub build_id: Vec<u8>,
    /// The number under which the loader keeps its thread-locals; 0 where it has none.
    pub thread_locals: usize,
    /// The processor may look after that its code is only entered at landing pads.
    pub guarded: bool,
    name: CString,
    file: PathBuf,
    segments: Vec<Segment>,
    /// What the loader makes read-only once it has finished.
    sealed: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
struct Segment {
    addresses: Range<usize>,
    flags: u32,
    /// Where it is in the file.
    offset: u64,
}

struct Search {
    address: usize,
    found: Option<Image>,
}

impl Image {
    /// The image that has `address`.
    pub fn of(address: usize) -> Option<Image> {
        let mut search = Search { address, found: None };
        // SAFETY: the callback gets back the pointer to `search`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        search.found
    }

    /// True where all of `length` bytes at `address` lie in one segment that allows `what`.
    pub fn allows(&self, address: usize, length: usize, what: Use) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        let flag = match what {
            Use::Execute => PF_X,
            Use::Write => PF_W,
            Use::Read => PF_R,
        };
        let overlaps = |range: &Range<usize>| address < range.end && range.start < end;
        if what == Use::Write && self.sealed.as_ref().is_some_and(overlaps) {
            return false;
        }
        let holds = |range: &Range<usize>| range.start <= address && end <= range.end;
        self.segments.iter().any(|s| s.flags & flag != 0 && holds(&s.addresses))
    }

    /// Whether it is what the process was started from, and not a library.
    pub fn is_program(&self) -> bool {
        // SAFETY: the call only reads what the kernel has left for the process.
        let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
        self.name.is_empty() || self.segments.iter().any(|s| s.addresses.contains(&headers))
    }

    /// What the loader calls it; empty where it is the program.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// Where its code is.
    pub fn code(&self) -> Vec<Range<usize>> {
        let code = self.segments.iter().filter(|segment| segment.flags & PF_X != 0);
        code.map(|segment| segment.addresses.clone()).collect()
    }

    /// The bytes at these addresses, where they are loaded; those of headers and notes do not change.
    fn bytes(&self, addresses: Range<usize>) -> &'static [u8] {
        if !self.allows(addresses.start, addresses.len(), Use::Read) {
            return &[];
        }
        // SAFETY: they lie in a segment that is loaded and readable.
        unsafe { std::slice::from_raw_parts(addresses.start as *const u8, addresses.len()) }
    }

    /// What stands at `address` in the file, if that can be read.
    pub fn original<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        let segment = self.segments.iter().find(|s| s.addresses.contains(&address))?;
        let offset = (address - segment.addresses.start) as u64;
        let mut bytes = [0; N];
        let file = File::open(&self.file).ok()?;
        file.read_exact_at(&mut bytes, segment.offset.checked_add(offset)?).ok()?;
        Some(bytes)
    }
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    search: *mut c_void,
) -> libc::c_int {
    // SAFETY: the loader hands over a valid description, and the pointer that it was given.
    let (Some(info), Some(search)) = (unsafe { (info.as_ref(), search.cast::<Search>().as_mut()) })
    else {
        return 0;
    };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader says how many headers there are.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let mut image = describe(info.dlpi_addr as usize, headers);
    if image.segments.iter().any(|s| s.addresses.contains(&search.address)) {
        // SAFETY: the loader's names end with a zero byte.
        let name = unsafe { (!info.dlpi_name.is_null()).then(|| CStr::from_ptr(info.dlpi_name)) };
        image.name = name.map(CStr::to_owned).unwrap_or_default();
        image.file = match image.name.to_bytes() {
            // The program itself has no name.
            b"" => PathBuf::from("/proc/self/exe"),
            name => absolute(Path::new(OsStr::from_bytes(name))),
        };
        image.thread_locals = info.dlpi_tls_modid;
        search.found = Some(image);
        return 1;
    }
    0
}

/// A library may have been loaded by a path that counts from a folder which the program leaves.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn describe(base: usize, headers: &[libc::Elf64_Phdr]) -> Image {
    let mut image = Image { base, ..Image::default() };
    let (mut notes, mut properties) = (Vec::new(), None);
    for header in headers {
        let start = base.wrapping_add(header.p_vaddr as usize);
        let addresses = start..start.wrapping_add(header.p_memsz as usize);
        match header.p_type {
            PT_LOAD => image.segments.push(Segment {
                addresses,
                flags: header.p_flags,
                offset: header.p_offset,
            }),
            PT_GNU_RELRO => {
                let page = |address: usize| address & !(page_size() - 1);
                image.sealed = Some(page(addresses.start)..page(addresses.end));
            }
            PT_GNU_PROPERTY => properties = Some(addresses),
            PT_NOTE => notes.push((addresses, header.p_align)),
            _ => {}
        }
    }
    for (addresses, align) in notes {
        if let Some(id) = build_id(image.bytes(addresses), if align == 8 { 8 } else { 4 }) {
            image.build_id = id.to_vec();
        }
    }
    let properties = properties.map_or(&[][..], |addresses| image.bytes(addresses));
    image.guarded = LANDING_PADS
        .is_some_and(|(kind, bit)| property(properties, kind).is_some_and(|set| set & bit != 0));
    image
}

/// The first word of a property, in the note with all of them.
fn property(notes: &[u8], wanted: u32) -> Option<u32> {
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?)) };
    let is_properties = word(8)? == NT_GNU_PROPERTY_TYPE_0 && notes.get(12..16)? == b"GNU\0";
    let end = 16usize.checked_add(word(4)? as usize)?;
    let mut at = 16;
    while is_properties && at < end {
        let size = word(at + 4)? as usize;
        if word(at)? == wanted && size >= 4 {
            return word(at + 8);
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_next_multiple_of(8)?;
    }
    None
}

fn build_id(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    let word = |at: usize, bytes: &[u8]| -> Option<u32> {
        Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
    };
    loop {
        let name = word(0, notes)? as usize;
        let content = word(4, notes)? as usize;
        let kind = word(8, notes)?;
        let at = 12usize.checked_add(name)?.checked_next_multiple_of(align)?;
        let end = at.checked_add(content)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
            return notes.get(at..end);
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static mut WRITABLE: u64 = 1;
    static CONSTANT: &str = "constant";

    #[test]
    fn this_program_knows_what_its_addresses_allow() {
        let code = this_program_knows_what_its_addresses_allow as *const () as usize;
        let image = Image::of(code).unwrap();
        assert!(image.allows(code, 5, Use::Execute));
        assert!(!image.allows(code, 5, Use::Write));
        assert!(image.allows((&raw mut WRITABLE) as usize, 8, Use::Write));
        assert!(image.allows(CONSTANT.as_ptr() as usize, CONSTANT.len(), Use::Read));
        assert!(!image.allows(CONSTANT.as_ptr() as usize, CONSTANT.len(), Use::Write));
        assert!(!image.allows(0, 8, Use::Read));
        assert!(!image.allows(usize::MAX - 3, 8, Use::Read));
        // SAFETY: the function has more bytes than these.
        let bytes = unsafe { (code as *const [u8; 4]).read() };
        assert_eq!(image.original(code), Some(bytes));
    }

    #[test]
    fn a_build_id_is_found_among_other_notes() {
        let mut notes = Vec::new();
        for (kind, content) in [(1u32, &b"abc"[..]), (3, &b"\x01\x02\x03\x04"[..])] {
            notes.extend_from_slice(&4u32.to_le_bytes());
            notes.extend_from_slice(&(content.len() as u32).to_le_bytes());
            notes.extend_from_slice(&kind.to_le_bytes());
            notes.extend_from_slice(b"GNU\0");
            notes.extend_from_slice(content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(build_id(&notes, 4), Some(&[1, 2, 3, 4][..]));
        assert_eq!(build_id(&notes[..20], 4), None);
    }

    #[test]
    fn a_property_is_found_among_others() {
        let words = [4u32, 32, 5, u32::from_le_bytes(*b"GNU\0"), 7, 4, 9, 0, 0xc000_0000, 4, 3, 0];
        let notes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!((property(&notes, 7), property(&notes, 0xc000_0000)), (Some(9), Some(3)));
        assert_eq!((property(&notes, 8), property(&notes[..40], 0xc000_0000)), (None, None));
        assert_eq!(property(&[], 7), None);
    }
}
