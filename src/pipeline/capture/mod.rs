//! The fat build: an ordinary cargo build in which our wrapper records each workspace crate's
//! rustc invocation and the final linker invocation.
//!
//! [`wrapper`] is the side that cargo calls; [`build`] calls cargo, finds the captures of the
//! program's crates and writes the program's record, which [`load`] reads.

pub mod argfile;
pub mod args;
pub mod baseline;
mod build;
mod cargo;
mod collect;
pub mod dep_info;
pub mod inject;
pub mod link_args;
pub mod linked;
mod load;
mod program;
mod prune;
pub mod record;
pub mod rewrite;
mod select;
mod surroundings;
pub mod user_wrappers;
pub mod wrapper;
mod wrapping;

pub use build::build;
pub use load::load;
pub use record::{Artifact, FatBuild, LinkCapture, Unit};
pub use select::{Choice, is_library};
pub use surroundings::{Cause, Surrounding};
