//! What a compiler driver would run to link: asked once (`-###`), so that each patch needs one
//! process instead of three.

use std::path::{Path, PathBuf};

use super::link::as_captured;
use super::link_plan::{self, How};
use crate::pipeline::capture::{LinkCapture, Unit};

/// The placeholders for a patch's files in the driver's answer.
const OBJECT: &str = "hotpatch-object.o";
const OUTPUT: &str = "hotpatch-output.so";

/// A linker and its arguments, found out from a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The linker's file.
    pub program: PathBuf,
    args: Vec<String>,
}

impl Direct {
    /// Asks the captured driver; none where it does not answer in a known form.
    pub fn ask(unit: &Unit, link: &LinkCapture, how: How) -> Option<Self> {
        let plan = link_plan::plan(&link.args, Path::new(OBJECT), Path::new(OUTPUT), how);
        let mut command = as_captured(Path::new(&link.program), unit, link);
        command.args(&plan.args).arg("-###");
        let answer = command.output().ok()?;
        let text = String::from_utf8(answer.stderr).ok()?;
        let (program, args) = linker_line(&text)?;
        let program = if is_collect2(&program) {
            linker_of_gcc(unit, link, &plan.args)?
        } else {
            PathBuf::from(program)
        };
        program.is_file().then_some(Direct { program, args })
    }

    /// The arguments for one patch.
    pub fn arguments(&self, object: &Path, output: &Path) -> Vec<String> {
        let replace = |arg: &String| match arg.as_str() {
            OBJECT => object.to_string_lossy().into_owned(),
            OUTPUT => output.to_string_lossy().into_owned(),
            _ => arg.clone(),
        };
        self.args.iter().map(replace).collect()
    }
}

/// The folders in which a driver looks for libraries, as it says itself.
pub fn library_folders(unit: &Unit, link: &LinkCapture) -> Vec<PathBuf> {
    let mut command = as_captured(Path::new(&link.program), unit, link);
    let answer = command.arg("-print-search-dirs").output();
    let text = answer.map(|a| String::from_utf8_lossy(&a.stdout).into_owned()).unwrap_or_default();
    let list = text.lines().find_map(|line| line.strip_prefix("libraries: ="));
    list.map(|list| std::env::split_paths(list).collect()).unwrap_or_default()
}

fn is_collect2(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|n| n == "collect2")
}

/// The last line that runs something with our object, split into program and arguments, without
/// what only gcc's wrapper of the linker understands.
fn linker_line(answer: &str) -> Option<(String, Vec<String>)> {
    let line = answer.lines().rev().find(|l| l.starts_with(' ') && l.contains(OBJECT))?;
    let words = shlex::split(line)?;
    let (program, rest) = words.split_first()?;
    let mut args = Vec::new();
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "-plugin" => {
                rest.next();
            }
            a if a.starts_with("-plugin-opt=") || a.starts_with("-fuse-ld=") => {}
            "--build-id" => {}
            _ => args.push(arg.clone()),
        }
    }
    (args.iter().any(|a| a == OBJECT) && args.iter().any(|a| a == OUTPUT))
        .then(|| (program.clone(), args))
}

/// The linker that gcc's collect2 would start.
fn linker_of_gcc(unit: &Unit, link: &LinkCapture, args: &[String]) -> Option<PathBuf> {
    let flavor = args.iter().rev().find_map(|a| a.strip_prefix("-fuse-ld="));
    let name = match flavor {
        None => "ld".to_owned(),
        Some("lld") => "ld.lld".to_owned(),
        Some(other) => format!("ld.{other}"),
    };
    let mut command = as_captured(Path::new(&link.program), unit, link);
    command.args(args.iter().filter(|a| a.starts_with("-B")));
    command.arg(format!("-print-prog-name={name}"));
    let answer = String::from_utf8(command.output().ok()?.stdout).ok()?;
    let found = PathBuf::from(answer.trim());
    if found.is_absolute() {
        return Some(found);
    }
    let path = link.env.get("PATH").or_else(|| unit.env.get("PATH"))?;
    which::which_in(found, Some(path), &link.cwd).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_read_out_of_a_drivers_answer() {
        let gcc = "Using built-in specs.\n COLLECT=x\n /usr/lib/gcc/collect2 -plugin /l.so \
                   \"-plugin-opt=-fresolution=/tmp/x.res\" --build-id -m elf_x86_64 \
                   \"-fuse-ld=lld\" -o hotpatch-output.so \"-L/with space\" hotpatch-object.o -lc\n";
        let clang = "clang version 1\n \"/usr/bin/ld.lld\" \"-o\" \"hotpatch-output.so\" \
                     \"hotpatch-object.o\" \"-lc\"\n";
        let cases = [
            (
                gcc,
                Some((
                    "/usr/lib/gcc/collect2",
                    "-m elf_x86_64 -o hotpatch-output.so -L/with space hotpatch-object.o -lc",
                )),
            ),
            (clang, Some(("/usr/bin/ld.lld", "-o hotpatch-output.so hotpatch-object.o -lc"))),
            ("gcc: error: no input files\n", None),
        ];
        for (answer, expected) in cases {
            let got = linker_line(answer).map(|(p, a)| (p, a.join(" ")));
            assert_eq!(got, expected.map(|(p, a)| (p.to_owned(), a.to_owned())));
        }
    }
}
