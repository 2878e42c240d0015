//! Which program the user means: the rules of `cargo run`.

use cargo_metadata::{Metadata, Package, PackageId, Target, TargetKind};

use crate::error::{Failure, Kind};
use crate::session::CargoSelection;

/// One binary or example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The package's id.
    pub package_id: PackageId,
    /// The package's name.
    pub package: String,
    /// The target's name.
    pub target: String,
    /// Whether it is an example.
    pub example: bool,
}

impl Choice {
    /// The program that the flags name, or the only one there is.
    ///
    /// # Errors
    /// A usage failure that lists the programs, where there is none or more than one.
    pub fn of(metadata: &Metadata, selection: &CargoSelection) -> Result<Choice, Failure> {
        let packages = packages(metadata, selection)?;
        let found: Vec<(&Package, &Target)> = packages
            .iter()
            .flat_map(|p| p.targets.iter().map(move |t| (*p, t)))
            .filter(|(_, target)| is_wanted(target, selection))
            .collect();
        let by_name = selection.bin.is_some() || selection.example.is_some();
        let defaults: Vec<_> = found
            .iter()
            .copied()
            .filter(|(p, t)| !by_name && p.default_run.as_ref() == Some(&t.name))
            .collect();
        match (&found[..], &defaults[..]) {
            ([], _) => Err(usage(nothing_found(selection), &packages)),
            ([only], _) | (_, [only]) => Ok(Choice::new(only.0, only.1)),
            _ => Err(usage("could not determine which program to build".into(), &packages)),
        }
    }

    fn new(package: &Package, target: &Target) -> Choice {
        Choice {
            package_id: package.id.clone(),
            package: package.name.to_string(),
            target: target.name.clone(),
            example: is_example(target),
        }
    }

    /// Whether the package's dev-dependencies become part of it.
    pub fn uses_dev_dependencies(&self) -> bool {
        self.example
    }

    /// The flags for `cargo build`: the user's, and the program's name where that was left out.
    /// The packages stay as the user selected them, since they decide about features.
    pub fn build_args(&self, selection: &CargoSelection) -> Vec<String> {
        let mut args = selection.build_args();
        if selection.bin.is_none() && selection.example.is_none() {
            args.extend(["--bin".into(), self.target.clone()]);
        }
        args
    }

    /// The name of the program's record: the same flags find it again.
    pub fn record_name(&self, selection: &CargoSelection) -> String {
        let kind = if self.example { "example" } else { "bin" };
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

fn is_example(target: &Target) -> bool {
    target.is_kind(TargetKind::Example)
}

fn is_wanted(target: &Target, selection: &CargoSelection) -> bool {
    match (&selection.bin, &selection.example) {
        (_, Some(name)) => is_example(target) && target.name == *name,
        (Some(name), None) => target.is_kind(TargetKind::Bin) && target.name == *name,
        (None, None) => target.is_kind(TargetKind::Bin),
    }
}

fn nothing_found(selection: &CargoSelection) -> String {
    match (&selection.bin, &selection.example) {
        (Some(name), _) => format!("no binary named `{name}`"),
        (_, Some(name)) => format!("no example named `{name}`"),
        _ => "the selected packages have no binary".into(),
    }
}

fn usage(message: String, packages: &[&Package]) -> Failure {
    let mut lines = vec![message];
    for package in packages {
        for target in &package.targets {
            let flag = match () {
                () if target.is_kind(TargetKind::Bin) => "--bin",
                () if is_example(target) => "--example",
                () => continue,
            };
            lines.push(format!("  -p {} {flag} {}", package.name, target.name));
        }
    }
    let failure = Failure::new(Kind::Usage, lines.join("\n"));
    match lines.len() {
        1 => failure,
        _ => failure.hint("choose one of these with `--bin`, `--example` or `-p`"),
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
    fn the_programs_are_listed() {
        let packages = [package("p", None, &[target("a", "bin"), target("e", "example")])];
        let message = chosen(&packages, selection("", "x", "")).unwrap_err();
        assert_eq!(message, "no binary named `x`\n  -p p --bin a\n  -p p --example e");
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
