//! Programs with another tool's client: what the builder makes for them, on its way.

use super::builder::Ready;
use super::live::Live;
use crate::cli::{GuestClient, WatchArgs};
use crate::error::failure;
use crate::pipeline::relink::GuestLibrary;
use crate::report::Event;
use crate::session::Session;

/// The package with cargo-hot's client.
const CARGO_HOT: &str = "cargo-hot-protocol";

/// What to say where a program has a client that is not served unless asked.
pub(super) fn unserved(session: &Session, args: &WatchArgs) -> Option<String> {
    let mut packages = session.metadata.packages.iter();
    let has = packages.any(|package| *package.name == *CARGO_HOT);
    (has && !args.clients.contains(&GuestClient::CargoHot)).then(|| {
        format!("the program has `{CARGO_HOT}`, whose client is served with `--client cargo-hot`")
    })
}

impl Live<'_> {
    /// The program was read.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.build.guests = ready.guests;
        match ready.again {
            None => {}
            Some(Ok(library)) => self.desk.server.supply_again(library),
            Some(Err(error)) => {
                let message = format!("clients of other tools are not told of patches: {error:#}");
                self.desk.reporter.emit(&Event::Warning { message });
            }
        }
    }

    /// A patch was made for them too, or could not be: the next one has everything that it lacks.
    pub(super) fn publish_to_guests(
        &mut self,
        patch: u32,
        made: anyhow::Result<Box<GuestLibrary>>,
    ) {
        match made {
            Ok(library) => {
                self.desk.server.publish_to_guests(patch, *library);
            }
            Err(error) => {
                let hint = failure(&error).and_then(|failure| failure.hint.as_ref());
                let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
                let message =
                    format!("patch {patch} is not for clients of other tools: {error:#}{hint}");
                self.desk.reporter.emit(&Event::Warning { message });
            }
        }
    }
}
