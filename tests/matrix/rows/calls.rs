//! How functions are called, while a loop that never ends goes on calling them as before.

use crate::table::Then::{Prints, Warns};
use crate::table::{Group, Row, row};

const C: &str = "app/src/calls.rs";

pub const GROUP: Group = Group { name: "how functions are called", rows: ROWS };

const ROWS: &[Row] = &[
    row(
        "a small struct to an `extern \"C\"` function",
        &[(
            C,
            "fn pair(pair: Pair) -> u32 {\n    pair.left * 10 + pair.right + 1200",
            "extern \"C\" fn pair(pair: Pair) -> u32 {\n    pair.left * 10 + pair.right + 1201",
        )],
        Prints(&[("pair", "1213")]),
    ),
    row(
        "an option from an `extern \"C-unwind\"` function",
        &[(
            C,
            "fn half(value: u32) -> Option<u32> {\n    (value % 2 == 0).then_some(value / 2 + 1300)",
            "#[allow(improper_ctypes_definitions)]\nextern \"C-unwind\" fn half(value: u32) -> Option<u32> {\n    let half = value / 2 + 1301;\n    (value % 2 == 0).then_some(half)",
        )],
        Prints(&[("half", "Some(1304)")]),
    ),
    row(
        "a large struct to an `extern \"C\"` function",
        &[(
            C,
            "fn large(large: Large, more: u64) -> u64 {\n    large.all[3] + more + 1400",
            "extern \"C\" fn large(large: Large, more: u64) -> u64 {\n    large.all[3] + more + 1401",
        )],
        Prints(&[("large", "1410")]),
    ),
    row(
        "`#[track_caller]`",
        &[(
            C,
            "fn located(value: u32) -> u32 {\n    value + 1500",
            "#[track_caller]\nfn located(value: u32) -> u32 {\n    let file = std::panic::Location::caller().file();\n    value + u32::from(file.ends_with(\"calls.rs\")) + 1500",
        )],
        Warns(&[("located", "1508")], "`app::calls::located` takes its arguments"),
    ),
    row(
        "the body of a function that a loop calls",
        &[(
            C,
            "value.map_or(0, NonZeroU32::get) + 1700",
            "value.map_or(0, NonZeroU32::get) + 1702",
        )],
        Prints(&[("some", "1710"), ("thread", "(1212,Some(1303),1409,1507,1710,1806)")]),
    ),
    row(
        "the body of a function and its caller, which is called by a loop too",
        &[
            (
                C,
                "_large: Large, more: u64) -> u64 {\n    more + 1800",
                "large: Large, more: u64) -> u64 {\n    large.all[3] + more + 1801",
            ),
            (C, "        located(any(7)),\n        some", "        located(any(8)),\n        some"),
        ],
        Prints(&[
            ("located", "1508"),
            ("unused", "1812"),
            ("thread", "(1212,Some(1303),1409,1507,1708,1812)"),
        ]),
    ),
    row(
        "`#[inline(always)]`",
        &[(
            C,
            "fn one_of(list: &[u32]) -> u32 {\n    list[1] + 1600",
            "#[inline(always)]\nfn one_of(list: &[u32]) -> u32 {\n    list[1] + 1601",
        )],
        Prints(&[("new_pasted", "1603")]),
    ),
    row(
        "a parameter without a niche",
        &[
            (
                C,
                "fn some(value: Option<NonZeroU32>) -> u32 {\n    value.map_or(0, NonZeroU32::get) + 1700",
                "fn some(value: Option<u32>) -> u32 {\n    value.unwrap_or(0) + 1701",
            ),
            (
                C,
                "                some(any(NonZeroU32::new(8))),",
                "                some(any(Some(8))),",
            ),
            (
                C,
                "        some(any(NonZeroU32::new(8))),\n        unused",
                "        some(any(Some(9))),\n        unused",
            ),
            (C, "use std::num::NonZeroU32;\n", ""),
        ],
        Prints(&[("some", "1710")]),
    ),
];
