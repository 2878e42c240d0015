//! Being called before `main` in a program that does not know of the runtime.

/// The loader calls every function in this section once the libraries are there.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    crate::active::start_at_load();
}
