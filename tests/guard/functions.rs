//! Functions that are new ones in spite of their names.

use std::sync::Arc;

use cargo_hotpatch::pipeline::relink::guard::Guard;
use cargo_hotpatch::target::binary::ObjectFile;

use crate::{Case, V0, check, compiled};

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

/// Functions of each shape, in pairs: as they are, and with `MARK` in front of `fn`. Each is called
/// from one function that is edited too.
fn marked(name: &'static str, mark: &str, says: &'static [&'static str], body: &str) -> Case {
    let body = format!(
        "#[derive(Clone, Copy)] pub struct Pair(u32, u32);
        #[derive(Clone, Copy)] pub struct Large([u64; 4]);
        #[derive(Clone, Copy)] pub struct Floats(f32, f32);
        pub struct S {{ a: u32 }}
        {body}"
    );
    let with = |mark: &str, body: String| body.replace("MARK", mark).leak() as &'static str;
    Case {
        name,
        flags: V0,
        old: with("", body.clone()),
        new: with(mark, body.replace("+ 1", "+ 2")),
        says,
    }
}

#[test]
fn functions_that_are_called_in_another_way_are_new_ones() {
    const G: &[&str] = &["detached app::g", "note `app::g` called otherwise"];
    const METHOD: &[&str] = &["detached <app::S>::g", "note `<app::S>::g` called otherwise"];
    const C: &str = "extern \"C\"";
    check(&[
        marked("two numbers in one register", C, G,
            "MARK fn g(p: Pair) -> u32 { p.0 - p.1 } pub fn f() -> u32 { g(Pair(1, 2)) + 1 }"),
        marked("an option", "extern \"C-unwind\"", G,
            "MARK fn g(p: Option<u32>) -> u32 { p.unwrap_or(3) + 1 } pub fn f() -> u32 { g(None) + 1 }"),
        marked("a large value on the stack", C, G,
            "MARK fn g(p: Large, q: u64) -> u64 { p.0[1] + q } pub fn f() -> u64 { g(Large([0; 4]), 3) + 1 }"),
        marked("a string", C, G,
            "MARK fn g(p: String) -> usize { p.len() } pub fn f() -> usize { g(String::new()) + 1 }"),
        marked("two numbers as the result", C, G,
            "MARK fn g(p: u32) -> Pair { Pair(p, p + 1) } pub fn f() -> u32 { g(3).1 + 1 }"),
        marked("floats as the result", C, G,
            "MARK fn g(p: f32) -> Floats { Floats(p, 2.0) } pub fn f() -> f32 { g(3.0).1 + 1.0 }"),
        marked("an option as the result of code with a call", C, G,
            "fn h() -> u32 { 3 } MARK fn g() -> Option<u32> { Some(h()) } pub fn f() -> u32 { g().unwrap() + 1 }"),
        marked("a method", C, METHOD,
            "impl S { MARK fn g(&self, p: Pair) -> u32 { p.0 - p.1 - self.a } }
            pub fn f() -> u32 { S { a: 1 }.g(Pair(1, 2)) + 1 }"),
        marked("what is the same either way", C, &[],
            "MARK fn g(p: u64, q: &str, r: f64) -> u64 { p + q.len() as u64 + r as u64 }
            pub fn f() -> u64 { g(1, \"\", 2.0) + 1 }"),
        marked("unsafe", "unsafe", &[],
            "MARK fn g(p: Pair) -> u32 { p.0 - p.1 } pub fn f() -> u32 { (unsafe { g(Pair(1, 2)) }) + 1 }"),
        marked("const", "const", &[],
            "MARK fn g(p: Pair) -> u32 { p.0 - p.1 } pub fn f() -> u32 { g(Pair(1, 2)) + 1 }"),
        marked("a caller's location", "#[track_caller]", G,
            "MARK fn g(p: u32) -> u32 { std::panic::Location::caller().line() - p } pub fn f() -> u32 { g(3) + 1 }"),
        marked("a caller's location of a method, for a panic", "#[track_caller]", &METHOD[..1],
            "impl S { MARK fn g(&self, p: Large) -> u32 { (p.0[0] as u32).checked_sub(self.a).unwrap() } }
            pub fn f() -> u32 { S { a: 1 }.g(Large([0; 4])) + 1 }"),
        Case {
            flags: &[],
            ..marked("a caller's location in legacy names", "#[track_caller]", G,
                "MARK fn g(p: Pair) -> u32 { p.0.checked_sub(p.1).unwrap() } pub fn f() -> u32 { g(Pair(1, 0)) + 1 }")
        },
        marked("a caller's location that is not used", "#[track_caller]", &[],
            "MARK fn g(p: u32) -> u32 { p ^ 1 } pub fn f() -> u32 { g(3) + 1 }"),
    ]);
}

#[test]
fn functions_of_which_only_the_body_changed_stay_what_they_are() {
    const OPTIMISED: &[&str] = &["-Csymbol-mangling-version=v0", "-Copt-level=1"];
    let body = |name, flags, old: &str, new: &str| {
        let source = "#[inline(never)] pub fn x() -> u32 { std::process::id() }
            pub struct Large([u64; 4]); pub struct S { a: u32 }
            pub trait T { fn t(&self) -> u32; }
            impl T for S { fn t(&self) -> u32 { BODY } }
            #[inline(never)] pub fn g(a: u32, b: &Large, c: Large, d: f32, e: Option<u8>) -> Option<u32> { (BODY).into() }
            #[inline(never)] pub fn f() -> u32 { g(1, &Large([0; 4]), Large([1; 4]), 1.0, None).unwrap_or(ADD) }";
        let with = |part: &str, add: &str| {
            let method =
                part.replace(['b', 'c'], "self").replace(".0[0]", ".a").replace("a +", "self.a +");
            let source =
                source.replacen("BODY", &method, 1).replace("BODY", part).replace("ADD", add);
            source.leak() as &'static str
        };
        Case { name, flags, old: with(old, "1"), new: with(new, "2"), says: &[] }
    };
    let large = "a large value that is used now";
    let reference = "a reference that is used now";
    let number = "a number that is used now";
    let unused = "a large value that is not used any more";
    check(&[
        body(large, V0, "x()", "x() + c.0[0] as u32"),
        body(reference, V0, "x()", "x() + b.0[0] as u32"),
        body(number, V0, "x()", "x() + a + 1"),
        body(unused, V0, "x() + c.0[0] as u32", "x()"),
        body(unused, OPTIMISED, "x() + c.0[0] as u32", "x()"),
    ]);
    // What optimised code calls without a use for the argument has anything there.
    let says: &[&str] = &["detached app::g", "note `app::g` called otherwise"];
    check(&[
        Case { says, ..body(large, OPTIMISED, "x()", "x() + c.0[0] as u32") },
        Case { says, ..body(reference, OPTIMISED, "x()", "x() + b.0[0] as u32") },
        Case { says, ..body(number, OPTIMISED, "x()", "x() + a + 1") },
    ]);
}

#[test]
fn whoever_calls_a_function_as_before_tells_that_it_is_called_as_before() {
    const OLD: &str = "pub struct Pair(u32, u32);
        pub fn g(p: Pair) -> u32 { p.0 - p.1 }
        pub fn f() -> u32 { g(Pair(1, 2)) + 1 }";
    let new = OLD.replace("pub fn g", "pub extern \"C\" fn g").replace("+ 1", "+ 2");
    let [old, new, same] = [OLD, &new, OLD].map(|text| compiled(text, V0));
    let called_otherwise = |unchanged: &[Arc<ObjectFile>]| {
        let unchanged = || Ok(unchanged.to_vec());
        let verdict = Guard::default().check(
            std::slice::from_ref(&old),
            std::slice::from_ref(&new),
            &unchanged,
        );
        !verdict.expect("an answer").detached.is_empty()
    };
    assert!(called_otherwise(&[]), "the only caller changed as well");
    assert!(!called_otherwise(&[same]), "this one calls it as it did");
}
