//! Looking into the program's file.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use object::Object;

use crate::error::Failure;

/// The build id of a program, in lower-case hex.
///
/// # Errors
/// A [`Failure`] where the file cannot be read or has none.
pub fn build_id(program: &Path) -> Result<String, Failure> {
    look(program, |file| {
        // In Mach-O it is called UUID.
        let uuid = || file.mach_uuid().ok().flatten().map(|id| id.to_vec());
        let id = file.build_id().map_err(|e| e.to_string())?.map(<[u8]>::to_vec);
        let id = id.or_else(uuid).ok_or("it has no build id")?;
        Ok(id.iter().map(|b| format!("{b:02x}")).collect())
    })
}

/// Checks that the program has the symbols that patches are bound to.
///
/// # Errors
/// A [`Failure`] where it has none.
pub fn check_symbols(program: &Path) -> Result<(), Failure> {
    look(program, |file| match file.symbol_table() {
        Some(_) => Ok(()),
        None => Err("its symbol table was stripped".into()),
    })
    .map_err(|f| f.hint("remove `-s` and `strip` from the linker's flags in your configuration"))
}

/// Checks that the program is started by a loader, which patches need.
///
/// # Errors
/// A [`Failure`] where it is linked statically.
pub fn check_loader(program: &Path) -> Result<(), Failure> {
    look(program, |file| match file.section_by_name(".interp") {
        // On Apple's systems there are no others.
        _ if file.format() == object::BinaryFormat::MachO => Ok(()),
        Some(_) => Ok(()),
        None => Err("it is linked statically, so that it cannot load patches".into()),
    })
    .map_err(|f| {
        f.hint("build it without `-C target-feature=+crt-static`, for a target with a loader")
    })
}

fn look<T>(
    program: &Path,
    view: impl FnOnce(&object::File) -> Result<T, String>,
) -> Result<T, Failure> {
    let file = File::open(program).map_err(|e| Failure::io("read", program, &e))?;
    // SAFETY: another process that writes to the file while we look could change what we see,
    // not break the memory safety of a parser that checks every offset; cargo replaces programs
    // by a new file.
    let data = unsafe { Mmap::map(&file) }.map_err(|e| Failure::io("read", program, &e))?;
    let parsed = object::File::parse(&*data).map_err(|e| e.to_string());
    parsed.and_then(|file| view(&file)).map_err(|why| {
        Failure::environment(format!("cannot use the program `{}`: {why}", program.display()))
    })
}
