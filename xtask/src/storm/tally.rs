//! What came of the edits, counted.

use super::functions::Function;
use super::programs::Program;

/// What came of one edit and its revert.
#[derive(Debug)]
pub enum Outcome {
    /// Applied; the function was called and left its mark.
    Ran,
    /// Applied; nobody called the function meanwhile.
    NotCalled,
    /// Refused, with the reason.
    Refused(String),
    /// The program does not contain the function: it is generic and not used, or compiled out.
    Unchanged,
    /// The statement cannot stand there.
    NotCompiled,
    /// What may not happen.
    Wrong(String),
}

impl Outcome {
    /// One word for it.
    pub fn word(&self) -> &'static str {
        COLUMNS[self.column()]
    }

    fn column(&self) -> usize {
        match self {
            Outcome::Ran => 0,
            Outcome::NotCalled => 1,
            Outcome::Refused(_) => 2,
            Outcome::Unchanged => 3,
            Outcome::NotCompiled => 4,
            Outcome::Wrong(_) => 5,
        }
    }
}

const COLUMNS: [&str; 6] =
    ["ran", "applied, not called", "refused", "not in the program", "does not compile", "wrong"];

/// The outcomes of one program.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [usize; 6],
    notes: Vec<String>,
}

impl Tally {
    /// The head of the table.
    pub fn head() -> String {
        let rule = "|---".repeat(COLUMNS.len() + 3);
        format!("| program | kind | edits | {} |\n{rule}|", COLUMNS.join(" | "))
    }

    /// Counts an outcome.
    pub fn add(&mut self, function: &Function, outcome: Outcome) {
        let column = outcome.column();
        let note = match outcome {
            Outcome::Refused(why) => Some(format!("refused: {why}")),
            Outcome::Wrong(what) => Some(format!("WRONG: {what}")),
            _ => None,
        };
        self.counts[column] += 1;
        let place = || format!("`{}` ({})", function.name, function.file.display());
        self.notes.extend(note.map(|n| format!("{}: {n}", place())));
    }

    /// A line of the table.
    pub fn line(&self, program: &Program) -> String {
        let total: usize = self.counts.iter().sum();
        let counts = self.counts.map(|c| c.to_string()).join(" | ");
        format!(
            "| {} {} | {} | {total} | {counts} |",
            program.package.name, program.package.version, program.package.kind
        )
    }

    /// What was refused or wrong, a line each.
    pub fn notes(self, program: &Program) -> impl Iterator<Item = String> {
        self.notes.into_iter().map(|n| format!("{}: {n}", program.package.name))
    }
}
