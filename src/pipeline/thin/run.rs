//! Building the units: each rustc starts as soon as the metadata of what it depends on is there,
//! as cargo does it, while the code of the dependencies is still being made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::diagnostic::files;
use super::lock::Lock;
use super::plan::{Folders, ThinLibrary, thin_args};
use super::process::{Message, Process};
use super::results::Place;
use super::state::{Standing, Standings, State};
use super::{Rejected, ThinBuild, ThinUnit};
use crate::error::{Failure, Kind};
use crate::pipeline::capture::record::nanoseconds;
use crate::pipeline::capture::{FatBuild, Unit};

/// Builds the named units, those whose last thin build failed, and all that depend on these.
/// Each diagnostic goes to `on_diagnostic` as rustc wrote it, warnings too.
///
/// # Errors
/// [`Rejected`] with a [`Failure`] of the kind `UserCode` where the code does not compile;
/// a [`Failure`] of the kind `Environment` where rustc cannot be run.
pub fn build(
    fat: &FatBuild,
    keys: &[String],
    on_diagnostic: &mut dyn FnMut(&Unit, Value),
) -> anyhow::Result<ThinBuild> {
    let wanted = |unit: &Unit, _: &Standing| keys.contains(&unit.key);
    match run(fat, wanted, channel(), on_diagnostic)? {
        Some(built) => Ok(built),
        None => Err(Failure::environment("the build was given up").into()),
    }
}

/// The sending and the receiving end for what happens during a build.
pub type Channel = (Sender<Message>, Receiver<Message>);

/// Builds the wanted units and what must be built with them, when no other thin build runs any
/// more; `None` where [`Message::Cancel`] came before the end.
pub fn run(
    fat: &FatBuild,
    wanted: impl Fn(&Unit, &Standing) -> bool,
    channel: Channel,
    on_diagnostic: &mut dyn FnMut(&Unit, Value),
) -> anyhow::Result<Option<ThinBuild>> {
    let Some(units) = fat.root_unit().and_then(|unit| unit.folder().parent()) else {
        return Err(Failure::environment("the build has no units").into());
    };
    let _lock = Lock::take(&units.join("thin.lock"))?;
    let mut standings = Standings::read(fat);
    standings.choose(fat, wanted);
    Builder::new(fat, standings, channel).run(on_diagnostic)
}

/// One build of several units.
struct Builder<'a> {
    fat: &'a FatBuild,
    standings: Standings,
    channel: Channel,
    jobs: BTreeMap<usize, Job>,
    rejected: Option<Rejected>,
}

/// A unit to build.
#[derive(Default)]
struct Job {
    place: Option<Place>,
    old_objects: BTreeSet<PathBuf>,
    process: Option<Process>,
    started: bool,
    run: u64,
    /// Whether the dependents can start.
    ready: bool,
    errors: usize,
    text: Vec<String>,
    files: Vec<PathBuf>,
    built: Option<ThinUnit>,
}

impl<'a> Builder<'a> {
    fn new(fat: &'a FatBuild, standings: Standings, channel: Channel) -> Builder<'a> {
        let chosen = (0..fat.units.len()).filter(|n| standings.rebuild[*n]);
        let jobs = chosen.map(|n| (n, Job::default())).collect();
        Builder { fat, standings, channel, jobs, rejected: None }
    }

    fn run(
        mut self,
        on_diagnostic: &mut dyn FnMut(&Unit, Value),
    ) -> anyhow::Result<Option<ThinBuild>> {
        let begun = Instant::now();
        let outcome = self.work(on_diagnostic);
        if !matches!(outcome, Ok(true)) {
            self.give_up();
        }
        if !outcome? {
            return Ok(None);
        }
        if let Some(rejected) = self.rejected {
            return Err(rejected.into());
        }
        let units = self.jobs.into_values().filter_map(|job| job.built).collect();
        Ok(Some(ThinBuild { units, elapsed_ms: begun.elapsed().as_secs_f64() * 1000.0 }))
    }

    /// True when there is nothing more to do, false when the build was cancelled.
    fn work(&mut self, on_diagnostic: &mut dyn FnMut(&Unit, Value)) -> anyhow::Result<bool> {
        let limit = std::thread::available_parallelism().map_or(1, usize::from);
        loop {
            while self.running() < limit && self.rejected.is_none() {
                let Some(n) = self.next() else { break };
                self.start(n)?;
            }
            if self.running() == 0 {
                return Ok(true);
            }
            match self.channel.1.recv()? {
                Message::Cancel => return Ok(false),
                Message::Metadata(n) => self.job(n).ready = true,
                Message::Text(n, line) => self.job(n).text.push(line),
                Message::Diagnostic(n, diagnostic) => {
                    let unit = &self.fat.units[n];
                    self.job(n).note(unit, &diagnostic);
                    on_diagnostic(unit, diagnostic);
                }
                Message::Ended(n) => self.finish(n)?,
            }
        }
    }

    fn job(&mut self, n: usize) -> &mut Job {
        self.jobs.entry(n).or_default()
    }

    fn running(&self) -> usize {
        self.jobs.values().filter(|j| j.process.is_some()).count()
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.fat.units.iter().position(|u| u.key == key)
    }

    /// The first unit that can be started: all that it depends on has its metadata.
    fn next(&self) -> Option<usize> {
        let ready = |key: &String| {
            let job = self.position(key).and_then(|n| self.jobs.get(&n));
            job.is_none_or(|job| job.ready)
        };
        let startable = |n: &usize| self.fat.units[*n].dependencies.iter().all(ready);
        self.jobs.iter().filter(|(_, j)| !j.started).map(|(n, _)| *n).find(startable)
    }

    fn start(&mut self, n: usize) -> anyhow::Result<()> {
        let unit = &self.fat.units[n];
        if !unit.baseline.is_dir() {
            return Err(captured_again(unit).into());
        }
        let place = Place::of(unit);
        let old_objects = place.prepare()?;
        let folders = Folders { out: &place.out, incremental: &place.incremental };
        let args = thin_args(&unit.args, folders, &self.libraries(n));
        let run = nanoseconds(SystemTime::now());
        let state = self.state(n, run, false);
        state.write(unit)?;
        let process = Process::start(unit, args, n, self.channel.0.clone())?;
        for object in &old_objects {
            // While rustc reads its input: the old files are not in its way.
            _ = std::fs::remove_file(object);
        }
        let job = self.job(n);
        job.place = Some(place);
        job.old_objects = old_objects;
        job.process = Some(process);
        job.run = run;
        job.started = true;
        Ok(())
    }

    /// The state to leave for a run of a unit.
    fn state(&self, n: usize, run: u64, done: bool) -> State {
        let unit = &self.fat.units[n];
        let with = |key: &String| {
            let d = self.position(key)?;
            let run = self.jobs.get(&d).map(|j| j.run).or_else(|| self.standings.run(d))?;
            Some((key.clone(), run))
        };
        let dependencies = unit.dependencies.iter().filter_map(with).collect();
        State { capture: unit.started_ns, run, done, dependencies }
    }

    /// The thin libraries among all that the unit depends on, directly or not.
    fn libraries(&self, n: usize) -> Vec<ThinLibrary> {
        let mut needed = BTreeSet::new();
        let mut open = vec![n];
        while let Some(n) = open.pop() {
            let keys = self.fat.units[n].dependencies.iter();
            open.extend(keys.filter_map(|k| self.position(k)).filter(|d| needed.insert(*d)));
        }
        let thin = needed.into_iter().filter(|d| self.standings.thin[*d]);
        let place = |d: usize| Place::of(&self.fat.units[d]);
        thin.map(place).map(|p| ThinLibrary { stem: p.stem, folder: p.out }).collect()
    }

    fn finish(&mut self, n: usize) -> anyhow::Result<()> {
        let unit = &self.fat.units[n];
        let job = self.job(n);
        let (Some(process), Some(place)) = (job.process.take(), job.place.take()) else {
            return Ok(());
        };
        let status = process.wait().map_err(|e| Failure::io("wait for", &unit.rustc, &e))?;
        if !status.success() {
            let rejected = job.reject(unit, &status.to_string());
            self.rejected.get_or_insert(rejected);
            return Ok(());
        }
        job.built = Some(place.results(unit, &job.old_objects)?);
        job.ready = true;
        let run = job.run;
        self.state(n, run, true).write(unit)?;
        Ok(())
    }

    /// Ends what runs. A unit that never had a thin build is then as if none was begun.
    fn give_up(&mut self) {
        for (n, job) in &mut self.jobs {
            if let Some(process) = job.process.take() {
                process.kill();
                if self.standings.standings[*n] == Standing::Untouched {
                    State::remove(&self.fat.units[*n]);
                }
            }
        }
    }
}

fn captured_again(unit: &Unit) -> Failure {
    Failure::environment(format!(
        "another `cargo hotpatch` has built `{}` again, and the program that runs is an older one",
        unit.crate_name
    ))
    .hint("restart the program")
}

impl Job {
    fn note(&mut self, unit: &Unit, diagnostic: &Value) {
        if diagnostic["level"] == "error" {
            self.errors += 1;
            self.files.extend(files(diagnostic, &unit.cwd));
        }
    }

    fn reject(&mut self, unit: &Unit, status: &str) -> Rejected {
        let failure = match self.errors {
            0 => {
                let words = [&[format!("rustc ended with {status}")], &self.text[..]].concat();
                Failure::environment(words.join("\n"))
            }
            _ => Failure::new(Kind::UserCode, "rustc reported errors"),
        };
        let mut files = std::mem::take(&mut self.files);
        files.sort();
        files.dedup();
        Rejected { key: unit.key.clone(), crate_name: unit.crate_name.clone(), files, failure }
    }
}
