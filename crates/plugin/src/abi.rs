//! What a plugin's library says of itself. The beginning has the layout of C, so that it can be read
//! whoever has compiled it; the rest is used only where that has matched.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Plugin;

/// The name of the one exported function.
pub const SYMBOL: &[u8] = b"hotpatch_plugin_exports";
const MAGIC: [u8; 8] = *b"HOTPLUGN";
const VERSION: u32 = 1;

/// Everything that must be the same on both sides beside the interface.
const TOOLCHAIN: &str = concat!(
    env!("HOTPATCH_BUILT_WITH"),
    " for ",
    env!("HOTPATCH_BUILT_FOR"),
    ", hotpatch-plugin ",
    env!("CARGO_PKG_VERSION")
);

/// A trait object's type that host and plugins agree on; see [`crate::interface!`].
pub trait Interface: Plugin + 'static {
    /// A hash of the text that defines it.
    const FINGERPRINT: u64;
}

/// FNV-1a, which is short enough to be computed by the compiler. Line ends do not count.
pub const fn fingerprint(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\r' {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        }
        at += 1;
    }
    hash
}

/// The canary, and where the functions are.
#[repr(C)]
pub struct Exports {
    magic: [u8; 8],
    version: u32,
    toolchain_length: u32,
    toolchain: *const u8,
    fingerprint: u64,
    functions: *const c_void,
}

// SAFETY: nothing in it ever changes, and what it points to are statics.
unsafe impl Sync for Exports {}

impl Exports {
    /// Those of a plugin with these functions.
    pub const fn new<I: ?Sized + Interface>(functions: &'static Functions<I>) -> Exports {
        Exports {
            magic: MAGIC,
            version: VERSION,
            toolchain_length: TOOLCHAIN.len() as u32,
            toolchain: TOOLCHAIN.as_ptr(),
            fingerprint: I::FINGERPRINT,
            functions: std::ptr::from_ref(functions).cast(),
        }
    }

    /// The functions, where the plugin was built as this host was.
    ///
    /// # Errors
    /// What does not match.
    ///
    /// # Safety
    /// These are the exports of a library that stays loaded and was made by [`crate::export!`] of any
    /// version.
    pub unsafe fn check<I: ?Sized + Interface>(&self) -> Result<&'static Functions<I>, String> {
        if (self.magic, self.version) != (MAGIC, VERSION) {
            return Err("it was made for another version of hotpatch-plugin".into());
        }
        let length = self.toolchain_length as usize;
        // SAFETY: the magic and the version say that this is a text of this length.
        let theirs = unsafe { std::slice::from_raw_parts(self.toolchain, length) };
        if theirs != TOOLCHAIN.as_bytes() {
            let theirs = String::from_utf8_lossy(theirs);
            return Err(format!("it was built by {theirs}, and this host by {TOOLCHAIN}"));
        }
        if self.fingerprint != I::FINGERPRINT {
            return Err("it was built with another version of the interface".into());
        }
        // SAFETY: the same compiler has laid them out, for the same interface.
        Ok(unsafe { &*self.functions.cast::<Functions<I>>() })
    }
}

type Make<I> = fn() -> Result<Box<I>, String>;
/// Takes what the plugin has allocated, so that the plugin can free it.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// What is called in the plugin. Panics stay there: with a `cdylib`, which has a std of its own, the
/// host could not catch them.
pub struct Functions<I: ?Sized> {
    make: Make<I>,
    create: fn(Make<I>, Sink<'_>) -> Option<*mut I>,
    destroy: unsafe fn(*mut I),
    save: fn(&I, Sink<'_>) -> bool,
    load: fn(&I, &[u8], Sink<'_>) -> bool,
    probe: fn(&I, Sink<'_>) -> bool,
}

impl<I: ?Sized + Interface> Functions<I> {
    /// Those of a plugin that is made so.
    pub const fn new(make: Make<I>) -> Functions<I> {
        Functions { make, create, destroy, save, load, probe }
    }

    /// A new instance.
    pub(crate) fn create(&self) -> Result<*mut I, String> {
        let mut error = String::new();
        let made = (self.create)(self.make, &mut |text| error.push_str(&lossy(text)));
        made.ok_or(error)
    }

    /// Ends an instance.
    ///
    /// # Safety
    /// It comes from [`Functions::create`] of this plugin, and nobody uses it any more.
    pub(crate) unsafe fn destroy(&self, instance: *mut I) {
        // SAFETY: see above.
        unsafe { (self.destroy)(instance) };
    }

    pub(crate) fn save(&self, instance: &I) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        match (self.save)(instance, &mut |part| bytes.extend_from_slice(part)) {
            true => Ok(bytes),
            false => Err(lossy(&bytes)),
        }
    }

    pub(crate) fn load(&self, instance: &I, state: &[u8]) -> Result<(), String> {
        let mut error = String::new();
        let done = (self.load)(instance, state, &mut |text| error.push_str(&lossy(text)));
        if done { Ok(()) } else { Err(error) }
    }

    pub(crate) fn probe(&self, instance: &I) -> Result<(), String> {
        let mut error = String::new();
        let done = (self.probe)(instance, &mut |text| error.push_str(&lossy(text)));
        if done { Ok(()) } else { Err(error) }
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What the plugin's function says, or that it has panicked.
fn caught<R>(body: impl FnOnce() -> Result<R, String>, sink: Sink<'_>) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => Some(result),
        Ok(Err(error)) => {
            sink(error.as_bytes());
            None
        }
        Err(_) => {
            sink(b"it panicked");
            None
        }
    }
}

fn create<I: ?Sized>(make: Make<I>, sink: Sink<'_>) -> Option<*mut I> {
    caught(|| make().map(Box::into_raw), sink)
}

unsafe fn destroy<I: ?Sized>(instance: *mut I) {
    // SAFETY: the pointer comes from `Box::into_raw` in `create`.
    let instance = unsafe { Box::from_raw(instance) };
    // There is nobody to be told of a panic, and the plugin's own hook has printed it.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
}

fn save<I: ?Sized + Plugin>(instance: &I, sink: Sink<'_>) -> bool {
    let saved = caught(|| Ok(instance.save_state()), sink);
    saved.as_ref().inspect(|bytes| sink(bytes)).is_some()
}

fn load<I: ?Sized + Plugin>(instance: &I, state: &[u8], sink: Sink<'_>) -> bool {
    caught(|| instance.load_state(state), sink).is_some()
}

fn probe<I: ?Sized + Plugin>(instance: &I, sink: Sink<'_>) -> bool {
    caught(|| instance.probe(), sink).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_the_text_and_not_of_its_line_ends() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("a\r\nb"), fingerprint("a\nb"));
        assert_ne!(fingerprint("ab"), fingerprint("ba"));
    }
}
