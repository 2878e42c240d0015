//! Reading a linked ELF program.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use hotpatch_protocol::symbolizer::Symbolizer;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader, Sym};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationFlags,
    RelocationTarget,
};

use crate::target::binary::program::{Definition, DefinitionKind, TlsLayout, hex};
use crate::target::binary::{Format, Program};
use crate::target::elf::Class;
use crate::target::processor;

/// Parses a program's bytes.
///
/// # Errors
/// Where they are no ELF file, or have no symbol table.
pub fn parse(data: &[u8]) -> anyhow::Result<Program> {
    match Class::of(data) {
        Class::Elf32 => read::<FileHeader32<Endianness>>(data),
        Class::Elf64 => read::<FileHeader64<Endianness>>(data),
    }
}

fn read<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> anyhow::Result<Program> {
    let file = ElfFile::<Elf>::parse(data)?;
    let table = file.elf_symbol_table();
    anyhow::ensure!(!table.is_empty(), "it has no symbol table (was it stripped?)");
    let processor = processor::of_elf(file.elf_header().e_machine(file.endian()))?;
    let mut program = Program::new(Format::Elf, processor);
    program.build_id = hex(file.build_id()?.unwrap_or_default());
    program.library = !names_a_loader(&file);
    program.tls = tls_layout(&file);
    program.descriptors = descriptors(&file, processor.thread_local_descriptor());
    program.imports = imports(&file);
    program.needed = needed(&file)?;
    for section in file.sections().filter(|s| s.kind() == object::SectionKind::Text) {
        program.add_text(section.address(), section.data()?.to_vec());
    }
    program.reserve(table.len());
    for symbol in file.symbols() {
        let Some(definition) = definition_of(&symbol) else { continue };
        let name = symbol.name().unwrap_or("");
        if !processor.is_mapping_symbol(name) {
            program.insert(name, definition);
        }
    }
    program.sort_addresses();
    program.symbolizer = find_symbolizer(&program, &file);
    Ok(program)
}

/// std's names for these are mangled, and with them the version of std; the parts that are
/// looked for here have been the same for years.
fn find_symbolizer<Elf: FileHeader<Endian = Endianness>>(
    program: &Program,
    file: &ElfFile<'_, Elf>,
) -> Option<Symbolizer> {
    let list = program.only_one_with(&["backtrace_rs", "gimli", "MAPPINGS_CACHE"])?;
    let lock = program.only_one_with(&["3std3sys9backtrace4lock4LOCK"]).filter(|d| d.size == 8)?;
    let lock_function = program.function_ending_in("3std3sys9backtrace4lock")?;
    let section =
        file.sections().find(|s| (s.address()..s.address() + s.size()).contains(&list.address))?;
    let initial = match section.kind() {
        object::SectionKind::UninitializedData => vec![0; list.size as usize],
        _ => section.data_range(list.address, list.size).ok()??.to_vec(),
    };
    Some(Symbolizer {
        lock_function: lock_function.address,
        lock: lock.address,
        list: list.address,
        initial,
    })
}

fn definition_of<Elf: FileHeader<Endian = Endianness>>(
    symbol: &object::read::elf::ElfSymbol<'_, '_, Elf>,
) -> Option<Definition> {
    if symbol.is_undefined() || symbol.section_index().is_none() {
        return None;
    }
    let kind = match symbol.elf_symbol().st_type() {
        object::elf::STT_FUNC | object::elf::STT_GNU_IFUNC => DefinitionKind::Function,
        object::elf::STT_TLS => DefinitionKind::ThreadLocal,
        object::elf::STT_OBJECT | object::elf::STT_NOTYPE => DefinitionKind::Data,
        _ => return None,
    };
    Some(Definition {
        address: symbol.address(),
        size: symbol.size(),
        kind,
        local: symbol.is_local(),
    })
}

/// Only what is started, and not loaded by something that was, names who is to load it.
fn names_a_loader<Elf: FileHeader<Endian = Endianness>>(file: &ElfFile<'_, Elf>) -> bool {
    let endian = file.endian();
    file.elf_program_headers().iter().any(|h| h.p_type(endian) == object::elf::PT_INTERP)
}

fn tls_layout<Elf: FileHeader<Endian = Endianness>>(file: &ElfFile<'_, Elf>) -> Option<TlsLayout> {
    let endian = file.endian();
    file.elf_program_headers()
        .iter()
        .find(|h| h.p_type(endian) == object::elf::PT_TLS)
        .map(|h| TlsLayout { size: h.p_memsz(endian).into(), align: h.p_align(endian).into() })
}

/// What the loader makes descriptors of. Those of variables that nobody else sees have no symbol.
fn descriptors<Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Elf>,
    wanted: Option<u32>,
) -> HashMap<u64, u64> {
    let symbols = file.dynamic_symbol_table();
    let offset = |target| match target {
        RelocationTarget::Symbol(index) => {
            let symbol = symbols.as_ref()?.symbol_by_index(index).ok()?;
            (!symbol.is_undefined()).then(|| symbol.address())
        }
        _ => Some(0),
    };
    let relocations = file.dynamic_relocations().into_iter().flatten();
    let found = relocations.filter_map(|(place, relocation)| {
        let RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
        let start = (Some(r_type.0) == wanted).then(|| offset(relocation.target()))??;
        Some((start.wrapping_add_signed(relocation.addend()), place))
    });
    found.collect()
}

fn imports<Elf: FileHeader<Endian = Endianness>>(file: &ElfFile<'_, Elf>) -> HashSet<String> {
    file.dynamic_symbols()
        .filter(|s| s.is_undefined())
        .filter_map(|s| s.name().ok().map(str::to_owned))
        .collect()
}

fn needed<Elf: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Elf>,
) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for library in file.import_libraries()? {
        names.push(String::from_utf8_lossy(library?.name()).into_owned());
    }
    Ok(names)
}

/// The GNU build id of a file's bytes, as lower-case hex.
///
/// # Errors
/// Where they are no ELF file, or have no build id.
pub fn build_id(data: &[u8]) -> anyhow::Result<String> {
    let file = object::File::parse(data).context("it is not an ELF file")?;
    Ok(hex(file.build_id()?.context("it has no build id")?))
}
