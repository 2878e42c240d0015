//! The program and its patches as images: what a manifest's numbers mean in this process. Every
//! address is checked before it is used, so that no manifest can make the program fault.

use hotpatch_protocol::manifest::{Binding, BindingKind, Entry};

use super::image::{Image, Use};
use super::library::Loaded;

/// From an old function to its new version.
#[derive(Debug, Clone, Copy)]
pub struct Redirect<'a> {
    /// The image that has the old function.
    pub image: &'a Image,
    /// Where the old function begins.
    pub old: usize,
    /// How many of its bytes may be overwritten.
    pub size: u64,
    /// Where the new function begins.
    pub new: usize,
    /// How many bytes it has, 0 where that is not known.
    pub new_size: usize,
    /// Which of the names of the patch's functions is its.
    pub function: usize,
}

/// A patch that runs. Its library stays loaded for as long as the program lives.
pub struct Running {
    /// The hash of its content, as the server has made it.
    pub hash: String,
    /// The library in the process.
    pub library: Loaded,
}

/// All images: number 0 is the program, number N is patch N.
pub struct Images {
    /// The program.
    pub program: Image,
    /// The patches that run, the first one first.
    pub running: Vec<Running>,
}

impl Images {
    fn image(&self, number: u32) -> Result<&Image, String> {
        match number.checked_sub(1) {
            None => Ok(&self.program),
            Some(n) => {
                self.running.get(n as usize).map(|running| &running.library.image).ok_or_else(
                    || format!("the patch refers to patch {number}, which does not run"),
                )
            }
        }
    }

    /// Where an entry of the manifest leads from and to. `own` is the image of the patch itself.
    ///
    /// # Errors
    /// A text that says what is not where it should be.
    pub fn redirect(
        &self,
        own: &Image,
        manifest: usize,
        entry: &Entry,
    ) -> Result<Redirect<'_>, String> {
        let image = self.image(entry.old_image)?;
        let old = image.base.wrapping_add(entry.old_offset as usize);
        let new = manifest.wrapping_add_signed(entry.new_rel as isize);
        let wanted = usize::try_from(entry.old_size).unwrap_or(usize::MAX).clamp(1, 8);
        if !image.allows(old, wanted, Use::Execute) {
            return Err(format!("there is no function to replace at {old:#x}"));
        }
        if !own.allows(new, 1, Use::Execute) {
            return Err(format!("there is no new function at {new:#x}"));
        }
        let (new_size, function) = (entry.new_size as usize, entry.function as usize);
        Ok(Redirect { image, old, size: entry.old_size, new, new_size, function })
    }

    /// Fills a place in the patch.
    ///
    /// # Errors
    /// A text that says what is not where it should be.
    pub fn bind(&self, own: &Image, manifest: usize, binding: &Binding) -> Result<(), String> {
        let image = self.image(binding.image)?;
        let address = image.base.wrapping_add(binding.value as usize);
        let value = match binding.kind {
            BindingKind::Address => address as u64,
            BindingKind::ThreadLocals if image.thread_locals == 0 => {
                return Err("the patch is for thread-locals, and this program has none".into());
            }
            BindingKind::ThreadLocals => image.thread_locals as u64,
            BindingKind::Copy => {
                if !image.allows(address, size_of::<u64>(), Use::Read) {
                    return Err(format!("there is nothing to be copied at {address:#x}"));
                }
                // SAFETY: all eight bytes lie in a readable segment of a loaded image.
                unsafe { (address as *const u64).read_unaligned() }
            }
        };
        let place = manifest.wrapping_add_signed(binding.place_rel as isize);
        if !own.allows(place, size_of::<u64>(), Use::Write) {
            return Err(format!("the place to be bound at {place:#x} is not writable"));
        }
        // SAFETY: all eight bytes lie in a writable segment of a library of which nobody else
        // knows yet.
        unsafe { (place as *mut u64).write_unaligned(value) };
        Ok(())
    }
}
