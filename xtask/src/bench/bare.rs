//! Bare replayed rustc: the thin command lines of the affected units, and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use cargo_hotpatch::pipeline::capture::FatBuild;
use cargo_hotpatch::pipeline::thin::plan::{Folders, ThinLibrary, thin_args};

use super::projects::Project;

/// Ready to run rustc on the project's units.
pub struct Bare {
    project: Project,
    fat: FatBuild,
    folder: PathBuf,
}

impl Bare {
    /// Captures the project's rustc invocations, and runs them once.
    pub fn prepare(project: &Project, tool: &Path) -> anyhow::Result<Bare> {
        let mut command = Command::new(tool);
        command.args(["hotpatch", "fat", "--quiet"]).current_dir(project.folder());
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "`fat` failed for {}", project.name);
        let programs = project.folder().join("target/hotpatch/programs");
        let record = std::fs::read_dir(programs)?.next().context("a record of the program")??;
        let fat = serde_json::from_slice(&std::fs::read(record.path())?)?;
        let folder = project.root.join("bare-objects");
        let bare = Bare { project: project.clone(), fat, folder };
        bare.replay()?;
        Ok(bare)
    }

    /// Makes an edit; how long rustc takes for it, in milliseconds.
    pub fn edit(&mut self, n: usize) -> anyhow::Result<f64> {
        self.project.edit(n)?;
        let begun = Instant::now();
        self.replay()?;
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    }

    fn replay(&self) -> anyhow::Result<()> {
        let mut libraries: Vec<ThinLibrary> = Vec::new();
        for unit in &self.fat.units {
            let home = self.folder.join(&unit.key);
            let (out, incremental) = (home.join("out"), home.join("incremental"));
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir_all(&out)?;
            let folders = Folders { out: &out, incremental: &incremental };
            let args = thin_args(&unit.args, folders, &libraries);
            let mut rustc = Command::new(&unit.rustc);
            rustc.args(args).current_dir(&unit.cwd).env_clear().envs(&unit.env);
            let status = rustc.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "rustc failed for {}", unit.crate_name);
            libraries.push(ThinLibrary { stem: unit.key.clone(), folder: out });
        }
        Ok(())
    }
}
