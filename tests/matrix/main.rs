//! Every kind of edit, one after the other, in a running program: each is applied whole or
//! refused by name, and the program goes on in both cases.
//!
//! `MATRIX=text` runs only the rows with this text in their names. Without it, an emulator runs the
//! rows that a processor has a part in; `MATRIX=` runs all of them there.

mod rows;
mod run;
mod summary;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod variants;

use run::Run;
use summary::Summary;

#[test]
fn every_edit_is_applied_whole_or_refused_by_name() {
    let mut run = Run::new("default", |_| {});
    let mut summary = Summary::default();
    for group in rows::ALL.iter().filter(|group| summary::is_of_this_processor(group)) {
        for row in group.rows.iter().filter(|row| summary::is_wanted(row)) {
            summary.add(group.name, row, run.row(row));
        }
    }
    run.stop();
    summary.end("default profile");
}
