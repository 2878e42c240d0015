//! Which symbol names stay the same from build to build.

use crate::target::macho::INITIAL_VALUE;

/// What stands in front of a thread-local's name where the system has none of its own and the
/// compiler emulates them: its control variable, and its first value.
const EMULATED: [&str; 2] = ["__emutls_v.", "__emutls_t."];

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

/// A pointer to a personality routine, which unwind tables reach PC-relatively: each library
/// has its own copy.
pub fn is_personality_pointer(name: &str) -> bool {
    name.starts_with("DW.ref.")
}

/// The name for people: demangled, without the hash.
pub fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Whether a readable name is one of the toolchain's own items: nobody asks about these.
pub fn is_of_toolchain(readable: &str) -> bool {
    const BEGINNINGS: [&str; 6] = ["core::", "alloc::", "std::", "<core::", "<alloc::", "<std::"];
    BEGINNINGS.iter().any(|beginning| readable.starts_with(beginning))
}
