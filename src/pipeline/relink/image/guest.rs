//! Libraries for *guests*: programs that load patches by the client of another tool, which knows
//! a table of old and new functions and looks up in it what is called through it. Nothing is
//! redirected at its entry there, so these libraries differ from ours:
//!
//! - each is made from the differences to the program itself and replaces the one before it;
//! - whoever refers to a changed function comes along, and refers to the new one directly;
//! - mutable statics and thread-locals are bound as in our own patches: to the program's, or to
//!   those of the guest library that brought them first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use hotpatch_protocol::manifest::{self as table, BindingKind, Manifest};

use super::{Identity, Image, next_names, refusal};
use crate::pipeline::capture::FatBuild;
use crate::pipeline::relink::collect::{Collected, Collector};
use crate::pipeline::relink::compare::{Meanings, compare};
use crate::pipeline::relink::guard::Guard;
use crate::pipeline::relink::objects::{UnitChange, UnitObjects, unchanged};
use crate::pipeline::relink::reach::{Reached, Referrers, stable_names};
use crate::pipeline::relink::resolve::{Registry, Resolver};
use crate::pipeline::relink::{debug_info, manifest};
use crate::target::binary::program::DefinitionKind;
use crate::target::binary::{
    Content, Draft, DraftSection, DraftSymbol, Library, ObjectFile, SectionKind,
};

/// The symbol by which guests tell where program and library are loaded.
pub(super) const ANCHOR: &str = "main";

/// A library that a guest can load, once its words are filled for that process.
#[derive(Debug)]
pub struct GuestLibrary {
    /// Its number among the guest libraries of this fat build, from 1; 0 for the one that
    /// replaces nothing.
    pub number: u32,
    /// The library's file name.
    pub name: String,
    /// The library's bytes, all words zero.
    pub bytes: Vec<u8>,
    /// What to write into the bytes.
    pub words: Vec<FileWord>,
    /// The static address of `main` in the program.
    pub program_anchor: u64,
    /// The static address of `main` in the library.
    pub library_anchor: u64,
    /// What it replaces.
    pub replaced: Vec<Replacement>,
}

/// Eight bytes of a library's file that are another number in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileWord {
    /// Where in the file.
    pub offset: usize,
    /// What to write.
    pub kind: BindingKind,
    /// 0 is the program, N is guest library N.
    pub image: u32,
    /// A static address in that image.
    pub value: u64,
}

/// A function that a guest library replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// 0 is the program, N is guest library N.
    pub image: u32,
    /// The static address there.
    pub old: u64,
    /// The static address in this library.
    pub new: u64,
}

/// How the clients of other tools in a program are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// There are none.
    None,
    /// Our runtime redirects functions; they are told afterwards, so that they look again.
    Told,
    /// They load what changed.
    Served,
}

/// What the guest libraries made so far have brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// The program's objects.
    program: Units,
    /// The objects that the newest library was made of.
    newest: Units,
    /// Mutable statics and thread-locals.
    statics: Registry,
    /// The functions of each library that later ones replace, with their static addresses.
    libraries: Vec<HashMap<String, u64>>,
    /// All functions that were ever replaced: code that runs may hold the newest address.
    replaced: BTreeSet<String>,
    /// The program's functions that have other parameters or captures now.
    detached: BTreeSet<String>,
    guard: Guard,
}

type Units = HashMap<String, UnitObjects>;

impl Brought {
    /// Nothing yet, in a program of these objects.
    pub fn nothing(program: Units) -> Self {
        Brought { newest: program.clone(), program, ..Brought::default() }
    }

    /// The functions with other parameters or captures than in the newest library are new ones:
    /// whoever holds an address of an old one keeps that.
    fn detach(&mut self, detached: &BTreeSet<String>) {
        for library in &mut self.libraries {
            library.retain(|name, _| !detached.contains(name));
        }
        self.detached.extend(detached.iter().cloned());
    }
}

impl Image {
    /// How clients of other tools in this program are served.
    pub fn guests(&self) -> Guests {
        let has = |crate_: &str, function: &str| {
            // Both manglings write a path as names with their lengths in front.
            let path = format!("{}{crate_}{}{function}", crate_.len(), function.len());
            self.program.has_function_with(&path)
        };
        let anchored = self.program.definition(ANCHOR).is_some();
        if !self.program.format.has_detours() || !anchored || !has("subsecond", "apply_patch") {
            return Guests::None;
        }
        match self.injected || has("hotpatch_runtime", "start") {
            true => Guests::Told,
            false => Guests::Served,
        }
    }

    /// A library that replaces nothing: loading it makes a guest look at everything again.
    ///
    /// # Errors
    /// Where it cannot be linked.
    pub fn empty_guest_library(
        &mut self,
        fat: &FatBuild,
        out_dir: &Path,
    ) -> anyhow::Result<GuestLibrary> {
        let mut draft = Draft::new(self.program.format, self.program.processor);
        self.add_tables(&mut draft, 0)?;
        let (library, _) = self.finish_guest(fat, &draft, 0, out_dir)?;
        Ok(library)
    }

    /// Links for guests what differs from the program by now; none where nothing does.
    ///
    /// # Errors
    /// As [`Image::relink`]; the next library has everything that this one lacked.
    pub fn guest_library(
        &mut self,
        fat: &FatBuild,
        out_dir: &Path,
    ) -> anyhow::Result<Option<GuestLibrary>> {
        let now = self.objects.units();
        let step = differences(&self.brought.newest, &now)?;
        let (before, after) = (all(&step, false), all(&step, true));
        let unchanged = || unchanged(now.values(), &after);
        let verdict = self.brought.guard.check(&before, &after, &unchanged)?;
        let reached = self.reached(&now)?;
        if reached.functions.is_empty() {
            return Ok(None);
        }
        let collected = self.collect_for_guests(&reached)?;
        let Collected { mut draft, added, copied } = collected;
        let number = self.brought.libraries.len() as u32 + 1;
        self.add_tables(&mut draft, number)?;
        debug_info::add(&mut draft, &copied);
        let (mut library, linked) = self.finish_guest(fat, &draft, number, out_dir)?;
        self.check(&linked)?;
        let kept: HashSet<usize> = copied
            .iter()
            .filter(|(piece, _)| keeps_values(piece.object.sections[piece.section].kind))
            .map(|(_, section)| *section)
            .collect();
        let added: Vec<_> = added.into_iter().filter(|a| kept.contains(&a.section)).collect();
        let statics = next_names(&added, &linked, number)?;
        let functions: HashMap<String, u64> = copied
            .iter()
            .filter(|(piece, _)| piece.object.sections[piece.section].kind == SectionKind::Text)
            .flat_map(|(piece, _)| stable_names(&piece.object, piece.section))
            .filter_map(|name| Some((name.to_owned(), linked.symbols.get(name)?.0)))
            .collect();
        self.brought.detach(&verdict.detached);
        self.brought.replaced.extend(reached.functions.into_keys());
        library.replaced = self.replacements(&functions);
        self.brought.statics.extend(statics);
        self.brought.libraries.push(functions);
        self.brought.newest = now;
        self.brought.guard = verdict.next;
        Ok(Some(library))
    }

    /// What has to be in the next library: what differs from the program, whoever refers to it,
    /// and whatever was replaced before.
    fn reached(&self, now: &Units) -> anyhow::Result<Reached> {
        let changes = compare(&differences(&self.brought.program, now)?, &Meanings::default())?;
        let mut objects = Vec::new();
        for stored in now.values().flat_map(BTreeMap::values) {
            objects.push(stored.object()?);
        }
        let referrers = Referrers::of(&objects);
        let mut reached = referrers.reach(changes.functions.keys().chain(changes.data.keys()));
        for name in &self.brought.replaced {
            if let Some(piece) = referrers.piece(name) {
                reached.functions.entry(name.clone()).or_insert(piece);
            }
        }
        // The library has an anchor of its own, and nobody calls `main` through a table.
        reached.functions.remove(ANCHOR);
        Ok(reached)
    }

    fn collect_for_guests(&mut self, reached: &Reached) -> anyhow::Result<Collected> {
        let mut own = reached.data.clone();
        own.extend(reached.functions.iter().map(|(name, piece)| (name.clone(), piece.clone())));
        let nothing = BTreeSet::new();
        let resolver = Resolver::new(
            (&self.program, &self.brought.statics),
            (Vec::new(), &self.objects),
            (&mut self.archives, &mut self.exports),
            (&own, &nothing),
        );
        let names = reached.functions.keys().cloned().collect();
        let mut collector = Collector::new(resolver, names);
        for piece in reached.functions.values() {
            collector.copy(piece);
        }
        collector.finish()?.map_err(|obstacles| refusal(&obstacles).into())
    }

    /// From every place that a table can name to the newest functions.
    fn replacements(&self, newest: &HashMap<String, u64>) -> Vec<Replacement> {
        let Brought { libraries, replaced, detached, .. } = &self.brought;
        let mut found = Vec::new();
        for (name, &new) in newest {
            let earlier = libraries.iter().zip(1..);
            found.extend(earlier.filter_map(|(library, image)| {
                Some(Replacement { image, old: *library.get(name)?, new })
            }));
            if !replaced.contains(name) || detached.contains(name) {
                continue;
            }
            let of_program = self.program.definitions(name).into_iter();
            found.extend(
                of_program
                    .filter(|d| d.kind == DefinitionKind::Function)
                    // Two functions that the linker folded cannot be told apart by a caller.
                    .filter(|d| {
                        let here = self.program.functions_at(d.address);
                        here.iter().all(|name| replaced.contains(*name))
                    })
                    .map(|d| Replacement { image: 0, old: d.address, new }),
            );
        }
        found
    }

    fn add_tables(&self, draft: &mut Draft, number: u32) -> anyhow::Result<()> {
        let mut anchor = DraftSection::new(".rodata.hotpatch.anchor", Content::ReadOnly, 8);
        anchor.data = vec![0; 8];
        let name = ANCHOR.to_owned();
        anchor.symbols.push(DraftSymbol { name, offset: 0, size: 8, exported: true });
        draft.add(anchor);
        manifest::add(draft, &Identity { patch: number, ..self.identity.clone() }, &[])
    }

    fn finish_guest(
        &mut self,
        fat: &FatBuild,
        draft: &Draft,
        number: u32,
        out_dir: &Path,
    ) -> anyhow::Result<(GuestLibrary, Library)> {
        let (path, bytes) = self.link(fat, draft, &format!("guest-{number}"), out_dir)?;
        let linked = Library::parse(&bytes)?;
        let anchor = self.program.definition(ANCHOR).context("the program has no `main`")?;
        let (library_anchor, _) =
            *linked.symbols.get(ANCHOR).context("the linked library has no `main`")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let library = GuestLibrary {
            number,
            name,
            words: words(&linked, &bytes)?,
            bytes,
            program_anchor: anchor.address,
            library_anchor,
            replaced: Vec::new(),
        };
        Ok((library, linked))
    }
}

/// The places that a library's manifest lists, as places of its file.
fn words(linked: &Library, bytes: &[u8]) -> anyhow::Result<Vec<FileWord>> {
    let missing = "the linked library has no manifest";
    let (manifest, _) = *linked.symbols.get(table::SYMBOL).context(missing)?;
    let at = linked.file_offset(manifest).context(missing)? as usize;
    let read = Manifest::decode(bytes.get(at..).context(missing)?);
    let read = read.map_err(anyhow::Error::msg)?;
    let mut words = Vec::new();
    for binding in read.bindings {
        let place = manifest.wrapping_add_signed(i64::from(binding.place_rel));
        let offset =
            linked.file_offset(place).context("a word of the library is not in its file")?;
        words.push(FileWord {
            offset: offset as usize,
            kind: binding.kind,
            image: binding.image,
            value: binding.value,
        });
    }
    Ok(words)
}

fn keeps_values(kind: SectionKind) -> bool {
    kind.keeps_values()
}

/// The objects in which two states of a program differ.
fn differences(before: &Units, now: &Units) -> anyhow::Result<Vec<UnitChange>> {
    let mut found = Vec::new();
    for (key, objects) in now {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let nothing = UnitObjects::new();
        let was = before.get(key).unwrap_or(&nothing);
        for (name, object) in objects {
            let known = was.get(name);
            if known.is_none_or(|known| !Arc::ptr_eq(known, object)) {
                new.push(object.object()?);
                if let Some(known) = known {
                    old.push(known.object()?);
                }
            }
        }
        for (_, gone) in was.iter().filter(|(name, _)| !objects.contains_key(*name)) {
            old.push(gone.object()?);
        }
        found.push(UnitChange { key: key.clone(), old, new, objects: objects.clone() });
    }
    Ok(found)
}

fn all(units: &[UnitChange], new: bool) -> Vec<Arc<ObjectFile>> {
    units.iter().flat_map(|u| if new { &u.new } else { &u.old }).cloned().collect()
}
