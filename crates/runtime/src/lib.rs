//! The part of cargo-hotpatch that lives inside a program.
//!
//! ```no_run
//! hotpatch_runtime::start();
//! // … the program
//! ```
//!
//! [`start`] makes one thread, named `hotpatch`, which connects to the server that started the
//! program, brings in the patches that it sends, and answers each of them. Without the environment
//! variable `HOTPATCH_ADDR` it does nothing. In builds without debug assertions (`--release`) every
//! function here is empty, unless the feature `release` is on. Only Linux and Android, on
//! processors of 64 bits, have more than empty functions yet. On Android, where the system starts
//! apps, the property `debug.hotpatch.addr` of the device names the server as well.
//!
//! # What the program notices
//! A patch comes in for all threads at once: calls that began before run the old functions to their
//! end, later ones run the new functions. While a function is replaced for the first time, threads
//! that run stand still, usually for less than half a millisecond; threads that sleep are left
//! alone. From then on nobody is stopped for it.
//!
//! The threads are stopped by a signal: `SIGURG` where the program does not use it, otherwise a
//! real-time signal that it does not use. Its handler stays installed. System calls do not return
//! `EINTR` because of it (but see the limits); one that has a relative time limit and happens to
//! begin in that moment may wait anew. A thread that blocks all signals is no obstacle as long as
//! it sleeps; one that never does is named in the refusal.
//!
//! Two seconds after a patch it is looked whether a function that it replaced still runs in old
//! code. Threads that run are asked for a copy of their stack by the same signal; one that sleeps is
//! read from outside, and is only asked where its stack may have such a call on it.
//!
//! With the first patch come a second thread, `hotpatch-crash`, handlers for the signals of a crash
//! in front of those that are installed then, and a panic hook in front of the one that is set then.
//! They tell the server of a crash in code that is less than ten seconds old, and pass on to what was
//! there: the program ends as it would have.
//!
//! # Limits
//! - The standard library is made to list the loaded libraries again after each patch, so that
//!   backtraces name the functions of patches. What it had read for the backtrace before is not
//!   given back.
//! - A debugger that has a breakpoint in the first five bytes of a function keeps it from being
//!   replaced for the first time. Later breakpoints do no harm, in the old code or the new.
//! - On AArch64 a system call that is about to begin when its thread is stopped, and that the kernel
//!   never restarts (`epoll_wait`, `nanosleep`), returns `EINTR`.
//! - A signal handler that was entered from the first five bytes of a function must not sleep while
//!   that function is replaced.
//! - Where no directory is given by the server, libraries are kept in one of our own under
//!   `TMPDIR`, which is not removed at the end.

#[cfg(all(
    any(debug_assertions, feature = "release"),
    any(target_os = "linux", target_os = "android"),
    target_pointer_width = "64"
))]
mod active;
#[cfg(all(
    any(debug_assertions, feature = "release"),
    any(target_os = "linux", target_os = "android"),
    target_pointer_width = "64"
))]
use active as chosen;
#[cfg(not(all(
    any(debug_assertions, feature = "release"),
    any(target_os = "linux", target_os = "android"),
    target_pointer_width = "64"
)))]
mod off;
#[cfg(not(all(
    any(debug_assertions, feature = "release"),
    any(target_os = "linux", target_os = "android"),
    target_pointer_width = "64"
)))]
use off as chosen;

/// This crate's own files, by their paths in its folder.
#[cfg(feature = "sources")]
pub const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// A patch, as hooks get to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patch {
    /// Its number, counted from 1 for each build of the program.
    pub id: u32,
    /// The names of the functions that change.
    pub functions: Vec<String>,
}

/// Starts the runtime: one thread, which connects to the server that `HOTPATCH_ADDR` names and
/// brings in what it sends.
///
/// Without that variable it does nothing. It may be called more than once, from any thread: there is
/// never more than one runtime.
///
/// ```no_run
/// hotpatch_runtime::start();
/// ```
pub fn start() {
    chosen::start();
}

/// Calls the closure, in its newest version.
///
/// On processors where functions are redirected at their entries (x86-64, AArch64) this is a plain
/// call, and is not needed. On the others the code that is to change must be reached through it. The closure
/// is recognised by its type, so it does not matter what it captures.
///
/// ```
/// let greeting = String::from("hello");
/// assert_eq!(hotpatch_runtime::call(|| greeting.len()), 5);
/// ```
pub fn call<F: FnOnce() -> O, O>(f: F) -> O {
    chosen::call(f)
}

/// Adds a hook that is asked before each patch is loaded, and may say no by returning a reason.
///
/// Hooks run on the runtime's thread, in the order in which they were added, while the program goes
/// on. One that panics says no.
///
/// ```
/// hotpatch_runtime::before(|patch| match patch.functions.iter().any(|f| f.contains("critical")) {
///     true => Err("not while the program runs".into()),
///     false => Ok(()),
/// });
/// ```
pub fn before(hook: impl FnMut(&Patch) -> Result<(), String> + Send + 'static) {
    chosen::add_before(Box::new(hook));
}

/// Adds a hook that is told of each patch once it runs.
///
/// Hooks run on the runtime's thread, in the order in which they were added. One that panics changes
/// nothing.
///
/// ```
/// hotpatch_runtime::after(|patch| println!("patch {} runs", patch.id));
/// ```
pub fn after(hook: impl FnMut(&Patch) + Send + 'static) {
    chosen::add_after(Box::new(hook));
}

/// Saves all values of a type and takes them out of the program.
pub type Save = fn() -> Result<Vec<u8>, String>;
/// Makes the values anew from what was saved, and puts them where they belong.
pub type Load = fn(&[u8]) -> Result<(), String>;

/// Says how the values of a type `T` are carried over when its layout changes, so that such a patch
/// need not be refused: `carry_over!(T, save, load)`, with a [`Save`] and a [`Load`]. Call it once for
/// each such type, before or after [`start`].
///
/// Before the switch `save` is called, in its old version; after it `load`, in its new version. Where
/// `load` fails or panics, the old functions are put back, and the old version of `load` gets the same
/// bytes: it must be able to read what its own `save` has written. The patch is then refused with the
/// error.
///
/// ```
/// use std::sync::Mutex;
///
/// struct State { count: u64 }
///
/// static STATE: Mutex<Option<Box<State>>> = Mutex::new(None);
///
/// fn save() -> Result<Vec<u8>, String> {
///     let state = STATE.lock().map_err(|e| e.to_string())?.take();
///     Ok(state.map_or(vec![], |state| state.count.to_le_bytes().to_vec()))
/// }
///
/// fn load(bytes: &[u8]) -> Result<(), String> {
///     let count = bytes.try_into().map(u64::from_le_bytes).map_err(|_| "not a state")?;
///     *STATE.lock().map_err(|e| e.to_string())? = Some(Box::new(State { count }));
///     Ok(())
/// }
///
/// hotpatch_runtime::carry_over!(State, save, load);
/// ```
///
/// # What you promise
/// - After `save` there is no value of `T` left anywhere, and none of a type that contains a `T`
///   directly, such as an empty `Option<T>` or the spare room of a `Vec<T>`. Keep it behind a pointer,
///   as `Option<Box<T>>` in a static; a static that holds the `T` itself is refused.
/// - From `save` to the end of `load` nobody else makes a `T`. Other threads go on meanwhile, and find
///   none. With [`use_safepoints`] both run on the thread that calls [`safepoint`], one right after the
///   other; without, on the runtime's own.
///
/// New code gets to see no value before all calls of the functions that change have come to their end,
/// in all threads. Where one does not, such as an endless loop in `main` that changes as well, the
/// patch is refused, and everything is put back.
#[macro_export]
macro_rules! carry_over {
    ($type:ty, $save:expr, $load:expr $(,)?) => {{
        // In a function of its own, since every call of a generic function changes with the type, and
        // the caller may be `main`, which is always on the stack.
        fn name() -> &'static str {
            ::std::any::type_name::<$type>()
        }
        $crate::carry_over(name(), $save, $load)
    }};
}

/// [`carry_over!`] for a type by its full name, as in `my_crate::module::State`.
pub fn carry_over(name: &'static str, save: Save, load: Load) {
    chosen::carry_over(name, save, load);
}

/// Asks that patches be switched only where the program calls [`safepoint`].
///
/// Call it once, before [`start`]. Patches are loaded as they come; then each waits for the next
/// safepoint.
///
/// ```no_run
/// hotpatch_runtime::use_safepoints();
/// hotpatch_runtime::start();
/// for frame in 0.. {
///     hotpatch_runtime::safepoint();
///     // … draw the frame
/// }
/// ```
pub fn use_safepoints() {
    chosen::use_safepoints();
}

/// Switches the patch that waits, if there is one, on the calling thread, while the other threads
/// are stopped. Without [`use_safepoints`] there is never one.
///
/// Where nothing waits it costs one load from memory.
///
/// ```
/// hotpatch_runtime::safepoint();
/// ```
#[inline]
pub fn safepoint() {
    chosen::safepoint();
}
