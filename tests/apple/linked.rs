//! What a linked file says, read by the `object` crate and not by the tool.

use std::path::{Path, PathBuf};

use hotpatch_protocol::manifest::{self, Binding, Manifest};
use object::macho as m;
use object::read::macho::{MachOFile64, Nlist, Section as _};
use object::{Endianness, Object, ObjectSection, ObjectSegment};

use crate::stand_in::Target;

/// A program or a library.
pub struct Linked {
    /// Its file.
    pub path: PathBuf,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Linked {
    /// Reads a file, which must be for the target.
    #[track_caller]
    pub fn read(path: &Path, target: Target) -> Linked {
        let data = std::fs::read(path).expect("a linked file");
        let linked = Linked { path: path.to_path_buf(), data };
        assert_eq!(linked.file().architecture(), target.architecture);
        linked
    }

    /// The file.
    pub fn file(&self) -> MachOFile64<'_, Endianness> {
        MachOFile64::parse(&*self.data).expect("a Mach-O file")
    }

    /// The symbols: name, address (none where it is undefined), number of the library, exported.
    fn symbols(&self) -> Vec<(String, Option<u64>, m::SymbolLibrary, bool)> {
        let file = self.file();
        let (endian, table) = (file.endian(), file.macho_symbol_table());
        let symbols = table.iter().filter(|s| !s.is_stab());
        symbols
            .map(|symbol| {
                let name = symbol.name(endian, table.strings()).expect("a name");
                (
                    String::from_utf8_lossy(name).into_owned(),
                    symbol.is_definition().then(|| symbol.n_value(endian)),
                    symbol.library_ordinal(endian),
                    symbol.n_type().is_ext(),
                )
            })
            .collect()
    }

    /// Whether a symbol with this in its name is defined.
    pub fn has(&self, part: &str) -> bool {
        !self.named(part).is_empty()
    }

    /// The definitions with this in their names.
    pub fn named(&self, part: &str) -> Vec<(String, u64)> {
        let symbols = self.symbols().into_iter();
        symbols.filter(|s| s.0.contains(part)).filter_map(|s| Some((s.0, s.1?))).collect()
    }

    /// What others can look up.
    pub fn exports(&self) -> Vec<String> {
        let symbols = self.symbols().into_iter();
        symbols.filter(|s| s.1.is_some() && s.3).map(|s| s.0).collect()
    }

    /// What the linker found in no library.
    pub fn open(&self) -> Vec<String> {
        let symbols = self.symbols().into_iter();
        let open = |s: &(String, Option<u64>, m::SymbolLibrary, bool)| {
            s.1.is_none() && s.2 == m::DYNAMIC_LOOKUP_ORDINAL
        };
        symbols.filter(open).map(|s| s.0).collect()
    }

    fn has_command(&self, wanted: m::LoadCommandType) -> bool {
        let mut commands = self.file().macho_load_commands().expect("commands");
        std::iter::from_fn(|| commands.next().expect("a command")).any(|c| c.cmd() == wanted)
    }

    /// Whether it has a signature.
    pub fn is_signed(&self) -> bool {
        self.has_command(m::LC_CODE_SIGNATURE)
    }

    fn section(&self, name: &str) -> Option<Vec<u8>> {
        let section = self.file().section_by_name(name)?.data().expect("bytes").to_vec();
        Some(section)
    }

    /// Whether it tells how its functions are unwound.
    pub fn has_frames(&self) -> bool {
        self.section("__unwind_info").is_some()
    }

    /// How many thread-locals it has.
    pub fn thread_locals(&self) -> usize {
        self.section("__thread_vars").map_or(0, |bytes| bytes.len() / 24)
    }

    /// Its identifier, as lower-case hex.
    pub fn uuid(&self) -> String {
        let id = self.file().mach_uuid().expect("a command").expect("an identifier");
        id.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The segments that are loaded: address, size, and the bytes.
    pub fn segments(&self) -> Vec<(u64, u64, Vec<u8>)> {
        let file = self.file();
        let segments = file.segments().filter(|s| s.name() != Ok(Some("__PAGEZERO")));
        segments.map(|s| (s.address(), s.size(), s.data().expect("bytes").to_vec())).collect()
    }

    /// The addresses of the sections of a type.
    pub fn sections(&self, wanted: m::SectionType) -> Vec<(u64, u64)> {
        let file = self.file();
        let of = file.sections().filter(|s| s.macho_section().flags(file.endian()).typ() == wanted);
        of.map(|s| (s.address(), s.size())).collect()
    }

    /// The places with addresses to which the loader adds how far it has moved the file.
    pub fn moved_words(&self) -> Vec<u64> {
        let file = self.file();
        let mut commands = file.macho_load_commands().expect("commands");
        let mut all = std::iter::from_fn(|| commands.next().expect("a command"));
        let info = all.find_map(|command| command.dyld_info().expect("a command"));
        let info = info.expect("the form that linkers write for older systems");
        let mut rebases = info.rebases(file.endian(), &*self.data, 8).expect("a list");
        let segments: Vec<u64> = file.segments().map(|s| s.address()).collect();
        let all = std::iter::from_fn(|| rebases.next().expect("a place"));
        all.map(|r| segments[usize::from(r.segment_index)] + r.segment_offset).collect()
    }

    /// The manifest's address, and the manifest.
    pub fn manifest(&self) -> (u64, Manifest) {
        let (_, address) = self.named(manifest::SYMBOL).remove(0);
        let segments = self.segments().into_iter();
        let mut found = segments.filter(|(at, size, _)| (*at..at + size).contains(&address));
        let (at, _, bytes) = found.next().expect("a segment with it");
        let manifest = Manifest::decode(&bytes[(address - at) as usize..]).expect("a manifest");
        (address, manifest)
    }

    /// The words that are to be filled.
    pub fn words(&self) -> Vec<Binding> {
        self.manifest().1.bindings
    }
}
