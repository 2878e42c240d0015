//! The one error type that decides the exit code; everything else is `anyhow` context around it.

use std::path::Path;
use std::{fmt, io};

/// Why a command ends without success, in the terms of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user's code does not compile.
    UserCode,
    /// The command line is wrong.
    Usage,
    /// A patch cannot carry the change; the program must be restarted.
    Refused,
    /// A tool, a file or a setting is missing or does not fit.
    Environment,
    /// No program answered in time.
    NoAnswer,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::UserCode => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Environment => 4,
            Kind::NoAnswer => 5,
        }
    }
}

/// The exit code for an error that carries no [`Failure`]: a bug of ours.
pub const BUG: u8 = 101;

/// What went wrong, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// One or more lines that name the file or symbol and say why.
    pub message: String,
    /// A command or a line of configuration that mends it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of the given kind without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None }
    }

    /// A missing or unfit tool, file or setting.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Kind::Environment, message)
    }

    /// A change that a patch cannot carry.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A file or folder that cannot be used; `action` is a verb such as `write`.
    pub fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::environment(format!("cannot {action} `{}`: {error}", path.display()))
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The failure inside an error chain, where there is one.
pub fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.chain().find_map(|e| e.downcast_ref::<Failure>())
}

/// The exit code for an error chain.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    failure(error).map_or(BUG, |f| f.kind.exit_code())
}
