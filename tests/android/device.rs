//! Programs for Android that run, are patched, end and lose their device.

use std::time::{Duration, Instant};

use super::adb::Adb;
use super::ndk::{self, Kit};
use super::setup::with_path;
use super::support::project::{Project, package};
use super::support::{Event, PATIENCE, Watch};
use super::{TARGET, project_of, skip, system, tool};

/// A counter of each kind, printed twice a second for as long as nobody tells it to end.
const MAIN: &str = "use std::cell::Cell;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
static TICKS: AtomicU64 = AtomicU64::new(0);
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}
fn tick() -> String {
    OWN.set(OWN.get() + 1);
    let mut names = NAMES.lock().unwrap();
    names.push(String::from(\"x\"));
    let ticks = TICKS.fetch_add(1, Ordering::SeqCst) + 1;
    format!(\"step=1 same={}\", ticks == OWN.get() && names.len() as u64 == ticks)
}
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = args.first() {
        println!(\"started with {args:?}\");
        std::process::exit(code.parse().unwrap());
    }
    loop {
        // Whoever reads this may go away.
        let _ = writeln!(std::io::stdout(), \"{}\", tick());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
";

const FILE: &str = "main/src/main.rs";

struct Bench {
    project: Project,
    kit: Kit,
    adb: Adb,
}

impl Bench {
    fn new(devices: &[&str]) -> Bench {
        let project = project_of(&package("app", "[workspace]"), MAIN);
        Bench { project, kit: Kit::new(), adb: Adb::new(devices) }
    }

    /// With another program.
    fn of(main: &str, manifest: &str, files: &[(&str, &str)]) -> Bench {
        let project = project_of(manifest, main);
        for (file, text) in files {
            project.write(file, text);
        }
        Bench { project, kit: Kit::new(), adb: Adb::new(&["P1 device"]) }
    }

    #[track_caller]
    fn watch(&self, args: &[&str]) -> Watch {
        let all = ["watch", "--message-format", "json", "--target", TARGET];
        let mut command = tool(&self.project, Some(&self.kit), &[&all, args].concat());
        command.env("PATH", with_path(&self.adb)).env_remove("ANDROID_SERIAL");
        // For thread-locals of the language, which are not stable.
        command.env("RUSTC_BOOTSTRAP", "1");
        Watch::spawn_command(command)
    }

    /// What the device knows of us.
    fn property(&self, serial: &str, name: &str) -> String {
        self.adb.read(&format!("{serial}/properties/debug.hotpatch.{name}"))
    }
}

/// Waits until there were so many events of a kind, in whatever order.
#[track_caller]
fn await_events(watch: &Watch, reason: &str, count: usize) -> Vec<Event> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = watch.events(reason);
        if events.len() >= count {
            return events;
        }
        assert!(Instant::now() < deadline, "no {count} events `{reason}`");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn missing() -> Option<String> {
    ndk::missing().or_else(system::missing)
}

#[test]
fn a_save_changes_a_program_that_runs_on_a_device() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let bench = Bench::new(&["P1 device"]);
    let mut watch = bench.watch(&[]);
    let serving = watch.wait("serving").text("addr").to_string();
    let ready = watch.wait("device-ready");
    assert_eq!((ready.text("device"), ready.text("addr")), ("P1", &*serving));
    let started = watch.wait("program-started");
    assert_eq!(started.text("device"), "P1");
    let pid = started.number("pid");
    assert_eq!(watch.wait("client-connected").number("pid"), pid);
    watch.wait_event("program-output", |e| {
        e.text("stream") == "logcat" && e.text("line").contains("logged")
    });
    assert_eq!(bench.property("P1", "addr"), serving);
    assert_eq!(bench.property("P1", "token").len(), 32);
    watch.wait_values(&[("step", "1"), ("same", "true")]);

    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    watch.wait_values(&[("step", "2"), ("same", "true")]);
    // A second one replaces the first, and brings a thread-local of its own.
    bench.project.edit(
        FILE,
        "OWN.set(OWN.get() + 1);",
        "thread_local!(static NEW: Cell<u64> = const { Cell::new(0) });
    NEW.set(NEW.get() + 1); OWN.set(OWN.get() + 1);",
    );
    bench.project.edit(FILE, "\"step=2 same={}\",", "\"step=3 new={} same={}\", NEW.get(),");
    watch.applied();
    watch.wait_values(&[("step", "3"), ("new", "4"), ("same", "true")]);
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("a running process");
    assert!(maps.contains("/memfd:patch-1") && maps.contains("/memfd:patch-2"), "{maps}");

    watch.stop();
    bench.adb.expect_clean("P1");
    let calls = bench.adb.calls();
    let at = |part: &str| calls.iter().position(|c| c.contains(part)).unwrap_or(usize::MAX);
    let order = ["reverse tcp:", "setprop debug.hotpatch.addr", "push", " exec ", "kill -2"];
    let places: Vec<usize> = order.iter().map(|part| at(part)).collect();
    assert!(places.is_sorted() && places[4] < calls.len(), "{places:?} in {calls:#?}");
}

#[test]
fn the_exit_code_of_a_program_on_a_device_is_that_of_watch() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let bench = Bench::new(&["P1 device"]);
    let mut watch = bench.watch(&["--", "7", "it's two"]);
    watch.wait_text("started with [\"7\", \"it's two\"]");
    let exited = watch.wait("program-exited");
    assert_eq!(exited.number("code"), 7);
    assert_eq!(watch.wait_exit(), Some(7));
    bench.adb.expect_clean("P1");
}

#[test]
fn several_devices_are_patched_at_once() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let bench = Bench::new(&["P1 device", "P2 device", "P3 device"]);
    let mut watch = bench.watch(&["--device", "P1", "--device", "P3"]);
    let started = await_events(&watch, "program-started", 2);
    let names: Vec<_> = started.iter().map(|started| started.text("device")).collect();
    assert_eq!(names, ["P1", "P3"]);
    await_events(&watch, "client-connected", 2);
    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    watch.applied();
    watch.wait_values(&[("step", "2"), ("same", "true")]);
    assert!(!bench.adb.calls().iter().any(|call| call.contains("-s P2")));
    watch.stop();
    bench.adb.expect_clean("P1");
    bench.adb.expect_clean("P3");
}

#[test]
fn a_program_that_somebody_else_starts_reads_the_properties() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    // The device comes later.
    let bench = Bench::new(&["P1 device"]);
    bench.adb.connect(&[]);
    let mut watch = bench.watch(&["--no-run"]);
    watch.wait_event("warning", |e| e.text("message").contains("no Android device is connected"));
    let program = watch.events("fat-built")[0].text("program").to_string();
    bench.adb.connect(&["P1 device"]);
    watch.wait("device-ready");
    let on_device = |args: &[&str]| {
        let mut command = std::process::Command::new(bench.adb.path("adb"));
        command.args(["-s", "P1"]).args(args);
        command
    };
    let pushed = on_device(&["push", &program, "/data/local/tmp/app"]).status();
    assert!(pushed.expect("adb").success());
    let run = "chmod 755 /data/local/tmp/app; exec /data/local/tmp/app";
    let mut child = on_device(&["shell", run]).spawn().expect("adb");
    let connected = watch.wait("client-connected");
    assert_eq!(connected.number("pid"), u64::from(child.id()));
    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    watch.stop();
    child.kill().and_then(|()| child.wait()).expect("a child");
    bench.adb.expect_clean("P1");
}

#[test]
fn a_device_that_comes_back_is_set_up_and_runs_the_program_again() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let bench = Bench::new(&["P1 device"]);
    let mut watch = bench.watch(&[]);
    watch.wait("client-connected");
    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    watch.wait_values(&[("step", "2")]);

    // Its cable is pulled: the program there ends, and so does what leads here.
    bench.adb.connect(&[]);
    // SAFETY: `kill` takes numbers; the process is that of the test's own program.
    unsafe { libc::kill(bench.adb.call("P1"), libc::SIGKILL) };
    assert_eq!(watch.wait("device-gone").text("device"), "P1");
    bench.adb.write("P1/reversed", "");
    bench.adb.connect(&["P1 device"]);
    watch.wait("device-ready");
    watch.wait("program-started");
    watch.wait("client-connected");
    // It has come back with the patch that was made before.
    watch.applied();
    watch.wait_values(&[("step", "2"), ("same", "true")]);
    assert!(bench.adb.read("P1/reversed").contains("tcp:"));
    let pushes = bench.adb.calls().iter().filter(|call| call.contains(" push ")).count();
    assert_eq!(pushes, 1);
    watch.stop();
    bench.adb.expect_clean("P1");
}

#[test]
fn a_program_that_outlives_its_connection_is_patched_again() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let bench = Bench::new(&["P1 device"]);
    bench.adb.write("P1/outlives", "");
    let mut watch = bench.watch(&[]);
    let pid = watch.wait("program-started").number("pid");
    watch.wait("client-connected");
    bench.adb.connect(&[]);
    // SAFETY: `kill` takes numbers; the process is that of the test's own `adb`.
    unsafe { libc::kill(bench.adb.call("P1"), libc::SIGKILL) };
    watch.wait("device-gone");
    bench.adb.connect(&["P1 device"]);
    watch.wait("device-ready");
    watch.wait_event("warning", |e| e.text("message").contains("has gone on meanwhile"));
    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    // Its end is seen as before.
    // SAFETY: `kill` takes numbers; the process is the test's own program.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) };
    watch.wait("program-exited");
    watch.wait_exit();
    bench.adb.expect_clean("P1");
}

/// What an app has in Java: it loads the library and calls it for ever.
const HOST: &str = "void *dlopen(const char *, int);
void *dlsym(void *, const char *);
long write(int, const void *, unsigned long);
int poll(void *, unsigned long, int);
int main(void) {
    void *library = dlopen(\"./libnative.so\", 2);
    int (*answer)(char *) = library ? dlsym(library, \"answer\") : 0;
    char text[100];
    if (!answer) return 3;
    for (;;) {
        write(1, text, answer(text));
        poll(0, 0, 200);
    }
}
";

const LIBRARY: &str = "use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
static TICKS: AtomicU64 = AtomicU64::new(0);
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}
fn tick() -> String {
    OWN.set(OWN.get() + 1);
    let ticks = TICKS.fetch_add(1, Ordering::SeqCst) + 1;
    format!(\"step=1 same={}\\n\", ticks == OWN.get())
}
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn answer(to: *mut u8) -> i32 {
    let text = tick();
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), to, text.len()) };
    text.len() as i32
}
";

#[test]
fn a_library_is_patched_in_the_program_on_a_device_that_loads_it() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let manifest = package("native", "[workspace]\n[lib]\ncrate-type = [\"cdylib\"]");
    let bench = Bench::of("", &manifest, &[("main/src/lib.rs", LIBRARY), ("host.c", HOST)]);
    std::fs::remove_file(bench.project.path(FILE)).expect("a file");
    let host = bench.project.path("host");
    bench.kit.compile(TARGET, &bench.project.path("host.c"), &host);
    let mut watch = bench.watch(&["--host", &host.display().to_string()]);
    watch.wait("client-connected");
    watch.wait_values(&[("step", "1"), ("same", "true")]);
    bench.project.edit("main/src/lib.rs", "step=1", "step=2");
    watch.applied();
    watch.wait_values(&[("step", "2"), ("same", "true")]);
    watch.stop();
    bench.adb.expect_clean("P1");
}

#[test]
fn thread_locals_of_the_language_keep_their_values() {
    if let Some(why) = missing() {
        skip!("{why}");
    }
    let main =
        MAIN.replacen("use std::cell::Cell;", "#![feature(thread_local)]\nuse std::cell::Cell;", 1);
    let macro_form = "thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}";
    let main = main.replace(macro_form, "#[thread_local]\nstatic OWN: Cell<u64> = Cell::new(0);");
    let bench = Bench::of(&main, &package("app", "[workspace]"), &[]);
    let mut watch = bench.watch(&[]);
    watch.wait("client-connected");
    watch.wait_values(&[("step", "1"), ("same", "true")]);
    bench.project.edit(FILE, "step=1", "step=2");
    watch.applied();
    watch.wait_values(&[("step", "2"), ("same", "true")]);
    watch.stop();
}
