//! Plugins that are loaded anew while their host runs.
//!
//! A plugin is a `cdylib` (or `dylib`) that implements a trait of the host's. When its file changes,
//! the [`PluginHost`] loads the new one beside the old one, moves the state over, and lets the host's
//! threads go on with the new instance. Whatever fails, the old instance goes on:
//!
//! - the file must be whole, and different from the one that runs;
//! - it is copied to a name of its own, since loaders know libraries by name and compilers write into
//!   files that are in use;
//! - both sides must have been built by the same compiler, for the same target, with the same text
//!   of the interface ([`interface!`]), which is checked before any function of the plugin is called
//!   that depends on it;
//! - the new instance is made, asked for a [`probe`](Plugin::probe), and given the old one's state;
//!   a panic in any of these stays in the plugin.
//!
//! Libraries stay loaded, so that neither a thread-local nor a function pointer of old code dangles.
//!
//! # Real time
//! A thread that must not wait reaches the plugin through a [`Reader`]. [`Reader::get`] is wait-free:
//! a few atomic operations, no lock, no allocation, no system call. Instances are made and dropped on
//! the thread that reloads. The old instance goes on while its state is saved and loaded, so what
//! changes in that time is lost; and `save_state` runs beside the plugin's other functions, which
//! is why all of them take `&self`.
//!
//! # Example
//! In a file that both sides have:
//! ```
//! pub trait Synth: hotpatch_plugin::Plugin {
//!     fn sample(&self) -> f32;
//! }
//! // Here `include_str!("synth.rs")`: the text of the file that the trait stands in.
//! hotpatch_plugin::interface!(dyn Synth, "pub trait Synth …");
//! ```
//! In the plugin: `hotpatch_plugin::export!(dyn Synth, || Ok(Box::new(Sine::default())));`
//!
//! In the host:
//! ```no_run
//! # trait Synth: hotpatch_plugin::Plugin { fn sample(&self) -> f32; }
//! # hotpatch_plugin::interface!(dyn Synth, "");
//! use std::time::Duration;
//! use hotpatch_plugin::PluginHost;
//!
//! let mut host = PluginHost::<dyn Synth>::open("target/debug/libsine.so")?;
//! let mut reader = host.reader();
//! std::thread::spawn(move || loop {
//!     let sample = reader.get().sample();
//!     // … play it
//! });
//! host.watch(Duration::from_millis(200), |told| println!("{told}"));
//! # Ok::<(), hotpatch_plugin::Error>(())
//! ```

#[doc(hidden)]
pub mod abi;
mod error;
mod file;
mod host;
mod instance;
mod slot;

pub use abi::Interface;
pub use error::{Error, Reloaded};
pub use host::PluginHost;
pub use slot::Reader;

/// What every plugin can do. The host's own trait has this one as its supertrait.
pub trait Plugin: Send + Sync {
    /// The state that the next version is to go on with. Called while other threads use the plugin.
    fn save_state(&self) -> Vec<u8>;

    /// Goes on with a state that an earlier version has saved. Nobody else uses the plugin yet.
    ///
    /// # Errors
    /// Where it cannot; the version that has saved it goes on then.
    fn load_state(&self, state: &[u8]) -> Result<(), String>;

    /// Finds out whether this instance works, before anybody uses it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Makes a trait the interface between a host and its plugins: `interface!(dyn Trait, TEXT)`, where
/// `TEXT` is the text of the file that defines it, as `include_str!` gives it. Plugins that were built
/// with another text are not used.
#[macro_export]
macro_rules! interface {
    ($interface:ty, $text:expr) => {
        impl $crate::Interface for $interface {
            const FINGERPRINT: u64 = $crate::abi::fingerprint($text);
        }
    };
}

/// Makes a library a plugin: `export!(dyn Trait, || Ok(Box::new(Instance)))`, once for each library.
#[macro_export]
macro_rules! export {
    ($interface:ty, $make:expr) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn hotpatch_plugin_exports() -> *const $crate::abi::Exports {
            static FUNCTIONS: $crate::abi::Functions<$interface> =
                $crate::abi::Functions::new($make);
            static EXPORTS: $crate::abi::Exports = $crate::abi::Exports::new(&FUNCTIONS);
            &EXPORTS
        }
    };
}
