//! A fixture's copy, and edits of its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::primed::{copy_lock_file, prime, prime_guest, prime_runtime, repository};

/// How an editor brings a new text into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// Opens the file, truncates it and writes.
    InPlace,
    /// Writes another file and renames it over the first.
    Rename,
    /// Renames the file to a backup, then writes it anew.
    Backup,
}

/// A copy of a fixture in a folder of its own, which goes away with it.
pub struct Fixture {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Fixture {
    /// Copies `fixtures/<name>` to a folder whose name has a space in it.
    pub fn copy(name: &str) -> Self {
        Self::copy_as(name, "a copy")
    }

    /// The same with another folder name.
    pub fn copy_as(name: &str, folder_name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name} "))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable");
        let top = folder.path().join(folder_name);
        copy_tree(&repository().join("fixtures").join(name), &top);
        // A fixture of several folders has its workspace in `main`.
        let root = if top.join("Cargo.toml").exists() { top } else { top.join("main") };
        copy_lock_file(&root);
        prime(&root.join("target"));
        prime_runtime(&root.join("target"));
        Fixture { folder, root }
    }

    /// Copies `tests/guests/<name>`, a program with dependencies that only the registry has.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn guest(name: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name} "))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable");
        let root = folder.path().join("a copy");
        let source = repository().join("tests/guests").join(name);
        copy_tree(&source, &root);
        let primed = prime_guest(name, |home| copy_tree(&source, home))?;
        primed.give_to(&root);
        prime_runtime(&root.join("target"));
        Ok(Fixture { folder, root })
    }

    /// The workspace's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder outside of the workspace for whatever a test needs, removed with the fixture.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// A file by its path from the workspace's folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// `<target-dir>/hotpatch`.
    pub fn store(&self) -> PathBuf {
        self.root.join("target/hotpatch")
    }

    /// The text of a file.
    pub fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Writes a file in one of the ways that editors have.
    pub fn write(&self, file: &str, text: &str, save: Save) {
        let path = self.path(file);
        let other = path.with_file_name(".new~");
        match save {
            Save::InPlace => fs::write(&path, text).expect("a save in place"),
            Save::Rename => {
                fs::write(&other, text).expect("a new file");
                fs::rename(&other, &path).expect("a save by renaming");
            }
            Save::Backup => {
                fs::rename(&path, &other).expect("a backup");
                fs::write(&path, text).expect("a save");
                fs::remove_file(&other).expect("a backup that goes away");
            }
        }
    }

    /// Replaces the one place where `file` says `from`, in place.
    #[track_caller]
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        self.edit_by(file, from, to, Save::InPlace);
    }

    /// [`Fixture::edit`] with a choice of how to save.
    #[track_caller]
    pub fn edit_by(&self, file: &str, from: &str, to: &str, save: Save) {
        self.write(file, &replaced(&self.read(file), file, from, to), save);
    }

    /// Several edits of one file in one save.
    #[track_caller]
    pub fn edit_all(&self, file: &str, edits: &[(&str, &str)]) {
        let text = edits.iter().fold(self.read(file), |t, (from, to)| replaced(&t, file, from, to));
        self.write(file, &text, Save::InPlace);
    }

    /// Sets the value in front of a marker: `100 // EDIT free` to `value // EDIT free`.
    #[track_caller]
    pub fn set(&self, file: &str, marker: &str, from: &str, to: &str) {
        let mark = format!("// EDIT {marker}");
        self.edit_lines(file, &mark, from, to);
    }

    #[track_caller]
    fn edit_lines(&self, file: &str, mark: &str, from: &str, to: &str) {
        let text = self.read(file);
        let marked: Vec<&str> = text.lines().filter(|l| l.ends_with(mark)).collect();
        let [line] = marked[..] else { panic!("{file}: {} lines end with {mark:?}", marked.len()) };
        self.write(file, &text.replace(line, &replaced(line, file, from, to)), Save::InPlace);
    }

    /// The number of the line that ends with a marker, counted from 1.
    #[track_caller]
    pub fn line_of(&self, file: &str, marker: &str) -> usize {
        let mark = format!("// EDIT {marker}");
        let at = self.read(file).lines().position(|l| l.ends_with(&mark));
        at.unwrap_or_else(|| panic!("{file} has no line marked {mark:?}")) + 1
    }

    /// Gives a file a new modification time and the content that it has.
    pub fn touch(&self, file: &str) {
        let later = SystemTime::now() + Duration::from_secs(1);
        let file = fs::File::options().append(true).open(self.path(file)).expect("a file");
        file.set_modified(later).expect("a file to touch");
    }
}

#[track_caller]
fn replaced(text: &str, file: &str, from: &str, to: &str) -> String {
    let found = text.matches(from).count();
    assert_eq!(found, 1, "{file} says {from:?} {found} times, an edit needs one:\n{text}");
    text.replacen(from, to, 1)
}

/// Copies a folder; the paths to the runtime become absolute.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a fixture").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "target" || entry.file_name() == "Cargo.lock" {
            continue;
        }
        if source.is_dir() {
            copy_tree(&source, &target);
        } else if entry.file_name() == "Cargo.toml" {
            let text = fs::read_to_string(&source).expect("a manifest");
            fs::write(&target, with_absolute_runtime(&text)).expect("a manifest");
        } else {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}

fn with_absolute_runtime(manifest: &str) -> String {
    let runtime = repository().join("crates/runtime").display().to_string();
    let lines = manifest.lines().map(|line| match line.split_once("\"../") {
        Some((before, path)) if path.contains("crates/runtime\"") => {
            let after = path.split_once('"').map_or("", |(_, after)| after);
            format!("{before}{runtime:?}{after}\n")
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}
