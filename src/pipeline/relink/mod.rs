//! From thin objects to the patch library: what changed, bound to what the program has, linked
//! with the captured linker.
//!
//! [`Image::relink`] compares the objects with those of the image, by meaning; collects the
//! changed functions and what they newly reach; binds every reference to something that exists
//! to its one original address; and links the result.

mod archives;
mod collect;
mod compare;
mod debug_info;
mod driver;
mod entries;
mod fingerprint;
pub mod guard;
mod identity;
mod image;
mod leftover;
mod lines;
mod link;
mod link_plan;
mod manifest;
mod mixed_up;
mod names;
mod objects;
mod reach;
mod resolve;
mod spread;
mod unwind;

pub use collect::Obstacle;
pub use entries::Replaced;
pub use image::{
    FileWord, GuestLibrary, Guests, Image, Outcome, REMEMBERED, Relinked, Replacement,
};
pub use link::Linker;
pub use names::readable;
