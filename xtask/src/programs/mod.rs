//! Published programs as they are, under `cargo hotpatch watch`: an edit of their own code and
//! one of a dependency's must show in what they do, what they hold must stay, and no request to a
//! server may fail while it is patched again and again.

mod list;
mod load;
mod program;
mod proof;
mod readme;
mod story;
mod terminal;
mod users;
mod watched;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use program::Program;
use readme::Results;
use users::Kind;

/// What to prove.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How many patches a server gets under load.
    #[arg(long, default_value_t = 100)]
    patches: usize,
    /// Where the programs and their builds go; they are kept, so that the next run builds less.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The tool to use; without it, it is built as a user installs it.
    #[arg(long)]
    tool: Option<PathBuf>,
    /// Write the results of all programs, each from its last run, into the README.
    #[arg(long)]
    readme: bool,
}

/// Runs the programs one after the other.
///
/// # Errors
/// Where one of them was not what it must be.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's root")?;
    if let Some(unknown) = options.only.iter().find(|name| list::named(name).is_none()) {
        bail!("`{unknown}` is none of the programs");
    }
    let tool = match &options.tool {
        Some(tool) => tool.canonicalize().with_context(|| tool.display().to_string())?,
        None => crate::tool::build(root)?,
    };
    let dir = options.dir.clone().unwrap_or_else(|| root.join("target/programs"));
    std::fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    let results = Results::new(&dir)?;
    let wanted = |p: &&Program| {
        options.only.is_empty() || options.only.iter().any(|name| name == p.package.name)
    };
    let mut failed = Vec::new();
    for program in list::ALL.iter().filter(wanted) {
        let name = program.package.name;
        if matches!(program.kind, Kind::Screen(_)) && !terminal::is_there() {
            println!("SKIPPED {name}: no tmux, and no apt-get that installs it");
            continue;
        }
        results.forget(program);
        match proof::prove(program, &dir, &tool, options.patches) {
            Ok(proof) => {
                println!("{}\n{}", proof.story.text(), readme::row(program, &proof));
                if let Some((_, requests)) = proof.load.as_ref().filter(|(_, r)| r.failed > 0) {
                    println!("FAILED requests to {name}: {}", requests.told.join("; "));
                    failed.push(name);
                }
                results.keep(program, &proof)?;
            }
            Err(error) => {
                println!("FAILED {name}: {error:#}\n");
                failed.push(name);
            }
        }
    }
    ensure!(failed.is_empty(), "not as it must be: {}", failed.join(", "));
    if options.readme {
        results.show(&root.join("README.md"))?;
    }
    Ok(())
}
