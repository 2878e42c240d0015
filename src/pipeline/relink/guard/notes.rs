//! What people are told of futures and closures that go on in old code.

use std::collections::BTreeSet;

use super::naming;
use super::side::{At, Side};

/// Of the environments that changed, those that did not change for another one among their
/// arguments, such as a runtime's task for the future in it; and the functions of the others.
pub fn causes(made: &BTreeSet<String>) -> (Vec<&str>, BTreeSet<&str>) {
    let follows = |environment: &&str| {
        let (_, own) = naming::scope_and_name(environment);
        made.iter().any(|other| own.contains(other.as_str()))
    };
    let all = made.iter().map(String::as_str);
    let (follow, causes): (Vec<_>, Vec<_>) = all.partition(follows);
    (causes, follow.into_iter().map(|environment| naming::scope_and_name(environment).0).collect())
}

/// The closures of a function have other numbers.
pub fn renumbered(function: &str) -> String {
    format!("the closures of `{function}` changed places; those that exist keep their code")
}

/// An environment has another layout: of a future, or of a closure that is behind a method table.
pub fn made(old: &Side<'_>, environment: &str) -> Option<String> {
    let (function, last) = naming::scope_and_name(environment);
    let function = naming::readable(function);
    if last.starts_with("{async") || last.starts_with("{gen") || last.starts_with("{coroutine") {
        return Some(format!(
            "futures of `{function}` have another layout now: those that run go on in old code, \
             and so do new ones where they are made by code that was set up before, such as a \
             registered handler; restart to have the new code there"
        ));
    }
    let of_this = format!("<{environment} as ");
    let behind_table = |at: &At| old.tree(*at).dies[at.die].name.starts_with(of_this.as_bytes());
    old.tables.iter().any(behind_table).then(|| {
        format!(
            "closures of `{function}` that exist keep their old code: they captured other things"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "app::job::{async_fn_env#0}";

    #[test]
    fn what_holds_a_changed_future_is_not_told_of_beside_it() {
        let task = format!("lib::{{impl#3}}::spawn::{{closure_env#1}}<(), {JOB}>");
        let made = [JOB.to_string(), task].into();
        assert_eq!(causes(&made), (vec![JOB], ["lib::{impl#3}::spawn"].into()));
    }

    #[test]
    fn only_an_environment_itself_is_one() {
        assert!(naming::is_environment(JOB));
        assert!(naming::is_environment("a::f::{closure_env#0}<fn(b::C) -> b::D, b::C>"));
        assert!(!naming::is_environment(&format!(
            "lib::Task<{JOB}, lib::f::{{closure_env#0}}<()>>"
        )));
    }
}
