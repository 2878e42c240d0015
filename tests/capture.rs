//! The fat build: what is captured, what is left alone, and what happens when captures are gone.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::project::{Project, crates, package, unit};
use support::{command, run};

/// A workspace with everything in it: a package with a library and a program, a member, a
/// procedural macro, a build script, a package outside of the workspace, a registry crate.
fn everything() -> Project {
    Project::new(&[
        (
            "main/Cargo.toml",
            &package(
                "app",
                "[workspace]\nmembers = [\"member\", \"mac\"]\n\
                 [dependencies]\nmember = { path = \"member\" }\nmac = { path = \"mac\" }\n\
                 outside = { path = \"../outside\" }\nitoa = \"1\"\n",
            ),
        ),
        (
            "main/build.rs",
            "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
             std::fs::write(format!(\"{out}/made.rs\"), \"pub const MADE: u32 = 7;\").unwrap();\n\
             println!(\"cargo:rerun-if-changed=build.rs\");\n}\n",
        ),
        ("main/text.txt", "text"),
        (
            "main/src/lib.rs",
            "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n\
             pub fn lib() -> u32 { MADE + member::member() + outside::outside() }\n",
        ),
        (
            "main/src/main.rs",
            "mac::nothing!();\nfn main() {\n    let mut buffer = itoa::Buffer::new();\n    \
             println!(\"{} {}\", buffer.format(app::lib()), include_str!(\"../text.txt\"));\n}\n",
        ),
        ("main/member/Cargo.toml", &package("member", "")),
        ("main/member/src/lib.rs", "pub fn member() -> u32 { 20 }\n"),
        ("main/mac/Cargo.toml", &package("mac", "[lib]\nproc-macro = true")),
        (
            "main/mac/src/lib.rs",
            "use proc_macro::TokenStream;\n#[proc_macro]\n\
             pub fn nothing(_: TokenStream) -> TokenStream { TokenStream::new() }\n",
        ),
        ("outside/Cargo.toml", &package("outside", "[workspace]")),
        ("outside/src/lib.rs", "pub fn outside() -> u32 { 300 }\n"),
    ])
}

#[test]
fn every_crate_of_the_program_is_captured_and_nothing_else() {
    let project = everything();
    let output = project.fat(&[]).expect_code(0);
    let program = PathBuf::from(output.last_line());
    assert_eq!(project.output_of(&program), "327 text\n");

    let fat = project.load();
    assert_eq!(fat.program, program);
    assert_eq!(crates(&fat), ["member", "outside", "app", "app"]);
    assert_eq!(project.captured(), ["app", "app", "member", "outside"]);
    let root = fat.root_unit().unwrap();
    assert_eq!(root.crate_types, ["bin"]);
    let keys = |n: usize| fat.units[..n].iter().map(|u| u.key.clone()).collect::<Vec<_>>();
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(root.dependencies.clone()), sorted(keys(3)));
    assert_eq!(sorted(fat.units[2].dependencies.clone()), sorted(keys(2)));
    assert!(root.inputs.contains(&project.path("main/text.txt")), "{:?}", root.inputs);
    assert!(fat.units[2].env["OUT_DIR"].contains("app-"));
    assert_eq!(root.link.as_ref().unwrap().program, "cc");
    assert!(root.package_id.contains("app"));
    assert!(!fat.rustc_commit.is_empty() && !fat.build_id.is_empty());
    for unit in &fat.units {
        let names = unit.env.keys();
        let ours: Vec<_> =
            names.filter(|k| k.contains("HOTPATCH") || k.contains("MAKEFLAGS")).collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert!(unit.objects > 0, "{}", unit.key);
        let mode = unit.folder().join("unit.json").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_second_fat_finds_everything_fresh() {
    let project = everything();
    project.fat(&[]).expect_code(0);
    let first = project.load();
    project.fat(&[]).expect_code(0).expect_no_text("Compiling");
    assert_eq!(project.load(), first);
    assert!(first.changed_inputs().is_empty());
    project.write("main/text.txt", "other");
    assert_eq!(first.changed_inputs(), [project.path("main/text.txt")]);
}

#[test]
fn patches_of_builds_that_are_gone_are_removed() {
    let project = everything();
    project.fat(&[]).expect_code(0);
    let build_id = project.load().build_id;
    let store = project.path("main/target/hotpatch");
    let folders = |build: &str| ["patches", "chain"].map(|kind| store.join(kind).join(build));
    for folder in [folders(&build_id), folders("0123456789abcdef")].concat() {
        fs::create_dir_all(folder).unwrap();
    }
    project.fat(&[]).expect_code(0);
    assert_eq!(folders(&build_id).map(|folder| folder.is_dir()), [true, true]);
    assert_eq!(folders("0123456789abcdef").map(|folder| folder.exists()), [false, false]);
}

#[test]
fn a_plain_cargo_build_is_left_in_peace() {
    let project = everything();
    let fresh = ["Fresh itoa", "Fresh member", "Fresh outside", "Fresh mac", "Fresh app"];
    project.cargo(&["build"]).expect_code(0);
    project.fat(&[]).expect_code(0).expect_no_text("Compiling itoa");
    let again = project.cargo(&["build", "-v"]).expect_code(0);
    fresh.iter().fold(again, |output, text| output.expect_text(text));
    project.fat(&[]).expect_code(0).expect_no_text("Compiling");
}

#[test]
fn json_is_all_there_is_on_stdout() {
    let project = Project::program("fn main() {\n    let unused = 1;\n}\n");
    let output = project.fat(&["--message-format", "json"]).expect_code(0);
    let events: Vec<serde_json::Value> =
        output.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let reasons: Vec<_> = events.iter().map(|e| e["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["compiler-message", "fat-built"]);
    assert_eq!(events[0]["message"]["code"]["code"], "unused_variables");
    assert_eq!(events[1]["crates"], serde_json::json!(["app"]));
    assert_eq!(events[1]["program"], project.load().program.display().to_string());
}

#[test]
fn of_several_programs_one_must_be_chosen() {
    let project = Project::new(&[
        ("main/Cargo.toml", &package("app", "[workspace]")),
        ("main/src/bin/one.rs", "fn main() { println!(\"one\") }\n"),
        ("main/src/bin/two.rs", "fn main() { println!(\"two\") }\n"),
        ("main/examples/three.rs", "fn main() { println!(\"three\") }\n"),
    ]);
    project
        .fat(&[])
        .expect_code(2)
        .expect_text("-p app --bin one")
        .expect_text("-p app --bin two")
        .expect_text("--bin");
    for (flag, name) in [("--bin", "one"), ("--bin", "two"), ("--example", "three")] {
        let output = project.fat(&[flag, name]).expect_code(0);
        let program = PathBuf::from(output.last_line());
        assert_eq!(project.output_of(&program), format!("{name}\n"));
    }
    project.fat(&["--bin", "none"]).expect_code(2).expect_text("no binary named `none`");
    let manifest = package("app", "default-run = \"two\"\n[workspace]");
    project.write("main/Cargo.toml", &manifest);
    let output = project.fat(&[]).expect_code(0);
    assert!(output.last_line().ends_with("/two"), "{}", output.last_line());
}

#[test]
fn the_same_crate_with_other_features_is_another_unit() {
    let project = Project::new(&[
        (
            "main/Cargo.toml",
            &package(
                "app",
                "[workspace]\nmembers = [\"part\"]\nresolver = \"2\"\n\
                 [dependencies]\npart = { path = \"part\" }\n\
                 [build-dependencies]\npart = { path = \"part\", features = [\"more\"] }\n",
            ),
        ),
        ("main/build.rs", "fn main() { assert_eq!(part::value(), 2); }\n"),
        ("main/src/main.rs", "fn main() { println!(\"{}\", part::value()); }\n"),
        ("main/part/Cargo.toml", &package("part", "[features]\nmore = []")),
        (
            "main/part/src/lib.rs",
            "pub fn value() -> u32 { if cfg!(feature = \"more\") { 2 } else { 1 } }\n",
        ),
    ]);
    project.fat(&[]).expect_code(0);
    let fat = project.load();
    assert_eq!(project.output_of(&fat.program), "1\n");
    assert_eq!(crates(&fat), ["part", "app"]);
    assert_eq!(project.captured(), ["app", "part", "part"]);
    assert!(!unit(&fat, "part").args.contains(&"feature=\"more\"".to_string()));
}

#[test]
fn profiles_targets_and_target_folders_have_their_own_captures() {
    let project = Project::program("fn main() { println!(\"{}\", cfg!(debug_assertions)) }\n");
    let triple = "x86_64-unknown-linux-gnu";
    project.fat(&[]).expect_code(0);
    let release = project.fat(&["--release", "--target", triple]).expect_code(0);
    let program = PathBuf::from(release.last_line());
    assert_eq!(project.output_of(&program), "false\n");
    assert!(program.to_string_lossy().contains(triple));
    assert_eq!(project.captured(), ["app", "app"]);
    let folder = project.path("elsewhere ü");
    let other = project.fat(&["--target-dir", &folder.display().to_string()]).expect_code(0);
    assert!(PathBuf::from(other.last_line()).starts_with(&folder));
    assert!(folder.join("hotpatch/programs/app-bin-app-dev-host.json").is_file());
    assert_eq!(project.output_of(&project.load().program), "true\n");
}

#[test]
fn a_program_that_would_be_stripped_keeps_its_symbols() {
    let project = Project::program("fn main() {}\n");
    let profile = "[workspace]\n[profile.dev]\nstrip = true\nincremental = false";
    project.write("main/Cargo.toml", &package("app", profile));
    project.fat(&[]).expect_code(0);
    let fat = project.load();
    let data = fs::read(&fat.program).unwrap();
    let file = object::File::parse(&*data).unwrap();
    assert!(object::Object::symbols(&file).count() > 0);
    assert!(unit(&fat, "app").objects > 0);
}

#[test]
fn a_linker_that_strips_is_named() {
    let project = Project::program("fn main() {}\n");
    project.write("main/.cargo/config.toml", "build.rustflags = [\"-C\", \"link-arg=-Wl,-s\"]\n");
    project.fat(&[]).expect_code(4).expect_text("removes the symbols that patches are bound to");
    let no_id = "build.rustflags = [\"-C\", \"link-arg=-Wl,--build-id=none\"]\n";
    project.write("main/.cargo/config.toml", no_id);
    project.fat(&[]).expect_code(0);
    assert_eq!(project.load().build_id.len(), 40);
}

#[test]
fn link_time_optimization_is_refused_with_a_hint() {
    let project = Project::program("fn main() {}\n");
    project.write("main/Cargo.toml", &package("app", "[workspace]\n[profile.dev]\nlto = true"));
    project
        .fat(&[])
        .expect_code(4)
        .expect_text("link-time optimization")
        .expect_text("hint: set `lto = false`");
}

#[test]
fn code_that_does_not_compile_ends_with_one() {
    let project = Project::program("fn main() { println!(\"1\") }\n");
    project.fat(&[]).expect_code(0);
    let before = project.load();
    project.edit("main/src/main.rs", "println!", "print_line!");
    let output = project.fat(&[]).expect_code(1).expect_text("cannot find macro `print_line`");
    assert_eq!(output.stderr.matches("cannot find macro").count(), 1);
    // The capture of the program that still may run stays.
    assert_eq!(project.load(), before);
}

#[test]
fn a_wrong_flag_is_no_compile_error() {
    let project = Project::program("fn main() {}\n");
    project.fat(&["--features", "none"]).expect_code(4).expect_text("none");
    project.fat(&["--profile", "none"]).expect_code(4).expect_text("none");
    project.fat(&["--surplus"]).expect_code(2);
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    // Permissions do not stop a test that runs as root, a file in the folder's place does.
    let project = Project::program("fn main() {}\n");
    project.write("main/target/hotpatch", "in the way");
    let store = project.store().display().to_string();
    project.fat(&[]).expect_code(4).expect_text("cannot create").expect_text(&store);
    fs::remove_file(project.store()).unwrap();
    project.write("main/target/hotpatch/units", "in the way");
    project.fat(&[]).expect_code(4).expect_text("cannot create").expect_text("units");
}

#[test]
fn a_folder_without_a_project_is_an_environment_error() {
    let project = Project::new(&[("main/text.txt", "no Cargo.toml")]);
    run(command(&project.main(), &["fat", "--manifest-path", "x/Cargo.toml"])).expect_code(2);
    project.write("main/Cargo.toml", "[package");
    project.fat(&[]).expect_code(4).expect_text("unclosed table");
}
