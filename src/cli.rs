//! The command line, in two steps: what clap reads becomes validated arguments, one struct a
//! subcommand; nothing behind this file sees a raw value.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::Failure;
use crate::session::selection::{absolute, usage};
pub use crate::session::{CargoSelection, Color};

/// What the user asked for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Build the program and capture how.
    Fat(FatArgs),
    /// Build it, start it, and patch it at each save.
    Watch(WatchArgs),
    /// Patch once what changed since the fat build.
    Patch(PatchArgs),
    /// Look for what would prevent patching.
    Doctor(DoctorArgs),
}

/// The arguments of `fat`.
#[derive(Debug, Clone)]
pub struct FatArgs {
    /// Which program.
    pub selection: CargoSelection,
    /// How to tell about it.
    pub message_format: MessageFormat,
}

/// The arguments of `watch`.
#[derive(Debug, Clone)]
pub struct WatchArgs {
    /// Which program.
    pub selection: CargoSelection,
    /// How to tell about it.
    pub message_format: MessageFormat,
    /// Whether to start the program (no `--no-run`, no `--attach`).
    pub run: bool,
    /// The program that loads the library, where that is what is patched.
    pub host: Option<OsString>,
    /// The process to patch, which was started without us.
    pub attach: Option<u32>,
    /// Whether patches may change the layout of types of which the program may hold values.
    pub allow_layout_change: bool,
    /// Where programs find the server.
    pub bind: SocketAddr,
    /// Which clients of other tools are served at ports of their own.
    pub clients: Vec<GuestClient>,
    /// What to do about a change that only a restart can bring in.
    pub restart: Restart,
    /// Whether to look for saves instead of waiting to be told of them.
    pub poll: bool,
    /// The file that takes our own lines, for programs that own the terminal.
    pub log: Option<PathBuf>,
    /// What follows `--`.
    pub program_args: Vec<OsString>,
}

/// The arguments of `patch`.
#[derive(Debug, Clone)]
pub struct PatchArgs {
    /// Which program.
    pub selection: CargoSelection,
    /// How to tell about it.
    pub message_format: MessageFormat,
    /// The folder for the patch and its reports, where it is not the store's own.
    pub out: Option<PathBuf>,
    /// How long to serve until a program has applied the patch; absent: do not serve.
    pub wait: Option<Duration>,
    /// Whether the patch may change the layout of types of which the program may hold values.
    pub allow_layout_change: bool,
    /// Where programs find the server.
    pub bind: SocketAddr,
}

/// The arguments of `doctor`.
#[derive(Debug, Clone)]
pub struct DoctorArgs {
    /// Which program.
    pub selection: CargoSelection,
    /// Whether to print one JSON object.
    pub json: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MessageFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line on stdout, and nothing else there.
    Json,
}

/// What `watch` does about a change that no patch can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Restart {
    /// Ask on the terminal.
    #[default]
    Ask,
    /// Restart the program.
    Auto,
    /// Only say so.
    Never,
}

/// Clients of other tools that need a port of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuestClient {
    /// The client of iced's `hot` feature, at 127.0.0.1:1100.
    CargoHot,
}

/// Save a file and see any function of the running program change, with all of its state.
#[derive(Debug, Parser)]
#[command(name = "cargo-hotpatch", bin_name = "cargo hotpatch", version)]
#[command(arg_required_else_help = true)]
struct RawCli {
    #[command(subcommand)]
    command: RawCommand,
}

#[derive(Debug, Subcommand)]
enum RawCommand {
    /// Build the program with all that patches need; prints the program's path
    Fat {
        #[command(flatten)]
        common: RawCommon,
    },
    /// Build and start the program, and patch it at each save
    Watch(RawWatch),
    /// Build one patch of what changed since the fat build
    Patch(RawPatch),
    /// Check the machine and the project for what prevents patching; changes nothing
    Doctor {
        #[command(flatten)]
        common: RawCommon,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct RawCommon {
    #[command(flatten)]
    selection: CargoSelection,
    /// How to print results
    #[arg(long, value_enum, value_name = "FMT", default_value_t)]
    message_format: MessageFormat,
}

#[derive(Debug, Args)]
struct RawWatch {
    #[command(flatten)]
    common: RawCommon,
    /// Do not start the program; print the environment with which to start it elsewhere
    #[arg(long)]
    no_run: bool,
    /// Program that loads the library (`--cdylib`); it is started with the ARGS
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["bin", "example", "test", "bench"])]
    host: Option<OsString>,
    /// Patch a process of the last `fat` that was started with HOTPATCH_WAIT=1
    #[arg(long, value_name = "PID", conflicts_with_all = ["no_run", "host", "program_args"])]
    attach: Option<u32>,
    /// Apply changes of a type's layout even though the program may hold values of the old one
    #[arg(long)]
    allow_layout_change: bool,
    /// Address to serve patches at
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Also serve programs with this client (those with `dioxus-devtools` always are)
    #[arg(long, value_enum, value_name = "NAME")]
    client: Vec<GuestClient>,
    /// What to do when only a restart can bring a change in
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    restart: Restart,
    /// Look at the files several times a second, where the system does not tell of saves
    #[arg(long)]
    poll: bool,
    /// Write our own lines to a file, for programs that own the terminal
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Arguments for the program
    #[arg(last = true, value_name = "ARGS")]
    program_args: Vec<OsString>,
}

#[derive(Debug, Args)]
struct RawPatch {
    #[command(flatten)]
    common: RawCommon,
    /// Folder for the patch library, `jump_table.json` and `report.json`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Serve until a program has applied the patch, for at most so many seconds
    #[arg(long, value_name = "SECS")]
    wait: Option<f64>,
    /// Apply changes of a type's layout even though the program may hold values of the old one
    #[arg(long)]
    allow_layout_change: bool,
    /// Address to serve the patch at
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
}

/// Reads the process's command line. Wrong usage that clap itself finds ends the process with
/// exit code 2.
///
/// # Errors
/// A [`Failure`] of the kind `Usage` for what only a look at the file system can tell.
pub fn parse() -> Result<Command, Failure> {
    validate(RawCli::parse_from(without_subcommand_name(std::env::args_os())))
}

/// Cargo calls `cargo-hotpatch hotpatch ARGS` for `cargo hotpatch ARGS`.
fn without_subcommand_name(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<_> = args.into_iter().collect();
    if args.get(1).is_some_and(|a| a == "hotpatch") {
        args.remove(1);
    }
    args
}

fn validate(raw: RawCli) -> Result<Command, Failure> {
    Ok(match raw.command {
        RawCommand::Fat { common } => Command::Fat(FatArgs {
            selection: common.selection.validate()?,
            message_format: common.message_format,
        }),
        RawCommand::Watch(mut raw) => Command::Watch(WatchArgs {
            host: with_host(&mut raw),
            selection: raw.common.selection.validate()?,
            message_format: raw.common.message_format,
            run: !raw.no_run && raw.attach.is_none(),
            attach: raw.attach,
            allow_layout_change: raw.allow_layout_change,
            bind: raw.bind,
            clients: raw.client,
            restart: raw.restart,
            poll: raw.poll,
            log: raw.log.as_deref().map(absolute).transpose()?,
            program_args: raw.program_args,
        }),
        RawCommand::Patch(raw) => Command::Patch(PatchArgs {
            selection: raw.common.selection.validate()?,
            message_format: raw.common.message_format,
            out: raw.out.as_deref().map(absolute).transpose()?,
            wait: raw.wait.map(seconds).transpose()?,
            allow_layout_change: raw.allow_layout_change,
            bind: raw.bind,
        }),
        RawCommand::Doctor { common, json } => Command::Doctor(DoctorArgs {
            selection: common.selection.validate()?,
            json: json || common.message_format == MessageFormat::Json,
        }),
    })
}

/// With a host, the library means itself and not its unit tests.
fn with_host(raw: &mut RawWatch) -> Option<OsString> {
    let selection = &mut raw.common.selection;
    if raw.host.is_some() {
        (selection.cdylib, selection.lib) = (true, false);
    }
    raw.host.take()
}

fn seconds(value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| usage(format!("`--wait {value}` is not a time in seconds")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        let args = args.iter().map(OsString::from);
        let raw =
            RawCli::try_parse_from(without_subcommand_name(args)).map_err(|e| e.to_string())?;
        validate(raw).map_err(|e| e.to_string())
    }

    fn selection(args: &[&str]) -> CargoSelection {
        match parsed(args) {
            Ok(Command::Fat(fat)) => fat.selection,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        RawCli::command().debug_assert();
    }

    #[test]
    fn cargo_and_a_direct_call_mean_the_same() {
        for args in [&["cargo-hotpatch", "fat"][..], &["cargo-hotpatch", "hotpatch", "fat"]] {
            assert!(matches!(parsed(args), Ok(Command::Fat(_))), "{args:?}");
        }
    }

    #[test]
    fn selection_flags_reach_cargo_as_given() {
        let table: [(&[&str], &[&str]); 6] = [
            (&[], &[]),
            (&["-p", "a", "--bin", "b"], &["--package", "a", "--bin", "b"]),
            (&["-F", "x y", "--features=z"], &["--features", "x y", "--features", "z"]),
            (&["-r", "--locked"], &["--locked", "--release"]),
            (&["-vv", "--color", "never"], &["--color", "never", "--verbose", "--verbose"]),
            (&["--config", "a.b=1", "--example=e"], &["--config", "a.b=1", "--example", "e"]),
        ];
        for (given, wanted) in table {
            let args: Vec<_> = ["cargo-hotpatch", "fat"].iter().chain(given).copied().collect();
            assert_eq!(selection(&args).build_args(), wanted, "{given:?}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in [
            &["--release", "--profile", "dev"][..],
            &["--bin", "a", "--example", "b"],
            &["--test", "a", "--bench", "b"],
            &["--lib", "--bin", "a"],
            &["-q", "-v"],
            &["--message-format", "short"],
            &["--manifest-path", "no/such/Cargo.toml"],
            &["surplus"],
        ] {
            let all: Vec<_> = ["cargo-hotpatch", "fat"].iter().chain(args).copied().collect();
            assert!(parsed(&all).is_err(), "{args:?}");
        }
        assert!(parsed(&["cargo-hotpatch", "patch", "--wait", "-1"]).is_err());
        assert!(parsed(&["cargo-hotpatch", "watch", "--bind", "nowhere"]).is_err());
    }

    #[test]
    fn program_arguments_follow_two_dashes() {
        let args =
            ["cargo-hotpatch", "watch", "--no-run", "--restart", "auto", "--", "-x", "--bin"];
        match parsed(&args) {
            Ok(Command::Watch(watch)) => {
                assert!(!watch.run);
                assert_eq!(watch.restart, Restart::Auto);
                assert_eq!(watch.program_args, ["-x", "--bin"]);
                assert_eq!(watch.bind.to_string(), "127.0.0.1:0");
            }
            other => panic!("{other:?}"),
        }
    }
}
