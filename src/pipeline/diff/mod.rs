//! Old and new symbol tables to a jump table: what a patch replaces, checked against what it
//! was built to replace, and told in the forms that scripts and other clients read.

use std::path::PathBuf;

use anyhow::Context;
use hotpatch_protocol::manifest;
use serde::Serialize;
use subsecond_types::JumpTable;

use super::capture::FatBuild;
use super::relink::{Image, Relinked, readable};

/// A patch that is ready to be delivered.
#[derive(Debug)]
pub struct Patch {
    /// Its number in the chain of patches of its fat build, from 1.
    pub patch: u32,
    /// The library's file.
    pub library: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The readable names of the functions that change.
    pub functions: Vec<String>,
    /// The types that get another layout, whose values the program carries over.
    pub carried: Vec<String>,
    /// Old to new static addresses; functions of the program only.
    pub jump_table: JumpTable,
    /// What changed, for people and scripts.
    pub report: Report,
}

/// What a patch does, as `report.json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The patch's number.
    pub patch: u32,
    /// The build id of the program that it is for.
    pub build_id: String,
    /// The functions that change.
    pub replaced: Vec<ReplacedFunction>,
    /// New functions and statics.
    pub added: Vec<String>,
    /// Functions that the new code no longer has.
    pub removed: Vec<String>,
    /// What a user should know, one line each.
    pub notes: Vec<String>,
    /// The size of the library, in bytes.
    pub bytes: u64,
}

/// One function that a patch replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplacedFunction {
    /// Readable.
    pub name: String,
    /// As in the symbol tables.
    pub symbol: String,
    /// The static addresses of its entries, each with the image (0 is the program, N is patch N).
    pub old: Vec<(u32, u64)>,
    /// Its static address in the patch.
    pub new: u64,
    /// Its size in the patch, in bytes.
    pub size: u64,
}

/// Builds the jump table and the report of a linked patch.
///
/// # Errors
/// Where the linked library does not have what it was built to replace: a patch that would
/// replace nothing is never passed on.
pub fn diff(fat: &FatBuild, image: &Image, relinked: &Relinked) -> anyhow::Result<Patch> {
    let mut replaced = Vec::new();
    for function in &relinked.replaced {
        let name = readable(&function.name);
        let &(new, size) = relinked
            .symbols
            .get(&function.name)
            .with_context(|| format!("the linked patch has no `{name}`"))?;
        anyhow::ensure!(size > 0, "`{name}` has no size in the linked patch");
        let (symbol, old) = (function.name.clone(), function.entries.clone());
        replaced.push(ReplacedFunction { name, symbol, old, new, size });
    }
    anyhow::ensure!(!replaced.is_empty(), "the patch replaces nothing");
    let has_manifest = relinked.symbols.contains_key(manifest::SYMBOL);
    anyhow::ensure!(has_manifest, "the linked patch has no manifest");
    let main = image.program().definition("main").map_or(0, |d| d.address);
    let map = replaced
        .iter()
        .flat_map(|f| f.old.iter().filter(|(image, _)| *image == 0).map(|(_, old)| (*old, f.new)))
        .collect();
    let jump_table = JumpTable {
        lib: relinked.library.clone(),
        map,
        aslr_reference: main,
        new_base_address: 0,
        ifunc_count: 0,
    };
    let report = Report {
        patch: relinked.patch,
        build_id: fat.build_id.clone(),
        replaced,
        added: relinked.added.clone(),
        removed: relinked.removed.clone(),
        notes: relinked.notes.clone(),
        bytes: relinked.bytes.len() as u64,
    };
    Ok(Patch {
        patch: relinked.patch,
        library: relinked.library.clone(),
        bytes: relinked.bytes.clone(),
        functions: relinked.functions(),
        carried: relinked.carried.clone(),
        jump_table,
        report,
    })
}
