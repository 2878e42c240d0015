//! The jump table: how `call` finds the newest version of a function on processors without
//! detours.

use std::collections::HashMap;
use std::sync::atomic::{AtomicPtr, Ordering};

/// From old addresses to new ones. Replaced as a whole, so that a patch comes in all at once; what
/// was replaced is kept, since a call may be reading it.
pub struct JumpTable(AtomicPtr<HashMap<usize, usize>>);

impl JumpTable {
    /// One that leads nowhere.
    pub const fn new() -> JumpTable {
        JumpTable(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Adds to the table, or changes what is in it.
    pub fn extend(&self, redirects: impl IntoIterator<Item = (usize, usize)>) {
        let mut next = self.current().cloned().unwrap_or_default();
        next.extend(redirects);
        self.0.store(Box::into_raw(Box::new(next)), Ordering::Release);
    }

    fn current(&self) -> Option<&HashMap<usize, usize>> {
        // SAFETY: the pointer is null or comes from `Box::into_raw` above, and is never freed.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Calls `f` through the function that every closure of its type is called through, in its
    /// newest version. The closure's type, not its size, is what the function is known by.
    pub fn call<F: FnOnce() -> O, O>(&self, f: F) -> O {
        let old = invoke::<F, O> as fn(F) -> O;
        let Some(&new) = self.current().and_then(|table| table.get(&(old as usize))) else {
            return old(f);
        };
        // SAFETY: the table leads from a function to its newer version, of the same type.
        let new: fn(F) -> O = unsafe { std::mem::transmute::<usize, fn(F) -> O>(new) };
        new(f)
    }
}

/// The function that a closure is known by. It is never inlined, so that it has an address.
#[inline(never)]
fn invoke<F: FnOnce() -> O, O>(f: F) -> O {
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect<F: FnOnce() -> O, O, G>(table: &JumpTable, _: &F, to: fn(G) -> O) {
        table.extend([(invoke::<F, O> as fn(F) -> O as usize, to as usize)]);
    }

    #[test]
    fn a_closure_is_redirected_whatever_it_captures() {
        let table = JumpTable::new();
        let (word, text) = (7usize, String::from("text"));
        let nothing = || 1usize;
        let one_word = || word;
        let more = || word + text.len();
        assert_eq!((table.call(nothing), table.call(one_word), table.call(more)), (1, 7, 11));
        redirect::<_, usize, &usize>(&table, &one_word, |captured| *captured + 100);
        redirect(&table, &nothing, |()| 2usize);
        assert_eq!((table.call(nothing), table.call(one_word), table.call(more)), (2, 107, 11));
    }
}
