//! The project's own chores: `cargo xtask bench`, `cargo xtask programs`,
//! `cargo xtask setup-cross`, `cargo xtask storm`.

mod bench;
mod cross;
mod programs;
mod published;
mod storm;
mod tool;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "cargo-hotpatch's own chores")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures save-to-running against bare rustc and against a rebuild with restart.
    Bench(bench::Options),
    /// Uses published programs while they are edited, some of them under load.
    Programs(programs::Options),
    /// Edits functions of published programs while they run.
    Storm(storm::Options),
    /// Sets up what the tests for other targets need; what is there already is left alone.
    SetupCross(cross::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Bench(options) => bench::run(&options),
        Task::Programs(options) => programs::run(&options),
        Task::Storm(options) => storm::run(&options),
        Task::SetupCross(options) => cross::run(&options),
    }
}
