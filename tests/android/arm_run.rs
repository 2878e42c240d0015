//! Program and patch together in the memory of one process, on an emulated 32-bit Arm: what was bound
//! is run. There is no system here, no loader and no runtime, which are played by this file: it puts
//! both files where a loader would, far apart, and writes what the runtime would write.

use std::path::Path;
use std::process::Command;

use hotpatch_protocol::manifest::BindingKind;
use object::elf::R_ARM_RELATIVE;
use object::{Object, RelocationFlags};

use super::arm::{ENCODINGS, Linked, Setting};
use super::ndk;
use crate::skip;

/// Where the files are put: farther apart than any branch reaches.
const PROGRAM: u32 = 0x0010_0000;
const PATCH: u32 = 0x1000_0000;

/// Functions that need no system. What one of them uses of the others is reached by a call, by a
/// pointer in data, by a table of methods, and through a table of places in its own code.
const PLAIN: &str = "use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
static COUNT: AtomicU32 = AtomicU32::new(0);
static mut PLAIN: u32 = 5;
static mut LAST: u8 = 0;
trait Shape: Sync {
    fn area(&self) -> u32;
}
struct Square(u32);
impl Shape for Square {
    fn area(&self) -> u32 {
        self.0.wrapping_mul(self.0)
    }
}
static SHAPE: Square = Square(3);
static STEPS: [fn(u32) -> u32; 2] = [helper, step];
#[inline(never)]
fn step(n: u32) -> u32 {
    match n {
        0 => helper(10),
        1 => 20,
        2 => 30,
        3 => apply(STEPS[0], 40),
        4 => 50,
        _ => 60,
    }
}
#[inline(never)]
fn helper(n: u32) -> u32 {
    n.wrapping_add(1000)
}
#[inline(never)]
fn apply(f: fn(u32) -> u32, n: u32) -> u32 {
    f(n)
}
#[inline(never)]
fn measure(shape: &dyn Shape) -> u32 {
    shape.area()
}
#[inline(never)]
fn forward(n: u32) -> u32 {
    unsafe { LAST = n as u8 };
    helper(n)
}
#[unsafe(no_mangle)]
pub extern \"C\" fn hot_poke(n: u32) -> u32 {
    unsafe { PLAIN = PLAIN.wrapping_add(n) };
    let sum = apply(STEPS[0], n).wrapping_add(measure(&SHAPE)).wrapping_add(forward(black_box(1)));
    COUNT.fetch_add(step(n), Ordering::SeqCst).wrapping_add(sum)
}
#[unsafe(no_mangle)]
pub extern \"C\" fn hot_peek(what: u32) -> u32 {
    match what {
        0 => COUNT.load(Ordering::SeqCst),
        1 => unsafe { PLAIN },
        _ => u32::from(unsafe { LAST }),
    }
}
fn main() {
    let kept: [extern \"C\" fn(u32) -> u32; 2] = black_box([hot_poke, hot_peek]);
    println!(\"{} {}\", kept[0](1), kept[1](0));
}
";

/// What a file's memory holds when it lies at an address.
fn loaded(linked: &Linked, at: u32) -> Vec<u8> {
    let mut memory = linked.memory();
    let file = linked.file();
    for (place, reloc) in file.dynamic_relocations().into_iter().flatten() {
        if matches!(reloc.flags(), RelocationFlags::Elf { r_type } if r_type == R_ARM_RELATIVE) {
            add(&mut memory, place, at);
        }
    }
    memory
}

fn add(memory: &mut [u8], place: u64, value: u32) {
    let field = &mut memory[place as usize..][..4];
    let sum = u32::from_le_bytes(field.try_into().expect("a word")).wrapping_add(value);
    field.copy_from_slice(&sum.to_le_bytes());
}

/// Calls functions one after the other in one process; what each returned.
fn call(folder: &Path, calls: &[(u32, u32)]) -> Vec<u32> {
    let mut code = String::from(
        ".section .program,\"awx\",%progbits\n.incbin \"program\"\n\
         .section .patch,\"awx\",%progbits\n.incbin \"patch\"\n\
         .bss\n.balign 4\nresults: .space 256\n\
         .text\n.arm\n.globl _start\n_start: ldr r4, =results\n",
    );
    for (function, argument) in calls {
        code += &format!("ldr r0, ={argument}\nldr r12, ={function}\nblx r12\nstr r0, [r4], #4\n");
    }
    let size = calls.len() * 4;
    code += &format!("mov r0, #1\nldr r1, =results\nmov r2, #{size}\nmov r7, #4\nsvc #0\n");
    code += "mov r0, #0\nmov r7, #1\nsvc #0\n";
    std::fs::write(folder.join("driver.s"), code).expect("a source");
    let mut clang = Command::new("clang");
    clang.args(["--target=armv7a-linux-gnueabi", "-nostdlib", "-static", "-fuse-ld=lld"]);
    for (section, at) in
        [(".program", PROGRAM), (".text", 0x0800_0000), (".bss", 0x0900_0000), (".patch", PATCH)]
    {
        clang.arg(format!("-Wl,--section-start={section}={at:#x}"));
    }
    let linked = clang.args(["driver.s", "-o", "driver"]).current_dir(folder).output();
    let linked = linked.expect("clang");
    assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
    let run = Command::new("qemu-arm").arg(folder.join("driver")).output().expect("qemu-arm");
    assert!(run.status.success(), "{run:?}");
    let (words, rest) = run.stdout.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn check_run(profile: &str, flags: &'static [&'static str]) {
    let setting = Setting::new(PLAIN, profile, flags);
    let program = setting.fat();
    for (from, to) in [
        ("2 => 30,", "2 => 300,"),
        ("PLAIN.wrapping_add(n)", "PLAIN.wrapping_add(n * 100)"),
        (
            "wrapping_add(forward(black_box(1)))",
            "wrapping_add(forward(black_box(2))).wrapping_add(7)",
        ),
        ("    helper(n)\n", "    helper(n + 1)\n"),
    ] {
        setting.edit(from, to);
    }
    let patch = setting.patched();
    let mut memory = loaded(&patch, PATCH);
    let (manifest, words) = patch.words();
    for word in words {
        assert_eq!((word.kind, word.image), (BindingKind::Address, 0), "{word:?}");
        let place = manifest.wrapping_add_signed(i64::from(word.place_rel));
        add(&mut memory, place, (word.value as u32).wrapping_add(PROGRAM));
    }
    let folder = setting.project.path("");
    std::fs::write(folder.join("program"), loaded(&program, PROGRAM)).expect("a file");
    std::fs::write(folder.join("patch"), memory).expect("a file");
    let of = |linked: &Linked, name: &str, base: u32| {
        let found = linked.named(name);
        let [(_, address)] = &found[..] else { panic!("{name}: {found:?}") };
        *address as u32 + base
    };
    let old = |name: &str| of(&program, name, PROGRAM);
    let new = |name: &str| of(&patch, name, PATCH);
    let results = call(
        &folder,
        &[
            (old("hot_poke"), 1),
            // References stay with the program's functions, which nothing redirects here.
            (new("hot_poke"), 2),
            (new("3app4step"), 2),
            (old("3app4step"), 2),
            (new("3app4step"), 0),
            (new("3app4step"), 3),
            (new("3app7forward"), 4),
            (old("hot_peek"), 0),
            (old("hot_peek"), 1),
            (old("hot_peek"), 2),
        ],
    );
    let first = 1001 + 9 + 1001;
    let second = 1002 + 9 + 1002 + 7 + 20;
    let expected = [first, second, 300, 30, 1010, 1040, 1005, 20 + 30, 5 + 1 + 200, 4];
    assert_eq!(results, expected, "{profile} {flags:?}");
}

#[test]
fn new_code_runs_on_the_program_s_own_state_on_an_emulated_processor() {
    if let Some(why) = ndk::missing() {
        skip!("{why}");
    }
    if which::which("qemu-arm").is_err() {
        skip!("no qemu-arm; `cargo xtask setup-cross` brings it");
    }
    for (_, flags, _) in ENCODINGS {
        check_run("", flags);
        // Other instructions stand between those that make an address.
        check_run("[profile.dev]\nopt-level = 1", flags);
    }
}
