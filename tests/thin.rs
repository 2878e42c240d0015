//! Thin builds of real projects: which units are built, from what, and that their objects are
//! the baseline's where nothing changed.

mod support;

use std::collections::BTreeMap;
use std::fs;

use cargo_hotpatch::error::{Kind, failure};
use cargo_hotpatch::pipeline::capture::{FatBuild, Unit};
use cargo_hotpatch::pipeline::thin::{self, Rejected, ThinBuild, ThinUnit, diagnostic};
use serde_json::Value;
use support::project::{Project, package, unit};

/// `app` uses `upper` and `lower`, `upper` uses `lower`.
fn layers() -> Project {
    Project::new(&[
        (
            "main/Cargo.toml",
            &package(
                "app",
                "[workspace]\nmembers = [\"upper\"]\n[dependencies]\n\
                 upper = { path = \"upper\" }\nlower = { path = \"../lower\" }\n",
            ),
        ),
        (
            "main/src/main.rs",
            "fn main() {\n    let all: Vec<u32> = vec![lower::lower(), upper::upper()];\n    \
             println!(\"{all:?}\");\n}\n",
        ),
        (
            "main/upper/Cargo.toml",
            &package("upper", "[dependencies]\nlower = { path = \"../../lower\" }"),
        ),
        ("main/upper/src/lib.rs", "pub fn upper() -> u32 { lower::lower() + 10 }\n"),
        ("lower/Cargo.toml", &package("lower", "[workspace]")),
        ("lower/src/lib.rs", "pub fn lower() -> u32 { 1 }\n"),
    ])
}

fn built(project: &Project) -> FatBuild {
    project.fat(&[]).expect_code(0);
    project.load()
}

/// A thin build after changes of files, and what rustc said.
fn try_build(
    fat: &mut FatBuild,
    project: &Project,
    changed: &[&str],
) -> (anyhow::Result<ThinBuild>, Vec<Value>) {
    let files: Vec<_> = changed.iter().map(|f| project.path(f)).collect();
    let keys = thin::affected(fat, &files);
    let mut said = Vec::new();
    let result = thin::build(fat, &keys, &mut |_, diagnostic| said.push(diagnostic));
    if let Ok(built) = &result {
        built.update_inputs(fat);
    }
    (result, said)
}

#[track_caller]
fn build(fat: &mut FatBuild, project: &Project, changed: &[&str]) -> ThinBuild {
    let (result, said) = try_build(fat, project, changed);
    result.unwrap_or_else(|e| panic!("{e:#}\n{said:#?}"))
}

fn names(built: &ThinBuild) -> Vec<&str> {
    built.units.iter().map(|u| u.unit.crate_name.as_str()).collect()
}

/// The contents of the objects by their codegen units.
fn contents(unit: &ThinUnit) -> BTreeMap<String, Vec<u8>> {
    unit.objects.iter().map(|o| (o.cgu.clone(), fs::read(&o.path).unwrap())).collect()
}

fn baseline(unit: &Unit) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(&unit.baseline).unwrap().map(|e| e.unwrap().path());
    let stem = |p: &std::path::Path| p.file_stem().unwrap().to_str().unwrap().to_string();
    entries.map(|p| (stem(&p), fs::read(&p).unwrap())).collect()
}

fn changed_units(unit: &ThinUnit) -> usize {
    let old = baseline(&unit.unit);
    contents(unit).iter().filter(|(cgu, bytes)| old.get(*cgu) != Some(bytes)).count()
}

#[test]
fn without_a_change_the_objects_are_those_in_the_program() {
    let project = layers();
    for profile in [&[][..], &["--release"]] {
        project.fat(profile).expect_code(0);
        let release = !profile.is_empty();
        let selection = cargo_hotpatch::session::CargoSelection { release, ..Default::default() };
        let fat = project.load_with(selection).unwrap();
        let all: Vec<String> = fat.units.iter().map(|u| u.key.clone()).collect();
        let built = thin::build(&fat, &all, &mut |_, _| ()).unwrap();
        assert_eq!(names(&built), ["lower", "upper", "app"]);
        for unit in &built.units {
            assert_eq!(contents(unit), baseline(&unit.unit), "{}", unit.unit.key);
            assert_eq!(
                unit.unit.inputs,
                support::project::unit(&fat, &unit.unit.crate_name).inputs
            );
        }
    }
}

#[test]
fn a_change_rebuilds_its_crate_and_its_users() {
    let project = layers();
    let mut fat = built(&project);
    project.edit("main/src/main.rs", "upper::upper()", "upper::upper() + 1");
    let thin = build(&mut fat, &project, &["main/src/main.rs"]);
    assert_eq!(names(&thin), ["app"]);
    assert_eq!(changed_units(&thin.units[0]), 1);

    project.edit("main/upper/src/lib.rs", "10", "20");
    let thin = build(&mut fat, &project, &["main/upper/src/lib.rs"]);
    assert_eq!(names(&thin), ["upper", "app"]);

    project.edit("lower/src/lib.rs", "{ 1 }", "{ 2 }");
    let thin = build(&mut fat, &project, &["lower/src/lib.rs"]);
    assert_eq!(names(&thin), ["lower", "upper", "app"]);
    assert!(build(&mut fat, &project, &["main/Cargo.toml"]).units.is_empty());
}

#[test]
fn later_builds_see_what_earlier_ones_added_to_a_library() {
    let project = layers();
    let mut fat = built(&project);
    project.write("lower/src/lib.rs", "pub fn lower() -> u32 { 1 }\npub fn new() -> u32 { 3 }\n");
    build(&mut fat, &project, &["lower/src/lib.rs"]);
    project.edit("main/src/main.rs", "vec![", "vec![lower::new(), ");
    assert_eq!(names(&build(&mut fat, &project, &["main/src/main.rs"])), ["app"]);
    project.edit("main/upper/src/lib.rs", "10", "lower::new()");
    assert_eq!(names(&build(&mut fat, &project, &["main/upper/src/lib.rs"])), ["upper", "app"]);
}

#[test]
fn a_crate_that_failed_is_built_again_whatever_is_saved_next() {
    let project = layers();
    let mut fat = built(&project);
    project.edit("lower/src/lib.rs", "{ 1 }", "{ true }");
    let (result, said) = try_build(&mut fat, &project, &["lower/src/lib.rs"]);
    let error = result.unwrap_err();
    assert_eq!(failure(&error).unwrap().kind, Kind::UserCode);
    let rejected = error.downcast_ref::<Rejected>().unwrap();
    assert_eq!(rejected.crate_name, "lower");
    assert_eq!(rejected.files, [project.path("lower/src/lib.rs")]);
    let rendered: Vec<_> = said.iter().filter_map(|d| diagnostic::rendered(d, false)).collect();
    assert!(rendered[0].contains("mismatched types"), "{rendered:?}");
    assert!(!rendered.concat().contains("\u{1b}"));

    // The error is still there, although another file was saved.
    project.edit("main/src/main.rs", "vec![", "vec![6, ");
    let (result, said) = try_build(&mut fat, &project, &["main/src/main.rs"]);
    assert!(result.is_err() && !said.is_empty());

    project.edit("lower/src/lib.rs", "{ true }", "{ 4 }");
    let thin = build(&mut fat, &project, &["lower/src/lib.rs"]);
    assert_eq!(names(&thin), ["lower", "upper", "app"]);
}

#[test]
fn a_broken_new_file_is_known_although_it_is_no_input_yet() {
    let project = layers();
    let mut fat = built(&project);
    project.write("main/src/part.rs", "pub fn part() -> u32 {\n");
    project.edit("main/src/main.rs", "fn main() {", "mod part;\nfn main() {\n    part::part();");
    let (result, _) = try_build(&mut fat, &project, &["main/src/main.rs"]);
    let error = result.unwrap_err();
    let files = &error.downcast_ref::<Rejected>().unwrap().files;
    assert!(files.contains(&project.path("main/src/part.rs")), "{files:?}");
    project.write("main/src/part.rs", "pub fn part() -> u32 { 1 }\n");
    let thin = build(&mut fat, &project, &["main/src/part.rs"]);
    assert_eq!(names(&thin), ["app"]);
    assert!(unit(&fat, "app").inputs.contains(&project.path("main/src/part.rs")));
    assert_eq!(thin::affected(&fat, &[project.path("main/src/part.rs")]), [fat.root.clone()]);
}

#[test]
fn warnings_are_handed_on_in_cargos_shape() {
    let project = layers();
    let mut fat = built(&project);
    project.edit("main/src/main.rs", "fn main() {", "fn main() {\n    let unused = 1;");
    let (result, said) = try_build(&mut fat, &project, &["main/src/main.rs"]);
    assert_eq!(names(&result.unwrap()), ["app"]);
    let event = diagnostic::event(fat.root_unit().unwrap(), said[0].clone());
    let event = serde_json::to_value(event).unwrap();
    assert_eq!(event["reason"], "compiler-message");
    assert_eq!(event["message"]["code"]["code"], "unused_variables");
    assert_eq!(event["target"]["name"], "app");
    assert!(event["package_id"].as_str().unwrap().contains("app"));
    assert!(!event["message"]["rendered"].as_str().unwrap().contains("\u{1b}"));
}

#[test]
fn a_crate_with_one_object_keeps_the_name_of_its_codegen_unit() {
    let project = layers();
    let mut fat = built(&project);
    project.edit("lower/src/lib.rs", "{ 1 }", "{ 7 }");
    let thin = build(&mut fat, &project, &["lower/src/lib.rs"]);
    let lower = &thin.units[0];
    assert_eq!(lower.objects.len(), 1);
    assert_eq!(contents(lower).keys().next(), baseline(&lower.unit).keys().next());
    assert_eq!(changed_units(lower), 1);
}

#[test]
fn objects_of_earlier_runs_do_not_stay() {
    let project = layers();
    let mut fat = built(&project);
    for n in 0..3 {
        project.write("main/src/main.rs", &format!("fn main() {{ println!(\"{n}\"); }}\n"));
        let thin = build(&mut fat, &project, &["main/src/main.rs"]);
        let folder = thin.units[0].objects[0].path.parent().unwrap();
        let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let objects = files.filter(|f| f.extension().is_some_and(|e| e == "o")).count();
        assert_eq!(objects, thin.units[0].objects.len());
    }
}

#[test]
fn priming_leaves_nothing_to_do_and_can_be_stopped() {
    let project = layers();
    let fat = built(&project); // `fat` primes
    let states = |fat: &FatBuild| -> Vec<String> {
        let file = |u: &Unit| fs::read_to_string(u.folder().join("thin.json")).unwrap();
        fat.units.iter().map(file).collect()
    };
    let before = states(&fat);
    thin::prime(&fat).finish().unwrap();
    assert_eq!(states(&fat), before);

    for unit in &fat.units {
        fs::remove_file(unit.folder().join("thin.json")).unwrap();
    }
    thin::prime(&fat).cancel().unwrap();
    drop(thin::prime(&fat));
    thin::prime(&fat).finish().unwrap();
    assert!(states(&fat).iter().all(|s| s.contains("\"done\":true")));
}

#[test]
fn a_missing_compiler_is_no_fault_of_the_code() {
    let project = layers();
    let mut fat = built(&project);
    for unit in &mut fat.units {
        unit.rustc = project.path("no/rustc");
    }
    let error = thin::build(&fat, &[fat.root.clone()], &mut |_, _| ()).unwrap_err();
    assert_eq!(failure(&error).unwrap().kind, Kind::Environment);
    assert!(error.to_string().contains("no/rustc"), "{error:#}");
}

#[test]
fn a_compiler_that_dies_is_no_fault_of_the_code() {
    let project = layers();
    let mut fat = built(&project);
    let root = fat.units.len() - 1;
    fat.units[root].args.push("-Zno-such-option".into());
    let error = thin::build(&fat, &[fat.root.clone()], &mut |_, _| ()).unwrap_err();
    assert!(format!("{error:#}").contains("app"), "{error:#}");
}

#[test]
fn a_library_of_several_types_is_built_as_one() {
    let project = Project::new(&[
        (
            "main/Cargo.toml",
            &package("app", "[workspace]\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]"),
        ),
        ("main/src/lib.rs", "pub fn value() -> u32 { 1 }\n"),
        ("main/src/main.rs", "fn main() { println!(\"{}\", app::value()) }\n"),
    ]);
    let mut fat = built(&project);
    assert_eq!(fat.units.len(), 2);
    project.edit("main/src/lib.rs", "{ 1 }", "{ 2 }");
    let thin = build(&mut fat, &project, &["main/src/lib.rs"]);
    assert_eq!(names(&thin), ["app", "app"]);
    assert_eq!(changed_units(&thin.units[0]), 1);
    assert_eq!(changed_units(&thin.units[1]), 0);
}

#[test]
fn a_build_waits_for_the_priming_one() {
    let project = layers();
    let mut fat = built(&project);
    for unit in &fat.units {
        fs::remove_file(unit.folder().join("thin.json")).unwrap();
    }
    let primer = thin::prime(&fat);
    project.edit("main/upper/src/lib.rs", "10", "20");
    let thin = build(&mut fat, &project, &["main/upper/src/lib.rs"]);
    assert_eq!(thin.units.last().unwrap().unit.key, fat.root);
    primer.finish().unwrap();
}

#[test]
fn a_program_whose_crates_were_built_again_gets_no_more_patches() {
    let project = layers();
    let mut fat = built(&project);
    project.edit("lower/src/lib.rs", "{ 1 }", "{ 2 }");
    project.fat(&[]).expect_code(0);
    let (result, _) = try_build(&mut fat, &project, &["lower/src/lib.rs"]);
    let error = result.unwrap_err();
    assert_eq!(failure(&error).unwrap().kind, Kind::Environment);
    assert!(error.to_string().contains("has built `lower` again"), "{error:#}");
}
