//! A program under `cargo hotpatch watch`, as its user would have it: the tool's lines go to a
//! file, the program has the terminal or the pipes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::program::Program;
use super::terminal::Terminal;
use super::users::Kind;
use crate::published;

/// How long a build may take, and how long a save until the tool has said what came of it.
const BUILT_WITHIN: Duration = Duration::from_secs(1800);
const SAID_WITHIN: Duration = Duration::from_secs(240);

/// What the tool says when a program does not go on as it was.
const ENDS: [&str; 4] = ["Exited ", "Crashed ", "Disconnected ", "Last good "];
/// What it says of a save.
const RESULTS: [&str; 5] = ["Patched ", "Refused ", "Failed ", "Unchanged ", "Restart "];

/// Where everything of one program is.
#[derive(Debug)]
pub struct Place {
    /// The copy of its source.
    pub source: PathBuf,
    /// The copy of the dependency's source.
    pub dependency: PathBuf,
    /// A folder with a few files.
    pub files: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// The tool's lines.
    log: PathBuf,
    /// A port that was free.
    pub port: u16,
}

impl Place {
    /// Fetches a program and its dependency. What cargo built earlier stays.
    ///
    /// # Errors
    /// Where cargo cannot fetch them.
    pub fn prepare(program: &Program, dir: &Path) -> anyhow::Result<Place> {
        let name = program.package.name;
        let source = published::fetch(name, program.package.version, dir)?;
        let by_path = dir.join(format!("{name}-dependency"));
        let dependency = published::use_by_path(&source, program.dependency, &by_path)?;
        let files = dir.join(format!("{name}-files"));
        fs::create_dir_all(&files)?;
        let table: String = (0..500).map(|n| format!("{n},name {n},{}\n", n * n)).collect();
        fs::write(files.join("table.csv"), format!("id,name,square\n{table}"))?;
        fs::write(files.join("touched"), "")?;
        let target = dir.join("target").join(name);
        let log = dir.join(format!("{name}.log"));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Place { source, dependency, files, target, log, port })
    }
}

/// The program's standard streams.
#[derive(Debug, Clone)]
pub struct Pipes {
    input: Arc<Mutex<ChildStdin>>,
    printed: Arc<Mutex<String>>,
}

impl Pipes {
    /// Writes to the program's input.
    ///
    /// # Errors
    /// Where nobody reads it any more.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.write_all(bytes).and_then(|()| input.flush()).context("the program's input")
    }

    /// All that it has printed.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

enum Stage {
    Terminal(Terminal),
    Pipes(Child, Pipes),
}

/// The tool and the program that it started.
pub struct Watched {
    /// The command, as a user would type it.
    pub command: String,
    log: PathBuf,
    read: usize,
    stage: Stage,
}

impl Watched {
    /// Builds the program, starts it, and waits until it is connected.
    ///
    /// # Errors
    /// Where it does not build or does not connect.
    pub fn start(program: &Program, place: &Place, tool: &Path) -> anyhow::Result<Watched> {
        let target = place.target.display().to_string();
        let mut selection: Vec<&str> = program.package.selection.to_vec();
        let mut fat = Command::new(tool);
        fat.args(["hotpatch", "fat", "--target-dir", &target]).args(&selection);
        let built = fat.current_dir(&place.source).stdout(Stdio::null()).status()?;
        ensure!(built.success(), "`cargo hotpatch fat` ended with {built}");

        let files = format!("../{}-files", program.package.name);
        let port = place.port.to_string();
        let args: Vec<String> = program.args.iter().map(|a| a.replace("{dir}", &files)).collect();
        let args: Vec<String> = args.iter().map(|a| a.replace("{port}", &port)).collect();
        selection.insert(0, "watch");
        let mut command = format!("cargo hotpatch {} --log LOG", selection.join(" "));
        if !args.is_empty() {
            let quoted = |arg: &String| match arg.contains(' ') {
                true => format!("'{arg}'"),
                false => arg.clone(),
            };
            let args: Vec<String> = args.iter().map(quoted).collect();
            command += &format!(" -- {}", args.join(" "));
        }
        let log = place.log.display().to_string();
        let mut words = vec![tool.display().to_string(), "hotpatch".into()];
        words.extend(selection.iter().map(ToString::to_string));
        words.extend(["--target-dir", &target, "--log", &log, "--"].map(String::from));
        words.extend(args);
        File::create(&place.log)?;
        let stage = match program.kind {
            Kind::Screen(_) => {
                Stage::Terminal(Terminal::start(program.package.name, &place.source, &words)?)
            }
            _ => pipes(&words, &place.source)?,
        };
        let log = place.log.clone();
        let mut watched = Watched { command, log, read: 0, stage };
        watched.wait(BUILT_WITHIN, |line| line.starts_with("Connected "))?;
        Ok(watched)
    }

    /// Saves a file and waits for what the tool says of it: its lines, when the patch is in.
    ///
    /// # Errors
    /// Where it says anything else than that the program runs the patch.
    pub fn save(&mut self, file: &Path, text: &str) -> anyhow::Result<Vec<String>> {
        fs::write(file, text)?;
        let lines = self.wait(SAID_WITHIN, |line| {
            RESULTS.iter().any(|r| line.starts_with(r)) || line.starts_with("error")
        })?;
        let last = lines.last().map(|l| l.trim_start()).unwrap_or_default();
        ensure!(last.starts_with("Patched "), "{}", lines.join("\n"));
        Ok(lines)
    }

    /// All lines of the tool so far.
    pub fn lines(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(&self.log)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// That the program is still the process that was started.
    ///
    /// # Errors
    /// What the tool said of its end.
    pub fn is_the_same(&self) -> anyhow::Result<()> {
        let lines = self.lines()?;
        let ends = |l: &&String| ENDS.iter().any(|e| l.trim_start().starts_with(e));
        match lines.iter().find(ends) {
            Some(line) => bail!("the program did not go on: {}", line.trim()),
            None => Ok(()),
        }
    }

    /// The terminal that it has.
    pub fn terminal(&self) -> anyhow::Result<Terminal> {
        match &self.stage {
            Stage::Terminal(terminal) => Ok(terminal.clone()),
            Stage::Pipes(..) => bail!("it has no terminal"),
        }
    }

    /// The pipes that it has.
    pub fn pipes(&self) -> anyhow::Result<Pipes> {
        match &self.stage {
            Stage::Pipes(_, pipes) => Ok(pipes.clone()),
            Stage::Terminal(_) => bail!("it has a terminal"),
        }
    }

    /// The lines up to the one that is wanted.
    fn wait(&mut self, time: Duration, wanted: fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        let until = Instant::now() + time;
        loop {
            let text = fs::read_to_string(&self.log)?;
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            let new: Vec<&str> = text[self.read.min(whole)..whole].lines().collect();
            if let Some(at) = new.iter().position(|line| wanted(line.trim_start())) {
                let lines: Vec<String> = new[..=at].iter().map(|l| (*l).to_owned()).collect();
                self.read += lines.iter().map(|l| l.len() + 1).sum::<usize>();
                return Ok(lines);
            }
            self.is_the_same()?;
            if let Stage::Pipes(tool, _) = &mut self.stage
                && let Some(status) = tool.try_wait()?
            {
                bail!("`watch` ended with {status}: {}", text.trim());
            }
            ensure!(Instant::now() < until, "nothing came of it: {}", new.join("\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the tool and the program.
    pub fn stop(&mut self) {
        match &mut self.stage {
            Stage::Terminal(terminal) => terminal.stop(),
            Stage::Pipes(tool, _) => {
                // The whole group, as Ctrl-C does it.
                let group = format!("-{}", tool.id());
                let _ = Command::new("kill").args(["-INT", "--", &group]).status();
                let _ = tool.wait();
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop();
    }
}

fn pipes(words: &[String], folder: &Path) -> anyhow::Result<Stage> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(folder).env("NO_COLOR", "1").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| words.join(" "))?;
    let input = child.stdin.take().context("its input")?;
    let mut output = child.stdout.take().context("its output")?;
    let printed = Arc::new(Mutex::new(String::new()));
    let to = printed.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    });
    let pipes = Pipes { input: Arc::new(Mutex::new(input)), printed };
    Ok(Stage::Pipes(child, pipes))
}
