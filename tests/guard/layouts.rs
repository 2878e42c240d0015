//! Types whose layout changes, and edits that change none.

use crate::{Case, V0, check};

#[test]
fn a_struct_that_holds_other_fields_is_refused() {
    check(&[
        Case {
            name: "field added",
            flags: &[],
            old: "pub struct State { x: f64, y: f64 } pub fn f(s: &State) -> f64 { s.x }",
            new: "pub struct State { x: f64, y: f64, z: f64 } pub fn f(s: &State) -> f64 { s.x }",
            says: &[
                "refused app::State: grows from 16 to 24 bytes: new field `z: f64` at offset 16",
            ],
        },
        Case {
            name: "field removed",
            flags: V0,
            old: "pub struct State { x: u32, y: u32 } pub fn f(s: &State) -> u32 { s.x }",
            new: "pub struct State { x: u32 } pub fn f(s: &State) -> u32 { s.x }",
            says: &["refused app::State: shrinks from 8 to 4 bytes: field `y: u32` is gone"],
        },
        Case {
            name: "field retyped",
            flags: &[],
            old: "pub struct State { x: u32 } pub fn f(s: &State) -> u32 { s.x }",
            new: "pub struct State { x: i32 } pub fn f(s: &State) -> u32 { s.x as u32 }",
            says: &["refused app::State: field `x` changes its type from `u32` to `i32`"],
        },
        Case {
            name: "field behind a pointer retyped",
            flags: &[],
            old: "pub struct State { x: Vec<u8> } pub fn f(s: &State) -> usize { s.x.len() }",
            new: "pub struct State { x: Vec<u16> } pub fn f(s: &State) -> usize { s.x.len() }",
            says: &[
                "refused app::State: field `x` changes its type from `alloc::vec::Vec<u8>` to \
                `alloc::vec::Vec<u16>`",
            ],
        },
        Case {
            name: "fields of repr(C) in another order",
            flags: &[],
            old: "#[repr(C)] pub struct S { a: u32, b: u32 } pub fn f(s: &S) -> u32 { s.a }",
            new: "#[repr(C)] pub struct S { b: u32, a: u32 } pub fn f(s: &S) -> u32 { s.a }",
            says: &["refused app::S: field `b` moves from offset 4 to 0, field `a` moves from \
                offset 0 to 4"],
        },
        Case {
            name: "tuple struct",
            flags: V0,
            old: "pub struct P(u32, u32); pub fn f(p: &P) -> u32 { p.0 }",
            new: "pub struct P(u32, u64); pub fn f(p: &P) -> u32 { p.0 }",
            says: &["refused app::P: grows from 8 to 16 bytes: field `1` changes its type from \
                `u32` to `u64`"],
        },
        Case {
            name: "alignment",
            flags: &[],
            old: "pub struct S { a: u32 } pub fn f(s: &S) -> u32 { s.a }",
            new: "#[repr(align(16))] pub struct S { a: u32 } pub fn f(s: &S) -> u32 { s.a }",
            says: &["refused app::S: grows from 4 to 16 bytes: its alignment changes from 4 to 16"],
        },
        Case {
            name: "union",
            flags: &[],
            old: "pub union U { a: u32, b: f32 } pub fn f(u: &U) -> u32 { unsafe { u.a } }",
            new: "pub union U { a: u32, b: f64 } pub fn f(u: &U) -> u32 { unsafe { u.a } }",
            says: &["refused app::U: grows from 4 to 8 bytes: field `b` changes its type from \
                `f32` to `f64`"],
        },
    ]);
}

#[test]
fn an_enum_with_other_variants_is_refused() {
    check(&[
        Case {
            name: "variant with data added",
            flags: &[],
            old: "pub enum E { A, B(u32) } pub fn f(e: &E) -> u32 { match e { E::B(x) => *x, _ => 0 } }",
            new: "pub enum E { A, B(u32), C { x: u64 } } pub fn f(e: &E) -> u32 { match e { E::B(x) => *x, _ => 0 } }",
            says: &["refused app::E: grows from 8 to 16 bytes: new variant `C`"],
        },
        Case {
            name: "variant without data added",
            flags: V0,
            old: "#[derive(Clone, Copy)] pub enum E { A, B } pub fn f(e: E) -> u8 { e as u8 }",
            new: "#[derive(Clone, Copy)] pub enum E { A, B, C } pub fn f(e: E) -> u8 { e as u8 }",
            says: &["refused app::E: new variant `C`"],
        },
        Case {
            name: "variant removed",
            flags: &[],
            old: "#[derive(Clone, Copy)] pub enum E { A, B, C } pub fn f(e: E) -> u8 { e as u8 }",
            new: "#[derive(Clone, Copy)] pub enum E { A, B } pub fn f(e: E) -> u8 { e as u8 }",
            says: &["refused app::E: variant `C` is gone"],
        },
        Case {
            name: "discriminant",
            flags: &[],
            old: "#[derive(Clone, Copy)] pub enum E { A = 1, B = 2 } pub fn f(e: E) -> u8 { e as u8 }",
            new: "#[derive(Clone, Copy)] pub enum E { A = 1, B = 3 } pub fn f(e: E) -> u8 { e as u8 }",
            says: &["refused app::E: the discriminant of `B` changes from 2 to 3"],
        },
        Case {
            name: "variants in another order",
            flags: &[],
            old: "pub enum E { A(u8), B(u32) } pub fn f(e: &E) -> u32 { match e { E::B(x) => *x, _ => 0 } }",
            new: "pub enum E { B(u32), A(u8) } pub fn f(e: &E) -> u32 { match e { E::B(x) => *x, _ => 0 } }",
            says: &["refused app::E: the discriminant of `B` changes from 1 to 0, the \
                discriminant of `A` changes from 0 to 1"],
        },
        Case {
            name: "field of a variant",
            flags: V0,
            old: "pub enum E { A, B { x: u32 } } pub fn f(e: &E) -> u32 { match e { E::B { x } => *x, _ => 0 } }",
            new: "pub enum E { A, B { x: u32, y: u32 } } pub fn f(e: &E) -> u32 { match e { E::B { x, .. } => *x, _ => 0 } }",
            says: &["refused app::E: grows from 8 to 12 bytes: variant `B`: new field `y: u32` \
                at offset 8"],
        },
    ]);
}

#[test]
fn only_the_type_that_changed_by_itself_is_named() {
    check(&[
        Case {
            name: "inside a struct",
            flags: &[],
            old: "pub struct In { a: u32 } pub struct Out { i: In, n: u8 } pub fn f(o: &Out) -> u32 { o.i.a }",
            new: "pub struct In { a: u32, b: u32 } pub struct Out { i: In, n: u8 } pub fn f(o: &Out) -> u32 { o.i.a }",
            says: &["refused app::In: grows from 4 to 8 bytes: new field `b: u32` at offset 4 and \
                of a type that contains it"],
        },
        Case {
            name: "inside an option, an array and a tuple",
            flags: V0,
            old: "pub struct In { a: u32 } pub struct Out { i: Option<In>, j: [In; 2], k: (In, u8) }
                pub fn f(o: &Out) -> u32 { o.j[0].a + o.k.0.a + o.i.is_some() as u32 }",
            new: "pub struct In { a: u32, b: u32 } pub struct Out { i: Option<In>, j: [In; 2], k: (In, u8) }
                pub fn f(o: &Out) -> u32 { o.j[0].a + o.k.0.a + o.i.is_some() as u32 }",
            says: &["refused app::In: grows from 4 to 8 bytes: new field `b: u32` at offset 4 and \
                of 3 types that contain it"],
        },
        Case {
            name: "behind a pointer",
            flags: &[],
            old: "pub struct In { a: u32 } pub struct Out { i: Box<In> } pub fn f(o: &Out) -> u32 { o.i.a }",
            new: "pub struct In { a: u32, b: u32 } pub struct Out { i: Box<In> } pub fn f(o: &Out) -> u32 { o.i.a }",
            says: &["refused app::In: grows from 4 to 8 bytes: new field `b: u32` at offset 4"],
        },
        Case {
            name: "by the values that a field leaves unused",
            flags: &[],
            old: "pub enum K { A, B } pub struct Out { k: Option<K> } pub fn f(o: &Out) -> bool { o.k.is_some() }",
            new: "pub enum K { A, B, C } pub struct Out { k: Option<K> } pub fn f(o: &Out) -> bool { o.k.is_some() }",
            says: &["refused app::K: new variant `C` and of a type that contains it"],
        },
        Case {
            name: "instances of a generic type",
            flags: &[],
            old: "pub struct G<T> { t: T } pub fn f(a: G<u8>) -> u8 { a.t } pub fn g(a: G<u32>) -> u32 { a.t }",
            new: "pub struct G<T> { t: T, n: u32 } pub fn f(a: G<u8>) -> u8 { a.t } pub fn g(a: G<u32>) -> u32 { a.t }",
            says: &["refused app::G<u32>: grows from 4 to 8 bytes: new field `n: u32` at offset 4 \
                and of another instance"],
        },
    ]);
}

#[test]
fn what_is_no_change_of_a_layout_is_left_alone() {
    const LAYOUT: &str = "pub struct State { pub x: f64, y: u8 } pub enum E { A, B(u32) }
        pub fn g(e: &E) -> bool { matches!(e, E::A) }";
    let with = |rest: &str| format!("{LAYOUT}\n{rest}").leak() as &'static str;
    check(&[
        Case {
            name: "another body",
            flags: &[],
            old: with("pub fn f(s: &State) -> f64 { s.x }"),
            new: with("pub fn f(s: &State) -> f64 { s.x * 2.0 + 1.0 }"),
            says: &[],
        },
        Case {
            name: "a comment above",
            flags: V0,
            old: with("pub fn f(s: &State) -> f64 { s.x }"),
            new: with("// One.\n// Two.\npub fn f(s: &State) -> f64 { s.x }"),
            says: &[],
        },
        Case {
            name: "a type that only new code has",
            flags: &[],
            old: with("pub fn f(s: &State) -> f64 { s.x }"),
            new: with("struct N { a: u8, b: u64 }
                pub fn f(s: &State) -> f64 { let n = N { a: 1, b: 2 }; s.x + n.b as f64 }"),
            says: &[],
        },
        Case {
            name: "a type that is gone",
            flags: &[],
            old: with("struct N { b: u64 }
                pub fn f(s: &State) -> f64 { let n = N { b: 2 }; s.x + n.b as f64 }"),
            new: with("pub fn f(s: &State) -> f64 { s.x }"),
            says: &[],
        },
        Case {
            name: "fields that the compiler puts in its own order",
            flags: &[],
            old: "pub struct S { a: u8, b: u32 } pub fn f(s: &S) -> u32 { s.b }",
            new: "pub struct S { b: u32, a: u8 } pub fn f(s: &S) -> u32 { s.b }",
            says: &[],
        },
        Case {
            name: "another name of a type parameter",
            flags: V0,
            old: "pub struct G<T> { t: T } pub fn f(a: G<u8>) -> u8 { a.t }",
            new: "pub struct G<Item> { t: Item } pub fn f(a: G<u8>) -> u8 { a.t }",
            says: &[],
        },
        Case {
            name: "a field without size",
            flags: &[],
            old: "pub struct S { a: u32 } pub fn f(s: &S) -> u32 { s.a }",
            new: "pub struct S { a: u32, p: std::marker::PhantomData<u64> } pub fn f(s: &S) -> u32 { s.a }",
            says: &[],
        },
        Case {
            name: "another name of a field",
            flags: &[],
            old: "pub struct S { a: u32, b: u32 } pub fn f(s: &S) -> u32 { s.a }",
            new: "pub struct S { first: u32, b: u32 } pub fn f(s: &S) -> u32 { s.first }",
            says: &["note `a` of `app::S` is called `first` now; values that exist keep what is in it"],
        },
        Case {
            name: "another name of a variant",
            flags: &[],
            old: "pub enum E { A, B(u32) } pub fn f(e: &E) -> bool { matches!(e, E::A) }",
            new: "pub enum E { Z, B(u32) } pub fn f(e: &E) -> bool { matches!(e, E::Z) }",
            says: &["note `A` of `app::E` is called `Z` now; values that exist keep what is in it"],
        },
        Case {
            name: "two types of one name, of which one is new",
            flags: V0,
            old: "pub fn f(a: u32) -> u32 { let x = { struct L { a: u32 } let l = L { a }; l.a }; x }",
            new: "pub fn f(a: u32) -> u32 { let x = { struct L { a: u32 } let l = L { a }; l.a };
                let y = { struct L { b: u64 } let l = L { b: 1 }; l.b as u32 }; x + y }",
            says: &[],
        },
        Case {
            name: "derived traits and methods",
            flags: &[],
            old: "pub struct S { a: u32 } pub fn f(s: &S) -> u32 { s.a }",
            new: "#[derive(Clone, Debug, PartialEq)] pub struct S { a: u32 } impl S { pub fn m(&self) -> u32 { self.a } }
                pub fn f(s: &S) -> u32 { s.m() }",
            says: &[],
        },
    ]);
}
