//! The dep-info file that rustc writes: which source files a crate was made of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The source files that a dep-info text names, absolute, without repetitions.
///
/// rustc writes one rule for each output, then one rule without prerequisites for each input;
/// the latter are read. Spaces are escaped, other characters are not.
pub fn inputs(text: &str, cwd: &Path) -> Vec<PathBuf> {
    let mut folders = HashMap::new();
    let mut inputs: Vec<PathBuf> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_suffix(':'))
        .map(|path| resolved(cwd.join(path.replace("\\ ", " ")), &mut folders))
        .collect();
    inputs.sort();
    inputs.dedup();
    inputs
}

/// The file by its real folder (`include_str!` leaves `..` in paths), each of which is looked up
/// once.
fn resolved(file: PathBuf, folders: &mut HashMap<PathBuf, PathBuf>) -> PathBuf {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return file };
    if let Some(known) = folders.get(folder) {
        return known.join(name);
    }
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let resolved = real.join(name);
    folders.insert(folder.to_path_buf(), real);
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_rules_without_prerequisites() {
        let text = "/t/x.d: src/main.rs src/a\\ b.rs /abs/ü.txt\n\n\
                    /t/x: src/main.rs src/a\\ b.rs /abs/ü.txt\n\n\
                    src/main.rs:\nsrc/a\\ b.rs:\n/abs/ü.txt:\nsrc/main.rs:\n\n\
                    # env-dep:A=b:\n# env-dep:B:\n";
        assert_eq!(
            inputs(text, Path::new("/w")),
            ["/abs/ü.txt", "/w/src/a b.rs", "/w/src/main.rs"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_path_through_the_parent_folder_is_straightened() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("src")).unwrap();
        assert_eq!(inputs("src/../data.txt:\n", &real), [real.join("data.txt")]);
    }

    #[test]
    fn an_empty_text_has_no_inputs() {
        assert!(inputs("", Path::new("/w")).is_empty());
    }
}
