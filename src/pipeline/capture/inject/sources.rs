//! The runtime as text: a small workspace of its two crates.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// The versions of what the runtime depends on. Cargo leaves out what is too much.
const LOCK_FILE: &str = include_str!("../../../../Cargo.lock");

/// Our own manifest: as long as it is that of the workspace, the crates inherit from it.
const OUR_MANIFEST: &str = include_str!("../../../../Cargo.toml");

/// The crates by their folders.
const CRATES: [(&str, &[(&str, &str)]); 2] = [
    ("crates/protocol", hotpatch_protocol::SOURCES),
    ("crates/runtime", hotpatch_runtime::SOURCES),
];

/// Everything that could make the build another one than the user's own configuration asks for.
const PROFILE: &str = r#"
[profile.hotpatch]
inherits = "release"
opt-level = 1
debug = false
strip = "none"
debug-assertions = false
overflow-checks = false
lto = "off"
codegen-units = 16
incremental = false
rpath = false
"#;

/// The name of the profile.
pub const PROFILE_NAME: &str = "hotpatch";

/// Where the manifest of the workspace is, below the folder that [`write`] fills.
pub const MANIFEST: &str = "Cargo.toml";

fn manifest(panic: &str) -> String {
    let inherited = OUR_MANIFEST.split_once("[workspace.package]");
    let inherited = inherited.and_then(|(_, rest)| rest.split_once("\n[package]"));
    let inherited = inherited.map(|(tables, _)| format!("[workspace.package]{tables}\n"));
    let folders = CRATES.map(|(folder, _)| format!("{folder:?}")).join(", ");
    format!(
        "[workspace]\nmembers = [{folders}]\nresolver = \"3\"\n\n{}{PROFILE}panic = {panic:?}\n\n\
         [patch.crates-io]\nhotpatch-protocol = {{ path = {:?} }}\n",
        inherited.unwrap_or_default(),
        CRATES[0].0
    )
}

/// Names the text, and what it is compiled by and for.
pub fn key(compiler: &str, target: &str, panic: &str) -> String {
    // A target may be a file.
    let target = target.replace(['/', '\\'], "_");
    format!("{}-{compiler}-{target}-{panic}", content())
}

/// Whether a key is one of this text.
pub fn made(key: &str) -> bool {
    key.split_once('-').is_some_and(|(text, _)| text == content())
}

/// A short hash of all of it.
pub fn content() -> &'static str {
    static CONTENT: OnceLock<String> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        let files = CRATES.iter().flat_map(|(_, files)| files.iter());
        for text in files.flat_map(|(name, text)| [*name, *text]).chain([&*manifest(""), LOCK_FILE])
        {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().chars().take(12).collect()
    })
}

/// Writes the workspace to a folder.
///
/// # Errors
/// Where that fails.
pub fn write(folder: &Path, panic: &str) -> io::Result<()> {
    for (krate, files) in CRATES {
        for (name, text) in files {
            put(&folder.join(krate).join(name), text)?;
        }
    }
    put(&folder.join(MANIFEST), &manifest(panic))?;
    put(&folder.join("Cargo.lock"), LOCK_FILE)
}

fn put(file: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(file.parent().unwrap_or(file))?;
    std::fs::write(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_workspace_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "abort").unwrap();
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
        let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
        assert_eq!(manifest["profile"]["hotpatch"]["panic"].as_str(), Some("abort"));
        assert!(read("crates/runtime/src/active/mod.rs").contains("fn start"));
        assert!(read("crates/protocol/Cargo.toml").contains("hotpatch-protocol"));
        assert!(read("Cargo.lock").contains("tungstenite"));
        // All modules of the small crate are in its list.
        let lib = read("crates/protocol/src/lib.rs");
        for module in lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')) {
            read(&format!("crates/protocol/src/{module}.rs"));
        }
    }

    #[test]
    fn the_key_tells_all_that_matters() {
        let key = key("abc", "dir/t.json", "unwind");
        assert!(key.ends_with("-abc-dir_t.json-unwind") && made(&key), "{key}");
        assert!(!made("0123-abc-t-unwind"));
    }
}
