//! One patch's switch with all that belongs to it: values are saved before and loaded after, and
//! where that does not succeed everything is as it was.

use super::patch::Refusal;
use super::switching::{Cost, Plan};

#[cfg(hotpatch_detours)]
pub use carrying::Carrying;

/// What a safepoint carries out.
pub struct Change {
    /// The functions to be switched.
    pub plan: Plan,
    /// What has to be carried over.
    #[cfg(hotpatch_detours)]
    pub carrying: Option<Carrying>,
}

impl Change {
    /// Carries it out on the calling thread.
    ///
    /// # Errors
    /// Where it cannot be carried out; nothing is changed then.
    pub fn carry_out(&self) -> Result<Cost, Refusal> {
        #[cfg(hotpatch_detours)]
        if let Some(carrying) = &self.carrying {
            return carrying.carry_out(&self.plan);
        }
        self.plan.carry_out()
    }
}

#[cfg(hotpatch_detours)]
mod carrying {
    use std::time::{Duration, Instant};

    use hotpatch_protocol::message::RefusalKind;

    use crate::active::carry::Saved;
    use crate::active::patch::{Refusal, refuse};
    use crate::active::stacks::{Body, Look};
    use crate::active::switching::{Cost, Plan};
    use crate::active::sys::tasks;

    /// How long calls that began before are waited for.
    const PATIENCE: Duration = Duration::from_millis(500);

    /// Types that get another layout.
    pub struct Carrying {
        /// Their names.
        pub types: Vec<String>,
        /// All versions of the functions that change, but the new ones.
        pub old: Vec<Body>,
        /// The new ones.
        pub new: Vec<Body>,
    }

    impl Carrying {
        /// Old code saves, the functions are switched, new code loads. The new code sees no value
        /// before no old code is left that could see it later.
        pub fn carry_out(&self, plan: &Plan) -> Result<Cost, Refusal> {
            let not_carried = |error: String| refuse(RefusalKind::NotCarriedOver, error);
            // Where it will not be known when the old code is gone, nothing is taken out.
            readable(&self.old).map_err(not_carried)?;
            let saved = Saved::take(&self.types).map_err(not_carried)?;
            let cost = match plan.carry_out() {
                Ok(cost) => cost,
                Err(refusal) => {
                    return Err(match saved.load() {
                        Ok(()) => refusal,
                        Err(lost) => not_carried(lost),
                    });
                }
            };
            let Err(error) = left(&self.old, "old").and_then(|()| saved.load()) else {
                return Ok(cost);
            };
            let back = plan.carry_back().map_err(|refusal| refusal.error);
            let back = back.and_then(|()| left(&self.new, "new")).and_then(|()| saved.load());
            Err(not_carried(match back {
                Ok(()) => error,
                Err(lost) => format!("{error}; and it could not be put back: {lost}"),
            }))
        }
    }

    /// Waits until none of these versions runs.
    fn left(bodies: &[Body], which: &str) -> Result<(), String> {
        until_nothing(bodies, &|look| {
            let name = look.found.first().and_then(|&n| bodies.get(n)).map(|body| &body.name);
            let runs = name.map(|name| format!("`{name}` still runs in {which} code"));
            runs.or_else(|| unknown(look))
        })
    }

    /// Waits until it is known of all threads whether they run these versions.
    fn readable(bodies: &[Body]) -> Result<(), String> {
        until_nothing(bodies, &unknown)
    }

    fn unknown(look: &Look) -> Option<String> {
        let thread = look.unsure?;
        Some(format!("it is not known what thread {} runs", tasks::name(thread)))
    }

    /// Looks again for a while, as long as there is an obstacle; the last one where it stays.
    fn until_nothing(
        bodies: &[Body],
        obstacle: &dyn Fn(&Look) -> Option<String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(obstacle) = obstacle(&Look::everywhere(bodies)) {
            if Instant::now() > deadline {
                return Err(obstacle);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
