//! Thin builds ahead of the first change, so that the first save finds warm incremental folders.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::ThinBuild;
use super::process::Message;
use super::run::run;
use super::state::Standing;
use crate::pipeline::capture::{FatBuild, Unit};

/// A priming build in the background. A thin build waits for its end; call [`Primer::cancel`]
/// first where that is not wanted. Dropping it cancels it.
#[derive(Debug)]
pub struct Primer {
    thread: Option<JoinHandle<anyhow::Result<Option<ThinBuild>>>>,
    cancel: Sender<Message>,
}

/// Starts to build all units that have no thin build yet.
pub fn prime(fat: &FatBuild) -> Primer {
    let fat = fat.clone();
    let channel = channel();
    let cancel = channel.0.clone();
    let thread = std::thread::spawn(move || {
        let wanted = |_: &Unit, standing: &Standing| !matches!(standing, Standing::Done(_));
        // What rustc has to say about the code, cargo said in the fat build.
        run(&fat, wanted, channel, &mut |_, _| {})
    });
    Primer { thread: Some(thread), cancel }
}

impl Primer {
    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end; the units that it has built, where it was not cancelled.
    ///
    /// # Errors
    /// As [`super::build`]; the next build tries the failed units again.
    pub fn finish(mut self) -> anyhow::Result<Option<ThinBuild>> {
        self.join()
    }

    /// Stops rustc at once. What was not finished is left as if it had not been begun.
    ///
    /// # Errors
    /// As [`Primer::finish`].
    pub fn cancel(mut self) -> anyhow::Result<()> {
        _ = self.cancel.send(Message::Cancel);
        self.join().map(drop)
    }

    fn join(&mut self) -> anyhow::Result<Option<ThinBuild>> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Primer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            _ = self.cancel.send(Message::Cancel);
            _ = thread.join();
        }
    }
}
