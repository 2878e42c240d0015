//! What one-shot patches have brought to programs, kept on disk: the next `patch --wait` goes on
//! from there. A step is kept as the objects that it was made of, and made again from them; only
//! where that gives the very library that programs have loaded is it known what they run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::workshop::Workshop;
use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::deliver::Process;
use crate::pipeline::diff::Patch;
use crate::pipeline::thin::{ThinBuild, ThinObject, ThinUnit};

/// The steps of one fat build.
pub struct Chain {
    folder: PathBuf,
    record: Record,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    steps: Vec<Step>,
    /// Which processes were sent how many of the patches.
    processes: Vec<(Process, usize)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    /// The hash of the library.
    library: String,
    /// Whether types of which there may be values were allowed to change.
    layout_changes: bool,
    units: Vec<StepUnit>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StepUnit {
    key: String,
    inputs: Vec<PathBuf>,
    /// The objects by codegen unit.
    objects: BTreeMap<String, PathBuf>,
}

/// A step whose patch no program has accepted yet.
pub struct Pending(Step);

impl Chain {
    /// The chain in `folder`, or an empty one.
    pub fn open(folder: PathBuf) -> Chain {
        let text = fs::read_to_string(folder.join(RECORD)).unwrap_or_default();
        Chain { folder, record: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Which processes were sent how many of the patches.
    pub fn processes(&self) -> &[(Process, usize)] {
        &self.record.processes
    }

    /// Whether a process has all of the patches.
    pub fn is_complete_in(&self, pid: u32) -> bool {
        let steps = self.record.steps.len();
        self.record.processes.iter().any(|((p, _), sent)| *p == pid && *sent == steps)
    }

    /// Makes the patches of all steps again, so that the workshop goes on from the last.
    ///
    /// # Errors
    /// Where a step cannot be made again as it was.
    pub fn replay(&self, workshop: &mut Workshop) -> anyhow::Result<Vec<Patch>> {
        let mut patches = Vec::new();
        for step in &self.record.steps {
            let thin = step.thin(workshop.fat())?;
            let patch = workshop.make_again(&thin, step.layout_changes)?;
            let patch = patch.context("a step has become none")?;
            anyhow::ensure!(hash(&patch.bytes) == step.library, "a step gives another library");
            patches.push(patch);
        }
        Ok(patches)
    }

    /// Forgets all steps.
    pub fn clear(&mut self) {
        self.record = Record::default();
        // What stays behind is overwritten, and found by nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Keeps what a patch was made of, until it is known whether a program takes it.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn prepare(
        &self,
        thin: &ThinBuild,
        patch: &Patch,
        layout_changes: bool,
    ) -> anyhow::Result<Pending> {
        let folder = self.folder.join(patch.patch.to_string());
        // Of a patch that no program took.
        let _ = fs::remove_dir_all(&folder);
        let mut units = Vec::new();
        for ThinUnit { unit, objects } in &thin.units {
            let folder = folder.join(&unit.key);
            fs::create_dir_all(&folder).map_err(|e| Failure::io("make the folder", &folder, &e))?;
            let mut kept = BTreeMap::new();
            for ThinObject { cgu, path } in objects {
                let file = folder.join(format!("{}.o", kept.len()));
                keep(path, &file)?;
                kept.insert(cgu.clone(), file);
            }
            let (key, inputs) = (unit.key.clone(), unit.inputs.clone());
            units.push(StepUnit { key, inputs, objects: kept });
        }
        Ok(Pending(Step { library: hash(&patch.bytes), layout_changes, units }))
    }

    /// Programs were sent these patches, and one of them runs the newest, `step`, if there is a
    /// new one.
    ///
    /// # Errors
    /// Where the record cannot be written.
    pub fn save(
        &mut self,
        step: Option<Pending>,
        sent: Vec<(Process, usize)>,
    ) -> anyhow::Result<()> {
        self.record.steps.extend(step.map(|Pending(step)| step));
        self.record.processes = sent;
        let file = self.folder.join(RECORD);
        let text = serde_json::to_string(&self.record).context("writing JSON")?;
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&file, text))
            .map_err(|e| Failure::io("write", &file, &e))?;
        Ok(())
    }
}

const RECORD: &str = "chain.json";

impl Step {
    fn thin(&self, fat: &FatBuild) -> anyhow::Result<ThinBuild> {
        let mut units = Vec::new();
        for StepUnit { key, inputs, objects } in &self.units {
            let unit = fat.units.iter().find(|unit| unit.key == *key);
            let mut unit = unit.with_context(|| format!("no unit {key}"))?.clone();
            unit.inputs.clone_from(inputs);
            let object = |(cgu, path): (&String, &PathBuf)| ThinObject {
                cgu: cgu.clone(),
                path: path.clone(),
            };
            units.push(ThinUnit { unit, objects: objects.iter().map(object).collect() });
        }
        Ok(ThinBuild { units, elapsed_ms: 0.0 })
    }
}

/// rustc writes each object anew, so that another name for the file keeps it.
fn keep(from: &Path, to: &Path) -> anyhow::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).map_err(|e| Failure::io("write", to, &e))?;
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
