//! Taking one patch: every frame ends in an answer, and the program runs either all of the patch
//! or what it ran before.

use std::time::Instant;

use hotpatch_protocol::frame::{self, PatchHeader};
use hotpatch_protocol::manifest::{Canary, SYMBOL};
use hotpatch_protocol::message::{Applied, ClientMessage, RefusalKind, Refused};

#[cfg(hotpatch_detours)]
use super::backtrace;
use super::carry;
#[cfg(hotpatch_detours)]
use super::change::Carrying;
use super::change::Change;
use super::crash;
use super::elf;
use super::hooks;
use super::image::Image;
use super::images::{Images, Redirect, Running};
use super::library::{self, Loaded, Store};
use super::safepoint;
use super::stacks::Frames;
use super::switching::{Cost, Plan, Switcher};
use super::sys;

/// Why a patch is not taken.
#[derive(Debug, Clone)]
pub struct Refusal {
    kind: RefusalKind,
    /// The reason.
    pub error: String,
}

/// A refusal.
pub fn refuse(kind: RefusalKind, error: impl Into<String>) -> Refusal {
    Refusal { kind, error: error.into() }
}

/// The program and all patches that it runs.
pub struct Patches {
    canary: Canary,
    images: Images,
    switcher: Switcher,
    frames: Frames,
    /// Where libraries are written to.
    pub store: Store,
    /// What the developer may want to know beside the answers.
    pub notes: Vec<String>,
}

impl Patches {
    /// Those of a program that runs none yet.
    pub fn new(program: Image) -> Patches {
        let canary = Canary {
            rustc: env!("HOTPATCH_BUILT_WITH").into(),
            target: env!("HOTPATCH_BUILT_FOR").into(),
            pointer_width: usize::BITS,
            panic: if cfg!(panic = "unwind") { "unwind" } else { "abort" }.into(),
        };
        let images = Images { program, running: Vec::new() };
        let (switcher, store) = (Switcher::default(), Store::default());
        Patches { canary, images, switcher, frames: Frames::default(), store, notes: Vec::new() }
    }

    /// What the program was compiled by and for.
    pub fn canary(&self) -> &Canary {
        &self.canary
    }

    /// Where the program is loaded.
    pub fn load_address(&self) -> u64 {
        self.images.program.base as u64
    }

    /// The program's build id in hexadecimal.
    pub fn build_id(&self) -> String {
        self.images.program.build_id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The ids of the patches that run.
    pub fn ids(&self) -> Vec<u32> {
        (1..=self.images.running.len() as u32).collect()
    }

    /// When [`Patches::look`] is due.
    pub fn look_due(&self) -> Option<Instant> {
        self.frames.due()
    }

    /// What is found out about patches some time after they came.
    pub fn look(&mut self) -> impl Iterator<Item = ClientMessage> + use<> {
        let found = self.frames.look().into_iter();
        found.map(|(patch, functions)| ClientMessage::StillRunning { patch, functions })
    }

    /// Applies the patch in `frame`; the answer for the server.
    pub fn take(&mut self, frame: &[u8]) -> ClientMessage {
        let begun = Instant::now();
        let (header, bytes) = match frame::decode(frame) {
            Ok(parts) => parts,
            // Such a frame does not say which patch it is.
            Err(e) => return refused(0, refuse(RefusalKind::Malformed, e.to_string())),
        };
        match self.apply(&header, bytes) {
            Ok(applied) => ClientMessage::Applied(Applied {
                apply_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
                ..applied
            }),
            Err(refusal) => refused(header.patch, refusal),
        }
    }

    fn apply(&mut self, header: &PatchHeader, bytes: &[u8]) -> Result<Applied, Refusal> {
        if self.is_running(header)? {
            return Ok(applied(header.patch, 0, &Cost::default(), true));
        }
        if sys::is_confined() {
            let text = "the program has put a filter on the system calls of all its threads \
                        (seccomp), which may end it if a library is loaded; restart it";
            return Err(refuse(RefusalKind::LoadFailed, text));
        }
        let found = elf::read(bytes).map_err(|e| refuse(RefusalKind::Malformed, e))?;
        self.check(header, &found)?;
        if let Some(missing) = carry::missing(&header.carried) {
            let text = format!("the program has not said how `{missing}` is carried over");
            return Err(refuse(RefusalKind::NotCarriedOver, text));
        }
        hooks::before(header).map_err(|e| refuse(RefusalKind::Vetoed, e))?;
        let (library, manifest) = self.load(header, bytes)?;
        match self.switch(&library.image, manifest, &found, header) {
            Ok(cost) => {
                if let Some(obstacle) = &cost.obstacle {
                    let patch = header.patch;
                    self.notes.push(format!("patch {patch} had to wait: {obstacle}"));
                }
                #[cfg(hotpatch_detours)]
                backtrace::list_again(&library, &self.images.program);
                self.images.running.push(Running { hash: header.content_hash.clone(), library });
                hooks::after(header);
                let functions = found.manifest.entries.len() as u32;
                Ok(applied(header.patch, functions, &cost, false))
            }
            Err(refusal) => {
                library.discard();
                Err(refusal)
            }
        }
    }

    /// Brings the library into the process. Android forbids apps more and more of what concerns
    /// files; where it does not take one from memory, it gets one in a folder of the app's own.
    fn load(&mut self, header: &PatchHeader, bytes: &[u8]) -> Result<(Loaded, usize), Refusal> {
        let (patch, hash) = (header.patch, &*header.content_hash);
        #[cfg(target_os = "android")]
        if let Ok(loaded) = library::load_from_memory((patch, hash), bytes, SYMBOL) {
            return Ok(loaded);
        }
        let file = self.store.write(patch, hash, bytes);
        let file = file.map_err(|e| refuse(RefusalKind::NoSpace, e))?;
        library::load(file, SYMBOL).map_err(|e| refuse(RefusalKind::LoadFailed, e))
    }

    /// True where this very patch runs already; an error where it is not the next one.
    fn is_running(&self, header: &PatchHeader) -> Result<bool, Refusal> {
        let own = self.build_id();
        if own.is_empty() || header.build_id != own {
            let theirs = &header.build_id;
            let text = format!("the patch is for build {theirs:?}, this program is {own:?}");
            return Err(refuse(RefusalKind::WrongBuild, text));
        }
        let last = self.images.running.len() as u32;
        if header.patch == last.wrapping_add(1) {
            return Ok(false);
        }
        let known = header.patch.checked_sub(1).and_then(|n| self.images.running.get(n as usize));
        match known {
            Some(running) if running.hash == header.content_hash => Ok(true),
            Some(_) => Err(refuse(
                RefusalKind::OutOfOrder,
                format!("this program runs another patch {} already", header.patch),
            )),
            None => Err(refuse(
                RefusalKind::OutOfOrder,
                format!("patch {} cannot follow patch {last}", header.patch),
            )),
        }
    }

    /// What the library says of itself must fit the header and this program.
    fn check(&self, header: &PatchHeader, found: &elf::Library) -> Result<(), Refusal> {
        let manifest = &found.manifest;
        if !manifest.is_for(&self.images.program.build_id) {
            let text = "the patch's manifest is for another build of this program";
            return Err(refuse(RefusalKind::WrongBuild, text));
        }
        if manifest.canary != self.canary {
            let text = format!(
                "the patch was made by {:?}, the program by {:?}",
                manifest.canary, self.canary
            );
            return Err(refuse(RefusalKind::WrongBuild, text));
        }
        if manifest.patch != header.patch {
            let (said, is) = (header.patch, manifest.patch);
            let text = format!("the frame says patch {said}, its library is patch {is}");
            return Err(refuse(RefusalKind::Malformed, text));
        }
        Ok(())
    }

    /// Makes the program's code one that patches can enter, once.
    fn unguard(&mut self) -> Result<(), Refusal> {
        #[cfg(hotpatch_detours)]
        if self.images.program.guarded {
            sys::code::unguard(&self.images.program.code())
                .map_err(|e| refuse(RefusalKind::CodeNotWritable, e))?;
            self.images.program.guarded = false;
        }
        Ok(())
    }

    fn switch(
        &mut self,
        image: &Image,
        manifest: usize,
        found: &elf::Library,
        header: &PatchHeader,
    ) -> Result<Cost, Refusal> {
        let malformed = |e: String| refuse(RefusalKind::Malformed, e);
        if image.base.wrapping_add(found.manifest_address as usize) != manifest {
            return Err(malformed("the dynamic loader found another manifest".into()));
        }
        self.unguard()?;
        let redirects: Vec<Redirect> = found
            .manifest
            .entries
            .iter()
            .map(|entry| self.images.redirect(image, manifest, entry))
            .collect::<Result<_, _>>()
            .map_err(malformed)?;
        for binding in &found.manifest.bindings {
            self.images.bind(image, manifest, binding).map_err(malformed)?;
        }
        let plan = self.switcher.plan(&redirects)?;
        let (patch, functions) = (header.patch, &header.functions);
        let change = change(plan, &self.frames, header, &redirects);
        crash::prepare();
        crash::arm(patch, image, functions, &redirects);
        let (change, outcome) = safepoint::carry_out(change);
        if outcome.is_ok() {
            crash::came(patch);
            self.switcher.done(&change.plan);
            self.frames.changed(patch, functions, &redirects);
        } else {
            crash::failed(patch);
        }
        outcome
    }
}

/// What belongs to a switch beside the functions.
#[cfg(hotpatch_detours)]
fn change(plan: Plan, frames: &Frames, header: &PatchHeader, redirects: &[Redirect]) -> Change {
    let types = header.carried.clone();
    let carrying = (!types.is_empty()).then(|| {
        let (old, new) = frames.versions(&header.functions, redirects);
        Carrying { types, old, new }
    });
    Change { plan, carrying }
}

#[cfg(not(hotpatch_detours))]
fn change(plan: Plan, _: &Frames, _: &PatchHeader, _: &[Redirect]) -> Change {
    Change { plan }
}

fn applied(patch: u32, functions: u32, cost: &Cost, duplicate: bool) -> Applied {
    let pause_us = cost.pause.div_ceil(1000);
    Applied { patch, functions, pause_us, apply_us: 0, threads: cost.threads, duplicate }
}

fn refused(patch: u32, refusal: Refusal) -> ClientMessage {
    ClientMessage::Refused(Refused { patch, kind: refusal.kind, error: refusal.error })
}
