//! What the program runs: the file it was started from, and the patches that it accepted.

mod call_through;
mod guest;
mod history;
mod words;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hotpatch_protocol::manifest::Canary;

use super::archives::Archives;
use super::collect::{Added, Collected, Collector, Obstacle};
use super::compare::{Changes, Meanings, compare};
use super::entries::{self, Entries, Replaced};
use super::guard::Guard;
use super::link::{self, Linker};
use super::manifest::{self, Identity};
use super::objects::{Objects, UnitChange, UnitObjects};
use super::resolve::{Existing, Exports, Registry, Resolver};
use super::{debug_info, identity, leftover, names, spread};
use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::thin::ThinBuild;
use crate::target::binary::program::DefinitionKind;
use crate::target::binary::{Draft, Library, Program};
pub use guest::{FileWord, GuestLibrary, Guests, Replacement};
use history::Before;
pub use history::REMEMBERED;
pub use words::refusal;

/// What the program runs.
#[derive(Debug)]
pub struct Image {
    program: Program,
    registry: Registry,
    hazards: HashMap<String, &'static str>,
    objects: Objects,
    archives: Archives,
    exports: Exports,
    linker: Linker,
    gone: Meanings,
    before: VecDeque<Before>,
    guard: Guard,
    outdated: BTreeSet<String>,
    layout_changes: bool,
    patches: u32,
    injected: bool,
    identity: Identity,
    brought: guest::Brought,
}

/// What a thin build comes to.
#[derive(Debug)]
pub enum Outcome {
    /// No code of the program is different.
    Nothing {
        /// What is worth saying all the same, such as a static whose initial value changed.
        notes: Vec<String>,
    },
    /// A patch was linked.
    Patch(Box<Relinked>),
}

/// A linked patch.
#[derive(Debug)]
pub struct Relinked {
    /// Its number in the chain of patches of this fat build, from 1.
    pub patch: u32,
    /// The linked library.
    pub library: PathBuf,
    /// The library's bytes.
    pub bytes: Vec<u8>,
    /// What it redirects.
    pub replaced: Vec<Replaced>,
    /// The readable names of new functions and statics in it.
    pub added: Vec<String>,
    /// The readable names of functions that the new code no longer has.
    pub removed: Vec<String>,
    /// What a user should know about it, one line each.
    pub notes: Vec<String>,
    /// The types that get another layout, whose values the program carries over.
    pub carried: Vec<String>,
    /// The library's symbols.
    pub symbols: HashMap<String, (u64, u64)>,
    next_objects: Vec<(String, UnitObjects)>,
    next_names: Registry,
    next_hazards: HashMap<String, &'static str>,
    next_gone: Meanings,
    next_guard: Guard,
    next_outdated: BTreeSet<String>,
}

impl Relinked {
    /// The readable names of the functions that change.
    pub fn functions(&self) -> Vec<String> {
        self.replaced.iter().map(|r| names::readable(&r.name)).collect()
    }
}

impl Image {
    /// The image of a program that has no patches yet.
    ///
    /// # Errors
    /// Where the program or its captures cannot be read.
    pub fn open(fat: &FatBuild) -> anyhow::Result<Self> {
        let program = Program::read(&fat.program)?;
        if program.build_id != fat.build_id {
            return Err(Failure::environment(format!(
                "the program {} is not the one that was captured (build id {}, captured {})",
                fat.program.display(),
                program.build_id,
                fat.build_id
            ))
            .hint("run `cargo hotpatch fat`")
            .into());
        }
        let root = fat.root_unit().context("the fat build has no root unit")?;
        let link = root.link.as_ref().ok_or_else(|| {
            Failure::environment(format!("no captured linker invocation for `{}`", root.crate_name))
                .hint("run `cargo hotpatch fat`")
        })?;
        let archives = Archives::of(program.format, fat, link);
        let exports = link::exports(root, link, &program);
        let canary = Canary {
            rustc: fat.rustc_commit.clone(),
            target: fat.target.clone(),
            pointer_width: 8 * program.processor.pointer() as u32,
            panic: fat.panic.clone(),
        };
        let identity = Identity { patch: 0, build_id: fat.build_id.clone(), canary };
        let objects = Objects::baseline(&fat.units)?;
        Ok(Image {
            program,
            registry: Registry::new(),
            hazards: HashMap::new(),
            brought: guest::Brought::nothing(objects.units()),
            objects,
            archives,
            exports,
            linker: Linker::new(root, link),
            gone: Meanings::default(),
            before: VecDeque::new(),
            guard: Guard::default(),
            outdated: BTreeSet::new(),
            layout_changes: false,
            patches: 0,
            injected: fat.is_injected(),
            identity,
        })
    }

    /// The program's file.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// How many patches were accepted.
    pub fn patches(&self) -> u32 {
        self.patches
    }

    /// Whether patches may change the layout of types of which the program can hold values: then
    /// what the guard finds is a note and not a refusal.
    pub fn allow_layout_changes(&mut self, allow: bool) {
        self.layout_changes = allow;
    }

    /// The program carries over the values of these types when their layout changes.
    pub fn carry_over(&mut self, types: impl IntoIterator<Item = String>) {
        self.guard.carry_over(types);
    }

    /// Reads and hashes the objects of a thin build of unchanged sources, so that the next
    /// comparison reads only what rustc compiled anew.
    ///
    /// # Errors
    /// Where an object cannot be read.
    pub fn warm(&mut self, thin: &ThinBuild) -> anyhow::Result<()> {
        for unit in &thin.units {
            self.objects.compare(unit)?;
        }
        Ok(())
    }

    /// Links a patch from a thin build: the functions whose meaning is not that of the image,
    /// bound to the image. Files go to `out_dir`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] where the change cannot be carried by a patch, an
    /// environment failure where a tool or file is missing.
    pub fn relink(
        &mut self,
        fat: &FatBuild,
        thin: &ThinBuild,
        out_dir: &Path,
    ) -> anyhow::Result<Outcome> {
        let units = self.units(thin)?;
        let mut changes = compare(&units, &self.gone)?;
        let verdict = self.guard.apply(&mut changes, &units, self.layout_changes)?;
        self.spread(&mut changes, &units)?;
        let mut notes = leftover::notes(&changes, &units, |name| self.has(name));
        notes.extend_from_slice(&verdict.notes);
        notes.extend(leftover::made_already(&changes, &units, &self.program)?);
        if verdict.off.is_some() {
            notes.extend(leftover::lost_statics(&units, |name| self.has(name)));
        }
        let mut outdated = self.outdated.clone();
        outdated.extend(changes.data.keys().cloned());
        self.pull_in(&mut changes, &units, verdict.off.as_deref())?;
        let collected = match self.collect(&changes, &units)? {
            Some((collected, replaced)) => (collected, replaced),
            None => {
                notes.extend(verdict.unreached(&outdated));
                self.gone.extend(&changes.removed);
                (self.guard, self.outdated) = (verdict.next, outdated);
                self.adopt(units);
                return Ok(Outcome::Nothing { notes });
            }
        };
        let (mut collected, replaced) = collected;
        let patch = self.patches + 1;
        let entries = Entries {
            program: &self.program,
            registry: &self.registry,
            hazards: &self.hazards,
            changes: &changes,
        };
        let redirects = entries.redirects(&replaced, &collected)?;
        let identity = Identity { patch, ..self.identity.clone() };
        manifest::add(&mut collected.draft, &identity, &redirects)?;
        if let Some(symbolizer) = &self.program.symbolizer {
            manifest::add_symbolizer(&mut collected.draft, symbolizer);
        }
        debug_info::add(&mut collected.draft, &collected.copied);
        let (library, bytes) =
            self.link(fat, &collected.draft, &format!("patch-{patch}"), out_dir)?;
        let linked = Library::parse(&bytes)?;
        notes.extend(self.check(&linked)?);
        let next_names = next_names(&collected.added, &linked, patch)?;
        outdated.retain(|name| !next_names.contains_key(name));
        notes.extend(verdict.unreached(&outdated));
        Ok(Outcome::Patch(Box::new(Relinked {
            patch,
            library,
            bytes,
            replaced,
            added: collected.added.iter().map(|a| names::readable(&a.name)).collect(),
            removed: changes.removed.functions().map(names::readable).collect(),
            notes,
            carried: verdict.carried,
            symbols: linked.symbols,
            next_objects: units.into_iter().map(|u| (u.key, u.objects)).collect(),
            next_names,
            next_hazards: entries::hazards(&collected),
            next_gone: changes.removed,
            next_guard: verdict.next,
            next_outdated: outdated,
        })))
    }

    /// What a thin build changed, under the names that the image has for it.
    fn units(&mut self, thin: &ThinBuild) -> anyhow::Result<Vec<UnitChange>> {
        let compare = |objects: &mut Objects| -> anyhow::Result<Vec<UnitChange>> {
            thin.units.iter().map(|unit| objects.compare(unit)).collect()
        };
        let units = compare(&mut self.objects)?;
        let renamed = identity::renamed(&units, |name| self.has(name))?;
        if renamed.is_empty() {
            return Ok(units);
        }
        self.objects.rename(renamed);
        compare(&mut self.objects)
    }

    fn has(&self, name: &str) -> bool {
        self.registry.contains_key(name) || self.program.definition(name).is_some()
    }

    fn spread(&self, changes: &mut Changes, units: &[UnitChange]) -> anyhow::Result<()> {
        if changes.data.is_empty() {
            return Ok(());
        }
        let mut objects = Vec::new();
        for unit in units {
            for stored in unit.objects.values() {
                objects.push(stored.object()?);
            }
        }
        spread::spread(changes, &objects);
        Ok(())
    }

    fn collect(
        &mut self,
        changes: &Changes,
        units: &[UnitChange],
    ) -> anyhow::Result<Option<(Collected, Vec<Replaced>)>> {
        let own = self.not_taken(changes);
        let resolver = Resolver::new(
            (&self.program, &self.registry),
            (units.iter().map(|u| &u.objects).collect(), &self.objects),
            (&mut self.archives, &mut self.exports),
            (&own, &self.outdated),
        );
        let mut replaced = Vec::new();
        for name in changes.functions.keys() {
            let entries: Vec<_> =
                resolver.all_existing(name).into_iter().map(|e| (e.image, e.address)).collect();
            if !entries.is_empty() {
                replaced.push(Replaced { name: name.clone(), entries });
            }
        }
        if replaced.is_empty() {
            return Ok(None);
        }
        let names: BTreeSet<String> = replaced.iter().map(|r| r.name.clone()).collect();
        let mut collector = Collector::new(resolver, names);
        for function in &replaced {
            if let Some(piece) = changes.functions.get(&function.name) {
                collector.copy(piece);
            }
        }
        match collector.finish()? {
            Ok(collected) => Ok(Some((collected, replaced))),
            Err(obstacles) => Err(refusal(&obstacles).into()),
        }
    }

    fn link(
        &mut self,
        fat: &FatBuild,
        draft: &Draft,
        name: &str,
        out_dir: &Path,
    ) -> anyhow::Result<(PathBuf, Vec<u8>)> {
        let root = fat.root_unit().context("the fat build has no root unit")?;
        std::fs::create_dir_all(out_dir).map_err(|e| {
            Failure::environment(format!("cannot create {}: {e}", out_dir.display()))
                .hint("choose another folder with `--target-dir`")
        })?;
        let object = out_dir.join(format!("{name}.o"));
        let library = out_dir.join(self.program.format.library(&root.crate_name, name));
        link::write_file(&object, &draft.write()?)?;
        self.linker.link(&object, &library)?;
        let bytes = std::fs::read(&library)
            .with_context(|| format!("the linker left no {}", library.display()))?;
        Ok((library, bytes))
    }

    /// What must hold of a linked patch before anybody sees it.
    fn check(&mut self, linked: &Library) -> anyhow::Result<Vec<String>> {
        let missing: Vec<Obstacle> = linked
            .imports
            .iter()
            .filter(|(name, weak)| {
                !weak && !self.program.imports.contains(name) && !self.exports.has(name)
            })
            .map(|(name, _)| Obstacle {
                item: names::readable(name),
                reason: "neither the program nor its libraries have it".into(),
            })
            .collect();
        if !missing.is_empty() {
            return Err(refusal(&missing).into());
        }
        anyhow::ensure!(!linked.constructors, "the linked patch has constructors");
        Ok(Vec::new())
    }
}

fn next_names(added: &[Added], linked: &Library, patch: u32) -> anyhow::Result<Registry> {
    let mut registry = Registry::new();
    for item in added {
        let (address, _) = *linked.symbols.get(&item.name).with_context(|| {
            format!("the linker dropped `{}` from the patch", names::readable(&item.name))
        })?;
        let address = match item.kind {
            DefinitionKind::ThreadLocal => match linked.thread_local_words.get(&address) {
                Some(word) => *word,
                None => continue,
            },
            _ => address,
        };
        let existing = Existing { image: patch, address, size: item.size, kind: item.kind };
        registry.insert(item.name.clone(), existing);
    }
    Ok(registry)
}
