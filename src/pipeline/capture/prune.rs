//! Removing what earlier builds have left in the store and nothing can use any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::session::Store;

/// What the records of programs name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Used {
    units: BTreeSet<String>,
    builds: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Program {
    #[serde(default)]
    build_id: String,
    units: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    #[serde(default)]
    key: String,
    #[serde(default)]
    generation: String,
}

/// Removes the patches of builds that no program's record names. Best effort, like all of this:
/// what stays behind is found again at the next build.
pub fn patches(store: &Store) {
    let used = used(store).builds;
    for folder in [store.all_patches(), store.all_chains()] {
        remove_all_but(&folder, &used);
    }
}

/// Removes captures of earlier generations that no program's record names. Only for whoever has
/// begun this generation: another one may be building with a newer.
pub fn captures(store: &Store, generation: &str) {
    let used = used(store).units;
    for folder in entries(&store.units()) {
        let unit = serde_json::from_str::<Unit>(&text(&folder.join("unit.json")));
        let old = unit.is_ok_and(|unit| unit.generation != generation);
        if old && !is_among(&folder, &used) {
            _ = fs::remove_dir_all(folder);
        }
    }
    remove_all_but(&store.wrappers(), &BTreeSet::from([generation.to_owned()]));
}

fn remove_all_but(folder: &Path, names: &BTreeSet<String>) {
    for entry in entries(folder).into_iter().filter(|entry| !is_among(entry, names)) {
        _ = fs::remove_dir_all(entry);
    }
}

fn used(store: &Store) -> Used {
    let mut used = Used::default();
    for file in entries(&store.programs()) {
        if let Ok(program) = serde_json::from_str::<Program>(&text(&file)) {
            used.builds.insert(program.build_id);
            used.units.extend(program.units.into_iter().map(|unit| unit.key));
        }
    }
    used
}

fn is_among(entry: &Path, names: &BTreeSet<String>) -> bool {
    entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(name))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}
