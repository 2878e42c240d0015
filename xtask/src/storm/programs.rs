//! The programs: of different kinds, each running until it is told to end.

use super::activity::Activity;
use crate::published::{self, Package};

/// A published program and how it is used.
#[derive(Debug)]
pub struct Program {
    /// What is fetched, and what of it is run.
    pub package: Package,
    /// Its arguments; `{dir}` is a folder with a few files.
    pub args: &'static [&'static str],
    /// Whether it wants a terminal.
    pub terminal: bool,
    /// What makes it do something.
    pub activity: Activity,
}

/// All of them.
pub const ALL: &[Program] = &[
    Program {
        package: published::CSVLENS,
        args: &["{dir}/table.csv"],
        terminal: true,
        activity: Activity::Type("jjjkkG"),
    },
    Program {
        package: published::SIMPLE_HTTP_SERVER,
        args: &["--index", "--port", "18641", "{dir}"],
        terminal: false,
        activity: Activity::Http(18641),
    },
    Program {
        package: published::MINI_REDIS,
        args: &["--port", "18642"],
        terminal: false,
        activity: Activity::Redis(18642),
    },
    Program {
        package: published::CARGO_WATCH,
        args: &["watch", "-C", "{dir}", "--no-vcs-ignores", "-w", "touched", "-s", "true"],
        terminal: false,
        activity: Activity::Touch("touched"),
    },
    Program { package: published::RUSTY_RAIN, args: &[], terminal: true, activity: Activity::None },
    Program {
        package: published::HECS,
        args: &[],
        terminal: false,
        activity: Activity::Type("\n?\n"),
    },
    Program {
        package: published::RHAI,
        args: &[],
        terminal: true,
        activity: Activity::Type("let x = [1, 2, 3]; x.map(|v| v * 2)\r"),
    },
];
