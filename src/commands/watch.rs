//! `cargo hotpatch watch`: build, start, serve, and patch at each save.

mod attach;
mod build;
mod builder;
mod devices;
mod environment;
mod fall;
mod guests;
pub(super) mod host;
mod key;
mod live;
pub(super) mod program;
mod queue;
mod restart;
mod runner;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::lock::Lock;
use super::{serving, tell};
use crate::cli::{GuestClient, MessageFormat, Restart, WatchArgs};
use crate::doctor;
use crate::pipeline::capture::{self, FatBuild};
use crate::pipeline::deliver::{Listener, Notice, Server};
use crate::report::{Event, Reporter, Style};
use crate::session::Session;
use crate::watcher::Saved;
use builder::Told;
use devices::Devices;
use live::Live;

/// All that can happen, in one channel. What a watcher or a builder tells comes with the number
/// of the build that it is for.
enum Input {
    Saved(u32, Saved),
    Client(Notice),
    Builder(u32, Told),
    Ended(u32),
    Signal(i32),
}

/// Runs the command; the program's exit code is ours.
///
/// # Errors
/// See [`crate::commands::run`]. After the start only the end of the program ends `watch`.
pub fn run(args: &WatchArgs) -> anyhow::Result<u8> {
    let style = Style::new(args.message_format, &args.selection, args.log.clone());
    let reporter = Arc::new(Reporter::new(&style)?);
    let session = Session::open(&args.selection)?;
    let args = &host::settle(args, &session)?;
    let listener = Listener::bind(&serving::address(args.bind, !args.run))?;
    let cargo_hot = args.clients.contains(&GuestClient::CargoHot);
    let cargo_hot = cargo_hot.then(serving::cargo_hot_listener).transpose()?;
    doctor::run_for(doctor::For::Watch { runs: args.run, polls: args.poll }, &session)?;
    let _lock = Lock::take(&session.store)?;
    let built = match args.attach {
        Some(pid) => attach::build(&session, pid)?,
        None => build(&session, args, &reporter)?,
    };
    let (inbox, inputs) = mpsc::channel();
    signals(args.restart, inbox.clone())?;
    if let Some(message) = guests::unserved(&session, args) {
        reporter.emit(&Event::Warning { message });
    }
    let config = serving::config(!args.run)?;
    let expected = serving::expected(&built.fat, &session.store);
    let sink = serving::sink(&inbox, Input::Client);
    let mut server = Server::start(listener, config, expected, sink);
    if let Some(listener) = cargo_hot {
        server.serve_cargo_hot(listener);
    }
    serving::announce(&server, &reporter);
    let devices = devices::open(&session, (&built.fat, args.run), &server, &reporter)?;
    let desk = Desk { args, reporter, server, devices, inbox };
    if let Some(pid) = args.attach {
        attach::invite(pid, &desk.server)?;
    }
    Live::start(desk, session, built)?.run(&inputs)
}

/// What stays the same however often the program is built again.
struct Desk<'a> {
    args: &'a WatchArgs,
    reporter: Arc<Reporter>,
    server: Server,
    /// What programs for Android run on.
    devices: Option<Devices>,
    inbox: Sender<Input>,
}

/// A fat build, and when it was begun.
struct Built {
    fat: FatBuild,
    begun: SystemTime,
}

fn build(session: &Session, args: &WatchArgs, reporter: &Reporter) -> anyhow::Result<Built> {
    let (begun, started) = (SystemTime::now(), Instant::now());
    let mut emit = |event| reporter.emit(&event);
    let fat = match args.message_format {
        MessageFormat::Human => capture::build(session, None)?,
        MessageFormat::Json => capture::build(session, Some(&mut emit))?,
    };
    reporter.emit(&Event::FatBuilt {
        program: fat.program.clone(),
        build_id: fat.build_id.clone(),
        target: fat.target.clone(),
        crates: fat.units.iter().map(|unit| unit.crate_name.clone()).collect(),
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    if let Some(message) = tell::without_runtime(&fat) {
        reporter.emit(&Event::Warning { message });
    }
    Ok(Built { fat, begun })
}

/// From here on these signals are inputs, and do not end us by themselves.
fn signals(restart: Restart, inbox: Sender<Input>) -> anyhow::Result<()> {
    let mut wanted = vec![SIGINT, SIGTERM];
    wanted.extend(key::signals(restart));
    // Under `nohup` the end of the terminal is to be ignored.
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted).context("setting up signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if inbox.send(Input::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Whether whoever started us has this signal ignored.
pub(super) fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a valid `sigaction`; without a new action the call only reads the old one.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut current) == 0
            && current.sa_sigaction == libc::SIG_IGN
    }
}
