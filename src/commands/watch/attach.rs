//! A process that was started without us, with a runtime that waits.

use std::time::{Duration, SystemTime};

use hotpatch_protocol::ENV_WAIT;
use hotpatch_protocol::message::Invitation;

use super::Built;
use crate::error::Failure;
use crate::pipeline::capture::{self, FatBuild};
use crate::pipeline::deliver::Server;
use crate::session::Session;
use crate::target::process;

/// The fat build that made the process's program; what was saved since then is yet to be patched.
///
/// # Errors
/// A [`Failure`] where there is no such build or the process runs another one.
pub(super) fn build(session: &Session, pid: u32) -> anyhow::Result<Built> {
    let fat = capture::load(session)?;
    check(&fat, pid)?;
    let first = fat.units.iter().map(|unit| unit.started_ns).min().unwrap_or_default();
    Ok(Built { fat, begun: SystemTime::UNIX_EPOCH + Duration::from_nanos(first) })
}

fn check(fat: &FatBuild, pid: u32) -> Result<(), Failure> {
    if !fat.is_injected() {
        return Err(Failure::environment(
            "this program starts the runtime itself, or has none: it cannot wait for `--attach`",
        )
        .hint("start it with the variables that `cargo hotpatch watch --no-run` prints"));
    }
    match process::build_id(pid) {
        Some(build) if build == fat.build_id => Ok(()),
        Some(_) => Err(Failure::environment(format!(
            "process {pid} does not run what the last `cargo hotpatch fat` has built"
        ))
        .hint("start the program anew, or choose the one that it is with `-p`, `--bin`, …")),
        None => Err(Failure::environment(format!("process {pid} is gone, or not yours"))),
    }
}

/// Tells the process where to find the server.
///
/// # Errors
/// A [`Failure`] where it does not wait for that.
pub(super) fn invite(pid: u32, server: &Server) -> anyhow::Result<()> {
    let address = server.local_address().to_string();
    let token = server.token().as_str().to_owned();
    let text = serde_json::to_string(&Invitation { address, token })?;
    process::invite(pid, &text).map_err(|why| {
        Failure::environment(format!("cannot attach to process {pid}: {why}"))
            .hint(format!("start the program with {ENV_WAIT}=1 in its environment"))
            .into()
    })
}
