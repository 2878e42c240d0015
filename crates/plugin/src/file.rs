//! Plugins as files: whether one is whole, and giving each version a name of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Says what is missing where the file was cut: the loader would map pages that are not there, and
/// the first access would end the host. Files of other formats are left to the loader.
pub fn check_whole(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < 64 {
        return Err(format!("the file has only {} bytes", bytes.len()));
    }
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    let cut = || "the file is cut short".to_string();
    let number = |at: usize, size: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        Some(field.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    };
    let tables = [(0x20, 0x36, 0x38, 0x08, 0x20), (0x28, 0x3a, 0x3c, 0x18, 0x20)];
    for (at, size, count, offset, length) in tables {
        let field = |at, size| number(at, size).ok_or_else(cut);
        let (start, size, count) = (field(at, 8)?, field(size, 2)?, field(count, 2)?);
        let end = size.checked_mul(count).and_then(|length| start.checked_add(length));
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return Err(cut());
        }
        for n in 0..count {
            let entry = usize::try_from(start + n * size).map_err(|_| cut())?;
            // A section without bytes in the file.
            let empty = at == 0x28 && field(entry + 4, 4)? == 8;
            let end = field(entry + offset, 8)?.checked_add(field(entry + length, 8)?);
            if !empty && end.is_none_or(|end| end > bytes.len() as u64) {
                return Err(cut());
            }
        }
    }
    Ok(())
}

/// Where the versions of one host's plugin are kept; removed with this value.
#[derive(Debug)]
pub struct Versions {
    folder: PathBuf,
}

impl Versions {
    /// A new folder.
    pub fn new() -> io::Result<Versions> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut made = Err(io::Error::from(io::ErrorKind::AlreadyExists));
        for _ in 0..1000 {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("plugins-{}-{n}", std::process::id()));
            // Only one that did not exist is ours alone.
            made = create_private(&folder).map(|()| Versions { folder });
            if !matches!(&made, Err(e) if e.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        made
    }

    /// Writes a version to a file that the loader has never seen.
    pub fn write(&self, version: u64, original: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
        let stem = original.file_stem().unwrap_or_default().to_string_lossy();
        let extension = original.extension().unwrap_or_default().to_string_lossy();
        let file = self.folder.join(format!("{stem}-{version}.{extension}"));
        fs::write(&file, bytes)?;
        sign(&file)?;
        Ok(file)
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        // What is loaded stays mapped; debuggers lose the files when the host is gone.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(unix)]
fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_private(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

/// macOS runs only signed code; a copy of a linker's output has its signature, and a file that was
/// edited has not.
#[cfg(target_os = "macos")]
fn sign(file: &Path) -> io::Result<()> {
    let mut codesign = std::process::Command::new("codesign");
    let output = codesign.args(["--force", "--sign", "-"]).arg(file).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

#[cfg(not(target_os = "macos"))]
fn sign(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_cut_anywhere_is_not_whole() {
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check_whole(&program), Ok(()));
        for part in 1..50 {
            let cut = program.len() * part / 50;
            assert!(check_whole(&program[..cut]).is_err(), "cut at {cut}");
        }
        assert!(check_whole(&program[..program.len() - 1]).is_err());
        assert!(check_whole(b"").is_err());
    }
}
