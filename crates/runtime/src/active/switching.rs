//! How functions are switched on this processor: at their entries where it has detours, through the
//! jump table otherwise.

#[cfg(hotpatch_detours)]
pub use super::detour::{Cost, Plan, Switcher, prepare};
#[cfg(not(hotpatch_detours))]
pub use by_table::{Cost, Plan, Switcher, prepare};

#[cfg(not(hotpatch_detours))]
pub use by_table::call;

/// Calls the closure; its code is redirected like all other.
#[cfg(hotpatch_detours)]
pub fn call<F: FnOnce() -> O, O>(f: F) -> O {
    f()
}

#[cfg(not(hotpatch_detours))]
mod by_table {
    use crate::active::images::Redirect;
    use crate::active::patch::Refusal;
    use crate::active::table::JumpTable;

    static TABLE: JumpTable = JumpTable::new();

    /// What a switch has cost.
    #[derive(Debug, Clone, Default)]
    pub struct Cost {
        /// How long threads stood, in nanoseconds: they do not.
        pub pause: u64,
        /// How many threads were stopped.
        pub threads: u32,
        /// What was in the way: nothing.
        pub obstacle: Option<String>,
    }

    /// Fills the table.
    #[derive(Default)]
    pub struct Switcher;

    /// A switch that only has to be carried out.
    pub struct Plan(Vec<(usize, usize)>);

    /// There is nothing to be prepared.
    pub fn prepare() {}

    impl Switcher {
        /// Notes what is to be switched.
        ///
        /// # Errors
        /// None.
        pub fn plan(&mut self, redirects: &[Redirect]) -> Result<Plan, Refusal> {
            Ok(Plan(redirects.iter().map(|r| (r.old, r.new)).collect()))
        }

        /// Notes that a plan was carried out.
        pub fn done(&mut self, _: &Plan) {}
    }

    impl Plan {
        /// Switches all functions at once.
        ///
        /// # Errors
        /// None.
        pub fn carry_out(&self) -> Result<Cost, Refusal> {
            TABLE.extend(self.0.iter().copied());
            Ok(Cost::default())
        }
    }

    /// Calls the closure in its newest version.
    pub fn call<F: FnOnce() -> O, O>(f: F) -> O {
        TABLE.call(f)
    }
}
