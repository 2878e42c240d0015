//! The trial patch: a program is compiled and linked with the user's flags, and a patch with its
//! linker, as `patch` does it, in each way in which a linker may leave symbols open. Then it is
//! loaded and called: by a copy of this process, or, where it is for another machine, by that
//! program, as far as something here runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};

use super::child::{self, End};
use super::host;
use crate::doctor::Scratch;
use crate::doctor::facts::{Done, Rustc, Settings, Started, Step, Trial};
use crate::env;
use crate::pipeline::capture::{LinkCapture, Unit, link_args};
use crate::pipeline::relink::Linker;
use crate::target::apple;
use crate::target::linking::LeaveOpen;

const PROGRAM: &str = "fn main() {}\n";

/// Has what no library offers when the patch is linked.
const HOST: &str = "#![no_std]
#[unsafe(no_mangle)]
pub extern \"C\" fn hotpatch_trial_open(number: i32) -> i32 {
    number
}
";

/// Uses a function of the C library, and one that only the loader finds.
const PATCH: &str = "#![no_std]
unsafe extern \"C\" {
    safe fn getppid() -> i32;
    safe fn hotpatch_trial_open(number: i32) -> i32;
}
#[unsafe(no_mangle)]
pub extern \"C\" fn hotpatch_trial() -> i32 {
    hotpatch_trial_open(getppid())
}
";

/// Loads the host and the patch that it is told, and ends with a code of
/// [`Try::load_in_program`].
const LOADER: &str = "use std::ffi::{CStr, CString, c_char, c_int, c_void};
unsafe extern \"C\" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}
fn main() {
    let files: Vec<_> = std::env::args().skip(1).map(|a| CString::new(a).unwrap()).collect();
    let function = unsafe {
        dlopen(files[0].as_ptr(), 0x102);
        let library = dlopen(files[1].as_ptr(), 2);
        let found = match library.is_null() {
            false => dlsym(library, c\"hotpatch_trial\".as_ptr()),
            true => library,
        };
        if found.is_null() {
            eprintln!(\"{}\", CStr::from_ptr(dlerror()).to_string_lossy());
            std::process::exit(3);
        }
        std::mem::transmute::<*mut c_void, extern \"C\" fn() -> i32>(found)
    };
    let right = u32::try_from(function()) == Ok(std::os::unix::process::parent_id());
    std::process::exit(if right { 0 } else { 4 });
}
";

const FUNCTION: &[u8] = b"hotpatch_trial";

/// Tries it, for the target that is not the host's where there is one; nothing of it stays.
pub fn run(
    rustc: &Rustc,
    settings: &Settings,
    foreign: Option<String>,
    scratch: &Scratch,
) -> Trial {
    let runner = settings.runner.as_ref().filter(|runner| runner.found);
    let started = match (&foreign, runner) {
        (None, _) => Started::Here,
        (Some(_), Some(runner)) => Started::By(runner.program.clone()),
        (Some(target), None) if host::runs_others() && !apple::is_apple(target) => {
            Started::By("the system".into())
        }
        (Some(_), None) => Started::Nowhere,
    };
    let linker = settings.linker.program.clone();
    let mut trial = Trial { linker, started, failed: None, ways: Vec::new() };
    let folder = match scratch.make_in(&host::folder_to_run_in()) {
        Ok(folder) => folder,
        Err(why) => {
            trial.failed = Some((Step::Compile, why));
            return trial;
        }
    };
    let started = trial.started.clone();
    let tried = Try { rustc, settings, foreign, started, folder: &folder };
    trial.failed = tried.all(&mut trial.ways).err();
    scratch.remove();
    trial
}

struct Try<'a> {
    rustc: &'a Rustc,
    settings: &'a Settings,
    foreign: Option<String>,
    started: Started,
    folder: &'a Path,
}

impl Try<'_> {
    fn all(&self, ways: &mut Vec<(LeaveOpen, Done)>) -> Done {
        let link = self.program()?;
        let (host, patch) = (self.object("host", HOST)?, self.object("patch", PATCH)?);
        let env = std::env::vars_os();
        let env = env.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let target = self.foreign.iter().flat_map(|target| ["--target".into(), target.clone()]);
        let mut env = env.collect::<BTreeMap<_, _>>();
        env.insert(env::TEMPORARY.into(), self.folder.display().to_string());
        let unit = Unit { env, args: target.collect(), ..Unit::default() };
        let mut linker = Linker::new(&unit, &link);
        let failed = |e: anyhow::Error| (Step::Link, first_words(&format!("{e:#}")));
        let with = self.folder.join("host.so");
        linker.link(&host, &with).map_err(failed)?;
        for (number, open) in linker.ways().iter().enumerate() {
            let library = self.folder.join(format!("patch-{number}.so"));
            let linked = linker.link_by(*open, &patch, &library).map_err(failed);
            ways.push((*open, linked.and_then(|()| self.load(&with, &library))));
        }
        // Patches are linked in the first way that can be had.
        let linked = |(_, done): &&(LeaveOpen, Done)| !matches!(done, Err((Step::Link, _)));
        let taken = ways.iter().find(linked).or(ways.first());
        taken.map_or(Ok(()), |(_, done)| done.clone())
    }

    fn load(&self, host: &Path, library: &Path) -> Done {
        match self.started {
            Started::Here => load_and_call(host, library),
            Started::By(_) => self.load_in_program(host, library),
            Started::Nowhere => Ok(()),
        }
    }

    fn load_in_program(&self, host: &Path, library: &Path) -> Done {
        let words = self.settings.runner.iter().flat_map(|runner| &runner.command);
        let mut words = words.cloned().chain([self.folder.join("program").into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        let output = command.args(words).arg(host).arg(library).output();
        let output = output.map_err(|e| (Step::Load, e.to_string()))?;
        let said = first_words(&String::from_utf8_lossy(&output.stderr));
        match output.status.code() {
            Some(0) => Ok(()),
            Some(4) => Err((Step::Call, "it reached another function".into())),
            Some(_) => Err((Step::Load, said)),
            None => Err((Step::Call, format!("its program ended with {}", output.status))),
        }
    }

    /// Compiles and links a program; how it was linked.
    fn program(&self) -> Done<LinkCapture> {
        let args = self.folder.join("link-args");
        let print = format!("--print=link-args={}", args.display());
        let mut more = vec!["--crate-type=bin", print.as_str()];
        let linker = format!("linker={}", self.settings.linker.program);
        if self.settings.linker.origin.is_some() {
            more.extend(["-C", linker.as_str()]);
        }
        let source = if matches!(self.started, Started::By(_)) { LOADER } else { PROGRAM };
        self.compile("program", source, &more).map_err(|words| (Step::Program, words))?;
        let text = std::fs::read_to_string(&args).unwrap_or_default();
        link_args::parse(&text, self.folder)
            .map_err(|why| (Step::Program, format!("rustc's `--print=link-args`: {why}")))
    }

    fn object(&self, name: &str, source: &str) -> Done<PathBuf> {
        let compiled = self.compile(name, source, &["--crate-type=lib", "--emit=obj"]);
        compiled.map_err(|words| (Step::Compile, words))?;
        Ok(self.folder.join(format!("{name}.o")))
    }

    fn compile(&self, name: &str, source: &str, args: &[&str]) -> Result<(), String> {
        let file = self.folder.join(format!("{name}.rs"));
        std::fs::write(&file, source).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut command = Command::new(&self.rustc.program);
        command.arg(file).args(["--edition=2024", "--color=never", "--crate-name", name]);
        if let Some(target) = &self.foreign {
            command.args(["--target", target]);
        }
        // What the compiler and the linker leave behind when they are ended goes away as well.
        command.env(env::TEMPORARY, self.folder);
        command.args(args).arg("--out-dir").arg(self.folder).args(&self.settings.rustflags);
        let output = command.output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(first_words(&String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// Of what a tool says, what tells the most in one line: the last line that speaks of an error
/// and is not the long command line or a summary.
fn first_words(text: &str) -> String {
    let lines = text.lines().map(|l| l.trim().trim_start_matches("= note:").trim());
    let lines: Vec<&str> = lines.filter(|l| !l.is_empty()).collect();
    let telling = |l: &&&str| {
        let lower = l.to_lowercase();
        let tells =
            ["error", "cannot", "not found", "unrecognized", "unknown", "undefined", "no such"];
        tells.iter().any(|word| lower.contains(word))
            && ![
                "error: aborting",
                "error: linking with",
                "error: ld returned",
                "collect2",
                "error: linker command failed",
            ]
            .iter()
            .any(|summary| lower.starts_with(summary) || lower.contains("linker command failed"))
    };
    let line = lines.iter().rev().find(telling).or(lines.first());
    line.map_or_else(|| "it says nothing".into(), |l| shortened(l.trim_end_matches(':')))
}

fn shortened(line: &str) -> String {
    const LONG: usize = 240;
    match line.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_string(),
    }
}

fn load_and_call(host: &Path, library: &Path) -> Done {
    let open = |file: &Path, flags| {
        // SAFETY: the library was just made from a source above, and these have no constructors.
        let library = unsafe { Library::open(Some(file), flags) };
        library.map_err(|e| (Step::Load, e.to_string()))
    };
    let _host = open(host, RTLD_NOW | RTLD_GLOBAL)?;
    let library = open(library, RTLD_NOW)?;
    // SAFETY: the function has this type in the source above.
    let function = unsafe { library.get::<extern "C" fn() -> i32>(FUNCTION) };
    let function: Symbol<extern "C" fn() -> i32> =
        function.map_err(|e| (Step::Load, e.to_string()))?;
    let own = i32::try_from(std::process::id());
    // In a process of its own, since a bad link ends it.
    let end = child::run(|| u8::from(Ok(function()) != own));
    match end {
        Ok(End::Code(0)) => Ok(()),
        Ok(End::Code(_)) => Err((Step::Call, "it reached another function".into())),
        Ok(End::Signal(n)) => Err((Step::Call, format!("it ended with signal {n}"))),
        Err(e) => Err((Step::Call, e.to_string())),
    }
}
