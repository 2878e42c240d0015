//! `cargo hotpatch doctor`: gather, check, report.

use std::sync::Arc;

use anyhow::Context;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::watch::is_ignored;
use crate::cli::DoctorArgs;
use crate::doctor::{self, Scratch, Status};
use crate::error::Kind;

/// Runs the command.
///
/// # Errors
/// Where signals cannot be waited for; what is wrong with anything else is part of the report.
pub fn run(args: &DoctorArgs) -> anyhow::Result<u8> {
    let scratch = Arc::new(Scratch::default());
    leave_nothing_behind(&scratch)?;
    let facts = doctor::gather(&args.selection, &scratch);
    let checks = doctor::run(&facts);
    if args.json {
        println!("{}", doctor::json(&checks));
    } else {
        print!("{}", doctor::human(&checks));
    }
    let failed = checks.iter().any(|c| c.status == Status::Fail);
    Ok(if failed { Kind::Environment.exit_code() } else { 0 })
}

/// A signal that ends us is obeyed when the directory of the trial is gone.
fn leave_nothing_behind(scratch: &Arc<Scratch>) -> anyhow::Result<()> {
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(wanted).context("setting up signals")?;
    let scratch = scratch.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            scratch.remove();
            emulate_default_handler(signal).ok();
        }
    });
    Ok(())
}
