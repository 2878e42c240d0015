//! What differs between operating systems, object formats and processors, and nothing else.

mod aarch64;
pub mod android;
pub mod apple;
mod arm;
pub mod binary;
pub mod elf;
pub mod linking;
pub mod macho;
pub mod process;
pub mod processor;
pub mod support;
mod x86_64;
