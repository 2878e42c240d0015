//! Program and patch in this process, as Apple's loader lays them out, as far as code needs it that
//! calls nothing of the system.

use hotpatch_protocol::manifest::BindingKind;
use object::macho as m;

use crate::linked::Linked;

/// `mov 8(%rdi),%rax; ret`: a thread-local's address is its descriptor's second word.
const ADDRESS_OF_THREAD_LOCAL: [u8; 5] = [0x48, 0x8b, 0x47, 0x08, 0xc3];

/// A file in memory.
pub struct Image {
    /// From static addresses to addresses.
    slide: u64,
    names: Vec<(String, u64)>,
}

impl Image {
    fn map(linked: &Linked) -> Image {
        let segments = linked.segments();
        let first = segments.iter().map(|s| s.0).min().expect("a segment");
        let end = segments.iter().map(|s| s.0 + s.1).max().expect("a segment");
        let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let size = (end - first) as usize;
        // SAFETY: the system chooses a place where nothing is.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size, rights, kind, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let slide = (at as u64).wrapping_sub(first);
        let image = Image { slide, names: linked.named("") };
        for (address, _, bytes) in segments {
            image.write(address, &bytes);
        }
        for place in linked.moved_words() {
            let value = image.read(place).wrapping_add(slide);
            image.write(place, &value.to_le_bytes());
        }
        image.bind_thread_locals(linked);
        image
    }

    /// A program.
    pub fn program(linked: &Linked) -> Image {
        Image::map(linked)
    }

    /// A patch of that program, its words filled.
    pub fn patch(linked: &Linked, program: &Image) -> Image {
        let (manifest, content) = linked.manifest();
        let image = Image::map(linked);
        for word in content.bindings {
            assert_eq!((word.kind, word.image), (BindingKind::Address, 0), "{word:?}");
            let place = manifest.wrapping_add_signed(i64::from(word.place_rel));
            let value = word.value.wrapping_add(program.slide);
            image.write(place, &value.to_le_bytes());
        }
        image
    }

    fn read(&self, address: u64) -> u64 {
        let from = address.wrapping_add(self.slide) as *const u64;
        // SAFETY: the place is in the mapping, which has room for all segments.
        unsafe { from.read_unaligned() }
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        let to = address.wrapping_add(self.slide) as *mut u8;
        // SAFETY: the place is in the mapping, which has room for all segments.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// One thread is enough here: each variable is where its initial value is.
    fn bind_thread_locals(&self, linked: &Linked) {
        let code = Box::leak(Box::new([0_u8; 4096 * 2]));
        let page = (code.as_ptr() as usize).next_multiple_of(4096) as *mut u8;
        let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        // SAFETY: the page is all in a box that is never freed.
        unsafe {
            page.copy_from_nonoverlapping(ADDRESS_OF_THREAD_LOCAL.as_ptr(), 5);
            assert_eq!(libc::mprotect(page.cast(), 4096, rights), 0);
        }
        let kinds = [m::S_THREAD_LOCAL_REGULAR, m::S_THREAD_LOCAL_ZEROFILL];
        let values = kinds.map(|kind| linked.sections(kind));
        let first = values.iter().flatten().map(|(at, _)| *at).min().unwrap_or_default();
        for (at, size) in linked.sections(m::S_THREAD_LOCAL_VARIABLES) {
            for descriptor in (at..at + size).step_by(24) {
                let variable = (first + self.read(descriptor + 16)).wrapping_add(self.slide);
                self.write(descriptor, &(page as u64).to_le_bytes());
                self.write(descriptor + 8, &variable.to_le_bytes());
            }
        }
    }

    /// Calls a function that takes a number and returns one.
    pub fn call(&self, name: &str, argument: u64) -> u64 {
        let found = self.names.iter().find(|(symbol, _)| symbol == name);
        let (_, address) = found.unwrap_or_else(|| panic!("no {name} in {:?}", self.names));
        let address = address.wrapping_add(self.slide) as *const ();
        // SAFETY: the functions of this name in the test's source have this type.
        let function: extern "sysv64" fn(u64) -> u64 = unsafe { std::mem::transmute(address) };
        function(argument)
    }
}
