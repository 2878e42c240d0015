//! Handing instances to a thread that must never wait. Each reader has three places of its own: one
//! where a new instance is offered, one where it leaves the old one, and one for its last. Readers
//! only exchange pointers; whatever is made or freed is so on the other side.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering::*};

use crate::abi::Interface;
use crate::instance::Instance;

/// In a box, since a pointer to it must have one word.
type Held<I> = Arc<Instance<I>>;

/// The places of one reader.
pub struct Slot<I: ?Sized + Interface> {
    offered: AtomicPtr<Held<I>>,
    retired: AtomicPtr<Held<I>>,
    last: AtomicPtr<Held<I>>,
}

impl<I: ?Sized + Interface> Slot<I> {
    /// Offers an instance, instead of one that was offered before and not taken.
    pub fn offer(&self, instance: &Held<I>) {
        let new = Box::into_raw(Box::new(instance.clone()));
        free(self.offered.swap(new, AcqRel));
    }

    /// Takes back what was offered and not taken.
    pub fn withdraw(&self) {
        free(self.offered.swap(ptr::null_mut(), AcqRel));
    }

    /// Frees what the reader has left; true where the reader is gone.
    pub fn collect(&self) -> bool {
        free(self.retired.swap(ptr::null_mut(), AcqRel));
        !self.last.load(Acquire).is_null()
    }
}

impl<I: ?Sized + Interface> Drop for Slot<I> {
    fn drop(&mut self) {
        for place in [&mut self.offered, &mut self.retired, &mut self.last] {
            free(*place.get_mut());
        }
    }
}

fn free<I: ?Sized + Interface>(held: *mut Held<I>) {
    if !held.is_null() {
        // SAFETY: the pointer comes from `Box::into_raw`, and was taken out of its place.
        drop(unsafe { Box::from_raw(held) });
    }
}

/// One thread's way to the newest instance. One that outlives its host goes on with the instance that
/// it has, which is never dropped.
pub struct Reader<I: ?Sized + Interface> {
    current: *mut Held<I>,
    /// Not a counted pointer, since the last of those frees. It is valid until `last` is set.
    slot: *const Slot<I>,
}

// SAFETY: what it points to is owned by it alone, and can be used from any thread.
unsafe impl<I: ?Sized + Interface> Send for Reader<I> {}

impl<I: ?Sized + Interface> Reader<I> {
    /// A reader that begins with this instance, and its slot, which has to stay until
    /// [`Slot::collect`] says that the reader is gone.
    pub fn new(instance: Held<I>) -> (Reader<I>, Arc<Slot<I>>) {
        let place = || AtomicPtr::new(ptr::null_mut());
        let slot = Arc::new(Slot { offered: place(), retired: place(), last: place() });
        let current = Box::into_raw(Box::new(instance));
        (Reader { current, slot: Arc::as_ptr(&slot) }, slot)
    }

    /// The newest instance. Wait-free.
    pub fn get(&mut self) -> &I {
        // SAFETY: the host keeps the slot for as long as this reader lives.
        let slot = unsafe { &*self.slot };
        // As long as the old one of last time was not collected, there is no place for another.
        if !slot.offered.load(Relaxed).is_null() && slot.retired.load(Acquire).is_null() {
            let new = slot.offered.swap(ptr::null_mut(), AcqRel);
            if !new.is_null() {
                let old = std::mem::replace(&mut self.current, new);
                slot.retired.store(old, Release);
            }
        }
        // SAFETY: the pointer comes from a box that this reader owns.
        unsafe { (*self.current).get() }
    }
}

impl<I: ?Sized + Interface> Drop for Reader<I> {
    fn drop(&mut self) {
        // The host frees it, and the slot, which is not looked at after this.
        // SAFETY: until now the host has kept it.
        unsafe { (*self.slot).last.store(self.current, Release) };
    }
}
