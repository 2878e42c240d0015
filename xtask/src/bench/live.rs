//! A running `watch` that is given edits.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::projects::Project;

/// What one patch took, in milliseconds (the pause in microseconds).
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the first file event to the program's answer.
    pub total_ms: f64,
    /// Relink and diff.
    pub relink_ms: f64,
    /// How long the program's threads stood still.
    pub pause_us: f64,
}

/// A `watch` with its program.
pub struct Live {
    project: Project,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The program's file.
    pub program: PathBuf,
}

impl Live {
    /// Starts `watch` and waits until the program is connected.
    pub fn start(project: &Project, tool: &Path) -> anyhow::Result<Live> {
        let mut command = Command::new(tool);
        command.args(["hotpatch", "watch", "--message-format", "json", "--quiet"]);
        command.current_dir(project.folder()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut live = Live { project: project.clone(), child, lines, program: PathBuf::new() };
        let built = live.wait("fat-built")?;
        live.program = built["program"].as_str().context("the program's path")?.into();
        live.wait("client-connected")?;
        Ok(live)
    }

    /// Makes an edit and waits until the program runs it.
    pub fn edit(&mut self, n: usize) -> anyhow::Result<Times> {
        self.project.edit(n)?;
        let built = self.wait("patch-built")?;
        let applied = self.wait("patch-applied")?;
        let number = |v: &Value| v.as_f64().context("a number");
        let timings = &built["timings_ms"];
        Ok(Times {
            total_ms: number(&applied["total_ms"])?,
            relink_ms: number(&timings["relink"])? + number(&timings["diff"])?,
            pause_us: number(&applied["pause_us"])?,
        })
    }

    fn wait(&mut self, reason: &str) -> anyhow::Result<Value> {
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line?)?;
            match event["reason"].as_str() {
                Some(r) if r == reason => return Ok(event),
                Some("patch-refused" | "patch-failed" | "program-exited") => bail!("{event}"),
                _ => {}
            }
        }
        bail!("`watch` ended before it said {reason}")
    }

    /// Ends `watch` and the program.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "kill failed");
        self.child.wait()?;
        Ok(())
    }
}
