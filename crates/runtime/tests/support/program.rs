//! The program under test, and the pipe on which it is asked what it sees.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};

use super::victim;

/// What cargo has started this very test with, where the processor is another one.
fn runner() -> Option<String> {
    let name =
        cfg!(target_arch = "aarch64").then_some("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER");
    std::env::var(name?).ok()
}

/// A running program; it is killed with this value.
pub struct Program {
    pub child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The addresses of its functions and statics, by name.
    addresses: HashMap<String, Vec<u64>>,
    /// A directory for this program's patches.
    pub directory: PathBuf,
}

impl Program {
    /// Starts the program with the named threads.
    pub fn start(address: Option<&str>, threads: &str) -> Program {
        Self::start_in(address, threads, &[])
    }

    /// The same, with more environment.
    pub fn start_in(address: Option<&str>, threads: &str, more: &[(&str, &str)]) -> Program {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = option_env!("CARGO_TARGET_TMPDIR").map_or(std::env::temp_dir(), Into::into);
        let directory = parent.join(format!("program-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let own = std::env::current_exe().unwrap();
        let mut command = match runner() {
            Some(runner) => Command::new(runner),
            None => Command::new(&own),
        };
        if runner().is_some() {
            command.arg(&own);
        }
        command
            .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
            .env(victim::THREADS, threads)
            .env("TMPDIR", &directory)
            .env(ENV_TOKEN, "secret")
            .env_remove(ENV_ADDR)
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(address) = address {
            command.env(ENV_ADDR, address);
        }
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut program = Program { child, input, output, addresses: HashMap::new(), directory };
        let addresses = program.line();
        program.addresses = addresses
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, list)| {
                (name.into(), list.split(',').map(|a| a.parse().unwrap()).collect())
            })
            .collect();
        program
    }

    /// The next line that is meant for us.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the program ended");
            if let Some(at) = line.find(victim::MARK) {
                return line[at + victim::MARK.len()..].trim_end().to_string();
            }
        }
    }

    /// Asks the program something; its answer.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").unwrap();
        self.line()
    }

    pub fn address(&self, name: &str) -> u64 {
        self.addresses[name][0]
    }

    /// The addresses of the many functions.
    pub fn many(&self) -> &[u64] {
        &self.addresses["many"]
    }

    /// True where a patch library is left in its directory.
    pub fn has_patches(&self) -> bool {
        let files = std::fs::read_dir(&self.directory).unwrap();
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("patch-"))
    }

    pub fn number(&mut self, question: &str) -> u64 {
        self.ask(question).parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
