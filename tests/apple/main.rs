//! Apple's systems, up to the link: real objects of rustc, linked with LLVM's linker against an SDK
//! of mere names. On an x86-64 machine the patched functions of one program are called as well, in a
//! process that lays program and patch out as Apple's loader would. Nothing here ran on a Mac.

#[path = "../support/mod.rs"]
mod support;

mod linked;
mod loaded;
mod stand_in;

use std::path::Path;
use std::process::Command;

use support::Output;
use support::project::{Project, package};

use linked::Linked;
use stand_in::{ARM, INTEL, SIMULATOR, Target, Tools};

/// A mutable static, another with a lock, both kinds of thread-local, data that a table of methods
/// points to, std, and a loop that never ends.
const MAIN: &str = "use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
static TICKS: AtomicU64 = AtomicU64::new(0);
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
    static LAZY: RefCell<Vec<u64>> = RefCell::new(vec![1]);
}
struct Point {
    x: u64,
    y: u64,
}
static ORIGIN: Mutex<Point> = Mutex::new(Point { x: 1, y: 2 });
trait Shape {
    fn area(&self) -> u64;
}
struct Square(u64);
impl Shape for Square {
    fn area(&self) -> u64 {
        self.0 * self.0
    }
}
fn tick() -> u64 {
    OWN.set(OWN.get() + 1);
    LAZY.with_borrow_mut(|list| list.push(7));
    NAMES.lock().unwrap().push(format!(\"{}\", 1));
    TICKS.fetch_add(1, Ordering::SeqCst)
}
fn word(n: u64) -> &'static str {
    match n {
        0 => \"none\",
        1 => \"one\",
        2 => \"two\",
        3 => \"three\",
        4 => \"four\",
        _ => \"many\",
    }
}
fn untouched() -> u64 {
    let point = ORIGIN.lock().unwrap();
    point.x + point.y
}
fn main() {
    let shape: Box<dyn Shape> = Box::new(Square(untouched()));
    loop {
        println!(\"{} {} {}\", tick(), word(2), shape.area());
    }
}
";

const SOURCE: &str = "main/src/main.rs";

/// A program with its tools.
struct Setting {
    target: Target,
    project: Project,
    tools: Tools,
}

impl Setting {
    fn new(target: Target, main: &str, profile: &str) -> Setting {
        let manifest = package("app", &format!("[workspace]\n{profile}"));
        let project = Project::new(&[("main/Cargo.toml", &manifest), (SOURCE, main)]);
        Setting { target, project, tools: Tools::new(target) }
    }

    fn command(&self, args: &[&str], with_sdk: bool) -> Command {
        let args = [args, &["--target", self.target.triple]].concat();
        let mut command = support::command(&self.project.main(), &args);
        self.tools.apply(&mut command, with_sdk);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        support::run(self.command(args, true))
    }

    #[track_caller]
    fn fat(&self) -> Linked {
        Linked::read(Path::new(self.run(&["fat"]).expect_code(0).last_line()), self.target)
    }

    fn patch(&self) -> Output {
        let out = self.project.path("out").display().to_string();
        self.run(&["patch", "--out", &out])
    }

    #[track_caller]
    fn patched(&self) -> Linked {
        Linked::read(Path::new(self.patch().expect_code(0).last_line()), self.target)
    }

    fn report(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.project.path("out/report.json"));
        serde_json::from_str(&text.expect("a report")).expect("JSON")
    }
}

/// What a patch of `tick` and `word` must be.
fn check_edits(target: Target) {
    let setting = Setting::new(target, MAIN, "");
    let program = setting.fat();
    assert_eq!(setting.tools.calls("xcrun"), 1, "asked for the SDK once");
    setting.project.edit(SOURCE, "OWN.get() + 1", "OWN.get() + 2");
    // Brings along what reaches the thread-local by its descriptor.
    setting.project.edit(SOURCE, "vec![1]", "vec![1, 2]");
    setting.project.edit(SOURCE, "\"two\"", "\"TWO!\"");
    let patch = setting.patched();
    assert_eq!(setting.tools.calls("xcrun"), 1, "and remembered");
    assert!(patch.path.extension().is_some_and(|e| e == "dylib"), "{}", patch.path.display());

    assert_eq!(patch.exports(), ["___hotpatch_manifest"]);
    assert!(patch.open().is_empty(), "left open: {:?}", patch.open());
    assert!(patch.is_signed(), "a Mac loads nothing without a signature");
    assert!(patch.has_frames(), "panics have to pass through it");
    for function in ["3app4tick", "3app4word", "3app4main"] {
        assert!(patch.has(function), "{function} changed, or calls what did");
    }
    for other in ["untouched", "Shape", "5TICKS", "5NAMES", "$tlv$init", "6ORIGIN"] {
        assert!(!patch.has(other), "{other} is the program's and not the patch's");
    }
    let words = patch.words();
    let halves = target.architecture == object::Architecture::Aarch64;
    for (state, by_page) in [
        // The address of a static is put together of two halves there, of which one is constant.
        ("3app5NAMES", halves),
        ("3app5TICKS", halves),
        ("3app4LAZY", false),
        ("rust_eh_personality", false),
    ] {
        let mask = if by_page { !4095 } else { u64::MAX };
        let is_of = |address: u64| words.iter().any(|w| w.image == 0 && w.value == address & mask);
        let found = program.named(state).into_iter().any(|(_, address)| is_of(address));
        assert!(found, "no word has the address of {state}: {words:?}");
    }
    let report = setting.report();
    let replaced: Vec<_> =
        report["replaced"].as_array().expect("a list").iter().map(|f| f["name"].clone()).collect();
    for function in ["app::tick", "app::word"] {
        assert!(replaced.iter().any(|name| name == function), "{replaced:?}");
    }
    let build_id = report["build_id"].as_str().expect("a text");
    assert_eq!(build_id, program.uuid(), "the program is known by its UUID");
}

#[test]
fn a_program_for_apple_s_processors_and_its_patch_are_linked() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    check_edits(ARM);
}

#[test]
fn a_program_for_a_mac_with_an_intel_processor_and_its_patch_are_linked() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    check_edits(INTEL);
}

#[test]
fn a_program_for_the_simulator_of_phones_and_its_patch_are_linked() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    check_edits(SIMULATOR);
}

#[test]
fn what_a_patch_brings_along_comes_with_its_statics_and_its_part_of_std() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    for target in [ARM, INTEL] {
        let setting = Setting::new(target, MAIN, "");
        setting.fat();
        let new = "thread_local! {
    static FRESH: Cell<u32> = const { Cell::new(41) };
}
static MORE: AtomicU64 = AtomicU64::new(9);
#[repr(align(64))]
struct Wide(AtomicU64);
static WIDE: Wide = Wide(AtomicU64::new(0));
static LOCKED: Mutex<Wide> = Mutex::new(Wide(AtomicU64::new(3)));
fn added(n: u64) -> u64 {
    FRESH.set(FRESH.get() + 1);
    let mut map = std::collections::BTreeMap::new();
    map.insert(n.to_string(), f64::from(n as u32).sqrt());
    WIDE.0.fetch_add(1, Ordering::SeqCst);
    LOCKED.lock().unwrap().0.fetch_add(1, Ordering::SeqCst);
    MORE.fetch_add(map.len() as u64, Ordering::SeqCst)
}
fn tick() -> u64 {
    added(3);";
        setting.project.edit(SOURCE, "fn tick() -> u64 {", new);
        let patch = setting.patched();
        for brought in ["3app5added", "3app4MORE", "3app5FRESH", "BTreeMap"] {
            assert!(patch.has(brought), "{brought} is new");
        }
        assert!(!patch.has("3app5TICKS"), "the program's own stays there");
        assert!(patch.open().is_empty(), "left open: {:?}", patch.open());
        assert_eq!(patch.thread_locals(), 1, "a descriptor for the new thread-local");
        // What is aligned more than others moves these apart, which changes none of them.
        assert!(!patch.has("untouched"), "only what changed and its callers");
        assert_eq!(setting.report()["notes"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn lines_that_move_are_no_change() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    for target in [ARM, INTEL] {
        let setting = Setting::new(target, MAIN, "");
        setting.fat();
        setting.project.edit(SOURCE, "fn tick()", "// Nothing.\n// At all.\nfn tick()");
        setting.patch().expect_code(0);
        assert!(!setting.project.path("out/report.json").exists(), "nothing is to be patched");
    }
}

#[test]
fn what_the_program_s_values_forbid_is_refused_by_name() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(ARM, MAIN, "");
    setting.fat();
    setting.project.edit(SOURCE, "    y: u64,\n", "    y: u64,\n    z: u64,\n");
    setting.project.edit(SOURCE, "y: 2 }", "y: 2, z: 3 }");
    setting.project.edit(SOURCE, "point.x + point.y", "point.x + point.y + point.z");
    setting.patch().expect_code(3).expect_text("app::Point");
}

#[test]
fn without_types_nothing_tells_the_sizes_and_the_patch_is_refused() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(INTEL, MAIN, "[profile.dev]\ndebug = 0");
    setting.fat();
    setting.project.edit(SOURCE, "OWN.get() + 1", "OWN.get() + 2");
    setting.patch().expect_code(3).expect_text("do not tell sizes").expect_text("debug");
}

#[test]
fn a_running_program_is_not_patched_and_that_is_said_first() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(ARM, MAIN, "");
    let told = setting.run(&["watch"]).expect_code(4);
    told.expect_text("aarch64-apple-darwin").expect_text("do not take them yet");
    assert!(!setting.project.path("main/target").join(ARM.triple).exists(), "nothing was built");
    let told = setting.run(&["doctor"]);
    told.expect_text("never run on a Mac")
        .expect_text("apple-sdk")
        .expect_text("compiled, linked by");
}

#[test]
fn without_an_sdk_nothing_is_built() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(ARM, MAIN, "");
    let told = support::run(setting.command(&["fat"], false)).expect_code(4);
    told.expect_text("no Apple SDK").expect_text("export SDKROOT=");
    let mut named = setting.command(&["fat"], false);
    named.env("SDKROOT", setting.project.path("not there"));
    support::run(named).expect_code(4).expect_text("which is no folder");
    assert!(!setting.project.path("main/target/aarch64-apple-darwin").exists());
}

#[test]
fn a_library_is_refused_before_anything_is_built() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    let setting = Setting::new(ARM, MAIN, "[lib]\ncrate-type = [\"cdylib\"]");
    setting.project.write("main/src/lib.rs", "pub fn f() {}\n");
    let told = setting.run(&["fat", "--cdylib"]).expect_code(4);
    told.expect_text("libraries for aarch64-apple-darwin cannot be patched yet");
    assert!(!setting.project.path("main/target/aarch64-apple-darwin").exists());
}

/// Functions that need no system, so that they can be called here.
const PLAIN: &str = "use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
static COUNT: AtomicU64 = AtomicU64::new(0);
static mut PLAIN: u64 = 5;
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(3) };
    static LAZY: Cell<u64> = Cell::new(start());
}
fn start() -> u64 {
    70
}
fn step(n: u64) -> u64 {
    match n {
        0 => 10,
        1 => 20,
        2 => 30,
        3 => 40,
        4 => 50,
        _ => 60,
    }
}
fn old_helper(n: u64) -> u64 {
    n + 1000
}
#[unsafe(no_mangle)]
pub extern \"C\" fn poke(n: u64) -> u64 {
    unsafe { PLAIN = PLAIN.wrapping_add(n) };
    OWN.with(|own| own.set(own.get().wrapping_add(1)));
    LAZY.with(|lazy| lazy.set(lazy.get().wrapping_add(n)));
    COUNT.fetch_add(step(n), Ordering::SeqCst).wrapping_add(old_helper(n))
}
#[unsafe(no_mangle)]
pub extern \"C\" fn peek(what: u64) -> u64 {
    match what {
        0 => COUNT.load(Ordering::SeqCst),
        1 => unsafe { PLAIN },
        2 => LAZY.with(|lazy| lazy.get()),
        _ => OWN.with(|own| own.get()),
    }
}
fn main() {
    println!(\"{} {}\", poke(1), peek(0));
}
";

#[test]
fn new_code_runs_on_the_program_s_own_state() {
    if let Some(why) = stand_in::missing() {
        skip!("{why}");
    }
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        skip!("this machine does not run code for x86-64");
    }
    let setting = Setting::new(INTEL, PLAIN, "");
    let program = loaded::Image::program(&setting.fat());
    assert_eq!(program.call("_poke", 1), 1001, "the old code: 0 + 1 + 1000");
    assert_eq!([0, 1, 2, 3].map(|what| program.call("_peek", what)), [20, 6, 71, 4]);
    setting.project.edit(SOURCE, "2 => 30,", "2 => 300,");
    setting.project.edit(SOURCE, "PLAIN.wrapping_add(n)", "PLAIN.wrapping_add(n * 100)");
    setting.project.edit(SOURCE, "own.get().wrapping_add(1)", "own.get().wrapping_add(50)");
    // Brings along what reaches the thread-local by its descriptor.
    setting.project.edit(SOURCE, "    70\n", "    80\n");
    let patch = loaded::Image::patch(&setting.patched(), &program);
    // What the program counted before, and code of the program that did not change.
    assert_eq!(patch.call("_poke", 2), 20 + 2 + 1000);
    let seen = [0, 1, 2, 3].map(|what| program.call("_peek", what));
    assert_eq!(seen, [320, 206, 73, 54], "the program sees what new code did to its state");
    assert_eq!(program.call("_poke", 2), 320 + 1002, "the old code is still there");
}
