//! Which packages become part of a program, as far as cargo's metadata tells.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId};

use super::select::Choice;
use super::wrapper::RUNTIME;

/// Whether the program depends on the runtime, directly or not.
pub fn has_runtime(metadata: &Metadata, choice: &Choice) -> bool {
    packages(metadata, choice).iter().any(|package| package.name.as_str() == RUNTIME)
}

/// The package of the program and all that it depends on, as far as that is known.
pub fn packages<'a>(metadata: &'a Metadata, choice: &Choice) -> Vec<&'a Package> {
    let mut seen = BTreeSet::from([choice.package_id.clone()]);
    let mut open = vec![choice.package_id.clone()];
    while let Some(id) = open.pop() {
        let with_dev = choice.uses_dev_dependencies() && id == choice.package_id;
        let next = match node(metadata, &id) {
            Some(node) => resolved(node, with_dev),
            None => declared(metadata, &id, with_dev),
        };
        open.extend(next.into_iter().filter(|id| seen.insert(id.clone())));
    }
    metadata.packages.iter().filter(|p| seen.contains(&p.id)).collect()
}

/// What cargo has resolved for a package, where it has.
pub fn node<'a>(metadata: &'a Metadata, id: &PackageId) -> Option<&'a Node> {
    metadata.resolve.as_ref()?.nodes.iter().find(|n| n.id == *id)
}

/// Whether a dependency of this kind becomes part of the program.
pub fn is_linked(kind: DependencyKind, with_dev: bool) -> bool {
    kind == DependencyKind::Normal || (with_dev && kind == DependencyKind::Development)
}

fn resolved(node: &Node, with_dev: bool) -> Vec<PackageId> {
    let linked = node.deps.iter().filter(|dep| {
        dep.dep_kinds.is_empty() || dep.dep_kinds.iter().any(|k| is_linked(k.kind, with_dev))
    });
    linked.map(|dep| dep.pkg.clone()).collect()
}

/// Without a lock file only the packages of the workspace are known, by their folders.
fn declared(metadata: &Metadata, id: &PackageId, with_dev: bool) -> Vec<PackageId> {
    let Some(package) = metadata.packages.iter().find(|p| p.id == *id) else { return Vec::new() };
    let linked = package.dependencies.iter().filter(|d| is_linked(d.kind, with_dev));
    let paths: Vec<_> = linked.filter_map(|d| d.path.as_deref()).collect();
    let here = |p: &&Package| p.manifest_path.parent().is_some_and(|f| paths.contains(&f));
    metadata.packages.iter().filter(here).map(|p| p.id.clone()).collect()
}
