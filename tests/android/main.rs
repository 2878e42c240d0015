//! Android: real objects and links, the kit's part played by the distribution's clang and lld; and
//! real programs, on devices that a stand-in for `adb` has, under an emulator and with a stand-in
//! for Android's C library. None of it is Android's own.

#[path = "../support/mod.rs"]
mod support;

mod adb;
mod app;
mod arm;
mod arm_run;
mod bench;
mod device;
mod library;
mod ndk;
mod setup;
mod system;

use std::path::Path;
use std::process::Command;

use hotpatch_protocol::manifest;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};
use support::Output;
use support::project::{Project, package};

use ndk::{CARGO, Kit, RUSTC, TARGET};

/// A static, a thread-local (a key of the system on Android), std, and a loop that never ends.
const MAIN: &str = "use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
static TICKS: AtomicU64 = AtomicU64::new(0);
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}
fn tick() -> u64 {
    OWN.set(OWN.get() + 1);
    NAMES.lock().unwrap().push(format!(\"{}\", 1));
    TICKS.fetch_add(1, Ordering::SeqCst)
}
fn main() {
    loop {
        println!(\"{}\", tick());
    }
}
";

fn project() -> Project {
    let manifest =
        package("app", "[workspace]\n[package.metadata.android.sdk]\nmin_sdk_version = 23");
    project_of(&manifest, MAIN)
}

fn project_of(manifest: &str, main: &str) -> Project {
    project_with(&[("main/Cargo.toml", manifest), ("main/src/main.rs", main)])
}

/// A project that shares its compiled runtime with those of other tests.
fn project_with(files: &[(&str, &str)]) -> Project {
    let project = Project::new(files);
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("android-runtime");
    std::fs::create_dir_all(&shared).expect("a folder");
    std::fs::create_dir_all(project.store()).expect("a folder");
    std::os::unix::fs::symlink(shared, project.store().join("runtime")).expect("a link");
    project
}

fn tool(project: &Project, kit: Option<&Kit>, args: &[&str]) -> Command {
    let mut command = support::command(&project.main(), args);
    for name in
        ["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "NDK_HOME", "ANDROID_HOME", "ANDROID_SDK_ROOT"]
    {
        command.env_remove(name);
    }
    command.env("RUSTC", RUSTC).env("CARGO", CARGO).env("HOME", project.path(""));
    // Both are found through the home folder otherwise.
    for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let home = std::env::var_os("HOME").unwrap_or_default();
        let value = std::env::var_os(name);
        command.env(name, value.unwrap_or_else(|| Path::new(&home).join(below).into()));
    }
    if let Some(kit) = kit {
        command.env("ANDROID_NDK_ROOT", kit.root());
    }
    command
}

fn run(project: &Project, kit: Option<&Kit>, args: &[&str]) -> Output {
    support::run(tool(project, kit, &[args, &["--target", TARGET]].concat()))
}

/// The alignment of what is loaded of a file, which must be for the device's processor.
#[track_caller]
fn alignments(file: &Path) -> Vec<u64> {
    let data = std::fs::read(file).expect("a linked file");
    let parsed = ElfFile64::<Endianness>::parse(&*data).expect("an ELF file");
    assert_eq!(parsed.architecture(), object::Architecture::Aarch64);
    let loads = parsed.elf_program_headers().iter();
    let loads = loads.filter(|h| h.p_type(Endianness::Little) == object::elf::PT_LOAD);
    loads.map(|h| h.p_align(Endianness::Little)).collect()
}

#[test]
fn a_program_and_its_patch_are_linked_by_the_kit_s_compiler() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit) = (project(), Kit::new());
    let fat = run(&project, Some(&kit), &["fat"]).expect_code(0);
    let program = Path::new(fat.last_line());
    assert!(alignments(program).iter().all(|a| *a == 16384), "pages of 16 KiB");

    project.edit("main/src/main.rs", "\"{}\", 1)", "\"{}\", 2 + NAMES.lock().unwrap().len())");
    project.edit("main/src/main.rs", "OWN.get() + 1", "OWN.get() + 2");
    let out = project.path("out");
    let patch = run(&project, Some(&kit), &["patch", "--out", &out.display().to_string()]);
    let patch = patch.expect_code(0);
    let library = Path::new(patch.last_line());
    assert!(library.extension().is_some_and(|e| e == "so"), "{}", library.display());
    assert!(alignments(library).iter().all(|a| *a == 16384), "pages of 16 KiB");

    let data = std::fs::read(library).expect("a patch");
    let parsed = ElfFile64::<Endianness>::parse(&*data).expect("an ELF file");
    let exported: Vec<_> = parsed.dynamic_symbols().filter(|s| !s.is_undefined()).collect();
    assert!(exported.iter().any(|s| s.name() == Ok(manifest::SYMBOL)), "{exported:?}");
    let names = |of: &str| parsed.symbols().any(|s| s.name().is_ok_and(|n| n.contains(of)));
    assert!(names("3app4tick"), "the changed function is there");
    for state in ["3app5TICKS", "3app5NAMES"] {
        assert!(!names(state), "{state} is the program's and not the patch's");
    }
    let report = std::fs::read_to_string(out.join("report.json")).expect("a report");
    assert!(report.contains("\"app::tick\""), "{report}");
    let used = kit.called();
    assert!(used.iter().all(|name| name == "aarch64-linux-android24-clang"), "{used:?}");
}

#[test]
fn without_a_kit_nothing_is_built_and_it_is_said_where_it_was_looked_for() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let project = project();
    let sdk = project.path("Android/Sdk/ndk").display().to_string();
    let fat = run(&project, None, &["fat"]).expect_code(4);
    fat.expect_text("no Android NDK").expect_text(&sdk).expect_text("export ANDROID_NDK_HOME=");
    assert!(!project.path("main/target/aarch64-linux-android").exists());
    run(&project, None, &["doctor"]).expect_code(4).expect_text("no Android NDK");
}

#[test]
fn doctor_names_the_kit_and_the_version_of_android() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let (project, kit) = (project(), Kit::new());
    let root = kit.root().display().to_string();
    let told = run(&project, Some(&kit), &["doctor"]);
    told.expect_text(&format!("27.0.12077973 in {root}, for Android API 24 and newer"));
    let told = run(&project, Some(&kit), &["doctor", "--android-api", "30"]);
    told.expect_text("for Android API 30 and newer");
    let told = run(&project, Some(&kit), &["doctor", "--android-api", "40"]);
    told.expect_code(4).expect_text("it has: 24, 30");
}
