//! Reading a linked Mach-O program.

use std::collections::HashSet;

use anyhow::Context;
use object::macho as m;
use object::read::macho::{MachHeader, MachOFile64, Nlist, Section as _};
use object::{Endianness, Object, ObjectSection};

use super::{INITIAL_VALUE, name_of};
use crate::target::binary::program::{Definition, DefinitionKind, Version, hex};
use crate::target::binary::{Format, Program};
use crate::target::processor;

/// Parses a program's bytes.
///
/// # Errors
/// Where they are no 64-bit Mach-O file, or have no symbol table.
pub fn parse(data: &[u8]) -> anyhow::Result<Program> {
    let file = MachOFile64::<Endianness>::parse(data)?;
    anyhow::ensure!(file.is_little_endian(), "its bytes are in an unusual order");
    let endian = file.endian();
    let processor = processor::of_macho(file.macho_header().cputype(endian))?;
    let mut program = Program::new(Format::MachO, processor);
    program.build_id = build_id(data)?;
    program.imports = imports(&file)?;
    if let Some((version, _)) = file.build_version()? {
        program.version = Some(Version {
            platform: version.platform.get(endian).0,
            oldest: version.minos.get(endian).0,
            sdk: version.sdk.get(endian).0,
        });
    }
    for section in file.sections().filter(|s| s.kind() == object::SectionKind::Text) {
        program.add_text(section.address(), section.data()?.to_vec());
    }
    for (name, definition) in definitions(&file)? {
        program.insert(&name, definition);
    }
    program.sort_addresses();
    Ok(program)
}

/// The named places of a linked file. Files do not tell sizes: up to the next symbol or the end
/// of its section is the most that one can have.
pub fn definitions(
    file: &MachOFile64<'_, Endianness>,
) -> anyhow::Result<Vec<(String, Definition)>> {
    let (endian, table) = (file.endian(), file.macho_symbol_table());
    anyhow::ensure!(!table.is_empty(), "it has no symbol table (was it stripped?)");
    let sections: Vec<_> = file
        .sections()
        .map(|s| (s.address() + s.size(), s.macho_section().flags(endian).typ(), s.kind()))
        .collect();
    let mut found = Vec::new();
    let mut starts = Vec::new();
    for symbol in table.iter().filter(|s| !s.is_stab() && s.is_definition()) {
        let section = usize::from(symbol.n_sect()).checked_sub(1).and_then(|n| sections.get(n));
        let Some(&(end, kind, what)) = section else { continue };
        let address = symbol.n_value(endian);
        starts.push(address);
        let name = name_of(&String::from_utf8_lossy(symbol.name(endian, table.strings())?));
        let initial = [m::S_THREAD_LOCAL_REGULAR, m::S_THREAD_LOCAL_ZEROFILL].contains(&kind);
        if name.is_empty() || initial || name.ends_with(INITIAL_VALUE) {
            continue;
        }
        let kind = match what {
            object::SectionKind::Text => DefinitionKind::Function,
            _ => DefinitionKind::Data,
        };
        let local = !symbol.n_type().is_ext();
        found.push((name, Definition { address, size: end - address, kind, local }));
    }
    starts.sort_unstable();
    for (_, definition) in &mut found {
        let next = starts.partition_point(|start| *start <= definition.address);
        if let Some(next) = starts.get(next) {
            definition.size = definition.size.min(next - definition.address);
        }
    }
    Ok(found)
}

/// The names that the loader looks up, with the library's number where the linker found one.
pub fn undefined(
    file: &MachOFile64<'_, Endianness>,
) -> anyhow::Result<Vec<(String, m::SymbolLibrary, bool)>> {
    let (endian, table) = (file.endian(), file.macho_symbol_table());
    let mut found = Vec::new();
    for symbol in table.iter().filter(|s| !s.is_stab() && s.is_undefined()) {
        let name = name_of(&String::from_utf8_lossy(symbol.name(endian, table.strings())?));
        let weak = symbol.n_desc(endian).contains(m::N_WEAK_REF);
        found.push((name, symbol.library_ordinal(endian), weak));
    }
    Ok(found)
}

fn imports(file: &MachOFile64<'_, Endianness>) -> anyhow::Result<HashSet<String>> {
    Ok(undefined(file)?.into_iter().map(|(name, _, _)| name).collect())
}

/// The identifier that the linker gave a file (`LC_UUID`), as lower-case hex.
///
/// # Errors
/// Where the bytes are no 64-bit Mach-O file, or have none.
pub fn build_id(data: &[u8]) -> anyhow::Result<String> {
    let file = MachOFile64::<Endianness>::parse(data).context("it is not a 64-bit Mach-O file")?;
    let id = file.mach_uuid()?.context("its linker gave it no UUID")?;
    Ok(hex(&id))
}
