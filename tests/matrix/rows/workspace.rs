//! The crates around the program.

use crate::table::Then::{Nothing, Prints, Restart};
use crate::table::{Group, Row, row};

const P: &str = "parts/src/lib.rs";
const U: &str = "app/src/uses.rs";

pub const GROUP: Group = Group { name: "the workspace", rows: ROWS };

const ROWS: &[Row] = &[
    row(
        "a function of a library",
        &[(P, "    factor + 1\n", "    factor + 2\n")],
        Prints(&[("lib_plain", "12")]),
    ),
    row(
        "a generic function of a library",
        &[(P, "value.into() + 100", "value.into() + 110")],
        Prints(&[("lib_generic", "111")]),
    ),
    row(
        "a library's generic function at a new type",
        &[(U, "generic(1u8)", "generic(2u16)")],
        Prints(&[("lib_generic", "102")]),
    ),
    row(
        "an `#[inline]` function of a library",
        &[(P, "    200\n", "    201\n")],
        Prints(&[("lib_inlined", "201")]),
    ),
    row(
        "an `#[inline(always)]` function of a library",
        &[(P, "    300\n", "    301\n")],
        Prints(&[("lib_always", "301")]),
    ),
    row(
        "a re-exported function",
        &[("parts/src/inner.rs", "    400\n", "    401\n")],
        Prints(&[("lib_exported", "401")]),
    ),
    row(
        "another re-export",
        &[
            (P, "pub use inner::exported;", "pub use inner::other as exported;"),
            (
                "parts/src/inner.rs",
                "pub fn exported() -> u32 {",
                "pub fn other() -> u32 {\n    402\n}\n\n#[allow(dead_code)]\npub fn exported() -> u32 {",
            ),
        ],
        Prints(&[("lib_exported", "402")]),
    ),
    row(
        "a macro that a library exports",
        &[(P, "        $value * 2\n", "        $value * 3\n")],
        Prints(&[("lib_macro", "63")]),
    ),
    row(
        "a `pub const` of a library",
        &[(P, "LIMIT: u32 = 10;", "LIMIT: u32 = 20;")],
        Prints(&[("lib_const", "22")]),
    ),
    row("a table of a library", &[(P, "[1, 2, 3]", "[1, 5, 3]")], Prints(&[("lib_const", "15")])),
    row(
        "an impl of a library",
        &[(P, "write!(f, \"<{}>\", self.0)", "write!(f, \"({})\", self.0)")],
        Prints(&[("lib_shown", "(3)")]),
    ),
    row(
        "a default method of a library's trait",
        &[(P, "self.base() * 3", "self.base() * 4")],
        Prints(&[("scaled", "20"), ("foreign", "28")]),
    ),
    row(
        "a library's signature and its use, in one save",
        &[(
            P,
            "pub fn plain() -> u32 {",
            "pub fn plain() -> String {\n    format!(\"<{}>\", number())\n}\n\nfn number() -> u32 {",
        )],
        Prints(&[("lib_plain", "<11>")]),
    ),
    row(
        "two crates in one save",
        &[(P, "    200\n", "    202\n"), (U, "twice!(21)", "twice!(22)")],
        Prints(&[("lib_inlined", "202"), ("lib_macro", "44")]),
    ),
    row(
        "a new dependency between crates' items",
        &[
            (
                P,
                "/// A type that the program shows.",
                "/// New.\npub fn brand_new() -> u32 {\n    7\n}\n\n/// A type that the program shows.",
            ),
            (U, "LIMIT + TABLE[1]", "LIMIT + parts::brand_new()"),
        ],
        Prints(&[("lib_const", "17")]),
    ),
    row(
        "code of a feature that is off",
        &[(P, "    factor + 1\n", "    factor + if cfg!(feature = \"quiet\") { 5 } else { 1 }\n")],
        Nothing,
    ),
    row(
        "a crate's own tests",
        &[(
            P,
            "/// Used by the program when",
            "#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() {}\n}\n\n/// Used by the program when",
        )],
        Nothing,
    ),
    row(
        "a Cargo.toml",
        &[("parts/Cargo.toml", "quiet = []", "quiet = []\nmore = []")],
        Restart("Cargo.toml"),
    ),
    row(
        "features of a crate",
        &[("app/Cargo.toml", "features = [\"loud\"]", "features = []")],
        Restart("Cargo.toml"),
    ),
    row(
        "a profile",
        &[(
            "Cargo.toml",
            "[workspace.package]",
            "[profile.dev]\nopt-level = 1\n\n[workspace.package]",
        )],
        Restart("Cargo.toml"),
    ),
    row(
        "a build script",
        &[("parts/build.rs", "BUILT: u32 = 5;", "BUILT: u32 = 6;")],
        Restart("build script"),
    ),
    row(
        "a proc macro",
        &[("recipe/src/lib.rs", "u32_suffixed(4)", "u32_suffixed(5)")],
        Restart("proc macro"),
    ),
    row(
        "cargo's configuration",
        &[(".cargo/config.toml", "", "[build]\nrustflags = [\"--cfg=x\"]\n")],
        Restart("config.toml"),
    ),
    row(
        "a toolchain file",
        &[("rust-toolchain.toml", "", "[toolchain]\nchannel = \"nightly\"\n")],
        Restart("toolchain"),
    ),
    row(
        "a file that a build script reads",
        &[("parts/name.txt", "parts", "pieces")],
        Restart("build script"),
    ),
];
