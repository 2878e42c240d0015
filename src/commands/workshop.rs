//! The stages between changed files and a patch, one after the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::MessageFormat;
use crate::pipeline::capture::{FatBuild, Unit};
use crate::pipeline::diff::{self, Patch};
use crate::pipeline::relink::{GuestLibrary, Guests, Image, Outcome};
use crate::pipeline::thin::{self, ThinBuild, diagnostic};
use crate::report::{Event, Reporter, Timings};

/// One fat build, what its program runs, and what is known of its sources.
pub struct Workshop {
    fat: FatBuild,
    image: Image,
    guests: Guests,
    out: PathBuf,
    reporter: Arc<Reporter>,
    warned: BTreeSet<String>,
    newest: Option<ThinBuild>,
    /// Files whose changes may be in thin builds that no patch was made of.
    ahead: Vec<PathBuf>,
}

/// What changed files come to.
pub enum Made {
    /// No code is different.
    Nothing {
        /// What is worth saying all the same.
        notes: Vec<String>,
    },
    /// A patch, which later ones build upon.
    Patch {
        /// The patch.
        patch: Box<Patch>,
        /// The event that tells of it.
        built: Event,
        /// The same for programs with another tool's client that have no runtime of ours.
        guest: Option<anyhow::Result<Box<GuestLibrary>>>,
    },
}

impl Workshop {
    /// Reads the program. Patches and their reports go to `out`.
    ///
    /// # Errors
    /// Where the program or its captures cannot be read.
    pub fn open(fat: FatBuild, out: PathBuf, reporter: Arc<Reporter>) -> anyhow::Result<Workshop> {
        let image = Image::open(&fat)?;
        let guests = image.guests();
        let (warned, newest, ahead) = (BTreeSet::new(), None, Vec::new());
        Ok(Workshop { fat, image, guests, out, reporter, warned, newest, ahead })
    }

    /// Whether patches may change the layout of types of which the program may hold values.
    pub fn allow_layout_changes(mut self, allow: bool) -> Workshop {
        self.image.allow_layout_changes(allow);
        self
    }

    /// How clients of other tools in the program are served.
    pub fn guests(&self) -> Guests {
        self.guests
    }

    /// What such clients are sent when our runtime has redirected functions.
    ///
    /// # Errors
    /// Where it cannot be linked.
    pub fn again(&mut self) -> anyhow::Result<GuestLibrary> {
        self.image.empty_guest_library(&self.fat, &self.out)
    }

    /// The program carries over the values of these types when their layout changes.
    pub fn carry_over(&mut self, types: Vec<String>) {
        self.image.carry_over(types);
    }

    /// The fat build, with the inputs as the newest build has them.
    pub fn fat(&self) -> &FatBuild {
        &self.fat
    }

    /// What the newest patch was made of.
    pub fn newest(&self) -> Option<&ThinBuild> {
        self.newest.as_ref()
    }

    /// Makes a patch once more, of what it was made of.
    ///
    /// # Errors
    /// As [`Workshop::make`].
    pub fn make_again(
        &mut self,
        thin: &ThinBuild,
        layout_changes: bool,
    ) -> anyhow::Result<Option<Patch>> {
        thin.update_inputs(&mut self.fat);
        self.image.allow_layout_changes(layout_changes);
        let outcome = self.image.relink(&self.fat, thin, &self.out)?;
        let Outcome::Patch(relinked) = outcome else { return Ok(None) };
        let patch = diff::diff(&self.fat, &self.image, &relinked)?;
        self.image.accept(&relinked);
        Ok(Some(patch))
    }

    /// The number of the next patch.
    pub fn next_patch(&self) -> u32 {
        self.image.patches() + 1
    }

    /// Takes note of the priming build, if it came to its end, so that the first patch need not
    /// read all objects. What was saved while it ran may be in it: whatever is built next may use
    /// that, so that the first patch has it too.
    pub fn primed(&mut self, thin: Option<&ThinBuild>) {
        self.ahead = self.fat.changed_inputs();
        if let Some(thin) = thin {
            // Where an object cannot be read, the next patch says so.
            let _ = self.image.warm(thin);
        }
    }

    /// Forgets the newest patch, which the program did not take.
    pub fn take_back(&mut self, patch: u32) {
        self.image.take_back(patch);
    }

    /// Makes a patch of what changed in `files`, whose change began at `since`.
    ///
    /// # Errors
    /// [`thin::Rejected`] where the code does not compile, a refusal where a patch cannot carry
    /// the change, an environment failure for the rest.
    pub fn make(&mut self, files: &[PathBuf], since: Instant) -> anyhow::Result<Made> {
        let keys = thin::affected(&self.fat, &[files, &self.ahead].concat());
        self.reporter.emit(&Event::ChangeDetected {
            files: files.to_vec(),
            crates: crates(&self.fat, &keys),
        });
        let (thin, thin_ms) = timed(|| self.build(&keys));
        let thin = thin?;
        thin.update_inputs(&mut self.fat);
        let (outcome, relink_ms) = timed(|| self.image.relink(&self.fat, &thin, &self.out));
        let outcome = outcome?;
        self.ahead.clear();
        let relinked = match outcome {
            Outcome::Nothing { notes } => return Ok(Made::Nothing { notes }),
            Outcome::Patch(relinked) => relinked,
        };
        let (patch, diff_ms) = timed(|| diff::diff(&self.fat, &self.image, &relinked));
        let patch = patch?;
        self.image.accept(&relinked);
        let total = milliseconds(since.elapsed());
        let built = Event::PatchBuilt {
            patch: patch.patch,
            crates: thin.units.iter().map(|unit| unit.unit.crate_name.clone()).collect(),
            functions: patch.functions.clone(),
            library: patch.library.clone(),
            bytes: patch.bytes.len() as u64,
            timings_ms: Timings { thin: thin_ms, relink: relink_ms, diff: diff_ms, total },
        };
        let guest = match self.guests {
            Guests::Served => {
                let made = self.image.guest_library(&self.fat, &self.out).transpose();
                made.map(|made| made.map(Box::new))
            }
            Guests::None | Guests::Told => None,
        };
        self.newest = Some(thin);
        Ok(Made::Patch { patch: Box::new(patch), built, guest })
    }

    fn build(&mut self, keys: &[String]) -> anyhow::Result<ThinBuild> {
        let (reporter, warned) = (&self.reporter, &mut self.warned);
        thin::build(&self.fat, keys, &mut |unit, diagnostic| {
            tell(reporter, warned, unit, diagnostic);
        })
    }
}

/// Prints a diagnostic, without rustc's own summaries, as cargo does. A warning that people have
/// seen is not repeated at each save.
fn tell(reporter: &Reporter, warned: &mut BTreeSet<String>, unit: &Unit, diagnostic: Value) {
    let Some(text) = diagnostic::rendered(&diagnostic, reporter.color()) else { return };
    match reporter.format() {
        MessageFormat::Json => reporter.emit(&diagnostic::event(unit, diagnostic)),
        MessageFormat::Human => {
            if diagnostic["level"] != "warning" || warned.insert(text.clone()) {
                reporter.text(&text);
            }
        }
    }
}

/// The names of units, each once.
fn crates(fat: &FatBuild, keys: &[String]) -> Vec<String> {
    let named = fat.units.iter().filter(|unit| keys.contains(&unit.key));
    let mut names: Vec<_> = named.map(|unit| unit.crate_name.clone()).collect();
    names.dedup();
    names
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let done = work();
    (done, milliseconds(begun.elapsed()))
}

/// A time as JSON has it: in milliseconds, to the microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
