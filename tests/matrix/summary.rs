//! What came out, by group; and the README's table, which is made of the rows alone.

use std::collections::BTreeMap;
use std::io::Write;

use crate::rows;
use crate::run::Wrong;
use crate::support::target;
use crate::table::{Group, Row, Then};

/// The kinds of results.
const KINDS: [&str; 4] = ["applied", "nothing to apply", "refused", "restart"];
const WRONG: usize = KINDS.len();

/// Counts of results.
#[derive(Default)]
pub struct Summary {
    order: Vec<&'static str>,
    counts: BTreeMap<&'static str, [usize; WRONG + 1]>,
    wrong: Vec<String>,
}

impl Summary {
    /// A row is done.
    pub fn add(&mut self, group: &'static str, row: &Row, result: Result<(), Wrong>) {
        if !self.order.contains(&group) {
            self.order.push(group);
        }
        let counts = self.counts.entry(group).or_default();
        match result {
            Ok(()) => counts[kind(row.then)] += 1,
            Err(why) => {
                counts[WRONG] += 1;
                self.wrong.push(format!("{group}, {}: {why}", row.name));
            }
        }
    }

    /// Prints the table; fails the test where a row came out wrong.
    #[track_caller]
    pub fn end(&self, title: &str) {
        say(&format!("the edit matrix, {title}:\n{}", self.table(true)));
        assert!(self.wrong.is_empty(), "{} wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }

    fn table(&self, with_wrong: bool) -> String {
        let columns = if with_wrong { WRONG + 1 } else { WRONG };
        let heads: Vec<&str> = KINDS.into_iter().chain(["wrong"]).take(columns).collect();
        let mut text = format!("| edits of | {} |\n", heads.join(" | "));
        text += &format!("|---|{}\n", "---|".repeat(columns));
        let mut sum = [0; WRONG + 1];
        for group in &self.order {
            let counts = &self.counts[group];
            text += &line(group, &counts[..columns]);
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        text + &line("all", &sum[..columns])
    }
}

fn line(name: &str, counts: &[usize]) -> String {
    let cells: Vec<String> = counts.iter().map(usize::to_string).collect();
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn kind(then: Then) -> usize {
    match then {
        Then::Prints(_) | Then::Warns(..) => 0,
        Then::Nothing | Then::Only(_) | Then::Rejected(_) => 1,
        Then::Refused(..) => 2,
        Then::Restart(_) => 3,
    }
}

/// Whether the row was asked for.
pub fn is_wanted(row: &Row) -> bool {
    std::env::var("MATRIX").map_or(true, |text| row.name.contains(&text))
}

/// Groups in which the processor decides; the others are decided by names and types.
const OF_PROCESSORS: [&str; 5] = [
    "functions",
    "closures, futures, threads",
    "statics and constants",
    "panics and control flow",
    "close to the machine",
];

/// Whether all is to be run, or what is run is no foreign processor's.
pub fn is_everything() -> bool {
    target::foreign().is_none() || std::env::var_os("MATRIX").is_some()
}

/// Whether the group's rows are run for this processor.
pub fn is_of_this_processor(group: &Group) -> bool {
    is_everything() || OF_PROCESSORS.contains(&group.name)
}

/// Past the test harness, which hides what passing tests print.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

const BEGIN: &str = "<!-- the edit matrix -->\n";
const END: &str = "<!-- end of the edit matrix -->\n";

/// The README shows what the rows promise. `MATRIX_README=1` writes the table there.
#[test]
fn the_readme_has_the_table() {
    let mut promised = Summary::default();
    for group in rows::ALL {
        group.rows.iter().for_each(|row| promised.add(group.name, row, Ok(())));
    }
    let table = promised.table(false);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&file).expect("a README");
    let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (shown, after) = rest.split_once(END).expect("an end of the table");
    if std::env::var_os("MATRIX_README").is_some() {
        let text = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(&file, text).expect("a README to write");
    } else {
        assert_eq!(shown, table, "MATRIX_README=1 cargo test --test matrix readme");
    }
}
