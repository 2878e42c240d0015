//! From the start of the program to its end: one thing after the other, as they happen.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::build::Build;
use super::builder::{Done, Told, rejected};
use super::fall::Published;
use super::program::code_of_signal;
use super::queue::Queue;
use super::{Built, Desk, Input, key};
use crate::cli::Restart;
use crate::commands::ledger::Ledger;
use crate::commands::workshop::Made;
use crate::commands::{serving, tell};
use crate::error::{Kind, failure};
use crate::pipeline::deliver::{Crash, Notice};
use crate::pipeline::diff::Patch;
use crate::pipeline::relink::Guests;
use crate::report::Event;
use crate::session::Session;
use crate::watcher::Saved;

/// A build that takes longer is shown on a terminal.
const SPINNER_AFTER: Duration = Duration::from_millis(400);
/// How long a program may take to end after SIGTERM.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A running `watch`.
pub(super) struct Live<'a> {
    pub desk: Desk<'a>,
    /// The newest fat build with its program; nothing while it is being replaced.
    pub build: Build,
    pub queue: Queue,
    /// The patches that were published last, and the files that they were made of.
    pub published: Published,
    /// What a program said last of its own end, with its process.
    pub crash: Option<(u32, Crash)>,
    /// The exit code of a program that a patch has ended and that was not started again.
    pub fallen: Option<u8>,
    /// What came while something else was waited for.
    pub later: Vec<Input>,
    pub ledger: Ledger,
    /// Whether the program is to be built and started again as soon as that is possible.
    pub restart_due: bool,
    /// Whether the last fat build failed, so that no patch can be made until one succeeds.
    pub stale: bool,
    pub timers: Timers,
    /// How many signals have asked us to end.
    ending: u32,
}

/// What happens later if nothing else happens.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pub hint: Option<Instant>,
    spinner: Option<Instant>,
    kill: Option<Instant>,
}

impl<'a> Live<'a> {
    /// Watches the inputs and starts the program.
    pub fn start(desk: Desk<'a>, session: Session, built: Built) -> anyhow::Result<Live<'a>> {
        let build = Build::start(&desk, session, built, 0)?;
        let hint = build.hint_due();
        Ok(Live {
            desk,
            build,
            queue: Queue::default(),
            published: Published::default(),
            crash: None,
            fallen: None,
            later: Vec::new(),
            ledger: Ledger::default(),
            restart_due: false,
            stale: false,
            timers: Timers { hint, ..Timers::default() },
            ending: 0,
        })
    }

    /// Runs until the program ends, or until a signal where there is none.
    pub fn run(mut self, inputs: &Receiver<Input>) -> anyhow::Result<u8> {
        loop {
            for input in std::mem::take(&mut self.later) {
                if let Some(code) = self.handle(input)? {
                    return Ok(code);
                }
            }
            let next = [self.timers.hint, self.timers.spinner, self.timers.kill];
            let input = match next.into_iter().flatten().min() {
                None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => inputs.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match input {
                Ok(Input::Ended(pid)) if self.build.is_program(pid) => {
                    if let Some(code) = self.ended(inputs)? {
                        return Ok(code);
                    }
                }
                Ok(input) => {
                    if let Some(code) = self.handle(input)? {
                        return Ok(code);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.on_time(),
                Err(disconnected) => return Err(disconnected).context("nobody is left"),
            }
            if self.restart_due
                && let Some(code) = self.asked_to_end(inputs)
            {
                return Ok(code);
            }
            self.go_on()?;
        }
    }

    /// A restart takes long: whoever has asked us to end meanwhile must not wait for another one.
    fn asked_to_end(&mut self, inputs: &Receiver<Input>) -> Option<u8> {
        for input in inputs.try_iter() {
            match input {
                Input::Signal(signal) if !key::is_asked_by(signal) => {
                    if let Some(code) = self.signal(signal) {
                        return Some(code);
                    }
                }
                other => self.later.push(other),
            }
        }
        None
    }

    /// An exit code ends us.
    fn handle(&mut self, input: Input) -> anyhow::Result<Option<u8>> {
        match input {
            Input::Saved(number, saved) if number == self.build.number => self.saved(saved),
            Input::Client(notice) => self.client(notice),
            Input::Builder(number, told) if number == self.build.number => match told {
                Told::Ready(Ok(ready)) => self.ready(ready),
                Told::Ready(Err(error)) => {
                    self.build.terminate(&self.desk.reporter);
                    return Err(error);
                }
                Told::Done(done) => self.done(*done)?,
            },
            // Of a build that was replaced. What was saved since it began is told by its successor.
            Input::Saved(..) | Input::Builder(..) | Input::Ended(_) => {}
            Input::Signal(signal) if key::is_asked_by(signal) => match self.fallen {
                Some(_) => self.resume()?,
                None => self.restart_due = true,
            },
            Input::Signal(signal) => return Ok(self.signal(signal)),
        }
        Ok(None)
    }

    /// Starts what is due and can be started now.
    fn go_on(&mut self) -> anyhow::Result<()> {
        if self.ending > 0 {
            return Ok(());
        }
        if self.restart_due {
            return self.restart();
        }
        if let Some(job) = self.queue.take() {
            self.timers.spinner = Some(Instant::now() + SPINNER_AFTER);
            self.build.give(job);
        }
        Ok(())
    }

    fn saved(&mut self, saved: Saved) {
        for file in &saved.gone {
            let message = format!("`{}` is gone", file.display());
            self.desk.reporter.emit(&Event::Warning { message });
        }
        let change = self.build.known.classify(&saved.files);
        for (cause, files) in change.restart {
            let cause = cause.to_string();
            self.desk.reporter.emit(&Event::RestartRequired { cause, files });
            self.offer_restart();
        }
        if self.stale && !(saved.files.is_empty() && saved.strangers.is_empty()) {
            self.restart_due = true;
            return;
        }
        if !change.code.is_empty() {
            self.queue.saved(change.code, saved.at);
        } else if !saved.same.is_empty() && !self.queue.is_busy() {
            self.desk.reporter.emit(&Event::NothingChanged { files: saved.same });
        }
        if !saved.strangers.is_empty() {
            self.queue.stranger(saved.at);
        }
    }

    pub(super) fn client(&mut self, notice: Notice) {
        let refused = match &notice {
            Notice::Refused { patch, .. } => Some(*patch),
            _ => None,
        };
        let gone = match &notice {
            Notice::Disconnected { client, .. } => self.ledger.pid(*client),
            _ => None,
        };
        if let Notice::CarriesOver { types, .. } = &notice {
            self.build.carry_over(types);
        }
        if let Notice::Crashed { client, crash } = &notice {
            self.crash = self.ledger.pid(*client).map(|pid| (pid, crash.clone()));
        }
        match (&self.desk.devices, &notice) {
            (Some(devices), Notice::Connected { client, pid, .. }) => {
                devices.connected(*client, *pid);
            }
            (Some(devices), Notice::Disconnected { client, .. }) => devices.disconnected(*client),
            _ => {}
        }
        let verbose = self.desk.args.selection.verbose > 0;
        for event in tell::events(&mut self.ledger, notice, &self.build.fat.build_id, verbose) {
            self.desk.reporter.emit(&event);
        }
        if let Some(patch) = refused {
            self.take_back(patch);
        }
        if let Some(pid) = gone {
            self.fell_elsewhere(pid);
        }
    }

    /// A patch that the only program refused must not stand between it and the next one: the next
    /// one is made from what the program really runs.
    fn take_back(&mut self, patch: u32) {
        let newest = self.published.is_newest(patch);
        if self.queue.is_busy() || !newest || !self.desk.server.take_back(patch) {
            return;
        }
        if let Some((_, files)) = self.published.pop() {
            self.queue.taken_back(files);
        }
        self.build.take_back(patch);
        self.desk.reporter.text("             it comes again with the next save\n");
    }

    fn done(&mut self, done: Done) -> anyhow::Result<()> {
        self.timers.spinner = None;
        self.desk.reporter.hide_work();
        self.queue.done(&done.job, done.made.is_err());
        if self.build.known.replace_code(done.code.iter().cloned()) {
            self.build.watch(&self.desk.reporter, done.begun);
        }
        match &done.made {
            Ok(Made::Nothing { notes }) => {
                self.notes(notes);
                let files = done.job.files.clone();
                self.desk.reporter.emit(&Event::NothingChanged { files });
            }
            Ok(Made::Patch { patch, built, .. }) => self.publish(patch, built, &done),
            Err(error) => self.failed(error, &done),
        }
        let made = done.made.is_ok();
        if let Ok(Made::Patch { patch, guest: Some(guest), .. }) = done.made {
            self.publish_to_guests(patch.patch, guest);
        }
        // The sources are no longer those that ended the program.
        if self.fallen.is_some() && made { self.resume() } else { Ok(()) }
    }

    fn publish(&mut self, patch: &Patch, built: &Event, done: &Done) {
        let header = serving::header(&self.build.fat, patch);
        let at = Instant::now();
        match self.desk.server.publish(&header, &patch.bytes) {
            Ok(programs) => {
                self.published.push(patch.patch, done.job.files.clone());
                self.ledger.published(patch.patch, done.job.since, at);
                self.desk.reporter.emit(built);
                self.notes(&patch.report.notes);
                if programs == 0 {
                    self.hint();
                }
            }
            // It is too large to be sent. Later ones would build upon it.
            Err(error) => {
                let (cause, files) = (format!("{error:#}"), done.job.files.clone());
                self.desk.reporter.emit(&Event::RestartRequired { cause, files });
                self.offer_restart();
            }
        }
    }

    fn notes(&self, notes: &[String]) {
        for note in notes {
            self.desk.reporter.emit(&Event::Warning { message: note.clone() });
        }
    }

    fn failed(&mut self, error: &anyhow::Error, done: &Done) {
        let reporter = &self.desk.reporter;
        let found = failure(error);
        if self.build.was_removed() {
            let cause =
                "what the build has left in the target directory was removed (`cargo clean`)";
            let files = done.job.files.clone();
            reporter.emit(&Event::RestartRequired { cause: cause.into(), files });
            self.offer_restart();
        } else if found.is_some_and(|failure| failure.kind == Kind::Refused) {
            reporter.emit(&tell::refusal(done.patch, error));
            let cause = "a change that no patch can carry".to_string();
            reporter.emit(&Event::RestartRequired { cause, files: done.job.files.clone() });
            self.offer_restart();
        } else if rejected(&done.made).is_some()
            && found.is_some_and(|failure| failure.kind == Kind::UserCode)
        {
            reporter.text(&format!("error: {error}; the program goes on as it is\n"));
        } else {
            let hint = found.and_then(|failure| failure.hint.as_ref());
            let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
            reporter.emit(&Event::Warning { message: format!("no patch: {error:#}{hint}") });
        }
    }

    /// What the user has decided to do about changes that need a restart.
    fn offer_restart(&mut self) {
        match self.desk.args.restart {
            Restart::Auto => self.restart_due = true,
            Restart::Never => {}
            Restart::Ask => {
                let line = key::line(Restart::Ask, "build again and restart");
                self.desk.reporter.text(&format!("{line}\n"));
            }
        }
    }

    /// Says once what a program without the runtime lacks.
    fn hint(&mut self) {
        self.timers.hint = None;
        let served = self.ledger.has_met_a_guest() && self.build.guests != Guests::Told;
        if self.ledger.has_met_a_program() || served || self.build.program.is_none() {
            return;
        }
        let injected = self.build.fat.root_unit().and_then(|root| root.injected.as_ref());
        let message = match injected {
            _ if self.build.fat.is_library() => {
                "no program has loaded the library yet; whoever does gets this patch as well"
            }
            Some(injected) if injected.refused.is_some() => return,
            Some(_) => {
                "the program has not connected: does it have other rights than you (setuid), or \
                 a network of its own?"
            }
            None if self.desk.args.selection.no_inject => {
                "the program has not connected: with `--no-inject` it needs `hotpatch-runtime` \
                 among its dependencies and `hotpatch_runtime::start();` at the top of main"
            }
            None => {
                "the program has not connected: it depends on `hotpatch-runtime`; does it call \
                 `hotpatch_runtime::start();` at the top of main?"
            }
        };
        if !std::mem::replace(&mut self.build.hinted, true) {
            self.desk.reporter.emit(&Event::Warning { message: message.into() });
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.timers.hint.is_some_and(|at| at <= now) {
            self.hint();
        }
        if self.timers.spinner.is_some_and(|at| at <= now) {
            self.timers.spinner = None;
            self.desk.reporter.show_work("a patch");
        }
        if self.timers.kill.is_some_and(|at| at <= now) {
            self.timers.kill = None;
            if let Some(program) = &self.build.program {
                program.signal(libc::SIGKILL);
            }
        }
    }

    /// Somebody wants us to end. The program decides when: its end is ours.
    fn signal(&mut self, signal: i32) -> Option<u8> {
        self.ending += 1;
        let Some(program) = &self.build.program else {
            if let Some(code) = self.fallen {
                return Some(code);
            }
            return Some(if signal == libc::SIGINT { 0 } else { code_of_signal(signal) });
        };
        match (signal, self.ending) {
            // A terminal sends Ctrl-C to the program as well.
            (libc::SIGINT, 1) if program.hears_the_terminal() => {}
            (libc::SIGINT, 1) => program.signal(libc::SIGINT),
            (libc::SIGINT, 2) => program.signal(libc::SIGTERM),
            (libc::SIGINT, _) => program.signal(libc::SIGKILL),
            (other, _) => {
                program.signal(other);
                self.timers.kill = Some(Instant::now() + PATIENCE);
            }
        }
        None
    }

    /// Whether somebody has asked us to end.
    pub(super) fn is_ending(&self) -> bool {
        self.ending > 0
    }
}
