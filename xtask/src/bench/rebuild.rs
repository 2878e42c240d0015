//! The way without hot-patching: `cargo build`, and the program started again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::projects::Project;

/// A project that is built and started again after each edit.
pub struct Rebuild {
    project: Project,
    running: Option<Child>,
}

impl Rebuild {
    /// Builds the project once.
    pub fn prepare(project: &Project) -> anyhow::Result<Rebuild> {
        let mut rebuild = Rebuild { project: project.clone(), running: None };
        rebuild.build_and_start()?;
        Ok(rebuild)
    }

    /// Makes an edit; how long until the new program says that it is ready, in milliseconds.
    pub fn edit(&mut self, n: usize) -> anyhow::Result<f64> {
        self.project.edit(n)?;
        let begun = Instant::now();
        self.build_and_start()?;
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    }

    fn build_and_start(&mut self) -> anyhow::Result<()> {
        self.end();
        let mut cargo = Command::new("cargo");
        cargo.args(["run", "--quiet"]).current_dir(self.project.folder());
        let mut child = cargo.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        self.running = Some(child);
        ensure!(line == "ready\n", "{} did not start", self.project.name);
        Ok(())
    }

    fn end(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.end();
    }
}
