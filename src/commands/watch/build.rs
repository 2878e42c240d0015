//! One fat build while it is the newest: its program, its inputs, and the thread that patches it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};

use super::builder::{Builder, Job};
use super::devices::Remote;
use super::live::PATIENCE;
use super::program::{Process, Program, Start, command_line, exited};
use super::{Built, Desk, Input, environment, key};
use crate::commands::serving;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::relink::Guests;
use crate::report::{Event, Reporter};
use crate::session::Session;
use crate::watcher::inputs::Inputs;
use crate::watcher::{By, Watched, Watcher};

/// How long a program that does not link the runtime may be without a connection.
const HINT_AFTER: Duration = Duration::from_secs(5);

/// A fat build and what hangs on it.
pub(super) struct Build {
    /// Counted from 0.
    pub number: u32,
    pub fat: FatBuild,
    /// What can change.
    pub known: Inputs,
    /// The running program, where we start one.
    pub program: Option<Program>,
    /// Whether the user was told what a program without the runtime lacks.
    pub hinted: bool,
    /// How clients of other tools in the program are served, once that is known.
    pub guests: Guests,
    session: Session,
    watcher: Watcher,
    builder: Option<Builder>,
    start: Start,
}

impl Build {
    /// Whether what patches are made from is no longer there.
    pub fn was_removed(&self) -> bool {
        self.fat.units.iter().any(|unit| !unit.baseline.exists())
    }

    /// Watches the inputs, starts the program, and prepares for patches.
    pub fn start(
        desk: &Desk,
        session: Session,
        built: Built,
        number: u32,
    ) -> anyhow::Result<Build> {
        let cwd = std::env::current_dir().context("reading the working directory")?;
        let Built { fat, begun } = built;
        let known = Inputs::of(&fat);
        let inbox = desk.inbox.clone();
        let by = if desk.args.poll { By::Polling } else { By::Events };
        let watcher =
            Watcher::start(by, move |saved| drop(inbox.send(Input::Saved(number, saved))))?;
        watcher.watch(watched(&known, &session, begun))?;
        let start = start(&fat, &session, desk, &cwd);
        let program = if desk.args.run {
            Some(run((&start, &fat), desk)?)
        } else {
            // A process to attach to is there until it is replaced.
            if desk.args.attach.is_none() || number > 0 {
                tell_how_to_start(&start, &fat, desk);
            }
            None
        };
        let out = session.store.patches(&fat.build_id);
        let inbox = desk.inbox.clone();
        let tell = move |told| drop(inbox.send(Input::Builder(number, told)));
        let how = (desk.reporter.clone(), desk.args.allow_layout_change);
        let builder = Some(Builder::start(fat.clone(), out, how, tell));
        let (hinted, guests) = (false, Guests::None);
        Ok(Build { number, fat, known, program, hinted, guests, session, watcher, builder, start })
    }

    /// Starts the program again, as it was built.
    pub fn run_program(&mut self, desk: &Desk) -> anyhow::Result<()> {
        self.program = Some(run((&self.start, &self.fat), desk)?);
        Ok(())
    }

    /// When a program is to be told of that has not connected by then. The host of a library loads
    /// it when it likes.
    pub fn hint_due(&self) -> Option<Instant> {
        let expected = self.program.is_some() && !self.fat.is_library();
        expected.then(|| Instant::now() + HINT_AFTER)
    }

    /// Whether this is the program that we started last.
    pub fn is_program(&self, pid: u32) -> bool {
        self.program.as_ref().is_some_and(|program| program.has_pid(pid))
    }

    /// Gives the builder a job.
    pub fn give(&self, job: Job) {
        if let Some(builder) = &self.builder {
            builder.give(job);
        }
    }

    /// Forgets a patch that the program did not take.
    pub fn take_back(&self, patch: u32) {
        if let Some(builder) = &self.builder {
            builder.take_back(patch);
        }
    }

    /// The program carries over the values of these types.
    pub fn carry_over(&self, types: &[String]) {
        if let Some(builder) = &self.builder {
            builder.carry_over(types.to_vec());
        }
    }

    /// Watches what is known now.
    pub fn watch(&self, reporter: &Reporter, since: SystemTime) {
        if let Err(error) = self.watcher.watch(watched(&self.known, &self.session, since)) {
            reporter.emit(&Event::Warning { message: format!("{error:#}") });
        }
    }

    /// Ends the builder, once it has done what it is at.
    pub fn stop_builder(&mut self) {
        self.builder = None;
    }

    /// Ends the program.
    pub fn terminate(&mut self, reporter: &Arc<Reporter>) {
        let Some(program) = self.program.take() else { return };
        let pid = program.pid();
        match program.terminate(PATIENCE) {
            Ok(status) => reporter.emit(&exited(pid, status)),
            Err(error) => reporter
                .emit(&Event::Warning { message: format!("waiting for process {pid}: {error}") }),
        }
    }
}

/// What the user needs to start the program, or the host of the library.
fn tell_how_to_start(start: &Start, fat: &FatBuild, desk: &Desk) {
    let (reporter, program) = (&desk.reporter, fat.program.display());
    if desk.devices.is_some() {
        reporter.instruct(&format!(
            "start the app with {program} in it, or that program, on the device: it finds us by \
             the device's properties"
        ));
        return;
    }
    reporter.instruct(&command_line(start));
    serving::instruct_others(&desk.server, reporter);
    if start.file.is_none() {
        reporter.instruct(&format!("start the program that loads {program} with these variables"));
    }
}

fn run((start, fat): (&Start, &FatBuild), desk: &Desk) -> anyhow::Result<Program> {
    let inbox = desk.inbox.clone();
    let ended = move |pid| drop(inbox.send(Input::Ended(pid)));
    Ok(match &desk.devices {
        Some(devices) => Program::There(Remote::start(devices.shared(), (start, fat), ended)?),
        None => Program::Here(Process::start(start, &desk.reporter, ended)?),
    })
}

fn watched(known: &Inputs, session: &Session, since: SystemTime) -> Watched {
    known.watched(since, session.store.root().parent().unwrap_or(session.store.root()))
}

/// How the program is started, here or by the user.
fn start(fat: &FatBuild, session: &Session, desk: &Desk, cwd: &Path) -> Start {
    let address = desk.server.local_address();
    let token = desk.server.token().as_str();
    let mut env =
        vec![(ENV_ADDR.into(), address.to_string().into()), (ENV_TOKEN.into(), token.into())];
    let packages = &session.metadata.packages;
    if packages.iter().any(|package| *package.name == *environment::DEVTOOLS) {
        let of_devtools = environment::of_devtools(address);
        env.extend(of_devtools.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
    if desk.args.run {
        let of_cargo = environment::of(fat, cwd);
        env.extend(of_cargo.into_iter().map(|(name, value)| (name.into(), value)));
    }
    if let Some(devices) = &desk.devices {
        env = devices.variables();
    }
    let spared = key::is_there(desk.args.restart);
    let program = Start::of(fat, session, desk.args.program_args.clone());
    let file = program.file.clone().or_else(|| desk.args.host.clone());
    Start { env, spared, file, ..program }
}
