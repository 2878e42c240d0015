//! Islands: where overwritten entries jump to. Each jumps on through a slot of its own, so that
//! later switches are one store and leave all code alone.

use std::collections::HashMap;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::active::arch::{
    GATE_OFFSET, ISLAND_SIZE, NO_ISLAND, REACH, best_island, island, written,
};
use crate::active::sys::{maps, page_size};

/// No more than this is mapped at once.
const LARGEST: usize = 64 * 1024;
/// The same number on all processors; not every C library names it.
const MAP_FIXED_NOREPLACE: i32 = 0x10_0000;

/// One island.
#[derive(Debug, Clone, Copy)]
pub struct Island {
    /// Where to jump to reach it.
    pub code: usize,
    slot: usize,
}

impl Island {
    /// Keeps callers waiting until the island leads somewhere.
    pub fn close(self) {
        self.lead_to(self.code + GATE_OFFSET);
    }

    /// Makes the island lead to `target`, for all threads at once.
    pub fn lead_to(self, target: usize) {
        // SAFETY: the slot is an aligned word in a region that is never unmapped.
        unsafe { AtomicU64::from_ptr(self.slot as *mut u64) }
            .store(target as u64, Ordering::SeqCst);
    }
}

/// Islands that are handed out one after the other, anywhere near the entries.
struct Region {
    islands: Pages,
    used: usize,
}

/// Pages of islands, each of which has its place.
#[derive(Clone, Copy)]
struct Pages {
    /// The first island.
    code: usize,
    /// The first island's slot.
    slots: usize,
    count: usize,
}

/// Room for slots.
struct Slots {
    next: usize,
    end: usize,
}

/// All islands of the process.
#[derive(Default)]
pub struct Islands {
    /// By the first island's page: islands where entries like them best.
    best: HashMap<usize, Option<Pages>>,
    slots: Vec<Slots>,
    regions: Vec<Region>,
}

impl Islands {
    /// An island that a jump at `entry` reaches. `more` is how many others will be wanted nearby.
    ///
    /// # Errors
    /// A text that says why there is no room.
    pub fn near(&mut self, entry: usize, more: usize) -> Result<Island, String> {
        if let Some(best) = best_island(entry).and_then(|place| self.best(entry, place)) {
            return Ok(best);
        }
        let near = |region: &Region| region.islands.code.abs_diff(entry) < REACH - LARGEST;
        let free = |region: &&mut Region| region.used < region.islands.count && near(region);
        if let Some(found) = self.regions.iter_mut().find(free) {
            return Ok(found.take());
        }
        let count = more.saturating_add(1).min(LARGEST / (2 * ISLAND_SIZE));
        let mut region = Region::map(entry, count)
            .map_err(|e| format!("no memory near the function at {entry:#x}: {e}"))?;
        let first = region.take();
        self.regions.push(region);
        Ok(first)
    }

    /// The island at exactly this place, where that is free and entries lie in the usual way.
    fn best(&mut self, entry: usize, place: usize) -> Option<Island> {
        if entry % ISLAND_SIZE != 0 {
            return None;
        }
        let page = place & !(page_size() - 1);
        if !self.best.contains_key(&page) {
            let pages = self.map_best(entry, page, place % ISLAND_SIZE);
            self.best.insert(page, pages);
        }
        let pages = self.best.get(&page).copied().flatten()?;
        Some(pages.island((place - pages.code) / ISLAND_SIZE))
    }

    fn map_best(&mut self, entry: usize, page: usize, offset: usize) -> Option<Pages> {
        let length = page_size();
        let count = length / ISLAND_SIZE;
        let slots = self.slots_for(entry, page, count)?;
        if !map_at(page, length) {
            return None;
        }
        Pages { code: page + offset, slots, count }.write(page, length).ok()
    }

    /// Room for slots, near the entry rather than near the island: islands for the code next to this
    /// will want the place next to it.
    fn slots_for(&mut self, entry: usize, island: usize, count: usize) -> Option<usize> {
        let length = count * size_of::<u64>();
        let fits = |slots: &&mut Slots| {
            slots.end - slots.next >= length && slots.next.abs_diff(island) < REACH - LARGEST
        };
        if self.slots.iter_mut().find(fits).is_none() {
            let reach = (REACH - LARGEST).checked_sub(entry.abs_diff(island))?;
            let start = map_near(entry, LARGEST, reach).ok()?;
            self.slots.push(Slots { next: start, end: start + LARGEST });
        }
        let slots = self.slots.iter_mut().find(fits)?;
        let found = slots.next;
        slots.next += length;
        Some(found)
    }
}

impl Region {
    fn take(&mut self) -> Island {
        let island = self.islands.island(self.used);
        self.used += 1;
        island
    }

    /// Maps a region for at least `count` islands.
    fn map(entry: usize, count: usize) -> io::Result<Region> {
        let code = (count * ISLAND_SIZE).next_multiple_of(page_size());
        let count = code / ISLAND_SIZE;
        let slots = (count * size_of::<u64>()).next_multiple_of(page_size());
        let start = map_near(entry, code + slots, REACH)?;
        let islands = Pages { code: start, slots: start + code, count };
        Ok(Region { islands: islands.write(start, code)?, used: 0 })
    }
}

impl Pages {
    fn island(&self, n: usize) -> Island {
        Island { code: self.code + n * ISLAND_SIZE, slot: self.slots + n * size_of::<u64>() }
    }

    /// Writes all islands now, while nobody uses them; from then on their code is never writable.
    fn write(self, start: usize, length: usize) -> io::Result<Pages> {
        for n in 0..self.count {
            let Island { code, slot } = self.island(n);
            let bytes = island(code, slot).unwrap_or(NO_ISLAND);
            let room = (start + length).saturating_sub(code).min(bytes.len());
            // SAFETY: the island lies in the pages that were just mapped, writable, for it; the end
            // of the last one, which is not executed, may not.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), code as *mut u8, room) };
        }
        written(start, length);
        // SAFETY: these are the pages that were just mapped, which nobody else knows yet.
        let sealed = unsafe {
            libc::mprotect(start as *mut libc::c_void, length, libc::PROT_READ | libc::PROT_EXEC)
        };
        if sealed == 0 { Ok(self) } else { Err(io::Error::last_os_error()) }
    }
}

/// Maps writable memory in the nearest gap.
fn map_near(place: usize, length: usize, reach: usize) -> io::Result<usize> {
    let maps = maps::read()?;
    let places = maps::gaps_near(&maps, place, length, reach);
    places.into_iter().find(|&place| map_at(place, length)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::OutOfMemory, "all of the address space there is taken")
    })
}

/// Maps writable memory exactly there, unless something is there already.
fn map_at(place: usize, length: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the flag keeps the kernel from replacing a mapping; an old kernel, which does not
    // know it, takes the address as a wish.
    let found = unsafe { libc::mmap(place as *mut libc::c_void, length, protection, flags, -1, 0) };
    if found == libc::MAP_FAILED {
        return false;
    }
    if found as usize != place {
        // SAFETY: this is the mapping that was just made.
        unsafe { libc::munmap(found, length) };
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn seven() -> u32 {
        7
    }

    #[test]
    fn an_island_near_code_leads_where_its_slot_says() {
        let mut islands = Islands::default();
        let near = seven as *const () as usize;
        let island = islands.near(near, 0).unwrap();
        assert!(island.code.abs_diff(near) < REACH);
        island.lead_to(near);
        // SAFETY: the island leads to a function of this type.
        let through: extern "C" fn() -> u32 = unsafe { std::mem::transmute(island.code) };
        assert_eq!(through(), 7);
        // Where there is a best place, it does not change.
        if let Some(best) = best_island(near) {
            assert_eq!((best, islands.near(near, 0).unwrap().code), (island.code, island.code));
        }
    }

    #[test]
    fn an_entry_that_lies_oddly_gets_an_island_somewhere_near() {
        let mut islands = Islands::default();
        let near = seven as *const () as usize;
        let one = islands.near(near + 3, 5000).unwrap();
        let other = islands.near(near + 3, 0).unwrap();
        assert!(one.code.abs_diff(near) < REACH);
        assert_eq!(other.code, one.code + ISLAND_SIZE);
        other.lead_to(near);
        // SAFETY: the island leads to a function of this type.
        let through: extern "C" fn() -> u32 = unsafe { std::mem::transmute(other.code) };
        assert_eq!(through(), 7);
    }
}
