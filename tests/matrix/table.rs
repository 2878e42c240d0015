//! The edits as data: what is edited, and what must become of it.

/// An edit of a kind that developers make.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What is done, in a few words.
    pub name: &'static str,
    /// All that is saved at once.
    pub edits: &'static [Edit],
    /// What must become of it.
    pub then: Then,
    /// What stays different when the edit is taken back.
    pub lasting: &'static [Value],
}

/// In this file, the one place that says the second text says the third. Where the second is
/// empty, the file is new.
pub type Edit = (&'static str, &'static str, &'static str);

/// A name and the value that the program prints for it.
pub type Value = (&'static str, &'static str);

/// What must become of an edit. The program prints what it printed before for every other name.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// It is applied, and the program prints this.
    Prints(&'static [Value]),
    /// The same, with a warning that says this.
    Warns(&'static [Value], &'static str),
    /// There is nothing to apply, and nothing needs to be said.
    Nothing,
    /// There is nothing to apply, with a warning that says this.
    Only(&'static str),
    /// It is refused: for this item, with this in the reason.
    Refused(&'static str, &'static str),
    /// A restart is asked for, with this cause.
    Restart(&'static str),
    /// rustc has an error of this code.
    Rejected(&'static str),
}

/// A row.
pub const fn row(name: &'static str, edits: &'static [Edit], then: Then) -> Row {
    Row { name, edits, then, lasting: &[] }
}

impl Row {
    /// The same row where the values that are left are others once the edit is taken back.
    pub const fn lasting(self, lasting: &'static [Value]) -> Row {
        Row { lasting, ..self }
    }
}

/// Rows about one thing.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub name: &'static str,
    /// The rows, in the order in which one program lives through them.
    pub rows: &'static [Row],
}
