//! Which program the user means: the rules of `cargo run`, and of `cargo test` for what that runs.

use std::path::PathBuf;

use cargo_metadata::{Metadata, Package, PackageId, Target, TargetKind};

use crate::error::{Failure, Kind};
use crate::session::{CargoSelection, ProgramKind};

/// One program of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The package's id.
    pub package_id: PackageId,
    /// The package's name.
    pub package: String,
    /// The target's name.
    pub target: String,
    /// What it is.
    pub kind: ProgramKind,
    /// The package's folder.
    pub folder: PathBuf,
}

impl Choice {
    /// The program that the flags name, or the only one there is.
    ///
    /// # Errors
    /// A usage failure that lists the programs, where there is none or more than one.
    pub fn of(metadata: &Metadata, selection: &CargoSelection) -> Result<Choice, Failure> {
        let packages = packages(metadata, selection)?;
        let asked = selection.program();
        let with = |kind, name: Option<&str>| -> Vec<(&Package, &Target)> {
            let all = packages.iter().flat_map(|p| p.targets.iter().map(move |t| (*p, t)));
            let named = |target: &Target| name.is_none_or(|name| target.name == name);
            all.filter(|(_, target)| makes(target, kind) && named(target)).collect()
        };
        let (mut kind, name) = asked.unwrap_or((ProgramKind::Bin, None));
        let (mut found, by_name) = (with(kind, name), asked.is_some());
        if found.is_empty() && !by_name {
            let libraries = with(ProgramKind::Cdylib, None);
            if !libraries.is_empty() {
                (found, kind) = (libraries, ProgramKind::Cdylib);
            }
        }
        let defaults: Vec<_> = found
            .iter()
            .copied()
            .filter(|(p, t)| !by_name && p.default_run.as_ref() == Some(&t.name))
            .collect();
        match (&found[..], &defaults[..]) {
            ([], _) => Err(usage(nothing_found(selection), kind, &packages)),
            ([only], _) | (_, [only]) => Ok(Choice::new(only.0, only.1, kind)),
            _ => Err(usage("could not determine which program to build".into(), kind, &packages)),
        }
    }

    fn new(package: &Package, target: &Target, kind: ProgramKind) -> Choice {
        Choice {
            package_id: package.id.clone(),
            package: package.name.to_string(),
            target: target.name.clone(),
            kind,
            folder: package.manifest_path.parent().map(PathBuf::from).unwrap_or_default(),
        }
    }

    /// Whether it is a shared library, which another program loads.
    pub fn is_library(&self) -> bool {
        self.kind == ProgramKind::Cdylib
    }

    /// Whether a target of the package is it.
    pub fn is(&self, target: &Target) -> bool {
        target.name == self.target && makes(target, self.kind)
    }

    /// Whether the package's dev-dependencies become part of it.
    pub fn uses_dev_dependencies(&self) -> bool {
        !matches!(self.kind, ProgramKind::Bin | ProgramKind::Cdylib)
    }

    /// What to ask cargo for: the user's flags, and the program's name where that was left out.
    /// The packages stay as the user selected them, since they decide about features.
    pub fn build_args(&self, selection: &CargoSelection) -> Vec<String> {
        let command: &[&str] =
            if selection.has_test_profile() { &["test", "--no-run"] } else { &["build"] };
        let mut args: Vec<String> = command.iter().map(|word| word.to_string()).collect();
        args.extend(selection.build_args());
        match selection.program() {
            Some(_) => {}
            None if self.is_library() => args.push("--lib".into()),
            None => args.extend(["--bin".into(), self.target.clone()]),
        }
        args
    }

    /// The name of the program's record: the same flags find it again.
    pub fn record_name(&self, selection: &CargoSelection) -> String {
        let kind = self.kind.name();
        let target = selection.target.as_deref().unwrap_or("host");
        let profile = selection.profile_name();
        let name = format!("{}-{kind}-{}-{profile}-{target}.json", self.package, self.target);
        name.replace('/', "_")
    }
}

fn packages<'a>(
    metadata: &'a Metadata,
    selection: &CargoSelection,
) -> Result<Vec<&'a Package>, Failure> {
    let members = metadata.workspace_packages();
    match &selection.package {
        None if metadata.workspace_default_members.is_available() => {
            Ok(metadata.workspace_default_packages())
        }
        None => Ok(members),
        Some(spec) => {
            let found: Vec<_> = members.into_iter().filter(|p| matches(p, spec)).collect();
            match found.is_empty() {
                false => Ok(found),
                true => Err(Failure::new(
                    Kind::Usage,
                    format!("no package `{spec}` in the workspace `{}`", metadata.workspace_root),
                )),
            }
        }
    }
}

/// Whether a package id specification means the package.
fn matches(package: &Package, spec: &str) -> bool {
    let name = package.name.as_str();
    let version = package.version.to_string();
    let id = package.id.repr.as_str();
    spec == name
        || spec == id
        || id.split_once('#').is_some_and(|(url, _)| url == spec)
        || spec.split_once(['@', ':']).is_some_and(|(n, v)| n == name && v == version)
}

/// Whether cargo makes a program of this kind of the target.
fn makes(target: &Target, kind: ProgramKind) -> bool {
    match kind {
        ProgramKind::Bin => target.is_kind(TargetKind::Bin),
        ProgramKind::Example => target.is_kind(TargetKind::Example),
        ProgramKind::Test => target.is_kind(TargetKind::Test),
        ProgramKind::Bench => target.is_kind(TargetKind::Bench),
        ProgramKind::Cdylib => {
            let kinds = [TargetKind::CDyLib, TargetKind::DyLib];
            is_library(target) && kinds.iter().any(|kind| target.kind.contains(kind))
        }
        ProgramKind::Lib => target.test && is_library(target),
    }
}

/// Whether it is the library of a package, of whatever crate types.
pub fn is_library(target: &Target) -> bool {
    let others = [
        TargetKind::Bin,
        TargetKind::Example,
        TargetKind::Test,
        TargetKind::Bench,
        TargetKind::CustomBuild,
    ];
    !others.iter().any(|other| target.kind.contains(other))
}

fn nothing_found(selection: &CargoSelection) -> String {
    let (kind, name) = selection.program().unwrap_or((ProgramKind::Bin, None));
    let what = match kind {
        ProgramKind::Bin => "binary",
        ProgramKind::Example => "example",
        ProgramKind::Test => "integration test",
        ProgramKind::Bench => "benchmark",
        ProgramKind::Cdylib => "library of the crate type `cdylib` or `dylib`",
        ProgramKind::Lib => "library with unit tests",
    };
    match name {
        Some(name) => format!("no {what} named `{name}`"),
        None => format!("the selected packages have no {what}"),
    }
}

fn usage(message: String, asked: ProgramKind, packages: &[&Package]) -> Failure {
    let list = |kinds: &[ProgramKind]| -> Vec<String> {
        let targets = packages.iter().flat_map(|p| p.targets.iter().map(move |t| (p, t)));
        let kind = |target: &Target| kinds.iter().copied().find(|kind| makes(target, *kind));
        let flags = targets.filter_map(|(package, target)| {
            let name = match kind(target)? {
                kind @ (ProgramKind::Cdylib | ProgramKind::Lib) => kind.name().to_string(),
                kind => format!("{} {}", kind.name(), target.name),
            };
            Some(format!("  -p {} --{name}", package.name))
        });
        flags.collect()
    };
    let like = [ProgramKind::Bin, ProgramKind::Example];
    let mut found = list(if asked.is_test() { std::slice::from_ref(&asked) } else { &like });
    if found.is_empty() {
        found = list(&ProgramKind::ALL);
    }
    let failure = Failure::new(Kind::Usage, [vec![message], found.clone()].concat().join("\n"));
    match found.is_empty() {
        true => failure,
        false => failure.hint("choose one of these"),
    }
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;
    use serde_json::{Value, json};

    use super::*;

    fn target(name: &str, kind: &str) -> Value {
        json!({"name": name, "kind": [kind], "crate_types": ["bin"], "src_path": "/w/x.rs",
               "edition": "2024"})
    }

    fn package(name: &str, default_run: Option<&str>, targets: &[Value]) -> Value {
        json!({"name": name, "version": "0.1.0", "id": format!("path+file:///w/{name}#0.1.0"),
               "dependencies": [], "targets": targets, "features": {},
               "manifest_path": format!("/w/{name}/Cargo.toml"), "default_run": default_run})
    }

    fn metadata(packages: &[Value]) -> Metadata {
        let ids: Vec<_> = packages.iter().map(|p| p["id"].clone()).collect();
        let all = json!({"packages": packages, "workspace_members": ids,
            "workspace_default_members": ids, "resolve": null, "workspace_root": "/w",
            "target_directory": "/w/target", "version": 1});
        MetadataCommand::parse(all.to_string()).unwrap()
    }

    fn chosen(packages: &[Value], selection: CargoSelection) -> Result<(String, String), String> {
        let choice = Choice::of(&metadata(packages), &selection);
        choice.map(|c| (c.package, c.target)).map_err(|f| f.message)
    }

    fn selection(package: &str, bin: &str, example: &str) -> CargoSelection {
        let some = |s: &str| (!s.is_empty()).then(|| s.to_string());
        CargoSelection {
            package: some(package),
            bin: some(bin),
            example: some(example),
            ..CargoSelection::default()
        }
    }

    #[test]
    fn one_program_is_found_as_cargo_run_finds_it() {
        let (lib, a, b) = (target("a", "lib"), target("a", "bin"), target("b", "bin"));
        let e = target("e", "example");
        let one = [package("p", None, &[lib, a.clone(), e])];
        let two = [package("p", None, &[a.clone(), b.clone()])];
        let default = [package("p", Some("b"), &[a.clone(), b.clone()])];
        let packages = [package("p", None, &[a]), package("q", None, &[b])];
        type Wanted = Result<(&'static str, &'static str), ()>;
        let table: [(&[Value], _, Wanted); 10] = [
            (&one, selection("", "", ""), Ok(("p", "a"))),
            (&one, selection("", "", "e"), Ok(("p", "e"))),
            (&one, selection("", "x", ""), Err(())),
            (&two, selection("", "", ""), Err(())),
            (&two, selection("", "b", ""), Ok(("p", "b"))),
            (&default, selection("", "", ""), Ok(("p", "b"))),
            (&default, selection("", "a", ""), Ok(("p", "a"))),
            (&packages, selection("", "", ""), Err(())),
            (&packages, selection("q@0.1.0", "", ""), Ok(("q", "b"))),
            (&packages, selection("r", "", ""), Err(())),
        ];
        for (packages, selection, wanted) in table {
            let text = format!("{selection:?}");
            let wanted = wanted.map(|(p, t)| (p.to_string(), t.to_string()));
            assert_eq!(chosen(packages, selection).map_err(drop), wanted, "{text}");
        }
    }

    #[test]
    fn what_cargo_test_runs_is_found_by_its_kind() {
        let all = ["bin", "example", "test", "bench", "lib"].map(|kind| target("a", kind));
        let packages = [package("p", None, &all)];
        let name = || Some("a".to_string());
        let default = CargoSelection::default;
        for (selection, kind, words) in [
            (
                CargoSelection { test: name(), ..default() },
                ProgramKind::Test,
                "test --no-run --test a",
            ),
            (CargoSelection { bench: name(), ..default() }, ProgramKind::Bench, "build --bench a"),
            (CargoSelection { lib: true, ..default() }, ProgramKind::Lib, "test --no-run --lib"),
            (
                CargoSelection { example: name(), ..default() },
                ProgramKind::Example,
                "build --example a",
            ),
            (default(), ProgramKind::Bin, "build --bin a"),
        ] {
            let choice = Choice::of(&metadata(&packages), &selection).unwrap();
            assert_eq!(choice.kind, kind, "{selection:?}");
            assert_eq!(choice.build_args(&selection).join(" "), words);
            let profile = if words.starts_with("test") { "test" } else { "dev" };
            let record = format!("p-{}-a-{profile}-host.json", kind.name());
            assert_eq!(choice.record_name(&selection), record);
        }
    }

    #[test]
    fn a_library_for_other_languages_is_a_program_where_it_is_asked_for_or_the_only_one() {
        let (bin, cdylib) = (target("a", "bin"), target("p", "cdylib"));
        let asked = CargoSelection { cdylib: true, ..CargoSelection::default() };
        let alone = [package("p", None, std::slice::from_ref(&cdylib))];
        let beside = [package("p", None, &[bin, cdylib])];
        for (packages, selection, library) in [
            (&alone, &CargoSelection::default(), true),
            (&alone, &asked, true),
            (&beside, &CargoSelection::default(), false),
            (&beside, &asked, true),
        ] {
            let choice = Choice::of(&metadata(packages), selection).unwrap();
            assert_eq!(choice.is_library(), library, "{selection:?}");
            let words = choice.build_args(selection).join(" ");
            assert_eq!(words, if library { "build --lib" } else { "build --bin a" });
            assert_eq!(choice.folder, PathBuf::from("/w/p"));
        }
        let message = chosen(&[package("p", None, &[target("p", "lib")])], asked).unwrap_err();
        assert!(message.contains("`cdylib` or `dylib`"), "{message}");
    }

    #[test]
    fn the_programs_are_listed() {
        let packages = [package("p", None, &[target("a", "bin"), target("e", "example")])];
        let message = chosen(&packages, selection("", "x", "")).unwrap_err();
        assert_eq!(message, "no binary named `x`\n  -p p --bin a\n  -p p --example e");
        let library = [package("p", None, &[target("p", "lib"), target("t", "test")])];
        let message = chosen(&library, selection("", "", "")).unwrap_err();
        let wanted = "the selected packages have no binary\n  -p p --lib\n  -p p --test t";
        assert_eq!(message, wanted);
    }

    #[test]
    fn the_record_is_named_after_all_that_selects_the_program() {
        let metadata = metadata(&[package("p", None, &[target("a", "bin")])]);
        let mut selection = selection("", "", "");
        let choice = Choice::of(&metadata, &selection).unwrap();
        assert_eq!(choice.record_name(&selection), "p-bin-a-dev-host.json");
        selection.release = true;
        selection.target = Some("x/y.json".into());
        assert_eq!(choice.record_name(&selection), "p-bin-a-release-x_y.json.json");
        assert_eq!(choice.build_args(&selection).last().unwrap(), "a");
    }
}
