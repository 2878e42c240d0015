//! A linked program: the names, addresses and thread-local layout that patches bind to.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::Context;
use hotpatch_protocol::symbolizer::Symbolizer;

use super::Format;
use crate::target::processor::Processor;
use crate::target::{elf, macho};

/// A symbol of a linked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its static address, as a pointer has it: where functions are encoded in more than one way,
    /// one of its bits tells how. For a thread-local, its offset in the thread-local block.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What it names.
    pub kind: DefinitionKind,
    /// Visible in its object file only (before the link), so that equal names may exist.
    pub local: bool,
}

/// What a symbol of a linked file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionKind {
    /// Code.
    Function,
    /// Data, mutable or not, or something without a type.
    Data,
    /// A thread-local variable.
    ThreadLocal,
}

/// Where the thread-locals of an executable lie, relative to the thread pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsLayout {
    /// The size of the block, in bytes.
    pub size: u64,
    /// Its alignment, in bytes.
    pub align: u64,
}

/// The system that a Mach-O program is for, in the numbers of its file (`LC_BUILD_VERSION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Which one of Apple's systems.
    pub platform: u32,
    /// The oldest version that it runs on.
    pub oldest: u32,
    /// The version of the SDK.
    pub sdk: u32,
}

/// What binding has to know of a linked program, in memory of its own: the file may be replaced
/// while it is used.
#[derive(Debug)]
pub struct Program {
    /// The format of its file.
    pub format: Format,
    /// Whose code it is.
    pub processor: &'static dyn Processor,
    /// The build id, lower-case hex.
    pub build_id: String,
    /// Whether it is a shared library, which another program loads.
    pub library: bool,
    /// The system that it is for, where its file tells.
    pub version: Option<Version>,
    /// The layout of its thread-locals, where these lie at a constant distance from the thread
    /// pointer.
    pub tls: Option<TlsLayout>,
    /// Where it keeps the descriptors of its thread-locals, by these' places in the thread-local
    /// block.
    pub descriptors: HashMap<u64, u64>,
    /// The names that it takes from shared libraries.
    pub imports: HashSet<String>,
    /// Where std keeps its list of loaded libraries, where it is linked in and known.
    pub symbolizer: Option<Symbolizer>,
    /// The shared libraries that it names as needed.
    pub needed: Vec<String>,
    names: Vec<u8>,
    symbols: Vec<NamedDefinition>,
    by_name: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    by_address: Vec<u32>,
    text: Vec<TextRange>,
}

#[derive(Debug)]
struct NamedDefinition {
    name: (u32, u32),
    definition: Definition,
    next: u32,
}

#[derive(Debug)]
struct TextRange {
    address: u64,
    bytes: Vec<u8>,
}

const END: u32 = u32::MAX;

/// The keys of the name index are hashes already.
#[derive(Default, Clone, Copy)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// A name without the suffix that LLVM gives to promoted local symbols (`.llvm.1234`).
pub fn without_llvm_suffix(name: &str) -> &str {
    name.split_once(".llvm.").map_or(name, |(stem, _)| stem)
}

impl Program {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Where it cannot be read, is no program, or has no symbol table.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot open the program {}", path.display()))?;
        // SAFETY: the mapping is read in this function only. A build that replaces the file
        // unlinks it first (cargo does), so the mapped inode keeps its content.
        let data = unsafe { memmap2::Mmap::map(&file) }
            .with_context(|| format!("cannot read the program {}", path.display()))?;
        Self::parse(&data).with_context(|| format!("cannot use the program {}", path.display()))
    }

    fn parse(data: &[u8]) -> anyhow::Result<Self> {
        match Format::of(data) {
            Some(Format::Elf) => elf::program::parse(data),
            Some(Format::MachO) => macho::program::parse(data),
            None => anyhow::bail!("its format is not known"),
        }
    }

    /// A program without symbols.
    pub(in crate::target) fn new(format: Format, processor: &'static dyn Processor) -> Self {
        Program {
            format,
            processor,
            build_id: String::new(),
            library: false,
            version: None,
            tls: None,
            descriptors: HashMap::new(),
            imports: HashSet::new(),
            symbolizer: None,
            needed: Vec::new(),
            names: Vec::new(),
            symbols: Vec::new(),
            by_name: HashMap::default(),
            by_address: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Makes room for as many symbols.
    pub(in crate::target) fn reserve(&mut self, symbols: usize) {
        self.symbols.reserve(symbols);
        self.by_name.reserve(symbols);
    }

    /// Adds code at a static address.
    pub(in crate::target) fn add_text(&mut self, address: u64, bytes: Vec<u8>) {
        self.text.push(TextRange { address, bytes });
    }

    /// Adds a symbol.
    pub(in crate::target) fn insert(&mut self, name: &str, definition: Definition) {
        let name = without_llvm_suffix(name);
        if name.is_empty() {
            return;
        }
        let index = self.symbols.len() as u32;
        let at = self.names.len() as u32;
        self.names.extend_from_slice(name.as_bytes());
        let next = self.by_name.insert(hash(name.as_bytes()), index).unwrap_or(END);
        self.symbols.push(NamedDefinition { name: (at, name.len() as u32), definition, next });
    }

    /// Has to be called after the last symbol.
    pub(in crate::target) fn sort_addresses(&mut self) {
        let mut order: Vec<u32> = (0..self.symbols.len() as u32)
            .filter(|&i| self.symbols[i as usize].definition.kind != DefinitionKind::ThreadLocal)
            .collect();
        order.sort_by_key(|&i| self.place(i));
        self.by_address = order;
    }

    /// Where a symbol stands.
    fn place(&self, index: u32) -> u64 {
        let definition = self.at(index).definition;
        match definition.kind {
            DefinitionKind::Function => self.place_of(definition.address),
            _ => definition.address,
        }
    }

    /// Where the function with this address stands.
    fn place_of(&self, address: u64) -> u64 {
        address & !self.processor.code_mark()
    }

    fn name(&self, symbol: &NamedDefinition) -> &[u8] {
        let (at, length) = symbol.name;
        self.names.get(at as usize..(at + length) as usize).unwrap_or(&[])
    }

    /// All definitions of a name: local ones may exist several times.
    pub fn definitions(&self, name: &str) -> Vec<Definition> {
        let name = without_llvm_suffix(name).as_bytes();
        let mut found = Vec::new();
        let mut at = self.by_name.get(&hash(name)).copied().unwrap_or(END);
        while let Some(symbol) = self.symbols.get(at as usize) {
            if self.name(symbol) == name {
                found.push(symbol.definition);
            }
            at = symbol.next;
        }
        found
    }

    /// The definition that a reference to `name` means: a global one before local ones.
    pub fn definition(&self, name: &str) -> Option<Definition> {
        let all = self.definitions(name);
        all.iter().find(|d| !d.local).or(all.last()).copied()
    }

    /// The name of a piece of data that begins so.
    pub fn data_beginning(&self, beginning: &str) -> Option<&str> {
        let data = self.symbols.iter().filter(|s| s.definition.kind == DefinitionKind::Data);
        let mut names = data.map(|symbol| self.name(symbol));
        let name = names.find(|name| name.starts_with(beginning.as_bytes()))?;
        std::str::from_utf8(name).ok()
    }

    /// The names of the functions with this address.
    pub fn functions_at(&self, address: u64) -> Vec<&str> {
        let place = self.place_of(address);
        let from = self.by_address.partition_point(|&i| self.place(i) < place);
        self.by_address[from..]
            .iter()
            .take_while(|&&i| self.place(i) == place)
            .map(|&i| self.at(i))
            .filter(|s| s.definition.kind == DefinitionKind::Function)
            .map(|s| std::str::from_utf8(self.name(s)).unwrap_or(""))
            .collect()
    }

    /// How many bytes may be overwritten at the function with this address: to the next symbol, or
    /// to the end of its section.
    pub fn room(&self, address: u64) -> u64 {
        let address = self.place_of(address);
        let next = self.by_address.partition_point(|&i| self.place(i) <= address);
        let symbol = self.by_address.get(next).map(|&i| self.place(i));
        let end = self
            .text
            .iter()
            .find(|t| t.contains(address))
            .map_or(address, |t| t.address + t.bytes.len() as u64);
        symbol.map_or(end, |s| s.min(end)) - address
    }

    /// The code of the function with this address, at most `length` bytes.
    pub fn code(&self, address: u64, length: u64) -> &[u8] {
        let address = self.place_of(address);
        let Some(range) = self.text.iter().find(|t| t.contains(address)) else { return &[] };
        let from = (address - range.address) as usize;
        let to = (from + length as usize).min(range.bytes.len());
        &range.bytes[from..to]
    }

    fn at(&self, index: u32) -> &NamedDefinition {
        &self.symbols[index as usize]
    }

    /// The definition whose name, and only whose name, has all these parts.
    pub(in crate::target) fn only_one_with(&self, parts: &[&str]) -> Option<Definition> {
        let mut found = self.symbols.iter().filter(|symbol| {
            std::str::from_utf8(self.name(symbol))
                .is_ok_and(|name| parts.iter().all(|part| name.contains(part)))
        });
        found.next().filter(|_| found.next().is_none()).map(|s| s.definition)
    }

    /// The first function whose name ends like this.
    pub(in crate::target) fn function_ending_in(&self, end: &str) -> Option<Definition> {
        let mut functions = self.symbols.iter().filter(|symbol| {
            symbol.definition.kind == DefinitionKind::Function
                && self.name(symbol).ends_with(end.as_bytes())
        });
        functions.next().map(|symbol| symbol.definition)
    }

    /// Whether any function's name contains `part`.
    pub fn has_function_with(&self, part: &str) -> bool {
        let has = |symbol: &NamedDefinition| {
            std::str::from_utf8(self.name(symbol)).is_ok_and(|name| name.contains(part))
        };
        self.symbols.iter().any(has)
    }

    /// The constant distance from the thread pointer to a thread-local of this executable, in
    /// bytes.
    pub fn thread_pointer_offset(&self, block_offset: u64) -> Option<i64> {
        Some(self.processor.thread_pointer_offset(self.tls?, block_offset))
    }
}

impl TextRange {
    fn contains(&self, address: u64) -> bool {
        (self.address..self.address + self.bytes.len() as u64).contains(&address)
    }
}

/// Bytes as lower-case hex.
pub(in crate::target) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads the build id of a linked file, as lower-case hex.
///
/// # Errors
/// Where the file cannot be read, or has no build id.
pub fn build_id(path: &Path) -> anyhow::Result<String> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    // SAFETY: as in `Program::read`.
    let data = unsafe { memmap2::Mmap::map(&file) }
        .with_context(|| format!("cannot read {}", path.display()))?;
    match Format::of(&data) {
        Some(Format::Elf) => elf::program::build_id(&data),
        Some(Format::MachO) => macho::program::build_id(&data),
        None => Err(anyhow::anyhow!("its format is not known")),
    }
    .with_context(|| format!("cannot use {}", path.display()))
}
