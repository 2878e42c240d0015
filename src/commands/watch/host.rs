//! Programs that are a library: somebody else's program loads them, the *host*.

use crate::cli::WatchArgs;
use crate::error::{Failure, Kind};
use crate::pipeline::capture::Choice;
use crate::session::Session;

/// What the command line means for what it selects: a library without a host is only served.
///
/// # Errors
/// A usage failure where a host is named for a program, or arguments for nobody.
pub fn settle(args: &WatchArgs, session: &Session) -> Result<WatchArgs, Failure> {
    let choice = Choice::of(&session.metadata, &session.selection)?;
    let usage = |text: String| Failure::new(Kind::Usage, text);
    match (choice.is_library(), &args.host) {
        (false, None) => Ok(args.clone()),
        (false, Some(_)) => {
            Err(usage(format!("`{}` is a program, and needs no `--host`", choice.target))
                .hint("choose the package's library with `--cdylib`, or leave `--host` out"))
        }
        (true, None) if args.run && !args.program_args.is_empty() => {
            Err(usage(format!("`{}` is a library: nobody takes the arguments", choice.target))
                .hint("name the program that loads it: `--host PROGRAM -- ARGS`"))
        }
        (true, host) => Ok(WatchArgs { run: args.run && host.is_some(), ..args.clone() }),
    }
}
