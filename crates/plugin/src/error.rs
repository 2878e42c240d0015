//! What becomes of a reload.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a plugin was not loaded. Where one ran before, it goes on.
#[derive(Debug)]
pub struct Error {
    file: PathBuf,
    why: String,
}

impl Error {
    pub(crate) fn new(file: &Path, why: impl Into<String>) -> Error {
        Error { file: file.to_owned(), why: why.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin {} is not used: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for Error {}

/// What a look at the plugin's file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The file is the one that runs, or one that was tried before.
    Same,
    /// A new version runs; its number, counted from 1 for the first.
    Version(u64),
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reloaded::Same => f.write_str("the plugin has not changed"),
            Reloaded::Version(version) => write!(f, "version {version} of the plugin runs"),
        }
    }
}
