//! A program under `watch`, and what the tool says of each save.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::functions::Function;
use super::programs::Program;

/// How long a save may take until the tool has said what came of it.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the program is used while the tool is waited for.
const ACTIVITY_EVERY: Duration = Duration::from_millis(60);

/// What the tool said of a save.
#[derive(Debug)]
pub enum Answer {
    /// The program runs it.
    Applied,
    /// No patch, with the reason.
    Refused(String),
    /// No code of the program is different.
    Unchanged,
    /// rustc refused it.
    NotCompiled,
    /// The tool or the program failed.
    Failed(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Applied => write!(f, "applied"),
            Answer::Refused(why) => write!(f, "refused ({why})"),
            Answer::Unchanged => write!(f, "nothing changed"),
            Answer::NotCompiled => write!(f, "not compiled"),
            Answer::Failed(why) => write!(f, "failed ({why})"),
        }
    }
}

enum Line {
    Event(Value),
    Said(String),
}

/// The tool and the program that it patches.
pub struct Session<'a> {
    program: &'a Program,
    folder: PathBuf,
    /// The file that marks go to.
    pub marks: PathBuf,
    tool: Child,
    lines: Receiver<Line>,
    /// The program's file.
    pub binary: PathBuf,
    variables: Vec<(String, String)>,
    running: Child,
    stdin: Option<ChildStdin>,
}

impl<'a> Session<'a> {
    /// Builds the program, starts it and waits until it is connected.
    pub fn start(program: &'a Program, source: &Path, tool: &Path) -> anyhow::Result<Self> {
        let folder = source.with_file_name(format!("{}-files", program.package.name));
        fs::create_dir_all(folder.join("sub"))?;
        let table: String = (0..500).map(|n| format!("{n},name {n},{}\n", n * n)).collect();
        fs::write(folder.join("table.csv"), format!("id,name,square\n{table}"))?;
        fs::write(folder.join("touched"), "")?;
        let mut child = watch(program, source, tool)?;
        let lines = read(&mut child)?;
        let (mut binary, mut variables) = (PathBuf::new(), Vec::new());
        while variables.len() < 2 {
            match lines.recv_timeout(Duration::from_secs(1200)).context("no `serving`")? {
                Line::Event(e) if e["reason"] == "fat-built" => {
                    binary = e["program"].as_str().context("the program's path")?.into();
                }
                Line::Said(line) => variables.extend(variables_in(&line)),
                Line::Event(_) => {}
            }
        }
        let marks = folder.join("marks");
        let (running, stdin) = run(program, &binary, &folder, &variables)?;
        let mut session = Session {
            program,
            folder,
            marks,
            tool: child,
            lines,
            binary,
            variables,
            running,
            stdin,
        };
        session.connected()?;
        Ok(session)
    }

    /// Starts the program again after it ended, or in place of one that went wrong.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        (self.running, self.stdin) =
            run(self.program, &self.binary, &self.folder, &self.variables)?;
        self.connected()
    }

    fn connected(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.lines.recv_timeout(Duration::from_millis(500)) {
                Ok(Line::Event(e)) if e["reason"] == "client-connected" => return Ok(()),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(e) => bail!("`watch` ended: {e}"),
            }
            if let Some(end) = self.ended() {
                bail!("{} ended before it was connected: {end}", self.program.package.name);
            }
        }
        bail!("{} did not connect", self.program.package.name)
    }

    /// Writes a file and waits for what the tool says.
    pub fn save(&mut self, function: &Function, text: &str) -> anyhow::Result<Answer> {
        while self.lines.try_recv().is_ok() {}
        fs::write(&function.file, text)?;
        let until = Instant::now() + PATIENCE;
        // A program that was started again is given the whole chain: only this save's patch counts.
        let mut built = Value::Null;
        while Instant::now() < until {
            self.program.activity.once(&self.folder, &mut self.stdin);
            match self.lines.recv_timeout(ACTIVITY_EVERY) {
                Ok(Line::Event(event)) if event["reason"] == "patch-built" => {
                    built = event["patch"].clone();
                }
                Ok(Line::Event(event)) => {
                    let late = event["reason"] == "patch-applied" && event["patch"] != built;
                    if let Some(answer) = answer(&event).filter(|_| !late) {
                        return Ok(answer);
                    }
                }
                Ok(Line::Said(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(e) => bail!("`watch` ended: {e}"),
            }
            if let Some(end) = self.ended() {
                return Ok(Answer::Failed(format!("the program ended: {end}")));
            }
        }
        Ok(Answer::Failed("no word from the tool".into()))
    }

    /// Whether mark `n` is there within the time, while the program is used.
    pub fn mark_within(&mut self, n: usize, time: Duration) -> anyhow::Result<bool> {
        let until = Instant::now() + time;
        let mark = n.to_string();
        loop {
            let text = fs::read_to_string(&self.marks).unwrap_or_default();
            if text.lines().any(|l| l == mark) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            self.program.activity.once(&self.folder, &mut self.stdin);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Empties the file of marks.
    pub fn forget_marks(&self) -> anyhow::Result<()> {
        Ok(fs::write(&self.marks, "")?)
    }

    /// How the program ended, where it did.
    pub fn ended(&mut self) -> Option<String> {
        self.running.try_wait().ok().flatten().map(|s| s.to_string())
    }

    fn kill(&mut self) {
        // The whole group: a program with a terminal runs below `script`.
        let group = format!("-{}", self.running.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.running.wait();
    }

    /// Ends the program and the tool.
    pub fn stop(mut self) {
        self.kill();
        let _ = Command::new("kill").args(["-TERM", &self.tool.id().to_string()]).status();
        let _ = self.tool.wait();
    }
}

fn watch(program: &Program, source: &Path, tool: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(tool);
    command.args(["hotpatch", "watch", "--no-run", "--message-format", "json"]);
    command.args(program.package.selection).current_dir(source).stdin(Stdio::null());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

fn read(tool: &mut Child) -> anyhow::Result<Receiver<Line>> {
    let (sender, lines) = channel();
    let stdout = BufReader::new(tool.stdout.take().context("its output")?);
    let stderr = BufReader::new(tool.stderr.take().context("its errors")?);
    let said = sender.clone();
    std::thread::spawn(move || {
        let events = stdout.lines().map_while(Result::ok);
        for event in events.filter_map(|l| serde_json::from_str(&l).ok()) {
            let _ = sender.send(Line::Event(event));
        }
    });
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = said.send(Line::Said(line));
        }
    });
    Ok(lines)
}

fn variables_in(line: &str) -> Vec<(String, String)> {
    let words = line.split_whitespace().filter_map(|w| w.split_once('='));
    words
        .filter(|(name, _)| name.starts_with("HOTPATCH_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        .collect()
}

fn run(
    program: &Program,
    binary: &Path,
    folder: &Path,
    variables: &[(String, String)],
) -> anyhow::Result<(Child, Option<ChildStdin>)> {
    let dir = folder.display().to_string();
    let args: Vec<String> = program.args.iter().map(|a| a.replace("{dir}", &dir)).collect();
    let mut command = if program.terminal {
        let line = std::iter::once(binary.display().to_string()).chain(args);
        let line: Vec<_> = line.map(|w| format!("'{w}'")).collect();
        let mut script = Command::new("script");
        let sized = format!("stty cols 80 rows 24; exec {}", line.join(" "));
        script.args(["--quiet", "--return", "--command", &sized, "/dev/null"]);
        script
    } else {
        let mut plain = Command::new(binary);
        plain.args(args);
        plain
    };
    command.envs(variables.iter().cloned()).env("TERM", "xterm-256color").current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    ensure!(child.stdin.is_some(), "a pipe to the program");
    let stdin = child.stdin.take();
    Ok((child, stdin))
}

fn answer(event: &Value) -> Option<Answer> {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    match event["reason"].as_str()? {
        "patch-applied" => Some(Answer::Applied),
        "patch-refused" => Some(Answer::Refused(format!("{}: {}", text("kind"), text("detail")))),
        "patch-failed" => Some(Answer::Failed(text("error"))),
        "restart-required" => Some(Answer::Refused(format!("restart required: {}", text("cause")))),
        "nothing-changed" => Some(Answer::Unchanged),
        "compiler-message" if event["message"]["level"] == "error" => Some(Answer::NotCompiled),
        _ => None,
    }
}
