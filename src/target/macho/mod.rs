//! The Mach-O object format, and Apple's ways of linking.
//!
//! A compiler puts all functions of an object into one section, and all data into a few; what a
//! linker moves around as a whole goes from one symbol to the next. Names have an underscore in
//! front, and sizes are not told. The reader makes each such piece a section, as objects in ELF
//! have them, and gives names, relocations and debug sections the spelling of ELF.

pub mod draft;
pub mod frames;
pub mod library;
pub mod object_file;
pub mod program;
pub mod relocation;
mod relocations;
pub mod unwind;

/// What a symbol of a Mach-O file is called elsewhere. What has no underscore in front is the
/// compiler's own: `l_` and `L` begin the names that ELF objects begin with `.L`.
pub fn name_of(symbol: &str) -> String {
    if let Some(name) = symbol.strip_prefix('_') {
        return name.to_owned();
    }
    match symbol.strip_prefix("l_") {
        Some(rest) => format!(".L{rest}"),
        None if symbol.starts_with("ltmp") => String::new(),
        None => symbol.to_owned(),
    }
}

/// The symbol of a name in a Mach-O file.
pub fn symbol_of(name: &str) -> String {
    format!("_{name}")
}

/// The end of the name of a thread-local's initial value. The name without it is that of the
/// descriptor, by which code reaches the variable.
pub const INITIAL_VALUE: &str = "$tlv$init";

/// The function that every thread-local's descriptor names, of the system.
pub const BOOTSTRAP: &str = "_tlv_bootstrap";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_underscore_and_get_it_back() {
        for (symbol, name) in [
            ("__ZN3app4tickE", "_ZN3app4tickE"),
            ("_main", "main"),
            ("l_anon.1.2", ".Lanon.1.2"),
            ("GCC_except_table3", "GCC_except_table3"),
            ("ltmp0", ""),
        ] {
            assert_eq!(name_of(symbol), name);
        }
        assert_eq!(symbol_of("main"), "_main");
    }
}
