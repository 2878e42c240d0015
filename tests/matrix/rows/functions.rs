//! Functions.

use crate::table::Then::{Nothing, Prints, Rejected, Warns};
use crate::table::{Group, Row, row};

const F: &str = "app/src/functions.rs";

pub const GROUP: Group = Group { name: "functions", rows: ROWS };

const ROWS: &[Row] = &[
    row("another body", &[(F, "let one = 1;", "let one = 2;")], Prints(&[("plain", "2")])),
    row(
        "a comment and empty lines",
        &[(F, "fn plain()", "// A comment.\n\n\nfn plain()")],
        Nothing,
    ),
    row("an attribute", &[(F, "fn plain()", "#[allow(unused)]\n#[must_use]\nfn plain()")], Nothing),
    row(
        "a new function that is called",
        &[
            (F, "let one = 1;", "let one = extra();"),
            (F, "fn plain()", "fn extra() -> u32 {\n    3\n}\n\nfn plain()"),
        ],
        Prints(&[("plain", "3")]),
    ),
    row(
        "a new function that nobody calls",
        &[(F, "fn plain()", "#[allow(dead_code)]\nfn extra() -> u32 {\n    3\n}\n\nfn plain()")],
        Nothing,
    ),
    row(
        "a function removed",
        &[(F, "fn giving() -> u32 {\n    40\n}\n", ""), (F, "        giving(),", "        41,")],
        Prints(&[("giving", "41")]),
    ),
    row(
        "a function renamed with its callers",
        &[
            (F, "fn giving() -> u32 {\n    40", "fn granting() -> u32 {\n    42"),
            (F, "        giving(),", "        granting(),"),
        ],
        Prints(&[("giving", "42")]),
    ),
    row(
        "functions in another order",
        &[
            (F, "fn giving() -> u32 {\n    40\n}\n", ""),
            (F, "fn plain() -> u32 {", "fn giving() -> u32 {\n    40\n}\n\nfn plain() -> u32 {"),
        ],
        Nothing,
    ),
    row(
        "a call of what is not there",
        &[(F, "let one = 1;", "let one = missing();")],
        Rejected("E0425"),
    ),
    row(
        "a parameter more",
        &[
            (
                F,
                "fn taking(value: u32) -> u32 {\n    value + 30",
                "fn taking(value: u32, more: u32) -> u32 {\n    value + more + 30",
            ),
            (F, "        taking(1),", "        taking(1, 5),"),
        ],
        Prints(&[("taking", "36")]),
    ),
    row(
        "a parameter less",
        &[
            (F, "fn taking(value: u32) -> u32 {\n    value + 30", "fn taking() -> u32 {\n    30"),
            (F, "        taking(1),", "        taking(),"),
        ],
        Prints(&[("taking", "30")]),
    ),
    row(
        "a parameter of another type",
        &[
            (
                F,
                "fn taking(value: u32) -> u32 {\n    value + 30",
                "fn taking(value: &str) -> u32 {\n    value.len() as u32 + 30",
            ),
            (F, "        taking(1),", "        taking(\"four\"),"),
        ],
        Prints(&[("taking", "34")]),
    ),
    row(
        "parameters in another order",
        &[
            (
                F,
                "fn taking(value: u32) -> u32 {\n    value + 30",
                "fn taking(less: u8, value: u32) -> u32 {\n    value + 30 - u32::from(less)",
            ),
            (F, "        taking(1),", "        taking(1, 2),"),
        ],
        Prints(&[("taking", "31")]),
    ),
    row(
        "another result",
        &[(
            F,
            "fn giving() -> u32 {\n    40",
            "fn giving() -> String {\n    \"forty\".to_string()",
        )],
        Prints(&[("giving", "forty")]),
    ),
    row(
        "the body of a function behind a pointer",
        &[(F, "value + 10", "value + 11")],
        Prints(&[("pointed", "12")]),
    ),
    row(
        "the body of a generic function",
        &[(F, "value.into() + 50", "value.into() + 55")],
        Prints(&[("generic", "56")]),
    ),
    row(
        "a generic function at a new type",
        &[(F, "generic(1u32)", "generic(7u16)")],
        Prints(&[("generic", "57")]),
    ),
    row(
        "another bound",
        &[(
            F,
            "fn generic<T: Into<u64>>(value: T) -> u64 {\n    value.into() + 50",
            "fn generic<T: Into<u64> + Copy>(value: T) -> u64 {\n    value.into() + value.into() + 50",
        )],
        Prints(&[("generic", "52")]),
    ),
    row(
        "a function becomes generic",
        &[
            (
                F,
                "fn taking(value: u32) -> u32 {\n    value + 30",
                "fn taking<T: Into<u32>>(value: T) -> u32 {\n    value.into() + 31",
            ),
            (F, "        taking(1),", "        taking(1u8),"),
        ],
        Prints(&[("taking", "32")]),
    ),
    row(
        "a generic function becomes plain",
        &[(
            F,
            "fn generic<T: Into<u64>>(value: T) -> u64 {\n    value.into() + 50",
            "fn generic(value: u32) -> u64 {\n    u64::from(value) + 58",
        )],
        Prints(&[("generic", "59")]),
    ),
    row(
        "another constant argument",
        &[(F, "sized::<4>()", "sized::<9>()")],
        Prints(&[("sized", "69")]),
    ),
    row(
        "a lifetime more",
        &[(
            F,
            "fn longest<'a>(first: &'a str, second: &'a str) -> &'a str {\n    if first.len() > second.len() { first } else { second }",
            "fn longest<'a, 'b: 'a>(first: &'a str, second: &'b str) -> &'a str {\n    if first.len() < second.len() { first } else { second }",
        )],
        Prints(&[("longest", "ab")]),
    ),
    row(
        "a lifetime renamed",
        &[(
            F,
            "fn longest<'a>(first: &'a str, second: &'a str) -> &'a str",
            "fn longest<'x>(first: &'x str, second: &'x str) -> &'x str",
        )],
        Nothing,
    ),
    row(
        "the body of a `const fn`",
        &[(F, "value * 7", "value * 8")],
        Prints(&[("computed", "88")]),
    ),
    row(
        "a function becomes `const`",
        &[(F, "fn giving() -> u32 {\n    40", "const fn giving() -> u32 {\n    43")],
        Prints(&[("giving", "43")]),
    ),
    row(
        "the body of an `unsafe fn`",
        &[(F, "*value + 80", "*value + 81")],
        Prints(&[("raw", "82")]),
    ),
    row(
        "a callback that C calls",
        &[(F, "left.cmp(&right) as i32", "right.cmp(&left) as i32")],
        Prints(&[("sorted", "[3, 2, 1]")]),
    ),
    row(
        "the body of a `#[no_mangle]` function",
        &[(F, "    90\n", "    91\n")],
        Prints(&[("exported", "91")]),
    ),
    row(
        "`#[track_caller]` taken away",
        &[(F, "#[track_caller]\nfn where_called", "fn where_called")],
        Prints(&[("here", "false")]),
    ),
    row(
        "a recursive function",
        &[(F, "depth(level - 1) + 2", "depth(level - 1) + 3")],
        Prints(&[("depth", "15")]),
    ),
    row(
        "functions that call each other",
        &[
            (F, "value != 0 && is_even", "value == 0 || is_even"),
            (F, "value == 0 || is_odd", "value != 0 && is_odd"),
        ],
        Prints(&[("even", "true")]),
    ),
    row(
        "a function of a few bytes",
        &[
            (F, "fn tiny() {}", "fn tiny() {\n    std::thread::yield_now();\n}"),
            (F, "let one = 1;", "let one = 6;"),
        ],
        Prints(&[("plain", "6")]),
    ),
    row(
        "a function of many statements",
        &[(F, "value * 0 + 120", "value * 0 + 121")],
        Prints(&[("huge", "121")]),
    ),
    row(
        "a function with `#[inline(always)]`",
        &[(F, "    110\n", "    111\n")],
        Prints(&[("pasted", "111")]),
    ),
    row(
        "`#[inline(always)]` taken away",
        &[(F, "#[inline(always)]\nfn pasted() -> u32 {\n    110", "fn pasted() -> u32 {\n    112")],
        Prints(&[("pasted", "112")]),
    ),
    row(
        "a function in a function",
        &[(F, "    fn within() -> u32 {\n        130", "    fn within() -> u32 {\n        131")],
        Prints(&[("nested", "131")]),
    ),
    row(
        "a name shadowed once more",
        &[(F, "let value = value + 1;\n", "let value = value + 1;\n    let value = value + 1;\n")],
        Prints(&[("shadowed", "142")]),
    ),
    row(
        "another type behind `impl Trait`",
        &[(F, "(1..4).map(|n| n * 10)", "[5, 6].into_iter().chain(std::iter::once(7))")],
        Prints(&[("numbers", "[5, 6, 7]")]),
    ),
    row(
        "one of two functions with the same code",
        &[(
            F,
            "fn same_two(value: u32) -> u32 {\n    value.wrapping_mul(3).wrapping_add(151)",
            "fn same_two(value: u32) -> u32 {\n    value.wrapping_mul(3).wrapping_add(152)",
        )],
        Prints(&[("same", "151,152")]),
    ),
    row(
        "a function moves to another module",
        &[
            (F, "    pub fn moving() -> u32 {\n        160\n    }\n", ""),
            (
                F,
                "mod second {}",
                "mod second {\n    pub fn moving() -> u32 {\n        161\n    }\n}",
            ),
            (F, "first::moving(),\n", "second::moving(),\n"),
        ],
        Prints(&[("moving", "161")]),
    ),
    row("another visibility", &[(F, "fn plain()", "pub(crate) fn plain()")], Nothing),
    row(
        "a function removed to which pointers exist",
        &[(F, "fn doomed() -> u32 {\n    20\n}\n", ""), (F, "late: doomed }", "late: || 21 }")],
        Warns(&[], "functions::doomed"),
    ),
    row(
        "a signature changed that a pointer has",
        &[
            (
                F,
                "fn pointed(value: u32) -> u32 {\n    value + 10",
                "fn pointed(value: u64) -> u64 {\n    value + 12",
            ),
            (F, "Made { pointer: pointed,", "Made { pointer: |v| pointed(v.into()) as u32,"),
        ],
        Warns(&[], "functions::pointed"),
    ),
    row(
        "a new `#[no_mangle]` function",
        &[
            (F, "let one = 1;", "let one = matrix_new();"),
            (
                F,
                "fn plain()",
                "#[unsafe(no_mangle)]\nextern \"C\" fn matrix_new() -> u32 {\n    5\n}\n\nfn plain()",
            ),
        ],
        Warns(&[("plain", "5")], "matrix_new"),
    ),
    row(
        "a function becomes `extern \"C\"`",
        &[(F, "fn giving() -> u32 {\n    40", "extern \"C\" fn giving() -> u32 {\n    44")],
        Prints(&[("giving", "44")]),
    ),
    row(
        "a function becomes `unsafe`",
        &[
            (F, "fn giving() -> u32 {\n    40", "unsafe fn giving() -> u32 {\n    45"),
            (F, "        giving(),", "        unsafe { giving() },"),
        ],
        Prints(&[("giving", "45")]),
    ),
    row(
        "a function with a closure and a function in it moves below others",
        &[
            (
                F,
                "fn nested() -> u32 {\n    fn within() -> u32 {\n        130\n    }\n    within()\n}\n",
                "",
            ),
            (
                F,
                "mod second {}",
                "mod second {}\n\nfn nested() -> u32 {\n    fn within() -> u32 {\n        132\n    }\n    let add = |x| x + 1;\n    add(within())\n}",
            ),
        ],
        Prints(&[("nested", "133")]),
    ),
    row(
        "a function that calls itself through a pointer",
        &[(
            F,
            "if level == 0 { 0 } else { depth(level - 1) + 2 }",
            "let again: fn(u32) -> u32 = depth;\n    if level == 0 { 0 } else { again(level - 1) + 4 }",
        )],
        Prints(&[("depth", "20")]),
    ),
    row(
        "a comment with a test in it",
        &[(F, "fn plain()", "/// ```\n/// assert!(true);\n/// ```\nfn plain()")],
        Nothing,
    ),
    row(
        "a function becomes `async`",
        &[
            (F, "fn giving() -> u32 {\n    40", "async fn giving() -> u32 {\n    47"),
            (
                F,
                "        giving(),",
                "        match std::pin::pin!(giving()).as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {\n            std::task::Poll::Ready(given) => given,\n            std::task::Poll::Pending => 0,\n        },",
            ),
        ],
        Prints(&[("giving", "47")]),
    ),
];
