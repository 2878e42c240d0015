//! The end of the program, and what comes after it where a patch has brought it about: the program
//! is started again without that patch, whose files wait for their next save.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::Context;
use hotpatch_protocol::ENV_TOKEN;

use super::builder::Told;
use super::live::Live;
use super::program::{exited, shell_code};
use super::{Input, key};
use crate::cli::Restart;
use crate::commands::workshop::Made;
use crate::pipeline::deliver::Crash;
use crate::pipeline::relink::REMEMBERED;
use crate::report::Event;
use crate::target::process;

/// With this code a program ends that has panicked in `main`.
const PANICKED: i32 = 101;

/// The patches that can be taken back, the newest one last.
#[derive(Debug, Default)]
pub(super) struct Published(Vec<(u32, Vec<PathBuf>)>);

impl Published {
    /// A patch was made of these files.
    pub fn push(&mut self, patch: u32, files: Vec<PathBuf>) {
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push((patch, files));
    }

    /// Whether this is the newest patch.
    pub fn is_newest(&self, patch: u32) -> bool {
        self.0.last().is_some_and(|(newest, _)| *newest == patch)
    }

    /// Whether all patches from this one on are known.
    fn reaches(&self, patch: u32) -> bool {
        self.0.iter().any(|(known, _)| *known == patch)
    }

    /// Forgets the newest patch.
    pub fn pop(&mut self) -> Option<(u32, Vec<PathBuf>)> {
        self.0.pop()
    }

    /// The program was built again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Live<'_> {
    /// The program has ended; what its connection still had to say is told first. An exit code ends
    /// us.
    pub(super) fn ended(&mut self, inputs: &Receiver<Input>) -> anyhow::Result<Option<u8>> {
        let deadline = Instant::now() + Duration::from_millis(300);
        while self.ledger.is_anybody_there() {
            match inputs.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Input::Client(notice)) => self.client(notice),
                Ok(input) => self.later.push(input),
                Err(_) => break,
            }
        }
        self.desk.reporter.hide_work();
        let Some(program) = self.build.program.take() else { return Ok(Some(0)) };
        let pid = program.pid();
        let status = program.finish().context("waiting for the program")?;
        self.desk.reporter.emit(&exited(pid, status));
        let code = shell_code(status);
        let crash = self.crash.take().filter(|(of, crash)| *of == pid && has_ended(crash, status));
        match crash.map(|(_, crash)| Crash { signal: status.signal(), ..crash }) {
            Some(crash) if !self.is_ending() => self.fall(crash, (pid, code), inputs),
            _ => {
                self.tell_of_the_left_behind();
                Ok(Some(code))
            }
        }
    }

    /// A daemon is what goes on when the process that was started has ended: a fork of it, which has
    /// no thread of the runtime's.
    fn tell_of_the_left_behind(&self) {
        let left = process::with_variable(ENV_TOKEN, self.desk.server.token().as_str());
        let Some(pid) = left.first().filter(|_| !self.is_ending() && self.desk.args.run) else {
            return;
        };
        let message = format!(
            "process {pid}, which the program has left behind, goes on without patches: a forked \
             process takes none. Have the program stay in the foreground while it is watched"
        );
        self.desk.reporter.emit(&Event::Warning { message });
    }

    /// A patch has ended the program.
    fn fall(
        &mut self,
        crash: Crash,
        (pid, code): (u32, u8),
        inputs: &Receiver<Input>,
    ) -> anyhow::Result<Option<u8>> {
        let restart = self.desk.args.restart;
        if restart != Restart::Never {
            self.settle(inputs)?;
        }
        let held_back = match restart {
            Restart::Never => None,
            _ => self.hold_back(crash.patch),
        };
        self.report(&crash, pid, held_back.clone());
        if held_back.is_none() {
            return Ok(Some(code));
        }
        self.fallen = Some(code);
        if restart == Restart::Auto {
            self.resume()?;
        } else {
            let line = key::line(restart, "start it so");
            let rest = "the next save starts it with the new code";
            self.desk.reporter.text(&format!("{line}; {rest}\n"));
        }
        Ok(None)
    }

    /// A program that somebody else has started is gone.
    pub(super) fn fell_elsewhere(&mut self, pid: u32) {
        let is_ours = self.build.is_program(pid);
        let Some((_, crash)) = self.crash.take_if(|(of, _)| *of == pid && !is_ours) else { return };
        let free = !self.queue.is_busy() && self.build.program.is_none();
        let held_back = if free { self.hold_back(crash.patch) } else { None };
        self.report(&crash, pid, held_back);
    }

    fn report(&self, crash: &Crash, pid: u32, held_back: Option<Vec<PathBuf>>) {
        self.desk.reporter.emit(&Event::ProgramCrashed {
            pid,
            patch: crash.patch,
            functions: crash.functions.clone(),
            signal: crash.signal,
            after_ms: crash.after_ms,
            last_good: held_back.is_some().then(|| crash.patch.saturating_sub(1)),
            held_back: held_back.unwrap_or_default(),
        });
    }

    /// Waits for the patch that is being made: it builds upon the bad one.
    fn settle(&mut self, inputs: &Receiver<Input>) -> anyhow::Result<()> {
        while self.queue.is_busy() {
            match inputs.recv().context("nobody is left")? {
                Input::Builder(number, Told::Done(done)) if number == self.build.number => {
                    self.queue.done(&done.job, true);
                    if matches!(done.made, Ok(Made::Patch { .. })) {
                        self.build.take_back(done.patch);
                    }
                }
                input => self.later.push(input),
            }
        }
        Ok(())
    }

    /// Takes the patch and all later ones back; their files, which wait for the next save. Nothing
    /// where that cannot be, since another program runs them or they came too long ago.
    fn hold_back(&mut self, patch: u32) -> Option<Vec<PathBuf>> {
        if !self.published.reaches(patch) || !self.desk.server.give_up(patch) {
            return None;
        }
        let mut held_back = Vec::new();
        while self.published.reaches(patch) {
            let Some((newest, files)) = self.published.pop() else { break };
            self.build.take_back(newest);
            held_back.extend(files.iter().cloned());
            self.queue.taken_back(files);
        }
        held_back.sort();
        held_back.dedup();
        Some(held_back)
    }

    /// Starts the program again, with the patches that were not taken back.
    pub(super) fn resume(&mut self) -> anyhow::Result<()> {
        self.fallen = None;
        self.build.run_program(&self.desk)?;
        self.timers.hint = self.build.hint_due();
        Ok(())
    }
}

/// Whether what the program told was its end. The signal may be another one: std ends a program
/// whose stack has overflowed with SIGABRT.
fn has_ended(crash: &Crash, status: ExitStatus) -> bool {
    match crash.signal {
        Some(_) => status.signal().is_some(),
        None => status.code() == Some(PANICKED),
    }
}
