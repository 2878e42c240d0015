//! `watch` on a terminal, as a user has it.

mod support;

use std::io::{Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::{Fixture, PATIENCE, command, plain_command};

/// What a terminal shows.
struct Screen {
    shown: Arc<Mutex<String>>,
    read_to: usize,
}

impl Screen {
    fn of(mut output: impl Read + Send + 'static) -> Screen {
        let shown = Arc::new(Mutex::new(String::new()));
        let to = shown.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Screen { shown, read_to: 0 }
    }

    /// Waits for a text behind the one that was waited for last.
    #[track_caller]
    fn wait(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown.lock().unwrap().clone();
            if let Some(at) = shown[self.read_to..].find(text) {
                self.read_to += at + text.len();
                return;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", &shown[self.read_to..]);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `watch` below `script`, which gives it a terminal of its own; what is written to the pipe is
/// typed there. `script` has a shell start it, which must not stay between the two: a key's signal
/// goes to all who run in a terminal, and not every shell survives it.
fn on_a_terminal(watch: &Command) -> Command {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy());
    let words = [watch.get_program()].into_iter().chain(watch.get_args());
    let line = words.map(quoted).collect::<Vec<_>>().join(" ");
    let line = format!("exec {line}");
    let mut script = plain_command("script", &["--quiet", "--return", "--command", &line]);
    script.arg("/dev/null").env("TERM", "xterm");
    script.current_dir(watch.get_current_dir().unwrap());
    for (name, value) in watch.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    script
}

const CTRL_C: u8 = 0x03;
const CTRL_BACKSLASH: u8 = 0x1c;

fn press(keys: &mut ChildStdin, key: u8) {
    keys.write_all(&[key]).and_then(|()| keys.flush()).expect("a terminal that takes keys");
}

#[test]
fn a_key_builds_again_and_restarts() {
    let fixture = Fixture::copy("counters");
    let watch = command(fixture.root(), &["watch", "--color", "never"]);
    let mut script = match on_a_terminal(&watch).spawn() {
        Ok(script) => script,
        Err(error) => {
            println!("SKIPPED a_key_builds_again_and_restarts: no `script`: {error}");
            return;
        }
    };
    let mut screen = Screen::of(script.stdout.take().expect("a pipe"));
    let mut keys = script.stdin.take().expect("a pipe");
    screen.wait("Connected process");
    screen.wait(" version=0 ");
    fixture.edit("src/main.rs", "const VERSION: u64 = 0;", "const VERSION: u64 = 1;");
    screen.wait("Patched main.rs");
    screen.wait(" version=1 ");
    fixture.edit("Cargo.toml", "publish = false", "publish = false\ndescription = \"x\"");
    screen.wait("to build again and restart: Ctrl-\\ or kill -USR1");
    press(&mut keys, CTRL_BACKSLASH);
    screen.wait("Exited process");
    screen.wait("tick 1 version=1 ");
    press(&mut keys, CTRL_C);
    assert!(script.wait().is_ok(), "Ctrl-C ends both");
}
