//! Method tables and statics; objects with little, other or no debug information.

use std::collections::BTreeSet;

use cargo_hotpatch::pipeline::relink::guard::Guard;

use crate::{Case, V0, check, compiled, lines};

#[test]
fn traits_whose_objects_have_another_method_table_are_refused() {
    const USER: &str =
        "pub struct S { a: u32 } pub fn f(a: u32) -> Box<dyn T> { Box::new(S { a }) }
        pub fn g(t: &dyn T) -> u32 { t.one() }";
    let with = |rest: &str| format!("{USER}\n{rest}").leak() as &'static str;
    let plain = with(
        "pub trait T { fn one(&self) -> u32; fn two(&self) -> u32 { 2 } }
        impl T for S { fn one(&self) -> u32 { self.a } }",
    );
    check(&[
        Case {
            name: "a method in front",
            flags: &[],
            old: plain,
            new: with(
                "pub trait T { fn zero(&self) -> u32; fn one(&self) -> u32; fn two(&self) -> u32 { 2 } }
                impl T for S { fn zero(&self) -> u32 { 0 } fn one(&self) -> u32 { self.a } }",
            ),
            says: &["refused dyn app::T: its method table changes (`zero` is added)"],
        },
        Case {
            name: "a default method behind",
            flags: V0,
            old: plain,
            new: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self) -> u32 { 2 } fn three(&self) -> u32 { 3 } }
                impl T for S { fn one(&self) -> u32 { self.a } }",
            ),
            says: &["refused dyn app::T: its method table changes (`three` is added)"],
        },
        Case {
            name: "a method less",
            flags: &[],
            old: plain,
            new: with(
                "pub trait T { fn one(&self) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } }",
            ),
            says: &["refused dyn app::T: its method table changes (`two` is gone)"],
        },
        Case {
            name: "another order",
            flags: V0,
            old: plain,
            new: with(
                "pub trait T { fn two(&self) -> u32 { 2 } fn one(&self) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } }",
            ),
            says: &["refused dyn app::T: its method table changes (the methods have another order)"],
        },
        Case {
            name: "other parameters",
            flags: V0,
            old: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self, _: u8) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } fn two(&self, _: u8) -> u32 { 2 } }",
            ),
            new: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self, _: u16) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } fn two(&self, _: u16) -> u32 { 2 } }",
            ),
            says: &[
                "detached <app::S as app::T>::two",
                "refused <app::S as app::T>: its method table changes (`two` has other \
                    parameters or another result)",
            ],
        },
        Case {
            name: "other parameters in legacy names",
            flags: &[],
            old: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self, x: u8) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } fn two(&self, x: u8) -> u32 { 2 } }",
            ),
            new: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self, x: u16) -> u32; }
                impl T for S { fn one(&self) -> u32 { self.a } fn two(&self, x: u16) -> u32 { 2 } }",
            ),
            says: &["refused <app::S as app::T>: its method table changes (`two` has other \
                parameters or another result)"],
        },
        Case {
            name: "a default method overridden",
            flags: &[],
            old: plain,
            new: with(
                "pub trait T { fn one(&self) -> u32; fn two(&self) -> u32 { 2 } }
                impl T for S { fn one(&self) -> u32 { self.a } fn two(&self) -> u32 { 3 } }",
            ),
            says: &["refused <app::S as app::T>: its method table changes (its `two` was \
                `app::T::two` and is `<app::S as app::T>::two`)"],
        },
        Case {
            name: "a method in front of those of closures",
            flags: V0,
            old: "pub trait T { fn one(&self) -> u32; } impl<F: Fn() -> u32> T for F { fn one(&self) -> u32 { self() } }
                pub fn f(a: u32) -> Box<dyn T> { Box::new(move || a) }",
            new: "pub trait T { fn zero(&self) {} fn one(&self) -> u32; } impl<F: Fn() -> u32> T for F { fn one(&self) -> u32 { self() } }
                pub fn f(a: u32) -> Box<dyn T> { Box::new(move || a) }",
            says: &["refused dyn app::T: its method table changes (`zero` is added)"],
        },
        Case {
            name: "drop glue, which the tables of objects that exist do not have",
            flags: V0,
            old: plain,
            new: with(
                "impl Drop for S { fn drop(&mut self) {} }
                pub trait T { fn one(&self) -> u32; fn two(&self) -> u32 { 2 } }
                impl T for S { fn one(&self) -> u32 { self.a } }",
            ),
            says: &[
                "refused <app::S as app::T>: its method table changes (dropping a value calls code now, and did not)",
            ],
        },
        Case {
            name: "drop glue behind a trait of the standard library, no more",
            flags: &[],
            old: "pub struct S; impl Drop for S { fn drop(&mut self) {} } pub fn f() -> Box<dyn std::any::Any> { Box::new(S) }",
            new: "pub struct S; pub fn f() -> Box<dyn std::any::Any> { Box::new(S) }",
            says: &[
                "refused <app::S as core::any::Any>: its method table changes (dropping a value called code, and no longer does)",
            ],
        },
        Case {
            name: "drop glue of what a closure captured",
            flags: &[],
            old: "pub struct S(u32); pub fn f(s: S) -> Box<dyn Fn() -> u32> { Box::new(move || { let s = &s; s.0 }) }",
            new: "pub struct S(u32); impl Drop for S { fn drop(&mut self) {} }
                pub fn f(s: S) -> Box<dyn Fn() -> u32> { Box::new(move || { let s = &s; s.0 }) }",
            says: &[
                "refused <app::f::{closure_env#0} as core::ops::function::Fn<()>>: its method table changes (dropping a value calls code now, and did not)",
            ],
        },
        Case {
            name: "drop glue behind a closure that captures more",
            flags: &[],
            old: "pub fn f(s: u32) -> Box<dyn Fn() -> u32> { Box::new(move || s) }",
            new: "pub fn f(s: u32) -> Box<dyn Fn() -> u32> { let t = vec![s]; Box::new(move || t[0]) }",
            says: &["note closures of `app::f`"],
        },
        Case {
            name: "other bodies and impls in front",
            flags: &[],
            old: plain,
            new: with(
                "impl Clone for S { fn clone(&self) -> S { S { a: 1 } } }
                pub trait T { fn one(&self) -> u32; fn two(&self) -> u32 { 3 } }
                impl T for u8 { fn one(&self) -> u32 { 1 } } impl T for S { fn one(&self) -> u32 { self.a + 1 } }
                pub fn h() -> Box<dyn T> { Box::new(1_u8) }",
            ),
            says: &[],
        },
    ]);
}

#[test]
fn statics_that_hold_values_of_another_type_are_refused() {
    check(&[
        Case {
            name: "mutable, in v0 names",
            flags: V0,
            old: "static mut N: u32 = 1; pub fn f() -> u32 { unsafe { N } }",
            new: "static mut N: i32 = 1; pub fn f() -> u32 { unsafe { N as u32 } }",
            says: &["refused app::N: the static changes its type from `u32` to `i32`; the program \
                holds a value of `u32`"],
        },
        Case {
            name: "of an exported name",
            flags: &[],
            old: "#[unsafe(no_mangle)] pub static mut N: u32 = 1; pub fn f() -> u32 { unsafe { N } }",
            new: "#[unsafe(no_mangle)] pub static mut N: i32 = 1; pub fn f() -> u32 { unsafe { N as u32 } }",
            says: &["refused N: the static changes its type from `u32` to `i32`; the program \
                holds a value of `u32`"],
        },
        Case {
            name: "thread-local",
            flags: V0,
            old: "use std::cell::Cell; thread_local! { static N: Cell<u8> = const { Cell::new(1) } }
                pub fn f() -> u8 { N.get() }",
            new: "use std::cell::Cell; thread_local! { static N: Cell<i8> = const { Cell::new(1) } }
                pub fn f() -> u8 { N.get() as u8 }",
            says: &["refused app::N: the static changes its type from `core::cell::Cell<u8>` to \
                `core::cell::Cell<i8>`; the program holds a value of `core::cell::Cell<u8>`"],
        },
        Case {
            name: "with a destructor",
            flags: V0,
            old: "use std::cell::RefCell; thread_local! { static N: RefCell<Vec<u8>> = RefCell::new(vec![]) }
                pub fn f() -> usize { N.with(|n| n.borrow().len()) }",
            new: "use std::cell::RefCell; thread_local! { static N: RefCell<Vec<i8>> = RefCell::new(vec![]) }
                pub fn f() -> usize { N.with(|n| n.borrow().len()) }",
            says: &[
                "detached app::f::{closure#0}",
                "refused app::N: the static changes its type from \
                    `core::cell::RefCell<alloc::vec::Vec<u8>>` to \
                    `core::cell::RefCell<alloc::vec::Vec<i8>>`; the program holds a value of \
                    `core::cell::RefCell<alloc::vec::Vec<u8>>`",
            ],
        },
        Case {
            name: "in legacy names, where it is another static",
            flags: &[],
            old: "static mut N: u32 = 1; pub fn f() -> u32 { unsafe { N } }",
            new: "static mut N: i32 = 1; pub fn f() -> u32 { unsafe { N as u32 } }",
            says: &["note the static `app::N` changes its type from `u32` to `i32`: new code \
                starts with its initial value"],
        },
        Case {
            name: "immutable",
            flags: V0,
            old: "pub static N: u32 = 1; pub fn f() -> u32 { N }",
            new: "pub static N: i32 = 1; pub fn f() -> u32 { N as u32 }",
            says: &[],
        },
    ]);
}

#[test]
fn without_type_information_nothing_is_compared() {
    const OLD: &str = "pub struct State { x: f64 } #[inline(never)] pub fn f(s: &State) -> f64 { s.x.sin() + s.x.cos() * (s.x.tan() - s.x.sinh()) / s.x.cosh() }";
    const NEW: &str = "pub struct State { x: f64, y: f64 } #[inline(never)] pub fn f(s: &State) -> f64 { s.x.sin() + s.x.cos() * (s.x.tan() - s.x.sinh()) / s.x.cosh() }";
    const REFUSED: &str =
        "refused app::State: grows from 8 to 16 bytes: new field `y: f64` at offset 8";
    let case = |name, flags, says| Case { name, flags, old: OLD, new: NEW, says };
    check(&[
        case("debug = 0", &["-Cdebuginfo=0"], &["off"]),
        case("debug = line-tables-only", &["-Cdebuginfo=line-tables-only"], &["off"]),
        case("debug = 1", &["-Cdebuginfo=1"], &["off"]),
        case("split", &["-Csplit-debuginfo=unpacked"], &["off"]),
        case("DWARF 5", &["-Cdwarf-version=5"], &[REFUSED]),
        case("optimised", &["-Copt-level=1"], &[REFUSED]),
    ]);
}

#[test]
fn all_of_it_works_with_dwarf_5() {
    const FIVE: &[&str] = &["-Cdwarf-version=5", "-Csymbol-mangling-version=v0"];
    check(&[
        Case {
            name: "method table",
            flags: FIVE,
            old: "pub trait T { fn one(&self) {} } impl T for u8 {} pub fn f() -> Box<dyn T> { Box::new(1_u8) }",
            new: "pub trait T { fn one(&self) {} fn two(&self) {} } impl T for u8 {} pub fn f() -> Box<dyn T> { Box::new(1_u8) }",
            says: &["refused dyn app::T: its method table changes (`two` is added)"],
        },
        Case {
            name: "closure",
            flags: FIVE,
            old: "pub fn f(k: u32) -> Box<dyn Fn() -> u32> { Box::new(|| 1) }",
            new: "pub fn f(k: u32) -> Box<dyn Fn() -> u32> { Box::new(move || k) }",
            says: &["detached app::f::{closure#0}", "note closures of `app::f`"],
        },
        Case {
            name: "enum",
            flags: FIVE,
            old: "pub enum E { A(u8), B(u32) } pub fn f(e: E) -> bool { matches!(e, E::A(_)) }",
            new: "pub enum E { A(u8), B(u32), C } pub fn f(e: E) -> bool { matches!(e, E::A(_)) }",
            says: &["refused app::E: new variant `C`"],
        },
    ]);
}

/// A type, a static or a function that an earlier patch took away comes back as another one.
#[test]
fn what_is_gone_for_a_while_is_remembered() {
    const TYPE: &str = "pub struct State { x: u32 } pub fn f(s: &State) -> u32 { s.x }";
    const OTHER_TYPE: &str =
        "pub struct State { x: u32, y: u32 } pub fn f(s: &State) -> u32 { s.x }";
    const STATIC: &str = "static mut N: u32 = 1; pub fn f() -> u32 { unsafe { N } }";
    const OTHER_STATIC: &str = "static mut N: i32 = 1; pub fn f() -> u32 { unsafe { N as u32 } }";
    const FUNCTION: &str = "pub fn f(a: u32) -> u32 { a }";
    const OTHER_FUNCTION: &str = "pub fn f(a: u64) -> u32 { a as u32 }";
    const NONE: &str = "pub fn g() {}";
    for (first, last, says) in [
        (TYPE, TYPE, vec![]),
        (
            TYPE,
            OTHER_TYPE,
            vec![
                "refused app::State: grows from 4 to 8 bytes: new field `y: u32` \
            at offset 4",
            ],
        ),
        (
            STATIC,
            OTHER_STATIC,
            vec![
                "refused app::N: the static changes its type from `u32` to \
            `i32`; the program holds a value of `u32`",
            ],
        ),
        (FUNCTION, FUNCTION, vec![]),
        (FUNCTION, OTHER_FUNCTION, vec!["detached app::f"]),
    ] {
        let [first, none, last] = [first, NONE, last].map(|source| [compiled(source, V0)]);
        let went = Guard::default().check(&first, &none, &|| Ok(Vec::new())).expect("an answer");
        assert_eq!(lines(&went), BTreeSet::new());
        let came = went.next.check(&none, &last, &|| Ok(Vec::new())).expect("an answer");
        let says: BTreeSet<String> = says.into_iter().map(str::to_owned).collect();
        assert_eq!(lines(&came), says);
        let again = came.next.check(&last, &last, &|| Ok(Vec::new())).expect("an answer");
        assert_eq!(lines(&again), BTreeSet::new());
    }
}
