//! Types: values of them are on the heap since before the first edit.

use crate::table::Then::{Prints, Refused, Warns};
use crate::table::{Group, Row, row};

const T: &str = "app/src/types.rs";

pub const GROUP: Group = Group { name: "types", rows: ROWS };

const ROWS: &[Row] = &[
    row(
        "a field more",
        &[
            (T, "    down: u32,\n}", "    down: u32,\n    depth: u64,\n}"),
            (
                T,
                "Box::new(Point { across: 1, down: 2 })",
                "Box::new(Point { across: 1, down: 2, depth: 3 })",
            ),
            (T, "== Point { across: 1, down: 2 }", "== Point { across: 1, down: 2, depth: 3 }"),
        ],
        Refused("types::Point", "new field `depth: u64`"),
    ),
    row(
        "a field less",
        &[
            (T, "    across: u32,\n", ""),
            (T, "self.across + self.down", "self.down"),
            (T, "Box::new(Point { across: 1, down: 2 })", "Box::new(Point { down: 2 })"),
            (T, "== Point { across: 1, down: 2 }", "== Point { down: 2 }"),
        ],
        Refused("types::Point", "across"),
    ),
    row(
        "a field of another type and the same size",
        &[
            (T, "    down: u32,\n", "    down: i32,\n"),
            (T, "self.across + self.down", "self.across + self.down as u32"),
        ],
        Refused("types::Point", "`down`"),
    ),
    row(
        "fields in another order",
        &[(T, "    across: u32,\n    down: u32,\n", "    down: u32,\n    across: u32,\n")],
        Refused("types::Point", "across"),
    ),
    row(
        "a field renamed",
        &[
            (T, "    down: u32,\n", "    below: u32,\n"),
            (T, "self.across + self.down", "self.across + self.below + 1"),
            (
                T,
                "Box::new(Point { across: 1, down: 2 })",
                "Box::new(Point { across: 1, below: 2 })",
            ),
            (T, "== Point { across: 1, down: 2 }", "== Point { across: 1, below: 2 }"),
        ],
        Warns(&[("sum", "4"), ("debug", "Point_{_across:_1,_below:_2_}")], "`below`"),
    ),
    row(
        "a field of no size",
        &[
            (
                T,
                "struct Holder<T> {\n    value: T,",
                "struct Holder<T> {\n    value: T,\n    mark: std::marker::PhantomData<T>,",
            ),
            (T, "Holder { value: 6 }", "Holder { value: 6, mark: std::marker::PhantomData }"),
            (T, "made.holder.value,", "made.holder.value + 1,"),
        ],
        Prints(&[("held", "7")]),
    ),
    row(
        "a method's body",
        &[(T, "self.across + self.down", "self.across * 10 + self.down")],
        Prints(&[("sum", "12")]),
    ),
    row(
        "a method more",
        &[(
            T,
            "    fn sum(&self) -> u32 {\n        self.across + self.down",
            "    fn product(&self) -> u32 {\n        self.across * self.down * 100\n    }\n\n    fn sum(&self) -> u32 {\n        self.product()",
        )],
        Prints(&[("sum", "200")]),
    ),
    row(
        "an associated constant",
        &[(T, "ORIGIN: u32 = 5", "ORIGIN: u32 = 6")],
        Prints(&[("origin", "6")]),
    ),
    row(
        "`&self` becomes `self: &Self` and `&mut self`",
        &[(
            T,
            "fn sum(&self) -> u32 {\n        self.across + self.down",
            "fn sum(&mut self) -> u32 {\n        self.across + self.down + 7",
        )],
        Prints(&[("sum", "10")]),
    ),
    row(
        "a variant more",
        &[
            (T, "    Flat { width: u32 },", "    Flat { width: u32 },\n    Deep(u64, u64),"),
            (T, "width * 10,\n", "width * 10,\n        Shape::Deep(a, b) => (*a + *b) as u32,\n"),
        ],
        Refused("types::Shape", "Deep"),
    ),
    row(
        "a variant renamed",
        &[
            (T, "    Round(u32),", "    Circle(u32),"),
            (T, "Shape::Round(3)", "Shape::Circle(3)"),
            (T, "Shape::Round(radius) => radius * 3", "Shape::Circle(radius) => radius * 4"),
        ],
        Warns(&[("areas", "[12, 40]")], "Circle"),
    ),
    row(
        "a field of a variant renamed",
        &[
            (T, "    Flat { width: u32 },", "    Flat { height: u32 },"),
            (T, "Shape::Flat { width: 4 }", "Shape::Flat { height: 4 }"),
            (T, "Shape::Flat { width } => width * 10", "Shape::Flat { height } => height * 11"),
        ],
        Warns(&[("areas", "[9, 44]")], "height"),
    ),
    row(
        "variants in another order",
        &[(
            T,
            "    Round(u32),\n    Flat { width: u32 },",
            "    Flat { width: u32 },\n    Round(u32),",
        )],
        Refused("types::Shape", ""),
    ),
    row(
        "another discriminant",
        &[(T, "    High = 2,", "    High = 3,")],
        Refused("types::Level", "High"),
    ),
    row(
        "a variant less",
        &[(T, "    Low = 1,\n", ""), (T, "        Level::Low => 100,\n", "")],
        Refused("types::Level", "Low"),
    ),
    row(
        "another `match` over variants",
        &[(T, "Level::High => 200", "Level::High => 201")],
        Prints(&[("level", "201")]),
    ),
    row(
        "another representation",
        &[(
            T,
            "#[repr(C)]\n#[derive(Clone, Copy)]\nstruct Padded",
            "#[repr(C, packed)]\n#[derive(Clone, Copy)]\nstruct Padded",
        )],
        Refused("types::Padded", ""),
    ),
    row(
        "a member of a union",
        &[(T, "parts: [u8; 4]", "parts: [u8; 8]")],
        Refused("types::Bits", ""),
    ),
    row(
        "another use of a union",
        &[(T, "bits.parts[0]", "bits.parts[1]")],
        Prints(&[("bits", "4")]),
    ),
    row(
        "a generic type at a new type",
        &[
            (T, "Holder { value: 6 }", "Holder { value: 6 }"),
            (T, "made.holder.value,", "Holder { value: 1.5 }.value,"),
        ],
        Prints(&[("held", "1.5")]),
    ),
    row(
        "an operator",
        &[(T, "Wrapped(self.0 + other.0)", "Wrapped(self.0 - other.0)")],
        Prints(&[("added", "6")]),
    ),
    row(
        "the inside of a newtype",
        &[
            (T, "struct Wrapped(u32);", "struct Wrapped(u64);"),
            (T, "impl Add for", "#[allow(unused)]\nimpl Add for"),
        ],
        Refused("types::Wrapped", ""),
    ),
    row(
        "a derive more",
        &[
            (T, "struct Plainly", "#[derive(Debug)]\nstruct Plainly"),
            (T, "shown(&made.point)", "shown(&made.plainly)"),
        ],
        Prints(&[("debug", "Plainly_{_number:_8_}")]),
    ),
    row(
        "a derive written by hand",
        &[
            (
                T,
                "#[derive(Debug, Clone, PartialEq)]\nstruct Point",
                "#[derive(Debug, Clone)]\nstruct Point",
            ),
            (
                T,
                "impl Point {",
                "impl PartialEq for Point {\n    fn eq(&self, _: &Point) -> bool {\n        false\n    }\n}\n\nimpl Point {",
            ),
        ],
        Prints(&[("equal", "false")]),
    ),
    row(
        "the body of a `Drop`",
        &[(T, "format!(\"{}.\", self.name)", "format!(\"{}?\", self.name)")],
        Prints(&[("dropped", "one?")]),
    ),
    row(
        "a `Drop` more",
        &[
            (
                T,
                "impl Point {",
                "impl Drop for Plainly {\n    fn drop(&mut self) {\n        DROPS.lock().unwrap().push(\"plainly\".into());\n    }\n}\n\nimpl Point {",
            ),
            (T, "    drop(Dropped { name: \"one\" });", "    drop(Plainly { number: 1 });"),
        ],
        Prints(&[("dropped", "plainly")]),
    ),
    row(
        "a `Drop` less",
        &[
            (
                T,
                "impl Drop for Dropped {\n    fn drop(&mut self) {\n        DROPS.lock().unwrap().push(format!(\"{}.\", self.name));\n    }\n}\n",
                "impl Dropped {\n    fn name(&self) {\n        DROPS.lock().unwrap().push(self.name.to_string());\n    }\n}\n",
            ),
            (T, "    drop(Dropped { name: \"one\" });", "    Dropped { name: \"two\" }.name();"),
        ],
        Prints(&[("dropped", "two")]),
    ),
    row(
        "an iterator's `next`",
        &[(T, "self.at += 1;\n        (self.at < 4)", "self.at += 2;\n        (self.at < 7)")],
        Prints(&[("counted", "[2, 4, 6]")]),
    ),
    row(
        "an alias",
        &[(T, "type Number = u32;", "type Number = u64;")],
        Prints(&[("aliased", "7:8")]),
    ),
    row(
        "a new type, its impls and values",
        &[
            (
                T,
                "    let fresh = 0;",
                "    let fresh = Fresh { list: vec![1, 2], kind: Kind::B(3) }.total();",
            ),
            (
                T,
                "type Number",
                "struct Fresh {\n    list: Vec<u32>,\n    kind: Kind,\n}\n\nenum Kind {\n    #[allow(dead_code)]\n    A,\n    B(u32),\n}\n\nimpl Fresh {\n    fn total(&self) -> u32 {\n        let Kind::B(more) = self.kind else { return 0 };\n        self.list.iter().sum::<u32>() + more\n    }\n}\n\ntype Number",
            ),
        ],
        Prints(&[("fresh", "6")]),
    ),
    row(
        "that type comes back with another layout",
        &[
            (
                T,
                "    let fresh = 0;",
                "    let fresh = Fresh { list: vec![1, 2], more: 4 }.total();",
            ),
            (
                T,
                "type Number",
                "struct Fresh {\n    list: Vec<u32>,\n    more: u32,\n}\n\nimpl Fresh {\n    fn total(&self) -> u32 {\n        self.list.iter().sum::<u32>() + self.more\n    }\n}\n\ntype Number",
            ),
        ],
        Refused("types::Fresh", ""),
    ),
    row(
        "a type removed",
        &[
            (
                T,
                "struct Counter {\n    at: u32,\n}\n\nimpl Iterator for Counter {\n    type Item = u32;\n\n    fn next(&mut self) -> Option<u32> {\n        self.at += 1;\n        (self.at < 4).then_some(self.at)\n    }\n}\n",
                "",
            ),
            (T, "Counter { at: 0 }.collect::<Vec<_>>()", "[9]"),
        ],
        Prints(&[("counted", "[9]")]),
    ),
    row(
        "a type renamed",
        &[
            (T, "struct Counter {", "struct Meter {"),
            (T, "impl Iterator for Counter", "impl Iterator for Meter"),
            (T, "Counter { at: 0 }", "Meter { at: 1 }"),
        ],
        Prints(&[("counted", "[2, 3]")]),
    ),
    row(
        "a `Drop` more on values that exist",
        &[(
            T,
            "/// There are always some",
            "impl Drop for Queued {\n    fn drop(&mut self) {\n        DROPS.lock().unwrap().push(\"queued.\".into());\n    }\n}\n\n/// There are always some",
        )],
        Prints(&[("dropped", "queued.one.")]),
    ),
    row(
        "a field that frees memory, in values that exist",
        &[
            (T, "    place: u32,\n", "    place: Box<u32>,\n"),
            (T, "Queued { place: 8 }, Queued { place: 9 }", "Queued { place: Box::new(8) }"),
            (
                T,
                "queue.push_back(Queued { place: 8 })",
                "queue.push_back(Queued { place: Box::new(8) })",
            ),
            (T, "first.place / 10", "*first.place / 10"),
        ],
        Refused("types::Queued", "`place`"),
    ),
    row(
        "another integer behind an enum",
        &[(T, "#[repr(u8)]", "#[repr(u16)]")],
        Refused("types::Level", ""),
    ),
    row(
        "a field with a niche",
        &[
            (T, "    number: u32,\n", "    number: std::num::NonZeroU32,\n"),
            (T, "Plainly { number: 8 }", "Plainly { number: std::num::NonZeroU32::MIN }"),
        ],
        Refused("types::Plainly", "`number`"),
    ),
];
