//! Bringing the runtime into programs that do not depend on it.
//!
//! [`sources`] has it as text inside of this tool; [`build`] compiles it once for each compiler,
//! target and panic strategy, of what [`obtain`] has fetched; the wrapper hands [`flags`] to the rustc that links the program.
//! The crates of that build have a metadata string of their own, so that none of their symbols is
//! one of the program's, even where both use the same version of a crate.

mod build;
mod link;
mod obtain;
mod order;
mod sources;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::args::Call;
use super::record::Unit;
use super::rewrite;
use crate::session::Store;
use crate::target::linking;

pub use build::{Asked, ensure};
pub use link::run as link;
pub use obtain::obtain;

/// A compiled runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Names its sources, and what it was compiled by and for.
    pub key: String,
    /// The folder of its libraries, in the store that it was looked up in.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Their file names: the runtime itself, then each before the ones that it needs.
    pub libraries: Vec<String>,
}

/// What became of the runtime in a program that does not bring it along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// [`Runtime::key`].
    pub key: String,
    /// Why the program was linked without it.
    pub refused: Option<String>,
}

/// The flags with which rustc links the runtime into a program, in front of the standard library,
/// which it needs.
fn program_flags(runtime: &Runtime) -> Vec<String> {
    let mut flags = vec!["-L".into(), format!("native={}", runtime.folder.display())];
    for (at, library) in runtime.libraries.iter().enumerate() {
        // Nothing refers to the runtime, and all that it has is found from it.
        let whole = if at == 0 { "+whole-archive," } else { "" };
        flags.extend(["-l".into(), format!("static:{whole}+verbatim={library}")]);
    }
    flags
}

/// The flags with which rustc links the runtime into what the call makes.
///
/// # Errors
/// Where rustc cannot be asked for its standard library.
pub fn flags(runtime: &Runtime, call: &Call, rustc: &Path) -> io::Result<Vec<String>> {
    match rewrite::makes_shared_library(call) {
        true => Ok(library_flags(runtime, call, &standard_libraries(call, rustc)?)),
        false => Ok(program_flags(runtime)),
    }
}

/// The same as [`program_flags`] for a shared library. Native libraries would also become part of an
/// rlib that the same call makes, so these are arguments of the linker, which come last: the
/// standard library and C's, a part of which is linked statically, are named once more for linkers
/// that do not look back.
fn library_flags(runtime: &Runtime, call: &Call, standard: &[PathBuf]) -> Vec<String> {
    let (linker, flavor) = (call.codegen("linker"), call.codegen("linker-flavor"));
    let option = |name: &str| linking::handed_on(name, call.value("--target"), flavor, linker);
    let file = |path: PathBuf| path.display().to_string();
    let mut own = runtime.libraries.iter().map(|library| file(runtime.folder.join(library)));
    let mut words = vec![option("--whole-archive")];
    words.extend([own.next(), option("--no-whole-archive"), option("--start-group")]);
    words.extend(own.map(Some));
    words.extend(standard.iter().map(|path| Some(path.display().to_string())));
    words.push(Some("-lc".into()));
    words.push(option("--end-group"));
    let words = words.into_iter().flatten();
    words.flat_map(|word| ["-C".into(), format!("link-arg={word}")]).collect()
}

/// The archives of the standard library.
fn standard_libraries(call: &Call, rustc: &Path) -> io::Result<Vec<PathBuf>> {
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir"]);
    if let Some(target) = call.value("--target") {
        command.args(["--target", target]);
    }
    let output = command.output()?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let entries = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "rlib")).collect();
    found.sort();
    Ok(found)
}

/// Whether a library is one of a compiled runtime.
pub fn is_library(path: &Path) -> bool {
    let names: Vec<_> = path.iter().rev().skip(1).take(4).collect();
    let [lib, _, runtime, hotpatch] = names[..] else { return false };
    lib == build::LIBRARIES && hotpatch == Store::FOLDER && runtime == Store::RUNTIMES
}

/// Whether a captured program was linked as it would be now.
///
/// # Errors
/// Why it was not, for people.
pub fn check(unit: Unit, wanted: bool) -> Result<Unit, String> {
    let fits = unit.injected.as_ref().map(|injected| sources::made(&injected.key));
    match (wanted, fits) {
        (true, Some(true)) | (false, None) => Ok(unit),
        (true, _) => Err("it was linked without this version of the runtime".into()),
        (false, _) => Err("it was linked with the runtime".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_linked_as_a_whole_and_the_rest_as_needed() {
        let runtime = Runtime {
            key: "k".into(),
            folder: "/a b".into(),
            libraries: vec!["liba.rlib".into(), "libb.rlib".into()],
        };
        assert_eq!(
            program_flags(&runtime).join(" "),
            "-L native=/a b -l static:+whole-archive,+verbatim=liba.rlib \
             -l static:+verbatim=libb.rlib"
        );
    }

    #[test]
    fn a_library_of_the_runtime_is_known_by_its_place() {
        let store = Store::new(Path::new("/w/target"));
        let library = store.runtimes().join("key").join(build::LIBRARIES).join("liblibc-1.rlib");
        assert!(is_library(&library));
        assert!(!is_library(Path::new("/w/target/debug/deps/liblibc-1.rlib")));
    }

    #[test]
    fn a_program_is_linked_again_when_something_else_is_wanted() {
        let with = |injected| Unit { injected, ..Unit::default() };
        let now = Injected { key: sources::key("1", "t", "unwind"), refused: None };
        let refused = Injected { refused: Some("why".into()), ..now.clone() };
        let old = Injected { key: "other-1-t-unwind".into(), refused: None };
        for (injected, wanted, fits) in [
            (None, false, true),
            (None, true, false),
            (Some(now.clone()), true, true),
            (Some(now), false, false),
            (Some(refused), true, true),
            (Some(old), true, false),
        ] {
            assert_eq!(check(with(injected.clone()), wanted).is_ok(), fits, "{injected:?}");
        }
    }
}
