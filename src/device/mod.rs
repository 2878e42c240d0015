//! Android devices, as far as a program on one is concerned: which are there, what they are like,
//! and how a program on one reaches this machine. [`adb`] is the only file that calls `adb`.

mod adb;
mod chosen;
mod listed;
mod probe;

pub use adb::{Adb, Device, Running};
pub use chosen::{Trouble, Wanted};
pub use listed::{Listed, State, parse_list};
pub use probe::Traits;
