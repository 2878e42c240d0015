//! The runtime where it is not an empty shell: one thread that talks to the server and brings in
//! what it sends.

mod arch;
#[cfg(hotpatch_detours)]
mod backtrace;
mod carry;
mod change;
mod connection;
mod crash;
#[cfg(hotpatch_detours)]
mod detour;
mod elf;
mod hooks;
// Half of what is known of an image is for detours.
#[cfg_attr(not(hotpatch_detours), allow(dead_code))]
mod image;
#[cfg_attr(not(hotpatch_detours), allow(dead_code))]
mod images;
mod library;
mod patch;
mod safepoint;
mod stacks;
mod switching;
mod sys;
#[cfg(any(test, not(hotpatch_detours)))]
mod table;
#[cfg(hotpatch_detours)]
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[cfg(feature = "inject")]
use hotpatch_protocol::ENV_CHILDREN;
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};

pub use carry::carry_over;
pub use hooks::{add_after, add_before};
pub use safepoint::{choose as use_safepoints, reach as safepoint};
pub use switching::call;

/// Whether there is a runtime. A child of `fork` inherits this, but not the thread: it gets none.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the runtime where the environment names a server and none was started yet.
pub fn start() {
    if let Some(server) = Server::of_environment() {
        launch(server, || ());
    }
}

/// The same when the loader has just loaded this code. In a program that is before `main`, where
/// nothing else runs yet: what is found in the environment is taken out of it, so that the processes
/// that the program starts are not taken for it.
///
/// A library may be loaded at any time, beside threads that read the environment; and the loader
/// lets the runtime's thread do little before the library's constructors are done, so that it must
/// not be waited for.
#[cfg(feature = "inject")]
fn start_at_load() {
    let Some(server) = Server::of_environment() else { return };
    if !own_image().is_some_and(|image| image.is_program()) {
        launch(server, sys::apart::leave);
        return;
    }
    if std::env::var_os(ENV_CHILDREN).is_none() {
        for name in [ENV_ADDR, ENV_TOKEN] {
            // SAFETY: there is no other thread that could be reading the environment.
            unsafe { std::env::remove_var(name) };
        }
    }
    // The program's hooks, which would miss its open files, are not called from this thread: a
    // program that has any starts the runtime itself.
    if launch(server, sys::apart::leave) {
        sys::apart::await_ready();
    }
}

/// Whom to ask for patches.
struct Server {
    address: String,
    token: String,
}

impl Server {
    /// The one that the environment names. A program with more rights than the user who started it
    /// (setuid) does not take a user's word for it.
    fn of_environment() -> Option<Server> {
        let address = std::env::var(ENV_ADDR).ok().filter(|address| !address.is_empty())?;
        if sys::is_privileged() {
            return None;
        }
        Some(Server { address, token: std::env::var(ENV_TOKEN).unwrap_or_default() })
    }
}

/// True where the runtime's thread was started now; it calls `first` before anything else.
fn launch(server: Server, first: fn()) -> bool {
    if STARTED.swap(true, Ordering::SeqCst) {
        return false;
    }
    let Some(image) = own_image() else {
        connection::say("the file that this program was loaded from cannot be found");
        return false;
    };
    if let Err(e) = library::keep(&image) {
        connection::say(&format!("this library cannot be kept from being unloaded: {e}"));
        return false;
    }
    let body = move || {
        first();
        run(&server.address, &server.token, image);
    };
    // The program's signal handlers never run on this thread, since it inherits this mask.
    let thread = sys::mask::blocked(|| thread::Builder::new().name("hotpatch".into()).spawn(body));
    if let Err(e) = &thread {
        connection::say(&format!("the runtime's thread does not start: {e}"));
        STARTED.store(false, Ordering::SeqCst);
    }
    thread.is_ok()
}

/// The file with this code: the program, or the library that another program has loaded.
fn own_image() -> Option<image::Image> {
    image::Image::of(own_image as fn() -> Option<image::Image> as usize)
}

fn run(address: &str, token: &str, program: image::Image) {
    sys::enter();
    safepoint::enter();
    stacks::enter();
    switching::prepare();
    connection::keep_up(address, token, &mut patch::Patches::new(program));
}
