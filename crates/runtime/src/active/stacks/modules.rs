//! The loaded files with their call frame information.

use std::ffi::c_void;
use std::ops::Range;

use gimli::{BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, NativeEndian};

use crate::active::arch::VENDOR;
use crate::active::image::{PF_R, PF_X};

const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// What is read here.
pub type Bytes = EndianSlice<'static, NativeEndian>;

/// All files that are loaded at one time.
pub struct Modules {
    modules: Vec<Module>,
    /// How many files the loader has added and removed so far.
    changes: (u64, u64),
}

struct Module {
    segments: Vec<Range<usize>>,
    code: Vec<Range<usize>>,
    header: usize,
}

/// The call frame information of one file.
pub struct Frames {
    /// The index.
    pub table: gimli::ParsedEhFrameHdr<Bytes>,
    /// The entries.
    pub frames: EhFrame<Bytes>,
    /// What their addresses are relative to.
    pub bases: BaseAddresses,
}

impl Modules {
    /// No files.
    pub const fn none() -> Modules {
        Modules { modules: Vec::new(), changes: (0, 0) }
    }

    /// The files that are loaded now.
    pub fn now() -> Modules {
        let mut modules = Modules::none();
        // SAFETY: the callback gets back the pointer to `modules`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut modules).cast()) };
        modules
    }

    /// Runs `body` while none of the files can go. `None` where some of them may have gone already.
    pub fn held<R>(&self, body: impl FnOnce(&Modules) -> R) -> Option<R> {
        let mut held = Held { modules: self, body: Some(body), result: None };
        // SAFETY: the callback gets back the pointer to `held`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(hold(&held)), (&raw mut held).cast()) };
        held.result
    }

    /// The call frame information of the file with the code at `pc`.
    pub fn frames(&self, pc: usize) -> Option<Frames> {
        let module = self.modules.iter().find(|m| m.code.iter().any(|s| s.contains(&pc)))?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(module.header as u64);
        let header = EhFrameHdr::new(module.bytes(module.header)?, NativeEndian);
        let table = header.parse(&bases, size_of::<usize>() as u8).ok()?;
        let gimli::Pointer::Direct(at) = table.eh_frame_ptr() else { return None };
        let bases = bases.set_eh_frame(at);
        let mut frames = EhFrame::new(module.bytes(at as usize)?, NativeEndian);
        frames.set_vendor(VENDOR);
        Some(Frames { table, frames, bases })
    }
}

impl Module {
    /// The bytes from `address` to the end of its segment.
    fn bytes(&self, address: usize) -> Option<&'static [u8]> {
        let segment = self.segments.iter().find(|s| s.contains(&address))?;
        // SAFETY: the segment is loaded and readable; it stays so, see `Modules::held`.
        Some(unsafe { std::slice::from_raw_parts(address as *const u8, segment.end - address) })
    }
}

unsafe extern "C" fn collect(
    info: *mut libc::dl_phdr_info,
    size: libc::size_t,
    modules: *mut c_void,
) -> libc::c_int {
    // SAFETY: the loader hands over a valid description, and the pointer that it was given.
    let (Some(info), Some(modules)) =
        (unsafe { (info.as_ref(), modules.cast::<Modules>().as_mut()) })
    else {
        return 0;
    };
    modules.changes = changes(info, size);
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader says how many headers there are.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let range = |header: &libc::Elf64_Phdr| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let with = |flag: u32| {
        let loaded = headers.iter().filter(|h| h.p_type == PT_LOAD && h.p_flags & flag != 0);
        loaded.map(range).collect()
    };
    if let Some(header) = headers.iter().find(|header| header.p_type == PT_GNU_EH_FRAME) {
        let (segments, code) = (with(PF_R), with(PF_X));
        modules.modules.push(Module { segments, code, header: range(header).start });
    }
    0
}

/// How many files were added and removed; a loader that is older than these numbers (Android's
/// before version 11) describes less, and removes no file of a program that does not ask for it.
fn changes(info: &libc::dl_phdr_info, size: libc::size_t) -> (u64, u64) {
    match size < std::mem::offset_of!(libc::dl_phdr_info, dlpi_subs) + size_of::<u64>() {
        true => (0, 0),
        false => (info.dlpi_adds, info.dlpi_subs),
    }
}

struct Held<'a, F, R> {
    modules: &'a Modules,
    body: Option<F>,
    result: Option<R>,
}

type Callback =
    unsafe extern "C" fn(*mut libc::dl_phdr_info, libc::size_t, *mut c_void) -> libc::c_int;

/// The callback for this very type.
fn hold<F: FnOnce(&Modules) -> R, R>(_: &Held<'_, F, R>) -> Callback {
    run::<F, R>
}

/// Called for the first file, while the loader's lock is held.
unsafe extern "C" fn run<F: FnOnce(&Modules) -> R, R>(
    info: *mut libc::dl_phdr_info,
    size: libc::size_t,
    held: *mut c_void,
) -> libc::c_int {
    // SAFETY: the loader hands over a valid description, and the pointer that it was given.
    let (info, held) = unsafe { (info.as_ref(), held.cast::<Held<'_, F, R>>().as_mut()) };
    if let (Some(info), Some(held)) = (info, held) {
        if held.modules.changes == changes(info, size) {
            held.result = held.body.take().map(|body| body(held.modules));
        }
    }
    1
}
