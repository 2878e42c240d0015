//! Macros, modules, panics, and what is close to the machine.

use crate::table::Then::{Only, Prints, Warns};
use crate::table::{Group, Row, row};

const M: &str = "app/src/macros.rs";
const F: &str = "app/src/flow.rs";
const L: &str = "app/src/low.rs";
const MAIN: &str = "app/src/main.rs";

pub const MACROS: Group = Group { name: "macros and modules", rows: MACRO_ROWS };
pub const FLOW: Group = Group { name: "panics and control flow", rows: FLOW_ROWS };
pub const LOW: Group = Group { name: "close to the machine", rows: LOW_ROWS };

const MACRO_ROWS: &[Row] = &[
    row(
        "a `macro_rules!` in an expression",
        &[(M, "{ 0 $( + $value )* }", "{ 100 $( + $value )* }")],
        Prints(&[("summed", "106")]),
    ),
    row(
        "a `macro_rules!` that makes items",
        &[(M, "            $value\n", "            $value + 1\n")],
        Prints(&[("made", "11")]),
    ),
    row(
        "another argument of a macro",
        &[(M, "sum!(1, 2, 3)", "sum!(1, 2, 3, 4)")],
        Prints(&[("summed", "10")]),
    ),
    row(
        "one more use of a macro that has a static, before another",
        &[(M, "once!(60)", "once!(61) + once!(60)")],
        Warns(&[("lasting", "121")], "the number of statics `app::macros::lasting::VALUE`"),
    ),
    row(
        "a `#[cfg]` that turns around",
        &[
            (M, "#[cfg(target_pointer_width = \"64\")]", "#[cfg(target_pointer_width = \"16\")]"),
            (
                M,
                "#[cfg(not(target_pointer_width = \"64\"))]",
                "#[cfg(not(target_pointer_width = \"16\"))]",
            ),
        ],
        Prints(&[("chosen", "narrow")]),
    ),
    row(
        "a `cfg!`",
        &[(M, "cfg!(debug_assertions)", "cfg!(not(debug_assertions))")],
        Prints(&[("checked", "21")]),
    ),
    row(
        "an item in a module in a module",
        &[(M, "            30\n", "            31\n")],
        Prints(&[("deep", "31")]),
    ),
    row(
        "a new module in a file",
        &[
            (MAIN, "mod flow;\n", "mod flow;\nmod fresh;\n"),
            ("app/src/fresh.rs", "", "pub fn value() -> u32 {\n    32\n}\n"),
            (M, "renamed(),", "renamed() + crate::fresh::value(),"),
        ],
        Prints(&[("deep", "62")]),
    ),
    row(
        "another import",
        &[(
            M,
            "use inline::deep::value as renamed;",
            "fn renamed() -> u32 {\n    inline::deep::value() + 3\n}",
        )],
        Prints(&[("deep", "33")]),
    ),
    row(
        "a module renamed",
        &[
            (M, "    pub mod deep {", "    pub mod low {"),
            (M, "use inline::deep::value", "use inline::low::value"),
        ],
        Prints(&[]),
    ),
];

const FLOW_ROWS: &[Row] = &[
    row(
        "a panic's payload",
        &[(F, "panic!(\"boom\")", "panic!(\"bang\")")],
        Prints(&[("caught", "bang,3")]),
    ),
    row(
        "a panic's payload of another type",
        &[(F, "panic!(\"boom\")", "std::panic::panic_any(7u32)")],
        Prints(&[("caught", "other,3")]),
    ),
    row("no panic", &[(F, "panic!(\"boom\");", "return 0;")], Prints(&[("caught", "2")])),
    row(
        "what is dropped while a panic unwinds",
        &[(
            F,
            "        UNWOUND.fetch_add(1, Ordering::SeqCst);",
            "        UNWOUND.fetch_add(2, Ordering::SeqCst);",
        )],
        Prints(&[("caught", "boom,6")]),
    ),
    row(
        "a `?`",
        &[(
            F,
            "    let number: u32 = text.parse()?;\n    Ok(number + 1)",
            "    let number: u32 = text.parse()?;\n    let more: u32 = \"x\".parse()?;\n    Ok(number + more)",
        )],
        Prints(&[("parsed", "None")]),
    ),
    row(
        "an arm of a large `match`",
        &[(F, "5 => \"five\"", "5 => \"FIVE\"")],
        Prints(&[("matched", "FIVE")]),
    ),
    row(
        "another arm in a large `match`",
        &[
            (
                F,
                "        6 => \"six\",",
                "        6 => \"six\",\n        7 => \"seven\",\n        8 => \"eight\",",
            ),
            (F, "matched(5)", "matched(8)"),
        ],
        Prints(&[("matched", "eight")]),
    ),
    row("a loop", &[(F, "if n == 3", "if n == 4")], Prints(&[("looped", "6")])),
    row(
        "a `let else`",
        &[(F, "else { return 0 };\n    value", "else { return 0 };\n    value * 2")],
        Prints(&[("let_else", "18")]),
    ),
];

const LOW_ROWS: &[Row] = &[
    row(
        "inline `asm!`",
        &[
            (L, "\"mov {0}, 5\"", "\"mov {0}, 6\""),
            // AArch64, where this and the following rows have a line of their own.
            (L, "\"mov {0}, #5\"", "\"mov {0}, #6\""),
        ],
        Prints(&[("asm", "6")]),
    ),
    row(
        "instructions on vectors",
        &[
            (L, "_mm_set_epi32(1, 1, 1, 1)", "_mm_set_epi32(2, 2, 2, 2)"),
            (L, "vdupq_n_s32(1)", "vdupq_n_s32(2)"),
        ],
        Prints(&[("vector", "[3, 4, 5, 6]")]),
    ),
    row(
        "other instructions on vectors",
        &[
            (L, "_mm_add_epi32, _mm_set_epi32", "_mm_sub_epi32, _mm_set_epi32"),
            (L, "_mm_add_epi32(_mm", "_mm_sub_epi32(_mm"),
            (L, "{vaddq_s32, ", "{vsubq_s32, "),
            (L, "vaddq_s32(vld", "vsubq_s32(vld"),
        ],
        Prints(&[("vector", "[0, 1, 2, 3]")]),
    ),
    row("`unsafe` code", &[(L, "*at.add(1) = 9;", "*at.add(2) = 9;")], Prints(&[("unsafe", "12")])),
    row("bits of a number", &[(L, "bits >> 23", "bits >> 24")], Prints(&[("float_bits", "63")])),
    row("`black_box`", &[(L, "black_box(11)", "black_box(12)")], Prints(&[("box", "12")])),
    row(
        "a value on the stack with a large alignment",
        &[(L, "Aligned([1; 64])", "Aligned([2; 64])")],
        Prints(&[("aligned", "2")]),
    ),
    row(
        "a function that runs at load",
        &[
            (
                L,
                "fn raw() -> u32 {",
                "extern \"C\" fn at_load() {}\n\n#[used]\n#[unsafe(link_section = \".init_array\")]\nstatic AT_LOAD: extern \"C\" fn() = at_load;\n\nfn raw() -> u32 {",
            ),
            (L, "*at.add(1) = 9;", "*at.add(1) = 10;"),
        ],
        Warns(&[("unsafe", "14")], "at load"),
    ),
    row(
        "a function that runs at load, and nothing else",
        &[(
            L,
            "fn raw() -> u32 {",
            "extern \"C\" fn at_load() {}\n\n#[used]\n#[unsafe(link_section = \".init_array\")]\nstatic AT_LOAD: extern \"C\" fn() = at_load;\n\nfn raw() -> u32 {",
        )],
        Only("at load"),
    ),
    row(
        "a `global_asm!`",
        &[(
            L,
            "fn raw() -> u32 {\n    let mut list = [1, 2, 3];",
            "#[cfg(target_arch = \"x86_64\")]\nstd::arch::global_asm!(\".globl matrix_asm\", \"matrix_asm:\", \"mov eax, 77\", \"ret\");\n\n#[cfg(target_arch = \"aarch64\")]\nstd::arch::global_asm!(\".globl matrix_asm\", \"matrix_asm:\", \"mov w0, #77\", \"ret\");\n\nunsafe extern \"C\" {\n    fn matrix_asm() -> u32;\n}\n\nfn raw() -> u32 {\n    // SAFETY: it returns a number.\n    let mut list = [unsafe { matrix_asm() }, 2, 3];",
        )],
        Warns(&[("unsafe", "89")], "matrix_asm"),
    ),
];
