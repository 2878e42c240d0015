//! A stand-in for Android's kit: its folders and the names of its compilers, with the
//! distribution's clang behind them, and a system of empty functions to link against.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use super::support::project::package;
use super::system::{DESK, PHONE};

/// The target that most tests are for.
pub const TARGET: &str = PHONE.target;
/// The one whose addresses have 32 bits.
pub const ARM: &str = "armv7-linux-androideabi";
/// All targets that the kit is for.
pub const TARGETS: [&str; 3] = [TARGET, DESK.target, ARM];
/// The compiler that has std for it.
pub const RUSTC: &str = "/usr/bin/rustc";
/// Its cargo.
pub const CARGO: &str = "/usr/bin/cargo";

const TAG: &str = "linux-x86_64";
const APIS: [u32; 2] = [24, 30];

/// What no library of Rust's asks for: code that compilers make of thread-locals, and the start of programs.
const OF_COMPILERS: [&str; 2] = ["__emutls_get_address", "__libc_init"];

/// The start of a program, as the kit's own: what the loader has left on the stack, and `main`.
const START_ON_PHONE: &str = ".globl _start
_start: mov x29, #0
 mov x30, #0
 mov x0, sp
 mov x1, #0
 adrp x2, :got:main
 ldr x2, [x2, :got_lo12:main]
 mov x3, #0
 b __libc_init
";
/// The same for the other processor.
const START_ON_DESK: &str = ".globl _start
_start: xor %ebp, %ebp
 mov %rsp, %rdi
 xor %esi, %esi
 mov main@GOTPCREL(%rip), %rdx
 xor %ecx, %ecx
 and $-16, %rsp
 call __libc_init
";

/// What this machine lacks, if anything.
pub fn missing() -> Option<String> {
    let tools = ["clang", "ld.lld"].into_iter().filter(|tool| which::which(tool).is_err());
    let mut lacking: Vec<String> = tools.map(String::from).collect();
    let without_std = |t: &&'static str| !libraries(t).is_some_and(|folder| folder.is_dir());
    lacking.extend(TARGETS.into_iter().filter(without_std).map(|t| format!("std for {t}")));
    let names = lacking.join(", ");
    (!lacking.is_empty()).then(|| format!("no {names}; `cargo xtask setup-cross` brings it"))
}

fn libraries(target: &str) -> Option<PathBuf> {
    let args = ["--print", "target-libdir", "--target", target];
    let output = Command::new(RUSTC).args(args).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

/// A kit in a folder of its own.
pub struct Kit(tempfile::TempDir);

impl Kit {
    /// Makes one whose C library has all that std and the runtime ask for.
    pub fn new() -> Kit {
        Kit::with(&TARGETS, wanted_by_runtime())
    }

    /// Makes one for 32-bit Arm, where no program has the runtime.
    pub fn for_arm() -> Kit {
        Kit::with(&[ARM], &BTreeSet::new())
    }

    /// Makes one whose C library has these names beside what std asks for.
    fn with(targets: &[&str], names: &BTreeSet<String>) -> Kit {
        let folder = tempfile::Builder::new()
            .prefix("android ndk ")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory is writable");
        let kit = Kit(folder);
        let bin = kit.root().join("toolchains/llvm/prebuilt").join(TAG).join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        let properties = "Pkg.Desc = Android NDK\nPkg.Revision = 27.0.12077973\n";
        fs::write(kit.root().join("source.properties"), properties).expect("a file");
        for (target, api) in targets.iter().flat_map(|t| APIS.map(|api| (t, api))) {
            let folder = if *target == ARM { "arm-linux-androideabi" } else { target };
            let system = kit.root().join("sysroot/usr/lib").join(folder).join(api.to_string());
            write_system(&system, target, names);
            kit.write_compiler(&bin, target, api);
        }
        kit
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    fn write_compiler(&self, bin: &Path, target: &str, api: u32) {
        let name = compiler(target, api);
        let target = clang_target(target);
        let (root, file) = (self.root().display(), bin.join(&name));
        let loader = if target == DESK.target { DESK.loader } else { PHONE.loader };
        let script = format!(
            "#!/bin/sh\necho {name} >> '{root}/called'\nexec clang --target={target}{api} \
             --sysroot='{root}/sysroot' -fuse-ld=lld -Wl,--dynamic-linker={loader} \"$@\"\n"
        );
        fs::write(&file, script).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script to run");
    }

    /// Its compiler for a target and the oldest version of Android that it knows.
    pub fn compiler(&self, target: &str) -> PathBuf {
        let bin = self.root().join("toolchains/llvm/prebuilt").join(TAG).join("bin");
        bin.join(compiler(target, APIS[0]))
    }

    /// Compiles and links a program in C that has all its declarations in itself.
    pub fn compile(&self, target: &str, source: &Path, program: &Path) {
        let mut clang = Command::new(self.compiler(target));
        clang.arg(source).arg("-o").arg(program).args(["-nodefaultlibs", "-lc"]);
        let output = clang.output().expect("the kit's compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The compilers that were called so far.
    pub fn called(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root().join("called")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }
}

/// What Google's kit calls a target in the names of its compilers.
fn clang_target(target: &str) -> String {
    target.replace("armv7-", "armv7a-")
}

/// The name of a compiler.
pub fn compiler(target: &str, api: u32) -> String {
    format!("{}{api}-clang", clang_target(target))
}

/// The files that every link takes from the system. Its C library has all that std asks for.
fn write_system(folder: &Path, target: &str, names: &BTreeSet<String>) {
    fs::create_dir_all(folder).expect("a folder");
    let assemble = |name: &str, code: &str, args: &[&str]| {
        let source = folder.join("source.s");
        fs::write(&source, code).expect("a source");
        let mut clang = Command::new("clang");
        clang.arg(format!("--target={}24", clang_target(target))).args(args);
        let output = clang.arg(&source).arg("-o").arg(folder.join(name)).output();
        let output = output.expect("clang");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(source).expect("a source");
    };
    assemble(
        "crtbegin_dynamic.o",
        match target {
            TARGET => START_ON_PHONE,
            ARM => ".thumb\n.globl _start\n.thumb_func\n_start: b __libc_init\n",
            _ => START_ON_DESK,
        },
        &["-c"],
    );
    for name in ["crtend_android.o", "crtbegin_so.o", "crtend_so.o"] {
        assemble(name, "", &["-c"]);
    }
    let mut wanted = wanted_by_std(target);
    wanted.extend(names.iter().cloned());
    wanted.extend(OF_COMPILERS.map(String::from));
    let (mode, empty) = if target == ARM { (".thumb_func", "bx lr") } else { ("", "ret") };
    let functions = |unwinds: bool| -> String {
        let names = wanted.iter().filter(|name| name.starts_with("_Unwind_") == unwinds);
        let function =
            |n: &String| format!(".globl {n}\n{mode}\n.type {n},%function\n{n}: {empty}\n");
        let start = if mode.is_empty() { "" } else { ".thumb\n" };
        names.fold(start.to_string(), |code, name| code + &function(name))
    };
    for name in ["c", "m", "dl", "log", "unwind"] {
        let soname = format!("-Wl,-soname,lib{name}.so");
        let code = match name {
            "c" => functions(false),
            "unwind" => functions(true),
            _ => String::new(),
        };
        let code = code.as_str();
        let args = ["-shared", "-nostdlib", "-fuse-ld=lld", soname.as_str()];
        assemble(&format!("lib{name}.so"), code, &args);
    }
}

/// Builds a library with nothing but the runtime in it, which may take longer than a test waits for
/// anything where the runtime is not compiled yet.
pub fn build_empty(kit: &Kit, target: &str) -> PathBuf {
    let library = package("empty", "[workspace]\n[lib]\ncrate-type = [\"cdylib\"]");
    let project = super::project_with(&[("main/Cargo.toml", &library), ("main/src/lib.rs", "")]);
    let fat = super::tool(&project, Some(kit), &["fat", "--target", target]);
    let fat = super::support::run(fat).expect_code(0);
    // The project goes.
    let kept = kit.root().join(format!("lib{target}.so"));
    fs::copy(fat.last_line(), &kept).expect("a library");
    kept
}

/// What a library with the runtime in it asks of the system: unlike a program, it is linked whether
/// or not the system has that.
fn wanted_by_runtime() -> &'static BTreeSet<String> {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        if missing().is_some() {
            return BTreeSet::new();
        }
        let kit = Kit::with(&[TARGET], &BTreeSet::new());
        let data = fs::read(build_empty(&kit, TARGET)).expect("a library");
        let file = object::File::parse(&*data).expect("an ELF file");
        let asked = file.dynamic_symbols().filter(|symbol| symbol.is_undefined());
        let names: BTreeSet<_> = asked.filter_map(|s| s.name().ok()).map(String::from).collect();
        assert!(names.contains("android_dlopen_ext"), "the runtime is in it: {names:?}");
        names
    })
}

/// What std's libraries use and none of them has.
fn wanted_by_std(target: &str) -> BTreeSet<String> {
    let (mut wanted, mut had) = (BTreeSet::new(), BTreeSet::from(["main".to_string()]));
    let folder = libraries(target).expect("a folder");
    for entry in fs::read_dir(folder).expect("std").flatten() {
        if entry.path().extension().is_none_or(|e| e != "rlib") {
            continue;
        }
        let data = fs::read(entry.path()).expect("a library");
        let archive = ArchiveFile::parse(&*data).expect("an archive");
        for member in archive.members().flatten() {
            let Ok(file) = member.data(&*data).and_then(object::File::parse) else { continue };
            for symbol in file.symbols().filter(|s| s.is_global()) {
                let name = symbol.name().expect("a name").to_string();
                let set = if symbol.is_undefined() { &mut wanted } else { &mut had };
                set.insert(name);
            }
        }
    }
    wanted.difference(&had).filter(|name| !name.is_empty()).cloned().collect()
}
