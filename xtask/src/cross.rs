//! Sets up what it takes to build programs for other targets and to run them here: packages of
//! the distribution, and std for each target in the sysroot of the distribution's own compiler.
//! Where the distribution has that std for a machine of its own, it is taken from there: optimised,
//! and with both ways to panic. Else it is built from the sources. (rustup's compilers cannot use
//! that std; they stay as they are.)

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::Args;

/// What to set up.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these targets (all by default).
    #[arg(long)]
    target: Vec<String>,
}

/// A target that can be set up.
struct Target {
    triple: &'static str,
    /// The distribution's packages, some of another architecture.
    packages: &'static [&'static str],
    /// The architecture by the distribution's name, where it has a std for it.
    architecture: Option<&'static str>,
}

/// The package with std that comes with the compiler, for each architecture.
const STD: &str = "libstd-rust-web-dev";

/// The compiler with all targets' sources.
const TOOLCHAIN: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

const TARGETS: &[Target] = &[
    Target {
        triple: "aarch64-unknown-linux-gnu",
        packages: &[
            "gcc-aarch64-linux-gnu",
            "libc6-dev-arm64-cross",
            "qemu-user",
            "libc6:arm64",
            "libgcc-s1:arm64",
        ],
        architecture: Some("arm64"),
    },
    // What the tests use in the place of Google's kit.
    Target { triple: "aarch64-linux-android", packages: &["clang", "lld"], architecture: None },
    Target { triple: "x86_64-linux-android", packages: &["clang", "lld"], architecture: None },
    Target {
        triple: "armv7-linux-androideabi",
        packages: &["clang", "lld", "qemu-user"],
        architecture: None,
    },
    // What the tests use in the place of Apple's tools.
    Target { triple: "aarch64-apple-darwin", packages: &["clang", "lld"], architecture: None },
    Target { triple: "x86_64-apple-darwin", packages: &["clang", "lld"], architecture: None },
    Target { triple: "aarch64-apple-ios-sim", packages: &["clang", "lld"], architecture: None },
];

/// The name of the file beside a target's std that tells which compiler made it.
const STAMP: &str = "made-by-setup-cross";

/// Sets everything up that is not there yet.
///
/// # Errors
/// Where something is missing that this cannot bring; the text says what.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let known = |t: &&String| TARGETS.iter().all(|k| k.triple != **t);
    if let Some(unknown) = options.target.iter().find(known) {
        let all: Vec<_> = TARGETS.iter().map(|t| t.triple).collect();
        bail!("`{unknown}` is not among the targets that can be set up: {}", all.join(", "));
    }
    let wanted =
        |t: &&Target| options.target.is_empty() || options.target.iter().any(|o| o == t.triple);
    let targets: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    packages(&targets)?;
    for target in targets {
        standard_library(target).with_context(|| format!("std for {}", target.triple))?;
        println!("{} is set up", target.triple);
    }
    Ok(())
}

fn packages(targets: &[&Target]) -> anyhow::Result<()> {
    let wanted = targets.iter().flat_map(|t| t.packages.iter()).chain(TOOLCHAIN);
    let missing: Vec<&str> = wanted.copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    ensure!(
        Path::new("/usr/bin/apt-get").exists(),
        "this needs the packages {names} of a Debian system, which this is not; see their \
         equivalents in its own package manager"
    );
    let foreign = missing.iter().filter_map(|name| name.split_once(':')).map(|(_, a)| a);
    for architecture in foreign.collect::<std::collections::BTreeSet<_>>() {
        as_root(&["dpkg", "--add-architecture", architecture])?;
    }
    // Others may be installing something right now.
    let patient = ["-o", "DPkg::Lock::Timeout=600", "-q", "-y"];
    as_root(&[&["apt-get", "update"][..], &patient].concat())?;
    let install = ["apt-get", "install", "--no-install-recommends"];
    as_root(&[&install[..], &patient, &missing].concat())
        .with_context(|| format!("the packages {names} could not be installed"))
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
    output.is_ok_and(|o| o.status.success() && o.stdout.ends_with(b" installed"))
}

fn standard_library(target: &Target) -> anyhow::Result<()> {
    let compiler = output(RUSTC, &["-vV"])?;
    let folder = output(RUSTC, &["--print", "target-libdir", "--target", target.triple])?;
    let folder = PathBuf::from(folder.trim());
    let stamp = folder.join(STAMP);
    let packaged = format!("{compiler}package: {STD}\n");
    let built = match target.architecture {
        Some(_) => format!("{compiler}built, for want of the package\n"),
        None => compiler.clone(),
    };
    match fs::read_to_string(&stamp) {
        Ok(text) if text == packaged || text == built => return Ok(()),
        Ok(_) => as_root(&[OsStr::new("rm"), OsStr::new("-r"), folder.as_os_str()])?,
        // Somebody else's std is left alone.
        Err(_) if has_std(&folder) => return Ok(()),
        Err(_) => {}
    }
    let work = tempfile::tempdir()?;
    let from_package = target.architecture.map(|a| unpack_std(a, target, work.path()));
    let (libraries, text) = match from_package {
        Some(Ok(libraries)) => (libraries, packaged),
        Some(Err(why)) => {
            println!("{STD} is built from source, without `panic = \"abort\"`: {why:#}");
            (build_std(target, work.path())?, built)
        }
        None => (build_std(target, work.path())?, built),
    };
    let made_by = work.path().join(STAMP);
    fs::write(&made_by, text)?;
    as_root(&[OsStr::new("mkdir"), OsStr::new("-p"), folder.as_os_str()])?;
    let mut copy = vec![OsStr::new("cp")];
    copy.extend(libraries.iter().map(|l| l.as_os_str()));
    copy.push(folder.as_os_str());
    as_root(&copy)?;
    // Last, so that what was cut short is done again.
    as_root(&[OsStr::new("cp"), made_by.as_os_str(), stamp.as_os_str()])
}

fn has_std(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Takes std out of the distribution's package, which is not installed: it would bring a compiler
/// for that machine. The libraries.
fn unpack_std(architecture: &str, target: &Target, work: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let versions = output("dpkg-query", &["-W", "-f", "${Version}\n", STD])?;
    let version = versions.lines().next().context("there is no version of it here")?;
    let package = format!("{STD}:{architecture}={version}");
    let download = || {
        let mut apt = Command::new("apt-get");
        run_shown(apt.args(["download", "-q", &package]).current_dir(work))
    };
    if download().is_err() {
        as_root(&["apt-get", "update", "-q"])?;
        download()?;
    }
    let file = files_of(work, &["deb"])?.pop().context("there is no package")?;
    let unpacked = work.join("unpacked");
    run_shown(Command::new("dpkg-deb").arg("-x").args([&file, &unpacked]))?;
    files_of(&unpacked.join("usr/lib/rustlib").join(target.triple).join("lib"), &["rlib", "rmeta"])
}

/// The files of a folder that end in one of these ways.
fn files_of(folder: &Path, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if endings.contains(&&*ending) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Builds std for an empty program; the libraries.
fn build_std(target: &Target, work: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "")?;
    let manifest = "[workspace]\n[package]\nname = \"nothing\"\nedition = \"2021\"\n";
    fs::write(work.join("Cargo.toml"), manifest)?;
    let mut cargo = Command::new(CARGO);
    cargo.args(["build", "-Zbuild-std=std,panic_unwind", "--target", target.triple]);
    cargo.current_dir(work).env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_DIR", work.join("target"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO"] {
        cargo.env_remove(name);
    }
    run_shown(&mut cargo)?;
    let folder = work.join("target").join(target.triple).join("debug/deps");
    let mut libraries = files_of(&folder, &["rlib"])?;
    let own = |path: &PathBuf| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libnothing"))
    };
    libraries.retain(|path| !own(path));
    Ok(libraries)
}

/// Runs a command as root: as it is where we are root, else through `sudo`.
fn as_root<S: AsRef<OsStr>>(words: &[S]) -> anyhow::Result<()> {
    let root = output("id", &["-u"])?.trim() == "0";
    ensure!(root || output("sudo", &["-V"]).is_ok(), "this has to run as root, or with `sudo`");
    let mut command = match root {
        true => Command::new(&words[0]),
        false => Command::new("sudo"),
    };
    command.args(if root { &words[1..] } else { words });
    command.env("DEBIAN_FRONTEND", "noninteractive");
    run_shown(&mut command)
}

fn run_shown(command: &mut Command) -> anyhow::Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let shown: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
    let shown = shown.join(" ");
    println!("+ {shown}");
    let status = command.status().with_context(|| format!("`{shown}` cannot be started"))?;
    ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}

fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let done = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("`{program}` cannot be started"))?;
    ensure!(done.status.success(), "`{program} {}` failed", args.join(" "));
    Ok(String::from_utf8(done.stdout)?)
}
