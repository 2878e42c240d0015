//! What is known of a program before it runs.

use super::users::Kind;
use crate::published::Package;

/// A published program, how it is used, and what is changed in it while it runs.
#[derive(Debug)]
pub struct Program {
    /// What is fetched, and what of it is run.
    pub package: Package,
    /// Its arguments; `{dir}` is a folder with a few files, `{port}` a port that is free.
    pub args: &'static [&'static str],
    /// How it is used.
    pub kind: Kind,
    /// What its user does first, so that there is a state to keep.
    pub first: &'static [&'static str],
    /// What must go on as it was.
    pub kept: Kept,
    /// The edit of its own code.
    pub own: Edit,
    /// The dependency that it uses by path: name and version.
    pub dependency: (&'static str, &'static str),
    /// The edit of the dependency's code.
    pub theirs: Edit,
    /// Whether it is patched again and again under load.
    pub load: bool,
}

/// One edit that shows in what the program does. `#N` is the number of the edit.
#[derive(Debug)]
pub struct Edit {
    /// The file, in its package.
    pub file: &'static str,
    /// What is replaced; the file has it once.
    pub from: &'static str,
    /// What it is replaced by.
    pub to: &'static str,
    /// What the user does to see it.
    pub ask: &'static str,
    /// What the program showed before.
    pub was: &'static str,
    /// What it shows then.
    pub shows: &'static str,
}

/// What a patch may not touch.
#[derive(Debug)]
pub struct Kept {
    /// In words, for the table.
    pub what: &'static str,
    /// What the user does to see it.
    pub ask: &'static str,
    /// What of the answer it is; nothing where it is not there.
    pub part: fn(&str) -> Option<String>,
    /// In what way it is kept.
    pub how: How,
}

/// What keeping means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It stays the same, also when the new code has run.
    Same,
    /// It stays the same until the program is used again, which changes it.
    UntilUsed,
    /// It goes on counting and never falls back.
    Grows,
}
