//! Edits functions of published programs while they run: each of N functions, chosen by a printed
//! seed, gets a statement that leaves a mark, and loses it again. Whatever the tool answers must
//! be true: an applied patch leaves marks where the function is called, its revert leaves none,
//! and the program is alive.

mod activity;
mod functions;
mod programs;
mod session;
mod tally;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use functions::Function;
use programs::Program;
use session::{Answer, Session};
use tally::{Outcome, Tally};

/// What to storm.
#[derive(Debug, Args)]
pub struct Options {
    /// How many functions of each program.
    #[arg(long, default_value_t = 40)]
    functions: usize,
    /// Chooses the functions; printed, so that a run can be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the copies go; removed at the end unless given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// How long a function that was patched may take to be called.
const CALLED_WITHIN: Duration = Duration::from_millis(1500);
/// How long the old code is watched for after its revert.
const QUIET_FOR: Duration = Duration::from_millis(300);

/// Storms the programs and prints a line of the table for each.
///
/// # Errors
/// Where a program cannot be fetched, built or started.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's root")?;
    let tool = crate::tool::build(root)?;
    let scratch = tempfile::tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let seed = options.seed.unwrap_or_else(seed_of_now);
    println!("{}, seed {seed}\n", crate::tool::machine());
    println!("{}", Tally::head());
    let mut notes = Vec::new();
    for program in programs::ALL.iter().filter(|p| options.wants(p.package.name)) {
        let tally = storm(program, &tool, &dir, (seed, options.functions))?;
        println!("{}", tally.line(program));
        notes.extend(tally.notes(program));
    }
    for note in notes {
        println!("{note}");
    }
    Ok(())
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == name)
    }
}

fn seed_of_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_secs() % 1_000_000)
}

fn storm(
    program: &Program,
    tool: &Path,
    dir: &Path,
    (seed, count): (u64, usize),
) -> anyhow::Result<Tally> {
    let source = crate::published::fetch(program.package.name, program.package.version, dir)?;
    let mut session = Session::start(program, &source, tool)?;
    let chosen = functions::choose(&functions::find(&source, &session.binary)?, seed, count);
    let mut tally = Tally::default();
    for (n, function) in chosen.iter().enumerate() {
        let outcome = edit(&mut session, function, n)?;
        if let Outcome::Wrong(_) = &outcome {
            session.restart()?;
        }
        eprintln!("{n:3} {}: {}", function.name, outcome.word());
        tally.add(function, outcome);
    }
    session.stop();
    Ok(tally)
}

/// One function: its mark comes and goes.
fn edit(session: &mut Session, function: &Function, n: usize) -> anyhow::Result<Outcome> {
    let original = std::fs::read_to_string(&function.file)?;
    let marked = function.marked(&original, &session.marks, n);
    let answer = session.save(function, &marked)?;
    let seen = matches!(answer, Answer::Applied) && session.mark_within(n, CALLED_WITHIN)?;
    let back = session.save(function, &original)?;
    if let Some(end) = session.ended() {
        return Ok(Outcome::Wrong(format!("the program ended: {end} (edit: {answer})")));
    }
    Ok(match (answer, back) {
        (Answer::Applied, Answer::Applied) => {
            session.forget_marks()?;
            let until = Instant::now() + QUIET_FOR;
            match session.mark_within(n, until.saturating_duration_since(Instant::now()))? {
                true => Outcome::Wrong("the revert is not what runs".into()),
                false if seen => Outcome::Ran,
                false => Outcome::NotCalled,
            }
        }
        (Answer::Refused(why), Answer::Unchanged) => Outcome::Refused(why),
        (Answer::NotCompiled, Answer::Unchanged) => Outcome::NotCompiled,
        (Answer::Unchanged, Answer::Unchanged) => Outcome::Unchanged,
        (answer, back) => Outcome::Wrong(format!("edit: {answer}; revert: {back}")),
    })
}
