//! The order in which every linker finds what it looks for: each library before the ones it needs.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::Metadata;

/// The packages that `root` needs, itself first, each before the ones that it needs in turn.
pub fn dependents_first(metadata: &Metadata, root: &str) -> Vec<String> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let needs: BTreeMap<&str, Vec<&str>> = nodes
        .map(|node| (&*node.id.repr, node.dependencies.iter().map(|id| &*id.repr).collect()))
        .collect();
    let (mut done, mut seen) = (Vec::new(), BTreeSet::new());
    visit(root, &needs, &mut seen, &mut done);
    done.reverse();
    done
}

fn visit<'a>(
    package: &'a str,
    needs: &BTreeMap<&'a str, Vec<&'a str>>,
    seen: &mut BTreeSet<&'a str>,
    done: &mut Vec<String>,
) {
    if !seen.insert(package) {
        return;
    }
    for needed in needs.get(package).into_iter().flatten() {
        visit(needed, needs, seen, done);
    }
    done.push(package.to_string());
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_library_comes_before_all_that_it_needs() {
        let node = |id: &str, needs: &[&str]| json!({"id": id, "dependencies": needs, "deps": []});
        let resolve = json!({"root": null, "nodes": [
            node("c", &[]), node("a", &["c", "b"]), node("b", &["c"]), node("root", &["a"]),
            node("other", &["a"])
        ]});
        let text = json!({"packages": [], "workspace_members": [], "resolve": resolve,
            "workspace_root": "/w", "target_directory": "/w/target", "version": 1});
        let metadata = MetadataCommand::parse(text.to_string()).unwrap();
        assert_eq!(dependents_first(&metadata, "root"), ["root", "a", "b", "c"]);
    }
}
