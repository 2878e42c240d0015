//! Programs for Android as apps have them: a library that Java loads.

use std::path::{Path, PathBuf};
use std::process::Command;

use hotpatch_protocol::manifest;
use object::{Object, ObjectSymbol};

use super::support::project::{Project, package};
use super::support::{self, Output};
use super::{Kit, ndk, tool};
use crate::skip;

/// What Java calls, and what it does not see.
const LIB: &str = "use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
static TICKS: AtomicU64 = AtomicU64::new(0);
static START: LazyLock<u64> = LazyLock::new(|| 7);
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}
fn private() -> u64 {
    OWN.set(OWN.get() + 1);
    TICKS.fetch_add(1, Ordering::SeqCst) + *START + OWN.get()
}
#[unsafe(no_mangle)]
pub extern \"C\" fn Java_com_example_App_tick(_env: *mut u8, _class: *mut u8) -> u64 {
    private()
}
";

fn project() -> Project {
    let more = "[workspace]\n[lib]\ncrate-type = [\"cdylib\"]\n\
                [package.metadata.android.sdk]\nmin_sdk_version = 24";
    Project::new(&[("main/Cargo.toml", &package("app", more)), ("main/src/lib.rs", LIB)])
}

fn run(project: &Project, kit: &Kit, target: &str, args: &[&str]) -> Output {
    // Compiling the runtime for one processor is enough.
    let inject: &[&str] = if target == ndk::TARGET { &[] } else { &["--no-inject"] };
    support::run(tool(project, Some(kit), &[args, &["--target", target], inject].concat()))
}

/// The names in a file that are defined there: those that a loader sees, and all.
fn names(file: &Path) -> (Vec<String>, Vec<String>) {
    let data = std::fs::read(file).expect("a linked file");
    let parsed = object::File::parse(&*data).expect("an ELF file");
    let defined = |symbols: Vec<&str>| symbols.into_iter().map(String::from).collect();
    let seen = parsed.dynamic_symbols().filter(|s| !s.is_undefined());
    let all = parsed.symbols().filter(|s| !s.is_undefined());
    let seen = seen.filter_map(|s| s.name().ok()).collect();
    (defined(seen), defined(all.filter_map(|s| s.name().ok()).collect()))
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// The library as cargo builds it without us.
fn plain(project: &Project, kit: &Kit, target: &str) -> PathBuf {
    let folder = project.path("plain");
    let mut cargo = Command::new(ndk::CARGO);
    cargo.args(["build", "--target", target, "--target-dir"]).arg(&folder);
    cargo.current_dir(project.main()).env("RUSTC", ndk::RUSTC);
    let variable = target.to_uppercase().replace('-', "_");
    cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), kit.compiler(target));
    support::run(cargo).expect_code(0);
    folder.join(target).join("debug/libapp.so")
}

#[test]
fn a_library_that_java_loads_and_its_patch_are_linked_for_each_processor() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    for target in ndk::TARGETS {
        let (project, kit) = (project(), Kit::new());
        let fat = run(&project, &kit, target, &["fat"]).expect_code(0);
        let fat = fat.expect_text("`libapp.so` exports the names that a build of your own exports");
        let program = Path::new(fat.last_line());
        assert!(program.ends_with("debug/libapp.so"), "{}", program.display());
        let has = |names: &[String], part: &str| names.iter().any(|name| name.contains(part));
        let (seen, all) = names(program);
        assert!(has(&seen, "Java_com_example_App_tick"), "{seen:?}");
        assert!(!has(&seen, "3app"), "Rust's names are hidden: {seen:?}");
        assert!(has(&all, "3app7private") && has(&all, "3app5TICKS"), "and kept");
        // One with the runtime in it, and one without.
        if target != ndk::ARM {
            assert_eq!(sorted(seen), sorted(names(&plain(&project, &kit, target)).0));
        }

        project.edit("main/src/lib.rs", "OWN.get() + 1", "OWN.get() + 2");
        let out = project.path("out").display().to_string();
        let patch = run(&project, &kit, target, &["patch", "--out", &out]).expect_code(0);
        let (seen, all) = names(Path::new(patch.last_line()));
        assert!(has(&seen, manifest::SYMBOL), "{target}: {seen:?}");
        assert!(has(&all, "3app7private"), "{target}: the changed function is there");
        for state in ["3app5TICKS", "3app5START", "App_tick"] {
            assert!(!has(&all, state), "{target}: {state} is the library's and not the patch's");
        }
        let used = kit.called();
        assert!(used.iter().all(|name| *name == ndk::compiler(target, 24)), "{used:?}");
    }
}
