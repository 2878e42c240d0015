//! `cargo hotpatch patch`: one pass over what changed since the fat build, for scripts.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};
use serde::Serialize;

use super::chain::Chain;
use super::ledger::Ledger;
use super::lock::Lock;
use super::watch::program::{Start, command_line};
use super::workshop::{Made, Workshop};
use super::{serving, tell};
use crate::cli::PatchArgs;
use crate::doctor;
use crate::error::{Failure, Kind, failure};
use crate::pipeline::capture::{self, FatBuild, Unit};
use crate::pipeline::deliver::{Listener, Notice, Past, Process, Server};
use crate::pipeline::diff::Patch;
use crate::pipeline::relink::Guests;
use crate::report::{Event, Reporter, Style};
use crate::session::Session;

/// Runs the command.
///
/// # Errors
/// See [`crate::commands::run`].
pub fn run(args: &PatchArgs) -> anyhow::Result<u8> {
    let begun = Instant::now();
    let mut style = Style::new(args.message_format, &args.selection, None);
    // There is no program whose line would tell of the patch.
    style.verbose = !style.quiet;
    let reporter = Arc::new(Reporter::new(&style)?);
    let session = Session::open_workspace(&args.selection)?;
    doctor::run_for(doctor::For::Patch, &session)?;
    let fat = capture::load(&session)?;
    let _lock = Lock::take(&session.store)?;
    check_surroundings(&fat, &reporter)?;
    let mut chain = Chain::open(session.store.chain(&fat.build_id));
    let out = args.out.clone().unwrap_or_else(|| session.store.patches(&fat.build_id));
    std::fs::create_dir_all(&out).map_err(|e| Failure::io("make the folder", &out, &e))?;
    let open = || Workshop::open(fat.clone(), out.clone(), reporter.clone());
    let mut workshop = open()?;
    let mut past = Vec::new();
    if args.wait.is_some() {
        check_guests(workshop.guests(), &reporter)?;
        // Where that cannot be done, programs that took them are told to start again.
        past = chain.replay(&mut workshop).or_else(|_| {
            chain.clear();
            open().map(|fresh| {
                workshop = fresh;
                Vec::new()
            })
        })?;
    }
    let changed = changed(workshop.fat());
    if changed.is_empty() && past.is_empty() {
        reporter.emit(&Event::NothingChanged { files: changed });
        return Ok(0);
    }
    let stand = args.wait.map(|_| Stand::open(args, &session, &fat, (&reporter, &past, &chain)));
    let stand = stand.transpose()?;
    let mut workshop = workshop.allow_layout_changes(args.allow_layout_change);
    let patch = make(&mut workshop, &changed, begun, &reporter)?;
    if let Some(patch) = &patch {
        write_json(&out.join("jump_table.json"), &patch.jump_table)?;
        write_json(&out.join("report.json"), &patch.report)?;
        reporter.result(&patch.library.display().to_string());
    }
    let (Some(stand), Some(patience)) = (stand, args.wait) else { return Ok(0) };
    let pending = match (&patch, workshop.newest()) {
        (Some(patch), Some(thin)) => Some(chain.prepare(thin, patch, args.allow_layout_change)?),
        _ => None,
    };
    past.extend(patch);
    let sent = match past.is_empty() {
        true => return Ok(0),
        false => stand.serve(&fat, (&past, pending.is_some()), (begun, patience), &chain)?,
    };
    chain.save(pending, sent)?;
    Ok(0)
}

/// What only a new build can bring into the program may not have changed: code that was made with
/// it would not be that of the program.
fn check_surroundings(fat: &FatBuild, reporter: &Reporter) -> Result<(), Failure> {
    let outdated = fat.outdated();
    let Some(cause) = outdated.keys().next().map(ToString::to_string) else { return Ok(()) };
    for (cause, files) in outdated {
        reporter.emit(&Event::RestartRequired { cause: cause.to_string(), files });
    }
    Err(Failure::refused(format!("{cause} since the program was built: no patch can bring that"))
        .hint("run `cargo hotpatch fat`, and start the program again"))
}

/// Clients of other tools dial once, when their program starts, and not again when the server is
/// gone: they would be there for one patch at most.
fn check_guests(guests: Guests, reporter: &Reporter) -> Result<(), Failure> {
    match guests {
        Guests::None => Ok(()),
        Guests::Told => {
            let message = "the client of another tool in this program is told of patches by \
                           `cargo hotpatch watch` only: the runtime redirects functions, and \
                           what calls them anew is up to the program";
            reporter.emit(&Event::Warning { message: message.into() });
            Ok(())
        }
        Guests::Served => Err(Failure::environment(
            "this program loads patches by another tool's client, which `patch --wait` cannot \
             serve, since it dials only once",
        )
        .hint(
            "use `cargo hotpatch watch`, or `cargo hotpatch fat` without `--no-inject`, or leave \
             `--wait` out",
        )),
    }
}

/// The inputs that may not be in the program as they are now. A file that was moved into place has
/// its old time of modification, but a new one of its inode.
fn changed(fat: &FatBuild) -> Vec<PathBuf> {
    let mut found: Vec<_> = fat
        .units
        .iter()
        .flat_map(|unit| unit.inputs.iter().filter(|file| is_newer(file, unit)).cloned())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn is_newer(file: &Path, unit: &Unit) -> bool {
    let Ok(data) = std::fs::metadata(file) else { return true };
    let times = [(data.mtime(), data.mtime_nsec()), (data.ctime(), data.ctime_nsec())];
    times.into_iter().any(|(seconds, nanoseconds)| {
        let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        time >= i128::from(unit.started_ns)
    })
}

/// The patch, or nothing where no code is different.
fn make(
    workshop: &mut Workshop,
    changed: &[PathBuf],
    begun: Instant,
    reporter: &Reporter,
) -> anyhow::Result<Option<Patch>> {
    let number = workshop.next_patch();
    let made = workshop.make(changed, begun).inspect_err(|error| {
        if failure(error).is_some_and(|failure| failure.kind == Kind::Refused) {
            reporter.emit(&tell::refusal(number, error));
        }
    })?;
    let (patch, notes) = match made {
        Made::Nothing { notes } => {
            reporter.emit(&Event::NothingChanged { files: changed.to_vec() });
            (None, notes)
        }
        Made::Patch { patch, built, .. } => {
            reporter.emit(&built);
            let notes = patch.report.notes.clone();
            (Some(*patch), notes)
        }
    };
    for message in notes {
        reporter.emit(&Event::Warning { message });
    }
    Ok(patch)
}

fn write_json(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    Ok(std::fs::write(file, text).map_err(|e| Failure::io("write", file, &e))?)
}

/// Where a program can pick the patch up.
struct Stand {
    server: Server,
    notices: Receiver<Notice>,
    reporter: Arc<Reporter>,
}

impl Stand {
    fn open(
        args: &PatchArgs,
        session: &Session,
        fat: &FatBuild,
        (reporter, past, chain): (&Arc<Reporter>, &[Patch], &Chain),
    ) -> anyhow::Result<Stand> {
        let listener = Listener::bind(&serving::address(args.bind, true))?;
        let (inbox, notices) = mpsc::channel();
        let config = serving::config(true)?;
        let expected = serving::expected(fat, &session.store);
        let sink = serving::sink(&inbox, |notice| notice);
        let header = |patch: &Patch| serving::header(fat, patch);
        let patches = past.iter().map(|patch| (header(patch), &*patch.bytes)).collect();
        let past = Past { patches, sent: chain.processes().to_vec() };
        let server = Server::resume(listener, config, expected, sink, past)?;
        serving::announce(&server, reporter);
        let address = server.local_address().to_string();
        let token = server.token().as_str();
        let env = vec![(ENV_ADDR.into(), address.into()), (ENV_TOKEN.into(), token.into())];
        reporter.instruct(&command_line(&Start { env, ..Start::of(fat, session, Vec::new()) }));
        serving::instruct_others(&server, reporter);
        Ok(Stand { server, notices, reporter: reporter.clone() })
    }

    /// Publishes the last patch where it is new, and waits until a program runs all of them;
    /// which processes were sent how many.
    fn serve(
        self,
        fat: &FatBuild,
        (patches, is_new): (&[Patch], bool),
        (begun, patience): (Instant, Duration),
        chain: &Chain,
    ) -> anyhow::Result<Vec<(Process, usize)>> {
        let mut ledger = Ledger::default();
        for patch in patches {
            ledger.published(patch.patch, begun, Instant::now());
        }
        let newest = patches.last().context("there is no patch")?;
        if is_new {
            self.server.publish(&serving::header(fat, newest), &newest.bytes)?;
        }
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let notice = match self.notices.recv_timeout(left) {
                Ok(notice) => notice,
                Err(RecvTimeoutError::Timeout) => return Err(no_answer(patience).into()),
                Err(disconnected) => return Err(disconnected).context("the server ended"),
            };
            let end = match &notice {
                Notice::Applied { answer, .. } if answer.patch == newest.patch => Some(Ok(())),
                Notice::Connected { pid, .. } if !is_new && chain.is_complete_in(*pid) => {
                    Some(Ok(()))
                }
                Notice::Refused { error, .. } => Some(Err(Failure::refused(format!(
                    "the program does not take the patch: {error}"
                ))
                .into())),
                _ => None,
            };
            for event in tell::events(&mut ledger, notice, &fat.build_id, true) {
                self.reporter.emit(&event);
            }
            if let Some(end) = end {
                return end.map(|()| self.server.sent());
            }
        }
    }
}

fn no_answer(patience: Duration) -> Failure {
    let message =
        format!("no program has answered within {} s; the patch is built", patience.as_secs_f64());
    Failure::new(Kind::NoAnswer, message)
        .hint("start the program with the variables above, and give it more time with --wait")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_in_vain_has_its_own_exit_code() {
        let failure = no_answer(Duration::from_millis(1500));
        assert_eq!(failure.kind.exit_code(), 5);
        assert!(failure.message.contains("1.5 s"), "{failure}");
    }
}
