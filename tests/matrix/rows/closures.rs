//! Closures, futures and threads: stored, running and made anew.

use crate::table::Then::{Prints, Warns};
use crate::table::{Group, Row, row};

const C: &str = "app/src/closures.rs";
const T: &str = "app/src/tasks.rs";

pub const GROUP: Group = Group { name: "closures, futures, threads", rows: ROWS };

const ROWS: &[Row] = &[
    row(
        "a stored closure that captures nothing",
        &[(C, "|x| x + 100", "|x| x + 150")],
        Prints(&[("none", "151")]),
    ),
    row(
        "a stored closure that captures one word",
        &[(C, "x + a + 200", "x * 2 + a + 200")],
        Prints(&[("one", "212"), ("newone", "212")]),
    ),
    row(
        "a stored closure that captures two words",
        &[(C, "x + a + b + 300", "x + a + b * 2 + 300")],
        Prints(&[("two", "351")]),
    ),
    row(
        "a stored closure that captures a `String`",
        &[(C, "format!(\"{text}!\")", "format!(\"{text}?\")")],
        Prints(&[("moved", "text?")]),
    ),
    row(
        "a closure that captures by reference",
        &[(C, "sum += by;", "sum += by * 10;")],
        Prints(&[("borrowed", "30")]),
    ),
    row(
        "a closure that is an argument",
        &[(C, "applied(|x| x + 1)", "applied(|x| x + 2)")],
        Prints(&[("applied", "606")]),
    ),
    row(
        "a closure that captures more than the stored ones",
        &[(
            C,
            "fn one(a: u32) -> Stored {\n    Box::new(move |x| x + a + 200)",
            "fn one(a: u32) -> Stored {\n    let more = a * 2;\n    Box::new(move |x| x + a + more + 200)",
        )],
        Warns(&[("newone", "231")], "closures of `app::closures::one`"),
    ),
    row(
        "a closure that captures less than the stored ones",
        &[(C, "x + a + b + 300", "x + a + 300")],
        Warns(&[], "closures of `app::closures::two`"),
    ),
    row(
        "`move` taken away",
        &[(C, "    add(1);\n    add(2);\n    sum", "    add(1);\n    add(3);\n    sum")],
        Prints(&[("borrowed", "4")]),
    ),
    row(
        "two closures change places",
        &[(
            C,
            "    let left = Box::new(|x| x * 2 + 400);\n    let right = Box::new(|x| x * 3 + 500);",
            "    let right = Box::new(|x| x * 3 + 500);\n    let left = Box::new(|x| x * 2 + 400);",
        )],
        Warns(&[], "pair"),
    ),
    row(
        "a closure in front of another",
        &[(
            C,
            "    let left = Box::new(|x| x * 2 + 400);",
            "    let by = |x: u32| x + 1;\n    assert_eq!(by(1), 2);\n    let left = Box::new(|x| x * 2 + 400);",
        )],
        Warns(&[], "pair"),
    ),
    row(
        "the first of two closures removed",
        &[(
            C,
            "    let left = Box::new(|x| x * 2 + 400);\n    let right = Box::new(|x| x * 3 + 500);",
            "    let right = Box::new(|x| x * 3 + 500);\n    let left = none();",
        )],
        Warns(&[("newleft", "101")], "pair"),
    ),
    row("a comparator", &[(C, "a.cmp(b)", "b.cmp(a)")], Prints(&[("ordered", "[3, 2, 1]")])),
    row(
        "an iterator's closures",
        &[(C, "n % 2 == 0", "n % 3 == 0"), (C, "n * n", "n * 2")],
        Prints(&[("chained", "[6, 12]")]),
    ),
    row(
        "another chain of iterators",
        &[(
            C,
            "(1..=6).filter(|n| n % 2 == 0).map(|n| n * n).collect()",
            "(1..=6).rev().step_by(2).zip([1, 2, 3]).map(|(a, b)| a * b).collect()",
        )],
        Prints(&[("chained", "[6, 8, 6]")]),
    ),
    row(
        "what a running future calls",
        &[(T, "round / u32::MAX + 700", "round / u32::MAX + 701")],
        Prints(&[("running", "701")]),
    ),
    row(
        "the body of a running future",
        &[(
            T,
            "        let _ = tell.send(work(round));",
            "        let _ = tell.send(work(round) + 5);",
        )],
        Prints(&[("running", "705")]),
    ),
    row(
        "an `async fn` with state across `.await`",
        &[(T, "    kept + 800", "    kept + 801")],
        Prints(&[("awaited", "804")]),
    ),
    row(
        "more state across `.await`",
        &[(
            T,
            "    let kept = value * 2;\n    Yield(false).await;\n    kept + 800",
            "    let kept = value * 2;\n    let more = [value; 4];\n    Yield(false).await;\n    Yield(false).await;\n    kept + more[3] + 800",
        )],
        Warns(
            &[("awaited", "804")],
            "futures of `app::tasks::added` have another layout now: those that run go on in old \
             code, and so do new ones where they are made by code that was set up before",
        ),
    ),
    row(
        "a new `async fn` that is awaited",
        &[
            (T, "    let first = added(1).await;", "    let first = added(fresh().await).await;"),
            (
                T,
                "async fn outer",
                "async fn fresh() -> u32 {\n    Yield(false).await;\n    11\n}\n\nasync fn outer",
            ),
        ],
        Warns(&[("awaited", "823")], "futures of `app::tasks::outer`"),
    ),
    row(
        "an `async fn` becomes a plain one",
        &[
            (
                T,
                "async fn added(value: u32) -> u32 {\n    let kept = value * 2;\n    Yield(false).await;\n    kept + 800",
                "fn added(value: u32) -> u32 {\n    value * 2 + 810",
            ),
            (T, "added(1).await", "added(1)"),
        ],
        Warns(&[("awaited", "813")], "futures of `app::tasks::outer`"),
    ),
    row(
        "what a running thread calls",
        &[(T, "question + 900", "question + 901")],
        Prints(&[("reply", "902")]),
    ),
    row(
        "the code of threads that are started from now on",
        &[(T, "|| 1000", "|| 1001")],
        Prints(&[("spawned", "1001")]),
    ),
    row(
        "a scoped thread",
        &[(T, "numbers.iter().sum::<u32>()", "numbers.iter().product::<u32>() + 1")],
        Prints(&[("scoped", "7")]),
    ),
    row(
        "a new thread",
        &[(
            T,
            "    std::thread::spawn(|| 1000).join().unwrap_or(0)",
            "    let more = std::thread::spawn(|| 500);\n    std::thread::spawn(|| 1000).join().unwrap_or(0) + more.join().unwrap_or(0)",
        )],
        Warns(&[("spawned", "1500")], "tasks::spawned"),
    ),
    row(
        "two closures change places and bodies",
        &[(
            C,
            "    let left = Box::new(|x| x * 2 + 400);\n    let right = Box::new(|x| x * 3 + 500);",
            "    let right = Box::new(|x| x * 3 + 501);\n    let left = Box::new(|x| x * 2 + 401);",
        )],
        Warns(&[("newleft", "403"), ("newright", "504")], "pair"),
    ),
    row(
        "the state of a running future",
        &[(
            T,
            "    let mut round = 0;\n    loop {\n        round += 1;\n        let _ = tell.send(work(round));",
            "    let mut round = 0;\n    let mut kept = [0u32; 8];\n    loop {\n        round += 1;\n        kept[round as usize % 8] += 1;\n        let _ = tell.send(work(round) + 5 + kept[0] / u32::MAX);",
        )],
        Warns(&[], "tasks::forever"),
    ),
    row(
        "an `async` block",
        &[(T, "        block_on(outer()),", "        block_on(async { outer().await + 7 }),")],
        Prints(&[("awaited", "810")]),
    ),
    row(
        "code behind an `.await`",
        &[(
            T,
            "async fn outer() -> u32 {\n    let first = added(1).await;\n    first + 1",
            "async fn outer() -> u32 {\n    let first = added(1).await;\n    first + 2",
        )],
        Prints(&[("awaited", "804")]),
    ),
];
