//! Which symbol names stay the same from build to build.

use crate::target::macho::INITIAL_VALUE;

/// What stands in front of a thread-local's name where the system has none of its own and the
/// compiler emulates them: its control variable, and its first value.
const EMULATED: [&str; 2] = ["__emutls_v.", "__emutls_t."];

/// How `thread_local!` calls the variable behind a key.
const THREAD_LOCAL: &str = "__RUST_STD_INTERNAL_VAL";

/// Whether the name identifies the same thing in the next build: mangled Rust names and exported
/// names do; the compiler's names for anonymous data are numbered anew each time.
pub fn is_stable(name: &str, local: bool) -> bool {
    const NUMBERED: [&str; 8] = [
        ".L",
        "anon.",
        "alloc_",
        "vtable.",
        "switch.table.",
        "GCC_except_table",
        "str.",
        "__unnamed_",
    ];
    if name.ends_with(INITIAL_VALUE) {
        return false;
    }
    if name.is_empty() || NUMBERED.iter().any(|p| name.starts_with(p)) {
        return false;
    }
    let name = EMULATED.iter().find_map(|part| name.strip_prefix(part)).unwrap_or(name);
    !local || name.starts_with("_ZN") || name.starts_with("_R")
}

/// How the symbol of the item begins that a closure is written in, be it a function or a static.
/// (Rust RFC 2603 for the second form, in which a path ends with the closure's number.)
pub fn holder_of_closure(name: &str) -> Option<String> {
    const LEGACY: &str = "28_$u7b$$u7b$closure$u7d$$u7d$";
    if let Some((path, _)) = name.split_once(LEGACY).filter(|_| name.starts_with("_ZN")) {
        return Some(format!("{path}17h"));
    }
    let mut path = name.strip_prefix("_R")?;
    while let Some(inner) = path.strip_prefix("NC") {
        let inner = inner.strip_suffix('0')?;
        let number = inner.strip_suffix('_').and_then(|rest| rest.rsplit_once('s'));
        let is_number = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric());
        path = number.filter(|(_, text)| is_number(text)).map_or(inner, |(rest, _)| rest);
    }
    (path.len() + "_R".len() < name.len()).then(|| format!("_R{path}"))
}

/// A pointer to a personality routine, which unwind tables reach PC-relatively: each library
/// has its own copy.
pub fn is_personality_pointer(name: &str) -> bool {
    name.starts_with("DW.ref.")
}

/// The name for people: demangled, without the hash.
pub fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Whether a readable name is that of something which a macro has made for its own use.
pub fn is_of_macro(readable: &str) -> bool {
    readable.split("::").skip(1).any(|part| part.starts_with("__") && part != THREAD_LOCAL)
}

/// Whether a readable name is that of an item in a `const _`, which code does not use by its name.
pub fn is_in_a_constant(readable: &str) -> bool {
    readable.split("::").any(|part| part == "_")
}

/// Whether a readable name is one of the toolchain's own items: nobody asks about these.
pub fn is_of_toolchain(readable: &str) -> bool {
    const BEGINNINGS: [&str; 6] = ["core::", "alloc::", "std::", "<core::", "<alloc::", "<std::"];
    BEGINNINGS.iter().any(|beginning| readable.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_item_around_a_closure_is_known_by_the_beginning_of_its_symbol() {
        for (closure, expected) in [
            (
                "_ZN2ex7matches2RE28_$u7b$$u7b$closure$u7d$$u7d$17h9cdffe9a4f1dab26E",
                Some("_ZN2ex7matches2RE17h"),
            ),
            ("_ZN2ex7matches17h9cdffe9a4f1dab26E", None),
            ("_RNCNvNvCs1234_2ex7matches2RE0", Some("_RNvNvCs1234_2ex7matches2RE")),
            ("_RNCNvNvCs1234_2ex7matches2REs_0", Some("_RNvNvCs1234_2ex7matches2RE")),
            ("_RNCNCNvCs1234_2ex7matchess0_00", Some("_RNvCs1234_2ex7matches")),
            ("_RNvCs1234_2ex7matches", None),
            ("main", None),
        ] {
            assert_eq!(holder_of_closure(closure).as_deref(), expected, "{closure}");
        }
    }

    #[test]
    fn what_macros_make_for_themselves_is_known_by_its_name() {
        assert!(is_of_macro("app::job::__CALLSITE::META"));
        assert!(!is_of_macro("app::job::COUNT") && !is_of_macro("__app::job::COUNT"));
        assert!(!is_of_macro("app::LOCAL::{{constant}}::__RUST_STD_INTERNAL_VAL"));
    }
}
