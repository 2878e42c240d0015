//! Gathers what goes into a patch: the changed functions, and everything they reach that the
//! image does not have.

mod frames;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use anyhow::Context;

use super::compare::Piece;
use super::names;
use super::resolve::{Existing, Resolver, Source};
use super::unwind::Unwind;
use crate::target::binary::program::{DefinitionKind, without_llvm_suffix};
use crate::target::binary::{
    Content, Draft, DraftSection, DraftSymbol, Format, ObjectFile, Reloc, Section, SectionKind,
    Symbol, Target,
};
use crate::target::macho;
use crate::target::processor::{Bound, Site};

/// A named thing that the patch adds to the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its symbol name.
    pub name: String,
    /// What it is.
    pub kind: DefinitionKind,
    /// The draft section that holds it.
    pub section: usize,
    /// Its size in bytes.
    pub size: u64,
}

/// What [`Collector::finish`] gives.
pub struct Collected {
    /// The object under construction.
    pub draft: Draft,
    /// What the patch adds.
    pub added: Vec<Added>,
    /// Copied code, by object and section, with its draft section.
    pub copied: Vec<(Piece, usize)>,
}

/// A reference to something that exists nowhere, or in a form that cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// The function or static, readable.
    pub item: String,
    /// Why.
    pub reason: String,
}

/// Collects pieces into a draft.
pub struct Collector<'a> {
    resolver: Resolver<'a>,
    draft: Draft,
    copies: HashMap<(*const ObjectFile, usize), usize>,
    copied: Vec<(Piece, usize)>,
    queue: VecDeque<(Piece, usize)>,
    added: BTreeMap<String, Added>,
    replaced: BTreeSet<String>,
    obstacles: BTreeSet<Obstacle>,
    unwind: Unwind,
    frames: macho::unwind::Unwind,
    unwind_section: usize,
}

impl<'a> Collector<'a> {
    /// A collector for a patch that replaces the named functions.
    pub fn new(resolver: Resolver<'a>, replaced: BTreeSet<String>) -> Self {
        let mut draft = Draft::new(resolver.program.format, resolver.program.processor);
        draft.version = resolver.program.version;
        let unwind_section = draft.add(DraftSection::new(".eh_frame", Content::Unwind, 8));
        Collector {
            resolver,
            draft,
            unwind: Unwind::default(),
            frames: macho::unwind::Unwind::default(),
            unwind_section,
            copies: HashMap::new(),
            copied: Vec::new(),
            queue: VecDeque::new(),
            added: BTreeMap::new(),
            replaced,
            obstacles: BTreeSet::new(),
        }
    }

    /// Copies a section into the draft (once), to be bound later.
    pub fn copy(&mut self, piece: &Piece) -> usize {
        let key = (Arc::as_ptr(&piece.object), piece.section);
        if let Some(&known) = self.copies.get(&key) {
            return known;
        }
        let section = draft_section(&piece.object, piece.section);
        let index = self.draft.add(section);
        self.copies.insert(key, index);
        self.register(piece, index);
        self.queue.push_back((piece.clone(), index));
        self.copied.push((piece.clone(), index));
        index
    }

    /// Binds everything that was copied, and what that reaches, until nothing is left.
    ///
    /// # Errors
    /// Where an object or library cannot be read.
    pub fn finish(mut self) -> anyhow::Result<Result<Collected, Vec<Obstacle>>> {
        while let Some((piece, index)) = self.queue.pop_front() {
            let object = piece.object.clone();
            let code = object.sections[piece.section].kind == SectionKind::Text;
            if code && let Err(error) = self.add_unwind(&piece, index) {
                self.obstacle(&piece, format!("{error:#}"));
            }
            let relocs = &object.sections[piece.section].relocs;
            let mut at = 0;
            while let Some(reloc) = relocs.get(at) {
                let site = Site { section: index, reloc: *reloc, following: relocs.get(at + 1) };
                at += 1;
                match self.reference(&piece, site) {
                    Ok(true) => at += 1,
                    Ok(false) => {}
                    Err(error) => self.obstacle(&piece, format!("{error:#}")),
                }
            }
        }
        if !self.obstacles.is_empty() {
            return Ok(Err(self.obstacles.into_iter().collect()));
        }
        if self.draft.format == Format::Elf {
            self.draft.sections[self.unwind_section].data = self.unwind.data;
        }
        let added = self.added.into_values().collect();
        Ok(Ok(Collected { draft: self.draft, added, copied: self.copied }))
    }

    fn obstacle(&mut self, piece: &Piece, reason: String) {
        let section = &piece.object.sections[piece.section];
        let name = section.symbols.first().and_then(|&s| piece.object.symbols.get(s));
        let item = names::readable(name.map_or(&section.name, |s| &s.name));
        self.obstacles.insert(Obstacle { item, reason });
    }

    fn register(&mut self, piece: &Piece, index: usize) {
        let section = &piece.object.sections[piece.section];
        let kind = match section.kind {
            SectionKind::Text => DefinitionKind::Function,
            SectionKind::ThreadLocal => DefinitionKind::ThreadLocal,
            SectionKind::Mutable | SectionKind::ThreadLocalDescriptor | SectionKind::ReadOnly => {
                DefinitionKind::Data
            }
            _ => return,
        };
        for symbol in section.symbols.iter().filter_map(|&s| piece.object.symbols.get(s)) {
            let name = without_llvm_suffix(&symbol.name);
            let stable = names::is_stable(name, symbol.local)
                && !names::is_personality_pointer(name)
                && symbol.value == 0;
            if !stable || self.replaced.contains(name) || self.resolver.existing(name).is_some() {
                continue;
            }
            let size = if symbol.size > 0 { symbol.size } else { section.size };
            let added = Added { name: name.to_owned(), kind, section: index, size };
            self.added.insert(name.to_owned(), added);
        }
    }

    fn reference(&mut self, piece: &Piece, site: Site<'_>) -> anyhow::Result<bool> {
        let object = piece.object.clone();
        anyhow::ensure!(
            site.reloc.r_type != Reloc::UNKNOWN,
            "it has an address in a form that is not supported"
        );
        if object.processor.is_local_dynamic(site.reloc.r_type) {
            // The thread-locals of a patch do not count from it.
            let program = self.resolver.program;
            let bound = match program.tls {
                Some(_) if program.library => {
                    Bound::ThreadLocalBehind { behind: 0, descriptor: None }
                }
                _ => Bound::ThreadLocalAt(0),
            };
            return object.processor.bind(&mut self.draft, site, bound);
        }
        let symbol =
            object.symbols.get(site.reloc.symbol).context("a relocation names no symbol")?;
        let (bound, inner) = match symbol.section {
            Some(section) => self.defined(piece, &site, symbol, section)?,
            None => (self.undefined(symbol)?, 0),
        };
        let mut site = site;
        site.reloc.addend += inner;
        object.processor.bind(&mut self.draft, site, bound)
    }

    /// A reference into a section of the same object. The second value is what to add to the
    /// addend where the reference counts from the section instead of from the symbol.
    fn defined(
        &mut self,
        piece: &Piece,
        site: &Site<'_>,
        symbol: &Symbol,
        section: usize,
    ) -> anyhow::Result<(Bound, i64)> {
        let object = &piece.object;
        let info = &object.sections[section];
        let target = Piece { object: object.clone(), section };
        let from_code = object.sections[piece.section].kind == SectionKind::Text;
        let code = from_code.then(|| object.bytes(piece.section));
        let distance = object.processor.target_distance(code, &site.reloc)?;
        let offset = symbol.value.wrapping_add_signed(distance);
        let named = object
            .symbol_at(section, offset)
            .filter(|(s, _)| names::is_stable(&s.name, s.local))
            .filter(|(s, _)| !names::is_personality_pointer(&s.name));
        let local = |c: &mut Self| {
            let section = c.copy(&target);
            Bound::Local(Target::Local { section, offset: symbol.value })
        };
        if info.kind == SectionKind::Text {
            let jump_table = !from_code && named.is_some_and(|(_, inner)| inner != 0);
            let inside = section == piece.section && named.is_none_or(|(_, inner)| inner != 0);
            if jump_table || inside {
                return Ok((local(self), 0));
            }
        }
        if info.kind == SectionKind::ReadOnly
            && code.is_some_and(|code| object.processor.is_plain_access(code, &site.reloc))
        {
            return Ok((local(self), 0));
        }
        let existing = named.and_then(|(s, _)| self.resolver.existing(&s.name).map(|e| (s, e)));
        match (info.kind, existing) {
            (SectionKind::Merge { .. }, _) => Ok((local(self), 0)),
            (SectionKind::ThreadLocal, None)
                if object.sections[piece.section].kind == SectionKind::ThreadLocalDescriptor =>
            {
                Ok((local(self), 0))
            }
            (SectionKind::Other, _) if object.format == Format::MachO => {
                anyhow::bail!("it refers to `{}`, which is not supported", info.name)
            }
            (SectionKind::ThreadLocal, None) => {
                let section = self.copy(&target);
                let target = Target::Local { section, offset: symbol.value };
                Ok((Bound::ThreadLocalNew(target), 0))
            }
            (SectionKind::Mutable, None) if named.is_none() && !personality(info, object) => {
                anyhow::bail!("it refers to unnamed mutable data `{}`", info.name)
            }
            (_, None) => Ok((local(self), 0)),
            (kind, Some((named, existing))) => {
                check_size((object.format, kind), info, named, existing)?;
                // The existing thing stands for the symbol at `named`, the addend counts from
                // `symbol`.
                let inner = symbol.value as i64 - named.value as i64;
                Ok((self.bound(existing)?, inner))
            }
        }
    }

    fn undefined(&mut self, symbol: &Symbol) -> anyhow::Result<Bound> {
        let name = symbol.name.as_str();
        if let Some(existing) = self.resolver.existing(name) {
            return self.bound(existing);
        }
        match self.resolver.source(name)? {
            Source::Piece(piece) => {
                let kind = piece.object.sections[piece.section].kind;
                let offset = piece.object.definition(name).map_or(0, |s| s.value);
                let target = Target::Local { section: self.copy(&piece), offset };
                Ok(match kind {
                    SectionKind::ThreadLocal => Bound::ThreadLocalNew(target),
                    _ => Bound::Local(target),
                })
            }
            Source::Missing if !symbol.weak => anyhow::bail!(
                "it needs `{}`, which neither the program nor its libraries have",
                names::readable(name)
            ),
            _ => Ok(Bound::Loader(self.draft.undefined(name, symbol.weak))),
        }
    }

    fn bound(&self, existing: Existing) -> anyhow::Result<Bound> {
        let Existing { image, address, kind, .. } = existing;
        Ok(match (kind, image) {
            (DefinitionKind::ThreadLocal, 0) if self.resolver.program.library => {
                let descriptor = self.resolver.program.descriptors.get(&address).copied();
                Bound::ThreadLocalBehind { behind: address, descriptor }
            }
            (DefinitionKind::ThreadLocal, 0) => Bound::ThreadLocalAt(
                self.resolver
                    .program
                    .thread_pointer_offset(address)
                    .context("the program has no thread-local block")?,
            ),
            (DefinitionKind::ThreadLocal, image) => Bound::ThreadLocalIn { image, address },
            _ => Bound::Image { image, address },
        })
    }
}

fn personality(info: &Section, object: &ObjectFile) -> bool {
    info.symbols
        .iter()
        .filter_map(|&s| object.symbols.get(s))
        .any(|s| names::is_personality_pointer(&s.name))
}

/// The one layout change that names alone do not show and symbol tables do.
fn check_size(
    (format, kind): (Format, SectionKind),
    info: &Section,
    named: &Symbol,
    existing: Existing,
) -> anyhow::Result<()> {
    let stored = kind.keeps_values();
    let size = if named.size > 0 { named.size } else { info.size };
    // Without sizes only what has no room is known here; the guard has compared the types.
    let fits = |size: u64| match format.has_sizes() {
        true => size == existing.size,
        false => size - info.padding.min(size) <= existing.size,
    };
    anyhow::ensure!(
        !stored || existing.size == 0 || fits(size),
        "the static `{}` changes from {} to {size} bytes, and the program holds its value",
        names::readable(&named.name),
        existing.size,
    );
    Ok(())
}

fn draft_section(object: &ObjectFile, section: usize) -> DraftSection {
    let info = &object.sections[section];
    let has_pointers = info.relocs.iter().any(|r: &Reloc| object.processor.is_absolute(r.r_type));
    let content = match info.kind {
        SectionKind::Text => Content::Code,
        SectionKind::ThreadLocal => Content::ThreadLocal,
        SectionKind::ThreadLocalDescriptor => Content::ThreadLocalDescriptor,
        SectionKind::Mutable => Content::Writable,
        _ if has_pointers => Content::Writable,
        _ => Content::ReadOnly,
    };
    let stem = info.name.trim_start_matches('.');
    let name = match content {
        // Not `.data.rel.ro`: the loader would make it read-only before the runtime fills it.
        Content::Writable => format!(".data.hotpatch.{}", stem.replace("rel.ro", "ro")),
        Content::ThreadLocal if object.is_zero_fill(section) => format!(".tbss.{stem}"),
        Content::ThreadLocal => format!(".tdata.{stem}"),
        Content::ReadOnly => format!(".rodata.{stem}"),
        _ => info.name.clone(),
    };
    // Room for the jump of a later patch at every entry.
    let align = if content == Content::Code { info.align.max(16) } else { info.align };
    let mut copy = DraftSection::new(name, content, align);
    copy.data = object.bytes(section).to_vec();
    copy.encodings.clone_from(&info.encodings);
    if object.is_zero_fill(section) {
        copy.zero_fill = info.size;
    }
    for symbol in info.symbols.iter().filter_map(|&s| object.symbols.get(s)) {
        if names::is_stable(&symbol.name, symbol.local) {
            let name = without_llvm_suffix(&symbol.name).to_owned();
            let (offset, exported) = (symbol.value, false);
            let size = if symbol.size > 0 { symbol.size } else { info.size - offset };
            copy.symbols.push(DraftSymbol { name, offset, size, exported });
        }
    }
    copy
}
