//! The runtime where it is not an empty shell: one thread that talks to the server and brings in
//! what it sends.

mod arch;
#[cfg(feature = "inject")]
mod attach;
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

use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};
#[cfg(feature = "inject")]
use hotpatch_protocol::{ENV_CHILDREN, ENV_WAIT};

pub use carry::carry_over;
pub use hooks::{add_after, add_before};
pub use safepoint::{choose as use_safepoints, reach as safepoint};
pub use switching::call;

/// Whether there is a runtime. A child of `fork` inherits this, but not the thread: it gets none.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the runtime where the environment names a server and none was started yet.
pub fn start() {
    if let Some(server) = Server::of_environment() {
        launch(Task::Serve(server), || ());
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
    let waits = || Some(Task::Wait).filter(|_| named(ENV_WAIT).is_some());
    let Some(task) = Server::of_environment().map(Task::Serve).or_else(waits) else { return };
    if !own_image().is_some_and(|image| image.is_program()) {
        // Who attaches asks for a process by its program.
        if matches!(task, Task::Serve(_)) {
            launch(task, sys::apart::leave);
        }
        return;
    }
    if std::env::var_os(ENV_CHILDREN).is_none() {
        for name in [ENV_ADDR, ENV_TOKEN, ENV_WAIT] {
            // SAFETY: there is no other thread that could be reading the environment.
            unsafe { std::env::remove_var(name) };
        }
    }
    // The program's hooks, which would miss its open files, are not called from this thread: a
    // program that has any starts the runtime itself.
    if launch(task, sys::apart::leave) {
        sys::apart::await_ready();
    }
}

/// What the runtime's thread is for.
enum Task {
    /// Asking a server for patches.
    Serve(Server),
    /// Waiting until one asks for the program.
    #[cfg(feature = "inject")]
    Wait,
}

/// The value of a variable that is not empty. A program with more rights than the user who started
/// it (setuid) does not take a user's word for anything.
fn named(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value).filter(|_| !sys::is_privileged())
}

/// Whom to ask for patches.
struct Server {
    address: String,
    token: String,
}

impl Server {
    /// The one that the environment names.
    fn of_environment() -> Option<Server> {
        let Some(address) = named(ENV_ADDR) else { return Self::of_system() };
        Some(Server { address, token: std::env::var(ENV_TOKEN).unwrap_or_default() })
    }

    /// The one that the device's properties name: only its owner sets these.
    #[cfg(target_os = "android")]
    fn of_system() -> Option<Server> {
        use hotpatch_protocol::{PROPERTY_ADDR, PROPERTY_TOKEN};
        let address = sys::android::property(PROPERTY_ADDR)?;
        let token = sys::android::property(PROPERTY_TOKEN).unwrap_or_default();
        (!sys::is_privileged()).then_some(Server { address, token })
    }

    #[cfg(not(target_os = "android"))]
    fn of_system() -> Option<Server> {
        None
    }
}

/// True where the runtime's thread was started now; it calls `first` before anything else.
fn launch(task: Task, first: fn()) -> bool {
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
        run(task, image);
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

fn run(task: Task, program: image::Image) {
    sys::enter();
    safepoint::enter();
    stacks::enter();
    switching::prepare();
    let mut patches = patch::Patches::new(program);
    match task {
        Task::Serve(server) => connection::keep_up(&server.address, &server.token, &mut patches),
        #[cfg(feature = "inject")]
        Task::Wait => attach::wait(&mut patches),
    }
}
