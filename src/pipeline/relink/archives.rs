//! The captured rlibs: where code of std and of dependencies comes from that the program was
//! linked without because nothing called it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use object::read::archive::ArchiveFile;

use super::compare::Piece;
use crate::pipeline::capture::{FatBuild, LinkCapture, inject};
use crate::target::binary::{Format, ObjectFile};

/// The archives of a link, indexed by symbol at the first look-up.
#[derive(Debug)]
pub struct Archives {
    format: Format,
    paths: Vec<PathBuf>,
    index: Option<HashMap<String, (usize, u64)>>,
    members: HashMap<(usize, u64), Arc<ObjectFile>>,
}

impl Archives {
    /// The archives among a linker's arguments, without those of the program's own units and of
    /// the runtime.
    pub fn of(format: Format, fat: &FatBuild, link: &LinkCapture) -> Self {
        let own: BTreeSet<String> =
            fat.units.iter().map(|unit| format!("lib{}.rlib", unit.key)).collect();
        let is_own = |path: &Path| {
            path.file_name().is_some_and(|name| own.contains(&*name.to_string_lossy()))
        };
        let mut seen = BTreeSet::new();
        let paths = link
            .args
            .iter()
            // With a dash it is one of the runtime, which rustc has the linker look for.
            .filter(|a| a.ends_with(".rlib") && !a.starts_with('-'))
            .map(PathBuf::from)
            .filter(|path| !is_own(path) && !inject::is_library(path))
            .filter(|path| seen.insert(path.clone()))
            .collect();
        Archives { format, paths, index: None, members: HashMap::new() }
    }

    /// The section that defines `name`.
    ///
    /// # Errors
    /// Where an archive cannot be read.
    pub fn find(&mut self, name: &str) -> anyhow::Result<Option<Piece>> {
        if self.index.is_none() {
            self.index = Some(index(self.format, &self.paths)?);
        }
        let Some(&(archive, offset)) = self.index.as_ref().and_then(|i| i.get(name)) else {
            return Ok(None);
        };
        let object = self.member(archive, offset)?;
        let section = object.definition(name).and_then(|s| s.section);
        Ok(section.map(|section| Piece { object, section }))
    }

    fn member(&mut self, archive: usize, offset: u64) -> anyhow::Result<Arc<ObjectFile>> {
        if let Some(object) = self.members.get(&(archive, offset)) {
            return Ok(object.clone());
        }
        let path = &self.paths[archive];
        let data =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = ArchiveFile::parse(&*data)?;
        let member = file.member(object::read::archive::ArchiveOffset(offset))?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let bytes = member.data(&*data)?.to_vec();
        let object = Arc::new(ObjectFile::parse(&path.join(name), bytes)?);
        self.members.insert((archive, offset), object.clone());
        Ok(object)
    }
}

fn index(format: Format, paths: &[PathBuf]) -> anyhow::Result<HashMap<String, (usize, u64)>> {
    let mut index = HashMap::new();
    for (number, path) in paths.iter().enumerate() {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot read the library {}", path.display()))?;
        // SAFETY: registry and std archives are not written while they are read; the mapping
        // ends with this loop's turn.
        let data = unsafe { memmap2::Mmap::map(&file) }?;
        let archive = ArchiveFile::parse(&*data)
            .with_context(|| format!("cannot read the library {}", path.display()))?;
        let Some(symbols) = archive.symbols()? else { continue };
        for symbol in symbols {
            let symbol = symbol?;
            let name = format.name_of(&String::from_utf8_lossy(symbol.name()));
            index.entry(name).or_insert((number, symbol.offset().0));
        }
    }
    Ok(index)
}
