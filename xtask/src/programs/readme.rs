//! The part of the README that is made of the results.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::list;
use super::program::Program;
use super::proof::Proof;

const BEGIN: &str = "<!-- the programs -->\n";
const END: &str = "<!-- end of the programs -->\n";

/// Whose transcripts are shown.
const SHOWN: [&str; 3] = ["simple-http-server", "csvlens", "just-lsp"];

const HEAD: &str = "| program | kind | own edit | edit of a dependency | kept | \
                    patches under load | requests | failures |\n|---|---|---|---|---|---|---|---|\n";

/// The results of all programs, each from its last run.
#[derive(Debug)]
pub struct Results {
    dir: PathBuf,
}

impl Results {
    /// Those in this folder.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn new(dir: &Path) -> anyhow::Result<Results> {
        let dir = dir.join("results");
        fs::create_dir_all(&dir)?;
        Ok(Results { dir })
    }

    fn file(&self, program: &Program, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}", program.package.name))
    }

    /// Nothing is known of a program.
    pub fn forget(&self, program: &Program) {
        for what in ["row", "story"] {
            let _ = fs::remove_file(self.file(program, what));
        }
    }

    /// A program has run.
    ///
    /// # Errors
    /// Where it cannot be written down.
    pub fn keep(&self, program: &Program, proof: &Proof) -> anyhow::Result<()> {
        fs::write(self.file(program, "row"), row(program, proof))?;
        Ok(fs::write(self.file(program, "story"), proof.story.text())?)
    }

    /// Writes them all into the README.
    ///
    /// # Errors
    /// Where a program has no result, or the README no place.
    pub fn show(&self, readme: &Path) -> anyhow::Result<()> {
        let mut text = format!("{}.\n\n{HEAD}", crate::tool::machine());
        for program in list::ALL {
            let name = program.package.name;
            let row = fs::read_to_string(self.file(program, "row"));
            text += &row.with_context(|| format!("{name} has no result; run it first"))?;
        }
        for name in SHOWN {
            let program = list::named(name).with_context(|| format!("no program {name}"))?;
            let story = fs::read_to_string(self.file(program, "story"))?;
            text += &format!("\n{name}:\n\n```diff\n{story}```\n");
        }
        let whole = fs::read_to_string(readme)?;
        let (before, rest) = whole.split_once(BEGIN).context("no place in the README")?;
        let (_, after) = rest.split_once(END).context("no end of the place in the README")?;
        ensure!(!before.contains(END), "the place in the README ends before it begins");
        Ok(fs::write(readme, format!("{before}{BEGIN}{text}{END}{after}"))?)
    }
}

/// The program's line of the table.
pub fn row(program: &Program, proof: &Proof) -> String {
    let load = match &proof.load {
        Some((patches, requests)) => {
            format!("{patches} | {} | {}", requests.answered + requests.failed, requests.failed)
        }
        None => " | | ".into(),
    };
    let (dependency, version) = program.dependency;
    format!(
        "| {} {} | {} | {} | {dependency} {version}, {} | {} | {load} |\n",
        program.package.name,
        program.package.version,
        program.package.kind,
        program.own.file,
        program.theirs.file,
        program.kept.what,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_each_program_in_its_version_and_three_transcripts() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let whole = fs::read_to_string(readme).expect("the README");
        let (_, rest) = whole.split_once(BEGIN).expect("a place");
        let (shown, _) = rest.split_once(END).expect("its end");
        for program in list::ALL {
            let package = &program.package;
            let row = format!("| {} {} | {} |", package.name, package.version, package.kind);
            assert!(shown.contains(&row), "cargo xtask programs --readme: no {row}");
        }
        for name in SHOWN {
            assert!(shown.contains(&format!("\n{name}:\n\n```diff\n$ cargo hotpatch watch")));
        }
    }
}
