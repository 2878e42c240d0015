//! A plugin's library, and an instance of it.

use std::path::Path;

use libloading::{Library, Symbol};

use crate::abi::{Exports, Functions, Interface, SYMBOL};

/// An instance that works.
pub struct Instance<I: ?Sized + Interface> {
    instance: *mut I,
    functions: &'static Functions<I>,
}

// SAFETY: the interface is `Send` and `Sync`, and so is what the pointer owns.
unsafe impl<I: ?Sized + Interface> Send for Instance<I> {}
// SAFETY: as above.
unsafe impl<I: ?Sized + Interface> Sync for Instance<I> {}

impl<I: ?Sized + Interface> Instance<I> {
    /// Loads the library and makes an instance. The library stays loaded, whatever comes of it.
    ///
    /// # Errors
    /// The loader's reason, what does not match, or what the plugin says.
    pub fn load(file: &Path) -> Result<Instance<I>, String> {
        // SAFETY: loading runs the library's constructors; a plugin is as trusted as its host.
        let library = unsafe { Library::new(file) }.map_err(|e| e.to_string())?;
        // SAFETY: the symbol has this type in every plugin.
        let exports: Result<Symbol<'_, extern "C" fn() -> *const Exports>, _> =
            unsafe { library.get(SYMBOL) };
        let exports = exports.map(|function| *function).map_err(|_| {
            "it exports no plugin; does it call `hotpatch_plugin::export!`?".to_string()
        });
        // Threads may have thread-locals of it from the moment when its code runs.
        std::mem::forget(library);
        // SAFETY: the function returns a static of a library that stays loaded.
        let exports = unsafe { exports?().as_ref() }.ok_or("it exports nothing")?;
        // SAFETY: these are its exports.
        let functions = unsafe { exports.check::<I>() }?;
        let instance = functions.create().map_err(|e| format!("no instance was made: {e}"))?;
        let instance = Instance { instance, functions };
        let probed = functions.probe(instance.get());
        probed.map_err(|e| format!("its probe failed: {e}"))?;
        Ok(instance)
    }

    /// The instance.
    pub fn get(&self) -> &I {
        // SAFETY: the instance is alive until this value is dropped.
        unsafe { &*self.instance }
    }

    /// The state that another instance can go on with.
    pub fn save(&self) -> Result<Vec<u8>, String> {
        self.functions.save(self.get()).map_err(|e| format!("the old state was not saved: {e}"))
    }

    /// Goes on with a state.
    pub fn go_on_with(&self, state: &[u8]) -> Result<(), String> {
        let loaded = self.functions.load(self.get(), state);
        loaded.map_err(|e| format!("it does not take the old state: {e}"))
    }
}

impl<I: ?Sized + Interface> Drop for Instance<I> {
    fn drop(&mut self) {
        // SAFETY: the instance comes from this plugin, and this value was its only owner.
        unsafe { self.functions.destroy(self.instance) };
    }
}
