//! The ELF object format: relocatable objects, linked programs, unwind tables.

pub mod draft;
pub mod eh_frame;
pub mod exidx;
pub mod library;
pub mod object_file;
pub mod program;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::processor::{self, Processor};

/// The folders in which the shared libraries of this kind of system are found by default, those
/// for other processors included.
pub fn library_folders() -> Vec<std::path::PathBuf> {
    let mut folders = vec!["/lib64".into(), "/usr/lib64".into(), "/lib".into(), "/usr/lib".into()];
    // Cross compilers have theirs in `/usr/<triple>/lib`.
    for (base, below) in [("/lib", ""), ("/usr/lib", ""), ("/usr", "lib")] {
        let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|e| e.file_name().to_string_lossy().ends_with("-linux-gnu"))
                .map(|e| e.path().join(below)),
        );
    }
    folders
}

/// How wide the addresses in a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::target) enum Class {
    /// Four bytes.
    Elf32,
    /// Eight.
    Elf64,
}

impl Class {
    /// That of a file, by its fifth byte.
    pub(in crate::target) fn of(data: &[u8]) -> Class {
        match data.get(4) {
            Some(class) if *class == object::elf::ELFCLASS32.0 => Class::Elf32,
            _ => Class::Elf64,
        }
    }
}

/// Whether a file is code for this processor.
pub fn is_for(path: &Path, processor: &dyn Processor) -> bool {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    let machine = u16::from_le_bytes([header[18], header[19]]);
    read.is_ok()
        && header.starts_with(&object::elf::ELFMAG)
        && processor::of_elf(object::elf::Machine(machine))
            .is_ok_and(|found| found.architecture() == processor.architecture())
}
