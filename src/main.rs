//! The `cargo-hotpatch` binary: a rustc wrapper when cargo calls it as one, else the command line.

use std::process::ExitCode;

use cargo_hotpatch::pipeline::capture::wrapper;
use cargo_hotpatch::{cli, commands, error};

fn main() -> ExitCode {
    if let Some(invocation) = wrapper::requested() {
        return wrapper::run(&invocation);
    }
    let done = cli::parse().map_err(anyhow::Error::from).and_then(|c| commands::run(&c));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(hint) = error::failure(&error).and_then(|f| f.hint.as_deref()) {
                eprintln!("  hint: {hint}");
            }
            ExitCode::from(error::exit_code(&error))
        }
    }
}
