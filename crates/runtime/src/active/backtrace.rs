//! Names in backtraces: std is made to list the loaded libraries again, so that it finds those
//! that were loaded since it printed its first backtrace.
//!
//! What std had read of the files of the old list is not given back to the system. That is as
//! much as one backtrace with names needs, and only where the program has printed one since the
//! patch before.

use std::sync::atomic::{AtomicU32, Ordering};

use hotpatch_protocol::symbolizer::{HEADER_SIZE, SYMBOL, Symbolizer};

use super::image::{Image, Use};
use super::library::Loaded;
use super::sys::raw;

/// The two halves of std's lock: one is the futex, the other tells whether it is poisoned.
type Lock = [AtomicU32; 2];

/// Makes std list the libraries again, where the patch says how.
pub fn list_again(library: &Loaded, program: &Image) {
    let Some(symbolizer) = read(library) else { return };
    let at = |address: u64| program.base.wrapping_add(address as usize);
    let (lock_function, lock) = (at(symbolizer.lock_function), at(symbolizer.lock));
    let (list, length) = (at(symbolizer.list), symbolizer.initial.len());
    let fits = program.allows(lock_function, 1, Use::Execute)
        && program.allows(lock, size_of::<Lock>(), Use::Write)
        && program.allows(list, length, Use::Write)
        && lock % align_of::<Lock>() == 0;
    if !fits {
        return;
    }
    // SAFETY: the addresses are those of std's own function and static in the program whose build
    // id the patch has; the function takes nothing and returns a guard in registers, which is not
    // dropped: the lock is given back below.
    let (take, lock) = unsafe {
        let take: extern "C" fn() -> usize = std::mem::transmute(lock_function);
        (take, &*(lock as *const Lock))
    };
    take();
    // SAFETY: std touches the list only under the lock, which this thread holds; its bytes in the
    // program's file are a valid value, the empty one.
    unsafe {
        let place = list as *mut u8;
        if std::slice::from_raw_parts(place, length) != symbolizer.initial {
            std::ptr::copy_nonoverlapping(symbolizer.initial.as_ptr(), place, length);
        }
    }
    give_back(lock);
}

/// std's mutex is 1 while it is held, 2 while others wait for it as well.
fn give_back(lock: &Lock) {
    let futex = lock.iter().find(|half| half.load(Ordering::Relaxed) != 0);
    if let Some(futex) = futex {
        if futex.swap(0, Ordering::Release) == 2 {
            raw::wake(futex);
        }
    }
}

fn read(library: &Loaded) -> Option<Symbolizer> {
    let address = library.symbol(SYMBOL)?;
    if !library.image.allows(address, HEADER_SIZE, Use::Read) {
        return None;
    }
    // SAFETY: all of the header lies in a readable segment of a loaded library.
    let header = unsafe { (address as *const [u8; HEADER_SIZE]).read() };
    let length = Symbolizer::total_length(&header)?;
    if !library.image.allows(address, length, Use::Read) {
        return None;
    }
    // SAFETY: as above.
    Symbolizer::decode(unsafe { std::slice::from_raw_parts(address as *const u8, length) })
}
