//! The stages, in the order in which the data passes them. A stage uses the types of earlier
//! stages and never those of later ones (`tests/tidy.rs` holds the wall).

pub mod capture;
pub mod thin;

pub mod relink;

pub mod diff;

pub mod deliver;
