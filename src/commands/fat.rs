//! `cargo hotpatch fat`: build, capture, prime.

use std::time::Instant;

use super::tell;
use crate::cli::{FatArgs, MessageFormat};
use crate::doctor;
use crate::pipeline::{capture, thin};
use crate::report::Event;
use crate::session::Session;

/// Runs the command.
///
/// # Errors
/// See [`crate::commands::run`].
pub fn run(args: &FatArgs) -> anyhow::Result<u8> {
    let started = Instant::now();
    let session = Session::open(&args.selection)?;
    doctor::run_for(doctor::For::Fat, &session)?;
    let mut print: fn(Event) = print_json;
    let json = args.message_format == MessageFormat::Json;
    let fat = capture::build(&session, json.then_some(&mut print as &mut dyn FnMut(Event)))?;
    if let Some(message) = tell::without_runtime(&fat) {
        warn(args.message_format, message);
    }
    if let Err(error) = thin::prime(&fat).finish() {
        // The first patch will only take longer.
        warn(args.message_format, format!("cannot prepare for quick patches: {error:#}"));
    }
    let speaks = args.message_format == MessageFormat::Human && !args.selection.quiet;
    if let Some(note) = tell::visibility(&fat).filter(|_| speaks) {
        eprintln!("note: {note}");
    }
    match args.message_format {
        MessageFormat::Human => println!("{}", fat.program.display()),
        MessageFormat::Json => print_json(Event::FatBuilt {
            crates: fat.units.iter().map(|u| u.crate_name.clone()).collect(),
            program: fat.program,
            build_id: fat.build_id,
            target: fat.target,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }),
    }
    Ok(0)
}

fn warn(format: MessageFormat, message: String) {
    match format {
        MessageFormat::Human => eprintln!("warning: {message}"),
        MessageFormat::Json => print_json(Event::Warning { message }),
    }
}

fn print_json(event: Event) {
    println!("{}", serde_json::to_string(&event).unwrap_or_default());
}
