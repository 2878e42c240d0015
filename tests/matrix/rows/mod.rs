//! The table.

mod calls;
mod closures;
mod data;
mod flow;
mod functions;
mod traits;
mod types;
mod workspace;

use crate::table::Group;

/// All groups.
pub const ALL: &[Group] = &[
    functions::GROUP,
    calls::GROUP,
    types::GROUP,
    traits::GROUP,
    closures::GROUP,
    data::GROUP,
    flow::MACROS,
    flow::FLOW,
    flow::LOW,
    workspace::GROUP,
];
