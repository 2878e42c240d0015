//! Statics, thread-locals and constants.

use crate::table::Then::{Only, Prints, Warns};
use crate::table::{Group, Row, row};

const S: &str = "app/src/statics.rs";
const C: &str = "app/src/constants.rs";

pub const GROUP: Group = Group { name: "statics and constants", rows: ROWS };

const ROWS: &[Row] = &[
    row(
        "an immutable static's value",
        &[(S, "FIXED: u32 = 1;", "FIXED: u32 = 2;")],
        Prints(&[("fixed", "2")]),
    ),
    row(
        "an immutable static's text",
        &[(S, "TEXT: &str = \"text\";", "TEXT: &str = \"longer text\";")],
        Prints(&[("text", "longer text")]),
    ),
    row(
        "an immutable static of another length",
        &[(S, "LIST: [u32; 3] = [1, 2, 3];", "LIST: [u32; 4] = [1, 2, 3, 4];")],
        Prints(&[("list", "[1, 2, 3, 4]")]),
    ),
    row(
        "a static becomes mutable",
        &[
            (S, "static FIXED: u32 = 1;", "static FIXED: AtomicU32 = AtomicU32::new(6);"),
            (S, "    FIXED\n", "    FIXED.load(Ordering::SeqCst)\n"),
        ],
        Prints(&[("fixed", "6")]),
    ),
    row(
        "an immutable static becomes a constant",
        &[(S, "static FIXED: u32 = 1;", "const FIXED: u32 = 7;")],
        Prints(&[("fixed", "7")]),
    ),
    row(
        "another initial value of an atomic",
        &[(S, "COUNT: AtomicU32 = AtomicU32::new(0);", "COUNT: AtomicU32 = AtomicU32::new(9);")],
        Only("statics::COUNT"),
    ),
    row(
        "another initial value of a `static mut`",
        &[(S, "OPEN: u32 = 50;", "OPEN: u32 = 51;")],
        Only("statics::OPEN"),
    ),
    row(
        "another initial value of a thread-local",
        &[(
            S,
            "LOCAL: Cell<u32> = const { Cell::new(0) };",
            "LOCAL: Cell<u32> = const { Cell::new(5) };",
        )],
        Only("statics::LOCAL"),
    ),
    row(
        "another initialiser of a `LazyLock`",
        &[(S, "|| 40", "|| 41")],
        Warns(&[], "`app::statics::LAZY` keeps its value"),
    ),
    row(
        "a static of another type",
        &[(S, "NAMES: Mutex<Vec<u32>>", "NAMES: Mutex<Vec<u64>>")],
        Warns(&[("names", "false")], "statics::NAMES"),
    )
    .lasting(&[("names", "false")]),
    row(
        "a thread-local of another type",
        &[(S, "OWNED: RefCell<Vec<u32>>", "OWNED: RefCell<Vec<u64>>")],
        Warns(&[("owned", "false")], "statics::OWNED"),
    )
    .lasting(&[("owned", "false")]),
    row(
        "a new static that counts",
        &[(
            S,
            "    let more = 0;",
            "    static MORE: AtomicU32 = AtomicU32::new(70);\n    let more = MORE.load(Ordering::SeqCst);",
        )],
        Prints(&[("more", "70")]),
    ),
    row(
        "a new thread-local",
        &[(
            S,
            "    let more = 0;",
            "    thread_local!(static MORE: Cell<u32> = const { Cell::new(71) });\n    let more = MORE.get();",
        )],
        Prints(&[("more", "71")]),
    ),
    row(
        "a static removed",
        &[
            (S, "static TEXT: &str = \"text\";\n", ""),
            (S, "TEXT.to_string()", "\"none\".to_string()"),
        ],
        Prints(&[("text", "none")]),
    ),
    row(
        "a constant",
        &[(C, "NUMBER: u32 = 1;", "NUMBER: u32 = 2;")],
        Prints(&[("constant", "2"), ("derived", "12")]),
    ),
    row(
        "a constant of floating point",
        &[(C, "FACTOR: f64 = 1.5;", "FACTOR: f64 = 2.5;")],
        Prints(&[("float", "5")]),
    ),
    row("a constant of 128 bits", &[(C, "1 << 100", "1 << 101")], Prints(&[("wide", "8")])),
    row(
        "a constant table of texts",
        &[(C, "&[\"one\", \"two\"]", "&[\"one\", \"two\", \"three\"]")],
        Prints(&[("joined", "one+two+three")]),
    ),
    row(
        "a constant that is an array's length",
        &[(C, "SIZE: usize = 3;", "SIZE: usize = 5;")],
        Prints(&[("array", "5")]),
    ),
    row(
        "a constant in a pattern",
        &[(C, "SPECIAL: u32 = 4;", "SPECIAL: u32 = 5;")],
        Prints(&[("pattern", "usual")]),
    ),
    row(
        "a literal",
        &[(C, "\"a literal\"", "\"another literal\"")],
        Prints(&[("said", "another literal")]),
    ),
    row(
        "the file of an `include_str!`",
        &[("app/src/included.txt", "from a file", "from another file")],
        Prints(&[("included", "from another file")]),
    ),
    row(
        "a new `include_str!`",
        &[
            (C, "\"a literal\"", "include_str!(\"new.txt\")"),
            ("app/src/new.txt", "", "from a new file"),
        ],
        Prints(&[("said", "from a new file")]),
    ),
    row(
        "an immutable static becomes a thread-local",
        &[
            (
                S,
                "static FIXED: u32 = 1;",
                "thread_local!(static FIXED: Cell<u32> = const { Cell::new(8) });",
            ),
            (S, "    FIXED\n", "    FIXED.get()\n"),
        ],
        Prints(&[("fixed", "8")]),
    ),
    row(
        "an immutable static becomes a `static mut`",
        &[
            (S, "static FIXED: u32 = 1;", "static mut FIXED: u32 = 9;"),
            (S, "    FIXED\n", "    // SAFETY: nobody writes to it.\n    unsafe { FIXED }\n"),
        ],
        Prints(&[("fixed", "9")]),
    ),
    row(
        "a `static mut` becomes an atomic",
        &[
            (S, "static mut OPEN: u32 = 50;", "static OPEN: AtomicU32 = AtomicU32::new(52);"),
            (S, "unsafe { OPEN }", "OPEN.load(Ordering::SeqCst)"),
        ],
        Warns(&[("open", "52")], "statics::OPEN"),
    ),
    row(
        "a `LazyLock` becomes a `OnceLock`",
        &[
            (
                S,
                "LAZY: LazyLock<u32> = LazyLock::new(|| 40)",
                "LAZY: OnceLock<u32> = OnceLock::new()",
            ),
            (S, "        *LAZY,\n", "        *LAZY.get_or_init(|| 42),\n"),
            (S, "use std::sync::{LazyLock, Mutex};", "use std::sync::{Mutex, OnceLock};"),
        ],
        Warns(&[("lazy", "42")], "statics::LAZY"),
    ),
    row(
        "an atomic becomes a thread-local",
        &[
            (
                S,
                "static ALONE: AtomicU32 = AtomicU32::new(70);",
                "thread_local!(static ALONE: Cell<u32> = const { Cell::new(71) });",
            ),
            (S, "ALONE.load(Ordering::SeqCst)", "ALONE.get()"),
        ],
        Warns(&[("alone", "71")], "statics::ALONE"),
    ),
    row(
        "a `static mut` becomes immutable",
        &[
            (S, "static mut OPEN: u32 = 50;", "static OPEN: u32 = 53;"),
            (S, "    // SAFETY: only one thread calls this.\n    unsafe { OPEN }", "    OPEN"),
        ],
        Prints(&[("open", "53")]),
    ),
    row(
        "a `static mut` that is written to, in the place of an immutable one",
        &[
            (S, "static FIXED: u32 = 1;", "static mut FIXED: u32 = 9;"),
            (
                S,
                "    FIXED\n",
                "    // SAFETY: nobody else writes to it.\n    unsafe {\n        FIXED = (FIXED + 1).min(12);\n        FIXED\n    }\n",
            ),
        ],
        Prints(&[("fixed", "12")]),
    ),
];
