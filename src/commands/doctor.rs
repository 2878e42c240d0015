//! `cargo hotpatch doctor`: gather, check, report.

use crate::cli::DoctorArgs;
use crate::doctor::{self, Status};
use crate::error::Kind;

/// Runs the command.
///
/// # Errors
/// None so far: what is wrong is part of the report.
pub fn run(args: &DoctorArgs) -> anyhow::Result<u8> {
    let facts = doctor::gather(&args.selection);
    let checks = doctor::run(&facts);
    if args.json {
        println!("{}", doctor::json(&checks));
    } else {
        print!("{}", doctor::human(&checks));
    }
    let failed = checks.iter().any(|c| c.status == Status::Fail);
    Ok(if failed { Kind::Environment.exit_code() } else { 0 })
}
