//! Measures, in one run and interleaved, what an edit costs in three ways: bare replayed rustc,
//! `cargo hotpatch watch` from the save to the program's acknowledgement, and `cargo build` with
//! a restart. Each way has its own copy of the project, so that none warms another.

mod bare;
mod live;
mod pause;
mod projects;
mod rebuild;
mod statistics;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use bare::Bare;
use live::Live;
use projects::Project;
use rebuild::Rebuild;
use statistics::{median, percentile};

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// How many edits of each kind.
    #[arg(long, default_value_t = 12)]
    runs: usize,
    /// Only these: hello, naga, large, pause.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the copies go; removed at the end unless given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == name)
    }
}

/// Runs the benchmark and prints its tables.
///
/// # Errors
/// Where a project cannot be built or a patch is not applied.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's root")?;
    let tool = crate::tool::build(root)?;
    let scratch = tempfile::tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    println!("{}\n", crate::tool::machine());
    println!("| program | bare rustc | save to running | ratio | cargo build + restart | runs |");
    println!("|---|---|---|---|---|---|");
    if options.wants("hello") {
        compare(&projects::hello(root, &dir)?, &tool, options.runs)?;
    }
    if options.wants("naga") {
        compare(&projects::naga(root, &dir)?, &tool, options.runs)?;
    }
    if options.wants("large") {
        large(root, &dir, &tool, options.runs)?;
    }
    if options.wants("pause") {
        pause::measure(&projects::threads(root, &dir)?, &tool, options.runs.max(100))?;
    }
    Ok(())
}

/// One line of the table: all three ways take turns, edit by edit.
fn compare(project: &Project, tool: &Path, runs: usize) -> anyhow::Result<()> {
    let mut bare = Bare::prepare(&project.copy("bare")?, tool)?;
    let mut rebuild = Rebuild::prepare(&project.copy("rebuild")?)?;
    let mut live = Live::start(&project.copy("watch")?, tool)?;
    let (mut rustc, mut cargo, mut patched) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs + 2 {
        let times = (bare.edit(run)?, live.edit(run)?, rebuild.edit(run)?);
        if run >= 2 {
            rustc.push(times.0);
            patched.push(times.1.total_ms);
            cargo.push(times.2);
        }
    }
    live.stop()?;
    println!(
        "| {} | {:.0} ms | {:.0} ms | {:.2} | {:.0} ms | {runs} |",
        project.name,
        median(&rustc),
        median(&patched),
        median(&patched) / median(&rustc),
        median(&cargo)
    );
    Ok(())
}

/// What a patch costs beyond rustc in a small program, and in the same program with 500 MB of
/// debug information and symbols beside it.
fn large(root: &Path, dir: &Path, tool: &Path, runs: usize) -> anyhow::Result<()> {
    let mut medians = Vec::new();
    for project in [projects::hello(root, dir)?, projects::large(root, dir)?] {
        let mut live = Live::start(&project.copy("large")?, tool)?;
        let mut beyond = Vec::new();
        for run in 0..runs + 2 {
            let times = live.edit(run)?;
            if run >= 2 {
                beyond.push(times.relink_ms);
            }
        }
        let bytes = std::fs::metadata(&live.program)?.len();
        live.stop()?;
        medians.push((bytes, median(&beyond), percentile(&beyond, 90.0)));
    }
    println!("\n| program file | relink and diff, median | p90 |\n|---|---|---|");
    for (bytes, median, p90) in medians {
        println!("| {} MB | {median:.1} ms | {p90:.1} ms |", bytes / 1_000_000);
    }
    Ok(())
}
