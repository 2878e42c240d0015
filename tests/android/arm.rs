//! Programs for 32-bit Arm and their patches, up to the link: in both encodings of its code, T32, as
//! rustc makes it for Android, and A32. Std is in T32 in both.

use std::path::Path;

use hotpatch_protocol::manifest::{self, Binding, Manifest};
use hotpatch_protocol::symbolizer;
use object::read::elf::{ElfFile32, FileHeader};
use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol};

use super::support::project::{Project, package};
use super::support::{self, Output};
use super::{Kit, MAIN, ndk, tool};
use crate::skip;

/// What makes rustc compile a program to A32.
pub const A32: &[&str] =
    &["--config", "target.armv7-linux-androideabi.rustflags=['-Ctarget-feature=-thumb-mode']"];
/// The encodings: their name, flags, and what is in the lowest bit of functions' addresses.
pub const ENCODINGS: [(&str, &[&str], u64); 2] = [("T32", &[], 1), ("A32", A32, 0)];

const SOURCE: &str = "main/src/main.rs";

/// A program with its kit.
pub struct Setting {
    pub project: Project,
    pub kit: Kit,
    flags: &'static [&'static str],
}

impl Setting {
    pub fn new(main: &str, profile: &str, flags: &'static [&'static str]) -> Setting {
        let manifest = package("app", &format!("[workspace]\n{profile}"));
        let project = Project::new(&[("main/Cargo.toml", &manifest), (SOURCE, main)]);
        Setting { project, kit: Kit::for_arm(), flags }
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let args = [args, &["--target", ndk::ARM], self.flags].concat();
        support::run(tool(&self.project, Some(&self.kit), &args))
    }

    #[track_caller]
    pub fn fat(&self) -> Linked {
        Linked::read(Path::new(self.run(&["fat"]).expect_code(0).last_line()))
    }

    pub fn patch(&self) -> Output {
        let out = self.project.path("out").display().to_string();
        self.run(&["patch", "--out", &out])
    }

    #[track_caller]
    pub fn patched(&self) -> Linked {
        Linked::read(Path::new(self.patch().expect_code(0).last_line()))
    }

    pub fn edit(&self, from: &str, to: &str) {
        self.project.edit(SOURCE, from, to);
    }

    fn report(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.project.path("out/report.json"));
        serde_json::from_str(&text.expect("a report")).expect("JSON")
    }
}

/// A linked file, read by the `object` crate and not by the tool.
pub struct Linked {
    data: Vec<u8>,
}

impl Linked {
    #[track_caller]
    fn read(path: &Path) -> Linked {
        let linked = Linked { data: std::fs::read(path).expect("a linked file") };
        assert_eq!(linked.file().architecture(), object::Architecture::Arm);
        linked
    }

    pub fn file(&self) -> ElfFile32<'_, Endianness> {
        ElfFile32::parse(&*self.data).expect("an ELF file of 32 bits")
    }

    /// The definitions with this in their names.
    pub fn named(&self, part: &str) -> Vec<(String, u64)> {
        let file = self.file();
        let symbols = file.symbols().filter(|s| !s.is_undefined());
        let named = symbols.filter_map(|s| Some((s.name().ok()?.to_owned(), s.address())));
        named.filter(|(name, _)| name.contains(part)).collect()
    }

    fn has(&self, part: &str) -> bool {
        !self.named(part).is_empty()
    }

    /// What is loaded, from address 0 on.
    pub fn memory(&self) -> Vec<u8> {
        let mut memory = Vec::new();
        for segment in self.file().segments() {
            let at = segment.address() as usize;
            memory.resize(memory.len().max(at + segment.size() as usize), 0);
            let bytes = segment.data().expect("bytes");
            memory[at..at + bytes.len()].copy_from_slice(bytes);
        }
        memory
    }

    fn word(&self, address: u64) -> u32 {
        let at = address as usize;
        u32::from_le_bytes(self.memory()[at..at + 4].try_into().expect("four bytes"))
    }

    /// The manifest's address, and the words that are to be filled.
    pub fn words(&self) -> (u64, Vec<Binding>) {
        let (_, address) = self.named(manifest::SYMBOL).remove(0);
        let manifest = Manifest::decode(&self.memory()[address as usize..]).expect("a manifest");
        assert_eq!(manifest.canary.pointer_width, 32);
        (address, manifest.bindings)
    }

    /// The pairs of the table that tells how functions are unwound: where, and what.
    fn unwind_index(&self) -> Vec<(u64, u32)> {
        let file = self.file();
        let section = file.section_by_name(".ARM.exidx").expect("an unwind table");
        let at = (section.address()..section.address() + section.size()).step_by(8);
        at.map(|at| (self.relative_31(at), self.word(at + 4))).collect()
    }

    /// Where the 31-bit distance at an address leads.
    fn relative_31(&self, at: u64) -> u64 {
        let distance = ((self.word(at) << 1) as i32) >> 1;
        at.wrapping_add_signed(i64::from(distance)) & 0xffff_ffff
    }
}

/// What a patch of `tick` must be.
fn check_edit((encoding, flags, mark): (&str, &'static [&'static str], u64)) {
    let setting = Setting::new(MAIN, "", flags);
    let program = setting.fat();
    setting.edit("\"{}\", 1)", "\"{}\", 2 + NAMES.lock().unwrap().len())");
    setting.edit("OWN.get() + 1", "OWN.get() + 2");
    let patch = setting.patched();

    let file = patch.file();
    let exported: Vec<_> =
        file.dynamic_symbols().filter(|s| !s.is_undefined()).map(|s| s.name()).collect();
    assert_eq!(exported, [Ok(manifest::SYMBOL), Ok(symbolizer::SYMBOL)], "{encoding}");
    for state in ["3app5TICKS", "3app5NAMES"] {
        assert!(!patch.has(state), "{encoding}: {state} is the program's and not the patch's");
    }
    let (_, tick) = patch.named("3app4tick").remove(0);
    assert_eq!(tick & 1, mark, "{encoding}: the lowest bit tells how it is encoded");

    let (_, words) = patch.words();
    for state in ["3app5TICKS", "3app5NAMES", "rust_eh_personality"] {
        let is_of = |address: u64| words.iter().any(|w| w.image == 0 && w.value == address);
        let found = program.named(state).into_iter().any(|(_, address)| is_of(address));
        assert!(found, "{encoding}: no word has the address of {state}: {words:?}");
    }
    let report = setting.report();
    assert_eq!(report["replaced"][0]["name"], "app::tick");
    assert_eq!(report["replaced"][0]["new"], tick);
    let (_, old) = program.named("3app4tick").remove(0);
    assert_eq!(report["replaced"][0]["old"][0][1], old);
    assert_eq!(old & 1, mark, "{encoding}: where a jump would be written, and in which code");

    let index = patch.unwind_index();
    let (_, how) = index.iter().find(|(at, _)| *at == tick & !1).expect("how `tick` is unwound");
    assert!(how >> 31 == 0 && *how != 1, "{encoding}: a panic runs what it has to clean up");
    let file = patch.file();
    let endian = file.endian();
    assert_eq!(file.elf_header().e_flags(endian).0 & 0xff00_0000, 0x0500_0000, "the ABI's version");
    let used = setting.kit.called();
    assert!(used.iter().all(|name| name == "armv7a-linux-androideabi24-clang"), "{used:?}");
}

#[test]
fn a_program_and_its_patch_are_linked_in_both_encodings() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    ENCODINGS.into_iter().for_each(check_edit);
}

/// A value of a struct with pointers in it, and one of a trait.
const TYPES: &str = "use std::sync::Mutex;
#[derive(Default)]
struct Point {
    x: u32,
    next: Option<Box<Point>>,
}
static POINT: Mutex<Option<Point>> = Mutex::new(None);
trait Shape {
    fn area(&self) -> u32;
    fn sides(&self) -> u32;
}
struct Square(u32);
impl Shape for Square {
    fn area(&self) -> u32 {
        self.0 * self.0
    }
    fn sides(&self) -> u32 {
        4
    }
}
fn far(list: &[u32]) -> u32 {
    list[list.len() / 2]
}
fn tick(shape: &dyn Shape) -> u32 {
    let mut point = POINT.lock().unwrap();
    let point = point.get_or_insert_default();
    point.x + u32::from(point.next.is_none()) + shape.area() + shape.sides() + far(&[1, 2])
}
fn main() {
    let shape: Box<dyn Shape> = Box::new(Square(3));
    loop {
        println!(\"{}\", tick(&*shape));
    }
}
";

#[test]
fn what_living_values_forbid_is_refused_by_name_and_moved_lines_are_no_change() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(TYPES, "", &[]);
    setting.fat();
    // Panics tell the lines of both functions.
    setting.edit("fn far(", "// Nothing.\n// At all.\nfn far(");
    setting.patch().expect_code(0);
    assert!(!setting.project.path("out/report.json").exists(), "nothing is to be patched");
    const METHODS: [&str; 2] = ["    fn area(&self) -> u32;\n", "    fn sides(&self) -> u32;\n"];
    for (from, to, says) in [
        ("    x: u32,\n", "    x: u32,\n    y: u32,\n", "app::Point"),
        (&METHODS.concat(), &[METHODS[1], METHODS[0]].concat(), "dyn app::Shape"),
    ] {
        setting.edit(from, to);
        setting.patch().expect_code(3).expect_text(says);
        setting.edit(to, from);
    }
}

#[test]
fn that_programs_take_no_patches_is_said_before_anything_is_built() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(MAIN, "", &[]);
    let told = setting.run(&["watch"]).expect_code(4);
    told.expect_text("do not take them yet").expect_text("32-bit Arm");
    assert!(setting.kit.called().is_empty(), "nothing was linked");
    assert!(!setting.project.path("main/target").join(ndk::ARM).exists(), "nothing was built");
    let told = setting.run(&["doctor"]);
    told.expect_text("32-bit Arm").expect_text("for Android API 24 and newer");
}
