//! Functions that are new ones in spite of their names.

use crate::{Case, V0, check};

#[test]
fn closures_with_other_captures_become_new_functions() {
    const BOX: &str = "pub fn keep(k: u32, l: &'static u64) -> Box<dyn Fn(u32) -> u32> { ";
    let with = |body: &str| format!("{BOX}{body} }}").leak() as &'static str;
    check(&[
        Case {
            name: "from none to one",
            flags: V0,
            old: with("Box::new(|x| x)"),
            new: with("Box::new(move |x| x + k)"),
            says: &["note closures of `app::keep`", "detached app::keep::{closure#0}"],
        },
        Case {
            name: "from one to two",
            flags: V0,
            old: with("Box::new(move |x| x + k)"),
            new: with("Box::new(move |x| x + k + *l as u32)"),
            says: &["note closures of `app::keep`", "detached app::keep::{closure#0}"],
        },
        Case {
            name: "from one to one of another size",
            flags: V0,
            old: with("Box::new(move |x| x + k)"),
            new: with("let k = k as u64; Box::new(move |x| x + k as u32)"),
            says: &["note closures of `app::keep`", "detached app::keep::{closure#0}"],
        },
        Case {
            name: "from by value to by reference",
            flags: V0,
            old: "pub fn f(k: u32) -> u32 { let g = move |x: u32| x + k; g(1) }",
            new: "pub fn f(k: u32) -> u32 { let g = |x: u32| x + k; g(1) }",
            says: &["detached app::f::{closure#0}"],
        },
        Case {
            name: "the same captures",
            flags: V0,
            old: with("Box::new(move |x| x + k)"),
            new: with("Box::new(move |x| x * k + 1)"),
            says: &[],
        },
        Case {
            name: "legacy names have the captured types in their hash",
            flags: &[],
            old: with("Box::new(move |x| x + k)"),
            new: with("Box::new(move |x| x + k + *l as u32)"),
            says: &["note closures of `app::keep`"],
        },
        Case {
            name: "in the order in which they are used",
            flags: &[],
            old: "pub fn keep(k: u32, l: u32) -> u32 { part(k, l)(1) }
                fn part(k: u32, l: u32) -> impl Fn(u32) -> u32 { move |x| x + k - l }",
            new: "pub fn keep(k: u32, l: u32) -> u32 { part(k, l)(1) }
                fn part(k: u32, l: u32) -> impl Fn(u32) -> u32 { move |x| x - l + k }",
            says: &["detached app::part", "detached app::part::{{closure}}"],
        },
        Case {
            name: "in adaptors of the standard library, which are not refused",
            flags: V0,
            old: "pub fn f(v: &[u32], k: u32) -> u32 { v.iter().map(|x| x + 1).filter(|x| *x > 1).sum() }",
            new: "pub fn f(v: &[u32], k: u32) -> u32 { v.iter().map(|x| x + k).filter(|x| *x > 1).sum() }",
            says: &["detached app::f::{closure#0}"],
        },
        Case {
            name: "in an own generic type",
            flags: V0,
            old: "pub struct H<F> { f: F } impl<F: Fn() -> u32> H<F> { fn call(&self) -> u32 { (self.f)() } }
                pub fn f(k: u32) -> u32 { H { f: move || k }.call() }",
            new: "pub struct H<F> { f: F, n: u32 } impl<F: Fn() -> u32> H<F> { fn call(&self) -> u32 { (self.f)() } }
                pub fn f(k: u32) -> u32 { H { f: move || k, n: 1 }.call() }",
            says: &["detached <app::H<app::f::{closure#0}>>::call"],
        },
    ]);
}

#[test]
fn futures_with_another_state_become_new_functions() {
    const FUTURES: &str = "pub async fn tick(x: u32) -> u32 { BODY }
        pub async fn outer() -> u32 { tick(1).await }
        pub fn spawn() -> std::pin::Pin<Box<dyn Future<Output = u32>>> { Box::pin(outer()) }";
    let with = |body: &str| FUTURES.replace("BODY", body).leak() as &'static str;
    const WITHIN: &str = "pub async fn tick() -> u32 { BODY }
        pub async fn outer<F: Future<Output = u32>>(task: F) -> u32 { task.await }
        pub fn spawn() -> std::pin::Pin<Box<dyn Future<Output = u32>>> { Box::pin(outer(tick())) }";
    let within = |body: &str| WITHIN.replace("BODY", body).leak() as &'static str;
    let plain = with("std::future::ready(()).await; 1");
    let holding = with("let y = x + 1; std::future::ready(()).await; y");
    check(&[
        Case {
            name: "a local that lives across an await",
            flags: &[],
            old: plain,
            new: holding,
            says: &[
                "note futures of `app::outer`",
                "note futures of `app::tick`",
                "detached app::outer",
                "detached app::outer::{{closure}}",
                "detached app::tick",
                "detached app::tick::{{closure}}",
            ],
        },
        Case {
            name: "the same in v0 names",
            flags: V0,
            old: plain,
            new: holding,
            says: &[
                "note futures of `app::outer`",
                "note futures of `app::tick`",
                "detached app::outer",
                "detached app::outer::{closure#0}",
                "detached app::tick",
                "detached app::tick::{closure#0}",
            ],
        },
        Case {
            name: "a state within that of a generic function of a library",
            flags: &[],
            old: within("std::future::ready(()).await; 1"),
            new: within("let y = 2; std::future::ready(()).await; y"),
            says: &[
                "note futures of `app::tick`",
                "detached app::tick",
                "detached app::tick::{{closure}}",
                "detached app::outer",
                "detached app::outer::{{closure}}",
            ],
        },
        Case {
            name: "the same state",
            flags: V0,
            old: plain,
            new: with("std::future::ready(()).await; 2"),
            says: &[],
        },
    ]);
}

#[test]
fn functions_with_another_signature_are_new_ones() {
    check(&[
        Case {
            name: "a parameter in v0 names",
            flags: V0,
            old: "pub fn f(a: u32) -> u32 { g(a) } fn g(a: u32) -> u32 { a }",
            new: "pub fn f(a: u32) -> u32 { g(a as u64) } fn g(a: u64) -> u32 { a as u32 }",
            says: &["detached app::g"],
        },
        Case {
            name: "the result of a method in v0 names",
            flags: V0,
            old: "pub enum K { A } impl K { fn g(&self) -> u32 { 1 } } pub fn f(k: K) -> u32 { k.g() }",
            new: "pub enum K { A } impl K { fn g(&self) -> u64 { 1 } } pub fn f(k: K) -> u32 { k.g() as u32 }",
            says: &["detached <app::K>::g"],
        },
        Case {
            name: "one more parameter of an exported function",
            flags: &[],
            old: "#[unsafe(no_mangle)] pub extern \"C\" fn app_f(a: u32) -> u32 { a }",
            new: "#[unsafe(no_mangle)] pub extern \"C\" fn app_f(a: u32, b: u32) -> u32 { a + b }",
            says: &["exported app_f"],
        },
        Case {
            name: "legacy names have the types in their hash",
            flags: &[],
            old: "pub fn f(a: u32) -> u32 { g(a) } fn g(a: u32) -> u32 { a }",
            new: "pub fn f(a: u32) -> u32 { g(a as u64) } fn g(a: u64) -> u32 { a as u32 }",
            says: &[],
        },
        Case {
            name: "another name of a parameter",
            flags: V0,
            old: "pub fn f(a: u32) -> u32 { a }",
            new: "pub fn f(b: u32) -> u32 { b }",
            says: &[],
        },
    ]);
}

#[test]
fn closures_that_have_the_name_of_another_one_become_new_functions() {
    const TABLE: &str = "pub fn table() -> Vec<Box<dyn Fn(u32) -> u32>> { vec![BODY] }";
    let with = |body: &str| TABLE.replace("BODY", body).leak() as &'static str;
    let plain = with("Box::new(|x| x + 1), Box::new(|x| x + 2), Box::new(|x| x + 3)");
    const NOTE: &str =
        "note the closures of `app::table` changed places; those that exist keep their code";
    check(&[
        Case {
            name: "one inserted in the middle",
            flags: V0,
            old: plain,
            new: with(
                "Box::new(|x| x + 1), Box::new(|x| x + 9), Box::new(|x| x + 2), Box::new(|x| x + 3)",
            ),
            says: &["detached app::table::{closure#1}", "detached app::table::{closure#2}", NOTE],
        },
        Case {
            name: "two swapped, in legacy names",
            flags: &[],
            old: plain,
            new: with("Box::new(|x| x + 2), Box::new(|x| x + 1), Box::new(|x| x + 3)"),
            says: &["detached app::table::{{closure}}", NOTE],
        },
        Case {
            name: "one removed",
            flags: V0,
            old: with(
                "Box::new(|x| x + 1), Box::new(|x| x + 9), Box::new(|x| x + 2), Box::new(|x| x + 3)",
            ),
            new: plain,
            says: &["detached app::table::{closure#1}", "detached app::table::{closure#2}", NOTE],
        },
        Case {
            name: "one edited",
            flags: V0,
            old: plain,
            new: with("Box::new(|x| x + 1), Box::new(|x| x * 2), Box::new(|x| x + 3)"),
            says: &[],
        },
        Case {
            name: "one edited to be what another one is and stays",
            flags: V0,
            old: plain,
            new: with("Box::new(|x| x + 1), Box::new(|x| x + 3), Box::new(|x| x + 3)"),
            says: &[],
        },
        Case {
            name: "one more behind",
            flags: V0,
            old: plain,
            new: with(
                "Box::new(|x| x + 1), Box::new(|x| x + 2), Box::new(|x| x + 3), Box::new(|x| x + 4)",
            ),
            says: &[],
        },
    ]);
}
