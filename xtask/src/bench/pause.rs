//! How long the program's threads stand still.

use std::path::Path;

use super::live::Live;
use super::projects::Project;
use super::statistics::{median, percentile};

/// Patches a program with sixteen threads again and again. Only a patch that redirects a
/// function for the first time, or several functions, stops the threads; so each edit changes
/// two functions.
pub fn measure(project: &Project, tool: &Path, runs: usize) -> anyhow::Result<()> {
    let copy = project.copy("pause")?;
    let path = copy.root.join(&copy.file);
    let mut live = Live::start(&copy, tool)?;
    let mut pauses = Vec::new();
    for run in 0..runs {
        let text = std::fs::read_to_string(&path)?;
        let before = text.find("ALSO: u64 = ").map_or(0, |at| at + "ALSO: u64 = ".len());
        let end = before + text[before..].find(';').unwrap_or(0);
        std::fs::write(&path, format!("{}{run}{}", &text[..before], &text[end..]))?;
        pauses.push(live.edit(run)?.pause_us);
    }
    live.stop()?;
    println!("\n| threads | patches | pause, median | p99 | longest |\n|---|---|---|---|---|");
    println!(
        "| 16 (4 spinning) | {runs} | {:.0} us | {:.0} us | {:.0} us |",
        median(&pauses),
        percentile(&pauses, 99.0),
        percentile(&pauses, 100.0)
    );
    Ok(())
}
