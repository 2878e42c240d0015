//! Building again and starting the program again, for what no patch can carry.

use super::build::Build;
use super::live::Live;
use super::{Built, build};
use crate::commands::serving;
use crate::report::Event;
use crate::session::Session;

impl Live<'_> {
    /// Builds the program again; if that succeeds, ends the old one and starts the new one. If not,
    /// the old one goes on, and the next change is another reason to try.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_due = false;
        self.build.stop_builder();
        self.queue.clear();
        let (session, built) = match self.build_again() {
            Ok(done) => done,
            Err(error) => {
                self.stale = true;
                let message = format!("no restart: {error:#}; the program goes on as it is");
                self.desk.reporter.emit(&Event::Warning { message });
                return Ok(());
            }
        };
        self.stale = false;
        self.build.terminate(&self.desk.reporter);
        self.ledger.restart();
        self.published.clear();
        (self.crash, self.fallen) = (None, None);
        self.desk.server.begin(serving::expected(&built.fat, &session.store));
        self.build = Build::start(&self.desk, session, built, self.build.number + 1)?;
        self.timers.hint = self.build.hint_due();
        Ok(())
    }

    /// The manifest may be another one now, so cargo is asked everything anew.
    fn build_again(&self) -> anyhow::Result<(Session, Built)> {
        let session = Session::open(&self.desk.args.selection)?;
        let built = build(&session, self.desk.args, &self.desk.reporter)?;
        Ok((session, built))
    }
}
