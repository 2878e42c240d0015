//! Traits and impls: trait objects of them exist since before the first edit.

use crate::table::Then::{Nothing, Prints, Refused};
use crate::table::{Group, Row, row};

const T: &str = "app/src/traits.rs";

pub const GROUP: Group = Group { name: "traits", rows: ROWS };

const CAT: &str =
    "impl Speaks for Cat {\n    fn word(&self) -> String {\n        \"mew\".into()\n    }\n}\n";

const ROWS: &[Row] = &[
    row(
        "a method's body",
        &[(T, "\"mew\".into()", "\"purr\".into()")],
        Prints(&[("words", "purr-wauwau"), ("twice", "purrpurr"), ("blanket", "a-purr")]),
    ),
    row(
        "a default method's body",
        &[(T, "format!(\"{0}{0}\", self.word())", "format!(\"{0}+{0}\", self.word())")],
        Prints(&[("twice", "mew+mew")]),
    ),
    row(
        "a method more where there are trait objects",
        &[
            (
                T,
                "    fn word(&self) -> String;\n",
                "    fn louder(&self) -> String {\n        self.word().to_uppercase()\n    }\n\n    fn word(&self) -> String;\n",
            ),
            (T, "made.speakers[0].twice()", "made.speakers[0].louder()"),
        ],
        Refused("dyn app::traits::Speaks", "`louder` is added"),
    ),
    row(
        "a method less where there are trait objects",
        &[
            (
                T,
                "    fn twice(&self) -> String {\n        format!(\"{0}{0}\", self.word())\n    }\n",
                "",
            ),
            (T, "made.speakers[0].twice()", "made.speakers[0].word()"),
        ],
        Refused("dyn app::traits::Speaks", "`twice` is gone"),
    ),
    row(
        "methods in another order where there are trait objects",
        &[(
            T,
            "    fn word(&self) -> String;\n\n    fn twice(&self) -> String {\n        format!(\"{0}{0}\", self.word())\n    }\n",
            "    fn twice(&self) -> String {\n        format!(\"{0}{0}\", self.word())\n    }\n\n    fn word(&self) -> String;\n",
        )],
        Refused("dyn app::traits::Speaks", "order"),
    ),
    row(
        "a method's signature where there are trait objects",
        &[
            (
                T,
                "    fn twice(&self) -> String {\n        format!(\"{0}{0}\", self.word())",
                "    fn twice(&self, times: usize) -> String {\n        self.word().repeat(times)",
            ),
            (T, "made.speakers[0].twice()", "made.speakers[0].twice(3)"),
        ],
        Refused("Speaks", ""),
    ),
    row(
        "a supertrait more where there are trait objects",
        &[
            (T, "trait Speaks {", "trait Speaks: Weighs {"),
            (
                T,
                "struct Cat;",
                "trait Weighs {\n    fn weight(&self) -> u32 {\n        1\n    }\n}\n\nimpl Weighs for Cat {}\nimpl Weighs for Dog {}\n\nstruct Cat;",
            ),
        ],
        Refused("Speaks", ""),
    ),
    row(
        "a default method overridden where there are trait objects",
        &[(
            T,
            "        \"mew\".into()\n    }\n",
            "        \"mew\".into()\n    }\n\n    fn twice(&self) -> String {\n        \"mewmewmew\".into()\n    }\n",
        )],
        Refused("Cat as app::traits::Speaks", "`twice`"),
    ),
    row(
        "a default method overridden",
        &[(
            T,
            "    fn measure(&self) -> u32 {\n        33\n    }\n",
            "    fn measure(&self) -> u32 {\n        33\n    }\n\n    fn in_units(&self) -> u32 {\n        77\n    }\n",
        )],
        Prints(&[("unit", "77")]),
    ),
    row(
        "a default method more",
        &[
            (
                T,
                "    fn in_units(&self) -> u32 {\n",
                "    fn more(&self) -> u32 {\n        Self::UNIT * 100\n    }\n\n    fn in_units(&self) -> u32 {\n",
            ),
            (T, "Cat.in_units()", "Cat.more()"),
        ],
        Prints(&[("unit", "300")]),
    ),
    row(
        "an associated constant",
        &[(T, "const UNIT: u32 = 3;", "const UNIT: u32 = 4;")],
        Prints(&[("unit", "8")]),
    ),
    row(
        "an associated type",
        &[(
            T,
            "type Output = u32;\n\n    fn measure(&self) -> u32 {\n        33",
            "type Output = String;\n\n    fn measure(&self) -> String {\n        \"long\".into()",
        )],
        Prints(&[("measured", "long")]),
    ),
    row(
        "a blanket impl",
        &[(T, "format!(\"a-{}\", self.word())", "format!(\"the-{}\", self.word())")],
        Prints(&[("blanket", "the-mew")]),
    ),
    row(
        "an impl's method moved to another impl",
        &[
            (T, "impl Many {\n    fn second(&self) -> u32 {\n        2\n    }\n}\n", ""),
            (
                T,
                "    fn first(&self) -> u32 {\n        1\n    }\n",
                "    fn first(&self) -> u32 {\n        1\n    }\n\n    fn second(&self) -> u32 {\n        2\n    }\n",
            ),
        ],
        Nothing,
    ),
    row(
        "an impl in front of others",
        &[(
            T,
            "impl Many {\n    fn first(",
            "impl Default for Many {\n    fn default() -> Many {\n        Many\n    }\n}\n\nimpl Many {\n    fn first(",
        )],
        Nothing,
    ),
    row(
        "an impl in front of one with trait objects",
        &[
            (
                T,
                CAT,
                "impl Speaks for Many {\n    fn word(&self) -> String {\n        \"many\".into()\n    }\n}\n\nimpl Speaks for Cat {\n    fn word(&self) -> String {\n        \"mew\".into()\n    }\n}\n",
            ),
            (T, "Cat.name(),", "Many.name(),"),
        ],
        Prints(&[("blanket", "a-many")]),
    ),
    row(
        "an impl and trait objects of it",
        &[
            (
                T,
                "struct Smart {",
                "struct Cow;\n\nimpl Speaks for Cow {\n    fn word(&self) -> String {\n        \"moo\".into()\n    }\n}\n\nstruct Smart {",
            ),
            (
                T,
                "    made.speakers.iter().map(|s| s.word()).collect::<Vec<_>>().join(\"-\")",
                "    let cow: Box<dyn Speaks> = Box::new(Cow);\n    let first = made.speakers[0].word();\n    format!(\"{first}-{}\", cow.word())",
            ),
        ],
        Prints(&[("words", "mew-moo")]),
    ),
    row(
        "a trait, an impl and trait objects",
        &[
            (
                T,
                "struct Smart {",
                "trait Runs {\n    fn speed(&self) -> u32;\n\n    fn double(&self) -> u32 {\n        self.speed() * 2\n    }\n}\n\nimpl Runs for Dog {\n    fn speed(&self) -> u32 {\n        self.barks as u32 + 20\n    }\n}\n\nstruct Smart {",
            ),
            (
                T,
                "*made.smart,\n",
                "{\n            let runner: Box<dyn Runs> = Box::new(Dog { barks: 1 });\n            runner.double()\n        },\n",
            ),
        ],
        Prints(&[("smart", "42")]),
    ),
    row(
        "that trait comes back with other methods",
        &[
            (
                T,
                "struct Smart {",
                "trait Runs {\n    fn slowly(&self) -> u32;\n\n    fn speed(&self) -> u32;\n\n    fn double(&self) -> u32 {\n        self.speed() * 2 + self.slowly()\n    }\n}\n\nimpl Runs for Dog {\n    fn slowly(&self) -> u32 {\n        1\n    }\n\n    fn speed(&self) -> u32 {\n        self.barks as u32 + 20\n    }\n}\n\nstruct Smart {",
            ),
            (
                T,
                "*made.smart,\n",
                "{\n            let runner: Box<dyn Runs> = Box::new(Dog { barks: 1 });\n            runner.double()\n        },\n",
            ),
        ],
        Refused("Runs", ""),
    ),
    row(
        "a `Deref`",
        &[(T, "        &self.inner\n", "        Box::leak(Box::new(*self.inner + 1))\n")],
        Prints(&[("smart", "7")]),
    ),
    row(
        "an impl of a foreign trait",
        &[(T, "        5\n", "        6\n")],
        Prints(&[("scaled", "18")]),
    ),
    row(
        "a trait renamed",
        &[
            (T, "trait Measures {", "trait Weighs {"),
            (T, "impl Measures for Cat", "impl Weighs for Cat"),
            (T, "        33\n", "        34\n"),
        ],
        Prints(&[("measured", "34")]),
    ),
    row(
        "a generic parameter of a trait",
        &[
            (T, "trait Measures {", "trait Measures<T = u8> {"),
            (T, "impl Measures for Cat", "impl Measures<u8> for Cat"),
            (T, "        33\n", "        35\n"),
        ],
        Prints(&[("measured", "35")]),
    ),
    row(
        "an impl in front of others, and their bodies",
        &[
            (
                T,
                "impl Many {\n    fn first(&self) -> u32 {\n        1",
                "impl Default for Many {\n    fn default() -> Many {\n        Many\n    }\n}\n\nimpl Many {\n    fn first(&self) -> u32 {\n        11",
            ),
            (T, "        2\n", "        12\n"),
        ],
        Prints(&[("many", "11,12"), ("through", "11,12")]),
    ),
    row(
        "an impl in front of one with trait objects, and its body",
        &[
            (
                T,
                CAT,
                "impl Speaks for Many {\n    fn word(&self) -> String {\n        \"many\".into()\n    }\n}\n\nimpl Speaks for Cat {\n    fn word(&self) -> String {\n        \"maow\".into()\n    }\n}\n",
            ),
            (T, "Cat.name(),", "Many.name(),"),
        ],
        Prints(&[("blanket", "a-many"), ("words", "maow-wauwau"), ("twice", "maowmaow")]),
    ),
    row(
        "a generic method of a trait",
        &[
            (
                T,
                "    fn in_units(&self) -> u32 {\n",
                "    fn times<N: Into<u32>>(&self, n: N) -> u32 {\n        Self::UNIT * n.into()\n    }\n\n    fn in_units(&self) -> u32 {\n",
            ),
            (T, "Cat.in_units()", "Cat.times(5u8)"),
        ],
        Prints(&[("unit", "15")]),
    ),
    row(
        "a `Drop` more where there are trait objects",
        &[
            (
                T,
                "struct Cat;",
                "static DROPPED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);\n\nstruct Cat;\n\nimpl Drop for Cat {\n    fn drop(&mut self) {\n        DROPPED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);\n    }\n}",
            ),
            (
                T,
                "    drop(made.shelf.borrow_mut().pop());\n    70",
                "    let before = DROPPED.load(std::sync::atomic::Ordering::SeqCst);\n    drop(made.shelf.borrow_mut().pop());\n    DROPPED.load(std::sync::atomic::Ordering::SeqCst) - before + 70",
            ),
        ],
        Refused("Cat as app::traits::Speaks", "dropping a value calls code now"),
    ),
    row(
        "a trait object becomes one of a supertrait",
        &[(
            T,
            "        made.animal.limbs(),\n",
            "        {\n            let swims: &dyn Swims = &*made.animal;\n            swims.fins()\n        },\n",
        )],
        Prints(&[("limbs", "60")]),
    ),
    row(
        "a body behind a supertrait",
        &[(T, "        60\n", "        61\n")],
        Prints(&[("limbs", "65")]),
    ),
    row(
        "supertraits in another order where there are trait objects",
        &[(T, "trait Animal: Walks + Swims {", "trait Animal: Swims + Walks {")],
        Refused("Animal", ""),
    ),
];
