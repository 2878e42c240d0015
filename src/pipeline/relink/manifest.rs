//! The manifest of a patch: written last, when all its functions and words have their places.

use anyhow::Context;
use hotpatch_protocol::manifest::{
    self, Binding, Canary, Entry, Manifest, binding_rel_offset, entry_rel_offset,
};
use hotpatch_protocol::symbolizer::{self, Symbolizer};

use crate::target::binary::{Content, Draft, DraftReloc, DraftSection, DraftSymbol, Target};

/// An entry of the image that the patch redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// The image that has the entry.
    pub image: u32,
    /// Its static address there.
    pub address: u64,
    /// How many bytes may be overwritten.
    pub room: u64,
    /// The draft section with the new function.
    pub section: usize,
    /// Which of the replaced functions it is.
    pub function: usize,
}

/// Who the patch is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The patch's number.
    pub patch: u32,
    /// The program's build id, lower-case hex.
    pub build_id: String,
    /// What the program was compiled by and for.
    pub canary: Canary,
}

/// Adds the manifest to the draft.
///
/// # Errors
/// Where the build id is not hex.
pub fn add(draft: &mut Draft, identity: &Identity, redirects: &[Redirect]) -> anyhow::Result<()> {
    let size = |section: usize| draft.sections[section].data.len();
    let entries = redirects.iter().map(|r| Entry {
        old_image: r.image,
        new_rel: 0,
        old_offset: r.address,
        old_size: r.room,
        new_size: u32::try_from(size(r.section)).unwrap_or(0),
        function: r.function as u32,
    });
    let bindings = draft.bindings.iter().map(|(_, _, word)| Binding {
        place_rel: 0,
        kind: word.kind,
        image: word.image,
        value: word.value,
    });
    let manifest = Manifest {
        patch: identity.patch,
        build_id: bytes_of_hex(&identity.build_id).context("the build id is not hex")?,
        canary: identity.canary.clone(),
        entries: entries.collect(),
        bindings: bindings.collect(),
    };
    let mut section = DraftSection::new(".rodata.hotpatch.manifest", Content::ReadOnly, 16);
    section.data = manifest.encode();
    section.symbols.push(DraftSymbol {
        name: manifest::SYMBOL.to_owned(),
        offset: 0,
        size: section.data.len() as u64,
        exported: true,
    });
    let relative_32 = draft.processor.relative_32();
    let relative = |offset: usize, target: Target| DraftReloc {
        offset: offset as u64,
        r_type: relative_32,
        target,
        // The field itself lies `offset` behind the manifest, which distances count from.
        addend: offset as i64,
    };
    for (n, redirect) in redirects.iter().enumerate() {
        let target = Target::Local { section: redirect.section, offset: 0 };
        section.relocs.push(relative(entry_rel_offset(n), target));
    }
    for (n, (place, offset, _)) in draft.bindings.iter().enumerate() {
        let target = Target::Local { section: *place, offset: *offset };
        section.relocs.push(relative(binding_rel_offset(redirects.len(), n), target));
    }
    draft.add(section);
    Ok(())
}

/// Adds what the runtime has to know of std's symbolizer, so that backtraces name the functions
/// of this patch.
pub fn add_symbolizer(draft: &mut Draft, known: &Symbolizer) {
    let name = ".rodata.hotpatch.symbolizer";
    let mut section = DraftSection::new(name, Content::ReadOnly, 8);
    section.data = known.encode();
    section.symbols.push(DraftSymbol {
        name: symbolizer::SYMBOL.to_owned(),
        offset: 0,
        size: section.data.len() as u64,
        exported: true,
    });
    draft.add(section);
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok()).collect()
}
