//! A host and a plugin: reloads beside a thread that never waits, and everything that can be wrong
//! with a new version.

#[path = "fixture/src/synth.rs"]
mod synth;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hotpatch_plugin::{PluginHost, Reader, Reloaded};
use synth::Synth;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds the fixture with a toolchain; the library's bytes, or what went wrong.
fn build(toolchain: Option<&str>) -> Result<Vec<u8>, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(toolchain.unwrap_or("own"));
    fs::create_dir_all(folder.join("src")).map_err(|e| e.to_string())?;
    let manifest = fs::read_to_string(own.join("tests/fixture/Cargo.toml")).expect("a manifest");
    let manifest = manifest.replace("\"../..\"", &format!("{:?}", own.display().to_string()));
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(own.join("../../Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    for file in ["lib.rs", "synth.rs"] {
        let name = Path::new("src").join(file);
        fs::copy(own.join("tests/fixture").join(&name), folder.join(&name)).expect("a source file");
    }
    let mut command = match toolchain {
        None => Command::new(env!("CARGO")),
        Some(toolchain) => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", toolchain, "cargo"]);
            for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
                rustup.env_remove(variable);
            }
            rustup
        }
    };
    command.args(["build", "--quiet", "--target-dir", "target"]).current_dir(&folder);
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let name = format!("{}sine{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    fs::read(folder.join("target/debug").join(name)).map_err(|e| e.to_string())
}

fn own() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| build(None).expect("the fixture builds"))
}

/// The library as this version of it, with something wrong or not.
fn version(number: u64, mode: u8) -> Vec<u8> {
    let mut bytes = own().to_vec();
    for (mark, text) in [("VERSION=", format!("{number:08}")), ("MODE=", mode.to_string())] {
        let at = bytes.windows(mark.len() + text.len()).position(|window| {
            let (name, rest) = window.split_at(mark.len());
            name == mark.as_bytes() && rest.iter().all(u8::is_ascii_digit)
        });
        let at = at.unwrap_or_else(|| panic!("the library has {mark}")) + mark.len();
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    bytes
}

/// A plugin's file that the test writes.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let file = File(folder.join("libplugin.so"));
        file.write(&version(1, 0));
        file
    }

    fn write(&self, bytes: &[u8]) {
        fs::write(&self.0, bytes).expect("a file");
    }

    fn host(&self) -> PluginHost<dyn Synth> {
        PluginHost::open(&self.0).expect("the fixture works")
    }
}

/// A thread that calls the plugin without a rest, and has seen what it says.
struct Audio {
    stop: Arc<AtomicBool>,
    seen: Arc<[AtomicU64; 3]>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Audio {
    fn start(mut reader: Reader<dyn Synth>) -> Audio {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new([const { AtomicU64::new(0) }; 3]);
        let (stopped, seeing) = (stop.clone(), seen.clone());
        let body = move || {
            while !stopped.load(SeqCst) {
                let plugin = reader.get();
                let [version, sample, backwards] = &*seeing;
                let now = plugin.version();
                if now < version.swap(now, SeqCst) {
                    backwards.fetch_add(1, SeqCst);
                }
                sample.store(plugin.sample(), SeqCst);
                thread::yield_now();
            }
        };
        let thread = thread::Builder::new().name("audio".into()).spawn(body).expect("a thread");
        Audio { stop, seen, thread: Some(thread) }
    }

    fn wait_for_version(&self, version: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen[0].load(SeqCst) != version {
            assert!(Instant::now() < deadline, "the audio thread does not see version {version}");
            thread::yield_now();
        }
    }

    /// How many samples there were, and how often an older version came after a newer one.
    fn end(mut self) -> (u64, u64) {
        self.stop.store(true, SeqCst);
        self.thread.take().expect("a thread").join().expect("no panic on the audio thread");
        (self.seen[1].load(SeqCst), self.seen[2].load(SeqCst))
    }
}

#[test]
fn a_hundred_versions_go_on_with_one_state_beside_a_thread_that_never_waits() {
    let file = File::new("hundred");
    let host = file.host();
    let audio = Audio::start(host.reader());
    audio.wait_for_version(1);
    let mut samples = 0;
    for number in 2..=101 {
        file.write(&version(number, 0));
        assert_eq!(host.reload().unwrap(), Reloaded::Version(number));
        assert_eq!(host.reload().unwrap(), Reloaded::Same, "nothing has changed");
        audio.wait_for_version(number);
        host.collect();
        // The state is never that of the beginning.
        let now = host.with(|plugin| plugin.sample());
        assert!(now > samples, "{now} after {samples}");
        samples = now;
    }
    let (samples, backwards) = audio.end();
    assert!(samples > 200, "{samples}");
    assert_eq!(backwards, 0);
}

#[test]
fn what_is_wrong_with_a_version_is_said_and_the_old_one_goes_on() {
    let file = File::new("wrong");
    let host = file.host();
    let audio = Audio::start(host.reader());
    let whole = version(9, 0);
    let cut = whole[..whole.len() / 2].to_vec();
    let wrong = [
        (cut, "the file is cut short"),
        (version(9, 1), "it does not take the old state: it panicked"),
        (version(9, 2), "it does not take the old state: I do not like it"),
        (version(9, 3), "its probe failed: no sound card"),
        (version(9, 4), "no instance was made: it panicked"),
        (
            b"this is no library, and it is long enough to be looked at as one, but not an ELF"
                .to_vec(),
            "",
        ),
    ];
    for (bytes, why) in wrong {
        file.write(&bytes);
        let error = host.reload().expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
        let before = host.with(|plugin| plugin.sample());
        assert!(host.with(|plugin| plugin.sample()) > before);
        assert_eq!(host.with(|plugin| plugin.version()), 1);
    }
    fs::remove_file(&file.0).expect("a file");
    assert!(host.reload().unwrap_err().to_string().contains("it cannot be read"));
    file.write(&version(2, 0));
    assert_eq!(host.reload().unwrap(), Reloaded::Version(2));
    audio.wait_for_version(2);
    audio.end();
}

#[test]
fn a_plugin_of_another_compiler_is_not_used() {
    let file = File::new("toolchain");
    let host = file.host();
    let other = match build(Some("nightly")) {
        Ok(other) => other,
        Err(why) => {
            eprintln!("SKIPPED a_plugin_of_another_compiler_is_not_used: {why}");
            return;
        }
    };
    file.write(&other);
    let error = host.reload().unwrap_err().to_string();
    assert!(error.contains("it was built by rustc") && error.contains("nightly"), "{error}");
    assert_eq!(host.with(|plugin| plugin.version()), 1);
    assert!(PluginHost::<dyn Synth>::open(&file.0).is_err());
}

/// The same functions in another order: what they mean in a table of methods is not the same.
mod other {
    pub trait Synth: hotpatch_plugin::Plugin {
        fn sample(&self) -> u64;
        fn version(&self) -> u64;
    }

    hotpatch_plugin::interface!(dyn Synth, "fn sample, fn version");
}

#[test]
fn a_plugin_of_another_interface_is_not_used() {
    let file = File::new("interface");
    let opened = PluginHost::<dyn other::Synth>::open(&file.0);
    let used = opened.map(|host| host.with(|plugin| (plugin.sample(), plugin.version())));
    let error = used.expect_err("an error").to_string();
    assert!(error.contains("another version of the interface"), "{error}");
    let mine = file.host();
    assert_eq!(mine.with(|plugin| (plugin.version(), plugin.sample())), (1, 1));
}

#[test]
fn a_watch_brings_each_version_that_works_and_tells_of_those_that_do_not() {
    let file = File::new("watch");
    let mut host = file.host();
    let audio = Audio::start(host.reader());
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    host.watch(Duration::from_millis(20), move |what| {
        telling.lock().unwrap().push(what.to_string());
    });
    let wait_until_told = |text: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !told.lock().unwrap().iter().any(|line: &String| line.contains(text)) {
            assert!(Instant::now() < deadline, "nobody says {text:?}: {:?}", told.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    };
    file.write(&version(2, 0));
    audio.wait_for_version(2);
    wait_until_told("version 2 of the plugin runs");
    file.write(&version(3, 1));
    wait_until_told("it does not take the old state: it panicked");
    file.write(&version(4, 0));
    audio.wait_for_version(4);
    drop(host);
    let (samples, backwards) = audio.end();
    assert!(samples > 0);
    assert_eq!(backwards, 0);
}
