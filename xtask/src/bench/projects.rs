//! The programs that are measured, made anew in a scratch folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The text that each edit replaces: `EDIT = <number>`.
const MARK: &str = "EDIT: u64 = ";

/// A project on disk with one place to edit.
#[derive(Debug, Clone)]
pub struct Project {
    /// For the table.
    pub name: String,
    /// The folder that is copied as a whole.
    pub root: PathBuf,
    /// The package to run, below `root`.
    pub package: PathBuf,
    /// The file with the place to edit, below `root`.
    pub file: PathBuf,
}

impl Project {
    /// A copy beside the original.
    pub fn copy(&self, suffix: &str) -> anyhow::Result<Project> {
        let root = PathBuf::from(format!("{}-{suffix}", self.root.display()));
        let _ = fs::remove_dir_all(&root);
        let status = Command::new("cp").arg("-r").arg(&self.root).arg(&root).status()?;
        ensure!(status.success(), "{} cannot be copied", self.root.display());
        Ok(Project { root, ..self.clone() })
    }

    /// The folder of the package to run.
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.package)
    }

    /// Makes edit number `n`.
    pub fn edit(&self, n: usize) -> anyhow::Result<()> {
        let path = self.root.join(&self.file);
        let text = fs::read_to_string(&path)?;
        let at = text.find(MARK).context("the place to edit")? + MARK.len();
        let end = at + text[at..].find(';').context("the end of the place to edit")?;
        let edited = format!("{}{}{}", &text[..at], 1000 + n, &text[end..]);
        Ok(fs::write(path, edited)?)
    }
}

const HELLO: &str = r#"use std::time::Duration;

fn tick(count: u64) -> u64 {
    const EDIT: u64 = 0;
    println!("tick {count} {EDIT}");
    count + 1
}

fn main() {
    hotpatch_runtime::start();
    println!("ready");
    let mut count = 0;
    loop {
        count = tick(count);
        std::thread::sleep(Duration::from_millis(100));
    }
}
"#;

fn manifest(root: &Path, name: &str, rest: &str) -> String {
    let runtime = root.join("crates/runtime");
    format!(
        "[workspace]\n\n[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nhotpatch-runtime = {{ path = {runtime:?} }}\n{rest}"
    )
}

fn package(folder: &Path, manifest: &str, main: &str) -> anyhow::Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    Ok(fs::write(folder.join("src/main.rs"), main)?)
}

/// A program of twenty lines.
pub fn hello(root: &Path, dir: &Path) -> anyhow::Result<Project> {
    let folder = dir.join("hello");
    package(&folder, &manifest(root, "hello", ""), HELLO)?;
    let (package, file) = (PathBuf::new(), "src/main.rs".into());
    Ok(Project { name: "hello".into(), root: folder, package, file })
}

const NAGA: &str = r#"use std::time::Duration;

fn main() {
    hotpatch_runtime::start();
    println!("ready");
    loop {
        let source = "fn f(x: f32) -> f32 { return x * 2.0; }";
        let module = naga::front::wgsl::parse_str(source);
        println!("parsed {}", module.is_ok());
        std::thread::sleep(Duration::from_millis(100));
    }
}
"#;

/// A small program that uses naga 27, whose own source is edited.
pub fn naga(root: &Path, dir: &Path) -> anyhow::Result<Project> {
    let folder = dir.join("naga");
    let app = folder.join("app");
    let features = r#"features = ["wgsl-in", "spv-in", "glsl-in", "spv-out", "wgsl-out", "msl-out", "glsl-out", "hlsl-out"]"#;
    let _ = fs::remove_dir_all(&folder);
    let registry = format!("naga = {{ version = \"=27.0.3\", {features} }}\n");
    package(&app, &manifest(root, "app", &registry), NAGA)?;
    let source = source_of(&app, "naga")?;
    let status = Command::new("cp").arg("-r").arg(&source).arg(folder.join("naga")).status()?;
    ensure!(status.success(), "{} cannot be copied", source.display());
    let local = format!("naga = {{ path = \"../naga\", {features} }}\n");
    package(&app, &manifest(root, "app", &local), NAGA)?;
    let file = PathBuf::from("naga/src/front/wgsl/mod.rs");
    mark(&folder.join(&file))?;
    Ok(Project { name: "naga 27".into(), root: folder, package: "app".into(), file })
}

/// Where cargo unpacked a registry dependency.
fn source_of(package: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(package)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo's packages")?;
    let found = packages.iter().find(|p| p["name"] == name).context("the dependency")?;
    let manifest = found["manifest_path"].as_str().context("its manifest")?;
    Ok(Path::new(manifest).parent().context("its folder")?.to_owned())
}

/// Puts the place to edit into the function that parses a source.
fn mark(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let signature = "pub fn parse_str(source: &str)";
    let at = text.rfind(signature).context("naga's parse_str")?;
    let body = at + text[at..].find('{').context("its body")? + 1;
    let line = "\n    const EDIT: u64 = 0;\n    std::hint::black_box(EDIT);\n";
    let mut permissions = fs::metadata(path)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(path, permissions)?;
    Ok(fs::write(path, format!("{}{line}{}", &text[..body], &text[body..]))?)
}

/// Hello with 500 MB of debug information and a million symbols beside it.
pub fn large(root: &Path, dir: &Path) -> anyhow::Result<Project> {
    let folder = dir.join("large");
    let rest = "\n[lints.rust]\nunused = \"allow\"\n";
    package(&folder, &manifest(root, "large", rest), HELLO)?;
    let script = r#"fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let mut text = String::from(".section .text.bulk,\"axR\",@progbits\n");
    for n in 0..1_000_000 {
        text.push_str(&format!(".globl _ZN5large4bulk17h{n:016x}E\n_ZN5large4bulk17h{n:016x}E: nop\n"));
    }
    text.push_str(".section .debug_bulk,\"\",@progbits\n.fill 52000000,8,0x1122334455667788\n");
    std::fs::write(format!("{out}/bulk.s"), text).unwrap();
    let ok = std::process::Command::new("cc")
        .args(["-c", "bulk.s", "-o", "bulk.o"])
        .current_dir(&out)
        .status()
        .unwrap();
    assert!(ok.success());
    println!("cargo::rustc-link-arg={out}/bulk.o");
    println!("cargo::rustc-link-arg=-Wl,-u,_ZN5large4bulk17h0000000000000000E");
    println!("cargo::rerun-if-changed=build.rs");
}
"#;
    fs::write(folder.join("build.rs"), script)?;
    let (package, file) = (PathBuf::new(), "src/main.rs".into());
    Ok(Project { name: "large".into(), root: folder, package, file })
}

const THREADS: &str = r#"use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static CALLS: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn work(x: u64) -> u64 {
    const EDIT: u64 = 0;
    CALLS.fetch_add(1, Ordering::Relaxed) ^ x ^ EDIT
}

#[inline(never)]
fn other(x: u64) -> u64 {
    const ALSO: u64 = 0;
    x.rotate_left(3) ^ ALSO
}

fn main() {
    hotpatch_runtime::start();
    println!("ready");
    for n in 0..16 {
        std::thread::spawn(move || {
            let mut x = n;
            loop {
                for _ in 0..1000 {
                    x = other(work(black_box(x)));
                }
                if n % 4 != 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
"#;

/// Sixteen threads that call what is edited, a quarter of them without a rest.
pub fn threads(root: &Path, dir: &Path) -> anyhow::Result<Project> {
    let folder = dir.join("threads");
    package(&folder, &manifest(root, "threads", ""), THREADS)?;
    let (package, file) = (PathBuf::new(), "src/main.rs".into());
    Ok(Project { name: "threads".into(), root: folder, package, file })
}
