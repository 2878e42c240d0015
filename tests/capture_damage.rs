//! Captures that are gone, damaged or overtaken: `fat` mends them, other commands refuse them by
//! name.

mod support;

use std::fs;

use cargo_hotpatch::error::{Kind, failure};
use cargo_hotpatch::pipeline::capture::FatBuild;
use cargo_hotpatch::session::CargoSelection;
use support::project::{Project, crates, package, unit};

fn project() -> Project {
    Project::new(&[
        (
            "main/Cargo.toml",
            &package(
                "app",
                "[workspace]\nmembers = [\"member\"]\n[dependencies]\n\
                 member = { path = \"member\" }\noutside = { path = \"../outside\" }\n\
                 itoa = \"1\"\n",
            ),
        ),
        (
            "main/src/main.rs",
            "fn main() { println!(\"{} {}\", member::member(), outside::outside()) }\n",
        ),
        ("main/member/Cargo.toml", &package("member", "")),
        ("main/member/src/lib.rs", "pub fn member() -> u32 { 1 }\n"),
        ("outside/Cargo.toml", &package("outside", "[workspace]")),
        ("outside/src/lib.rs", "pub fn outside() -> u32 { 2 }\n"),
    ])
}

fn built() -> (Project, FatBuild) {
    let project = project();
    project.fat(&[]).expect_code(0);
    let fat = project.load();
    (project, fat)
}

/// `fat` builds again, but no registry crate, and has all captures afterwards.
#[track_caller]
fn mended(project: &Project) -> FatBuild {
    project.fat(&[]).expect_code(0).expect_no_text("Compiling itoa");
    let fat = project.load();
    assert_eq!(crates(&fat), ["member", "outside", "app"]);
    project.fat(&[]).expect_code(0).expect_no_text("Compiling");
    fat
}

#[test]
fn without_a_capture_the_next_step_is_told() {
    let project = project();
    let error = project.load_with(CargoSelection::default()).unwrap_err();
    let told = "no captured rustc invocation for `app`; run `cargo hotpatch fat`";
    assert_eq!(error.to_string(), told);
    assert_eq!(failure(&error).unwrap().kind, Kind::Environment);
}

#[test]
fn a_truncated_capture_is_named_and_mended() {
    for name in ["member", "outside", "app"] {
        let (project, fat) = built();
        let record = unit(&fat, name).folder().join("unit.json");
        let text = fs::read_to_string(&record).unwrap();
        fs::write(&record, &text[..text.len() / 2]).unwrap();
        let refusal = project.refusal();
        assert!(refusal.contains(&record.display().to_string()), "{refusal}");
        assert!(refusal.contains("damaged or cut short"), "{refusal}");
        mended(&project);
    }
}

#[test]
fn a_truncated_record_of_the_program_is_named_and_mended() {
    let (project, _) = built();
    let record = project.store().join("programs/app-bin-app-dev-host.json");
    fs::write(&record, "{\"version\": 1,").unwrap();
    let refusal = project.refusal();
    assert!(refusal.contains(&record.display().to_string()), "{refusal}");
    mended(&project);
}

#[test]
fn a_capture_of_another_version_is_refused_and_mended() {
    let (project, fat) = built();
    let record = unit(&fat, "member").folder().join("unit.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut written: serde_json::Value = serde_json::from_str(&text).unwrap();
    written["version"] = 999.into();
    fs::write(&record, written.to_string()).unwrap();
    let refusal = project.refusal();
    assert!(refusal.contains("it has version 999"), "{refusal}");
    mended(&project);
}

#[test]
fn captures_that_were_deleted_are_made_again_each_time() {
    let (project, _) = built();
    for _ in 0..2 {
        fs::remove_dir_all(project.store()).unwrap();
        let refusal = project.refusal();
        assert!(refusal.contains("no captured rustc invocation"), "{refusal}");
        mended(&project);
    }
}

#[test]
fn missing_objects_are_noticed() {
    for name in ["member", "outside", "app"] {
        let (project, fat) = built();
        let baseline = &unit(&fat, name).baseline;
        let object = fs::read_dir(baseline).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(object).unwrap();
        mended(&project);
    }
}

#[test]
fn old_captures_go_away_when_new_ones_are_made() {
    let (project, fat) = built();
    fs::remove_file(unit(&fat, "member").folder().join("unit.json")).unwrap();
    let again = mended(&project);
    assert_ne!(unit(&again, "app").key, unit(&fat, "app").key);
    assert!(!unit(&fat, "app").folder().exists());
    assert_eq!(project.captured(), ["app", "member", "outside"]);
    assert_eq!(fs::read_dir(project.store().join("wrapper")).unwrap().count(), 1);
}

#[test]
fn a_toolchain_that_changed_is_noticed() {
    let (project, fat) = built();
    let record = project.store().join("programs/app-bin-app-dev-host.json");
    let text = fs::read_to_string(&record).unwrap();
    let version = fat.rustc_version.lines().next().unwrap();
    fs::write(&record, text.replacen(version, "rustc 1.2.3 (abc 2015-01-01)", 1)).unwrap();
    let refusal = project.refusal();
    assert!(refusal.contains("was built by rustc 1.2.3 (abc 2015-01-01)"), "{refusal}");
    assert!(refusal.contains(version), "{refusal}");
}

#[test]
fn a_program_that_was_built_again_is_noticed() {
    let (project, _) = built();
    project.edit("main/src/main.rs", "main() {", "main() { println!();");
    project.cargo(&["build"]).expect_code(0);
    let refusal = project.refusal();
    assert!(refusal.contains("is newer than its capture"), "{refusal}");
    mended(&project);
}

#[test]
fn a_program_that_is_gone_is_noticed() {
    let (project, fat) = built();
    fs::remove_file(&fat.program).unwrap();
    let refusal = project.refusal();
    assert!(refusal.contains("is missing"), "{refusal}");
    mended(&project);
}

#[test]
fn a_library_that_another_program_had_built_anew_is_noticed() {
    let project = project();
    project.write("main/src/bin/second.rs", "fn main() { println!(\"{}\", member::member()) }\n");
    let named = |bin: &str| CargoSelection { bin: Some(bin.into()), ..CargoSelection::default() };
    project.fat(&["--bin", "app"]).expect_code(0);
    project.edit("main/member/src/lib.rs", "{ 1 }", "{ 3 }");
    project.fat(&["--bin", "second"]).expect_code(0);
    project.load_with(named("second")).unwrap();
    let refusal = project.load_with(named("app")).unwrap_err();
    assert_eq!(refusal.to_string(), "the crate `member` was built again after the program");
    project.fat(&["--bin", "app"]).expect_code(0);
    project.load_with(named("app")).unwrap();
}

/// The one kind of crate that a plain `cargo build` shares with the fat build.
#[test]
fn an_outside_crate_that_cargo_built_by_itself_is_captured_again() {
    let (project, _) = built();
    project.edit("outside/src/lib.rs", "{ 2 }", "{ 4 }");
    project.cargo(&["build"]).expect_code(0);
    let fat = mended(&project);
    assert_eq!(project.output_of(&fat.program), "1 4\n");
}

#[test]
fn our_own_packages_and_what_they_use_are_not_captured() {
    let project = Project::new(&[
        (
            "main/Cargo.toml",
            &package(
                "app",
                "[workspace]\n[dependencies]\nhotpatch-runtime = { path = \"../runtime\" }\n\
                 shared = { path = \"../shared\" }\nfree = { path = \"../free\" }\n",
            ),
        ),
        ("main/src/main.rs", "fn main() { hotpatch_runtime::start(); free::free(); }\n"),
        (
            "runtime/Cargo.toml",
            &package(
                "hotpatch-runtime",
                "[workspace]\n[dependencies]\nshared = { path = \"../shared\" }",
            ),
        ),
        ("runtime/src/lib.rs", "pub fn start() { shared::shared() }\n"),
        ("shared/Cargo.toml", &package("shared", "[workspace]")),
        ("shared/src/lib.rs", "pub fn shared() {}\n"),
        ("free/Cargo.toml", &package("free", "[workspace]")),
        ("free/src/lib.rs", "pub fn free() {}\n"),
    ]);
    project.fat(&[]).expect_code(0);
    // A crate that is not compiled again holds on to the `shared` that it was compiled with.
    assert_eq!(crates(&project.load()), ["free", "app"]);
}
