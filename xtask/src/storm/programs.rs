//! The programs: of different kinds, each running until it is told to end.

use super::activity::Activity;

/// A published program and how it is used.
#[derive(Debug)]
pub struct Program {
    /// The package.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What kind of program it is, for the table.
    pub kind: &'static str,
    /// Cargo's selection of the target.
    pub selection: &'static [&'static str],
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
        name: "csvlens",
        version: "0.15.1",
        kind: "terminal UI",
        selection: &["--bin", "csvlens"],
        args: &["{dir}/table.csv"],
        terminal: true,
        activity: Activity::Type("jjjkkG"),
    },
    Program {
        name: "simple-http-server",
        version: "0.8.1",
        kind: "web server, threads",
        selection: &[],
        args: &["--index", "--port", "18641", "{dir}"],
        terminal: false,
        activity: Activity::Http(18641),
    },
    Program {
        name: "mini-redis",
        version: "0.4.1",
        kind: "async server, tokio",
        selection: &["--bin", "mini-redis-server"],
        args: &["--port", "18642"],
        terminal: false,
        activity: Activity::Redis(18642),
    },
    Program {
        name: "cargo-watch",
        version: "8.5.3",
        kind: "file watcher",
        selection: &[],
        args: &["watch", "-C", "{dir}", "--no-vcs-ignores", "-w", "touched", "-s", "true"],
        terminal: false,
        activity: Activity::Touch("touched"),
    },
    Program {
        name: "rusty-rain",
        version: "0.5.1",
        kind: "animation loop",
        selection: &["--bin", "rusty-rain"],
        args: &[],
        terminal: true,
        activity: Activity::None,
    },
    Program {
        name: "hecs",
        version: "0.11.2",
        kind: "ECS simulation",
        selection: &["--example", "ffa_simulation"],
        args: &[],
        terminal: false,
        activity: Activity::Type("\n?\n"),
    },
    Program {
        name: "rhai",
        version: "1.27.0",
        kind: "script engine, REPL",
        selection: &["--bin", "rhai-repl", "--features", "bin-features"],
        args: &[],
        terminal: true,
        activity: Activity::Type("let x = [1, 2, 3]; x.map(|v| v * 2)\r"),
    },
];
