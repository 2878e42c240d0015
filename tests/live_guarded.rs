//! Programs with functions that begin with landing pads for indirect branches, or with signing the
//! address that they return to, and programs whose code the processor lets nobody enter elsewhere.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Event, Fixture, Save, Watch, command, plain_command, run, target};

const MAIN: &str = "src/main.rs";

/// What makes the compiler do that; it is not stable.
fn protection() -> &'static str {
    if target::foreign().is_some() {
        "\"-Zbranch-protection=bti,pac-ret\""
    } else {
        "\"-Zcf-protection=full\""
    }
}

fn start(fixture: &Fixture, flags: &str) -> Watch {
    fs::create_dir_all(fixture.path(".cargo")).expect("a folder");
    let config = format!("[build]\nrustflags = [{}, {flags}]\n", protection());
    fixture.write(".cargo/config.toml", &config, Save::InPlace);
    // With these flags all dependencies are built anew, for which a watch has no patience.
    let mut cargo = plain_command(target::cargo(), &["build"]);
    target::configure(&mut cargo);
    cargo.current_dir(fixture.root()).env("RUSTC_BOOTSTRAP", "1");
    run(cargo).expect_code(0);
    let mut watch = command(fixture.root(), &["watch", "--message-format", "json"]);
    watch.env("RUSTC_BOOTSTRAP", "1");
    let mut watch = Watch::spawn_command(watch);
    watch.wait("client-connected");
    watch
}

/// Every way into a function leads to the newest one, patches reach all of the program, and a crash
/// is traced through frames that keep a signed address.
fn takes_patches(fixture: &Fixture, watch: &mut Watch) {
    watch.wait_values(&[("leaf", "0"), ("far", "0")]);
    for n in 1..=3 {
        let version = |n: u64| format!("const VERSION: u64 = {n};");
        fixture.edit(MAIN, &version(n - 1), &version(n));
        watch.applied();
        let (one, two) = (n.to_string(), (n * 11).to_string());
        let ways = ["leaf", "dyn", "back", "thrown"].map(|name| (name, &*one));
        watch.wait_values(&[&ways[..], &[("calls", &two), ("stored", &two)]].concat());
    }
    fixture.set(MAIN, "far", "    number ", "    padless(number) + 4 ");
    watch.applied();
    watch.wait_values(&[("far", "5"), ("leaf", "3")]);
    let aborts =
        "if std::path::Path::new(\"now\").exists() { unsafe { through(ABORTS, 0) } } else { 3 }";
    fixture.set(MAIN, "calls", "black_box(leaf())", &format!("black_box({aborts})"));
    watch.applied();
    fixture.write("now", "", Save::InPlace);
    let Event(crash) = watch.wait("program-crashed");
    assert_eq!((&crash["functions"][0], &crash["signal"]), (&"guarded::calls".into(), &6.into()));
}

#[test]
fn functions_that_begin_with_a_landing_pad_or_sign_their_return_take_patches() {
    let fixture = Fixture::copy("guarded");
    // The standard library has been compiled without.
    let flags = match target::foreign() {
        Some(_) => "\"-Cunsafe-allow-abi-mismatch=branch-protection\"",
        None => "",
    };
    takes_patches(&fixture, &mut start(&fixture, flags));
}

/// What a program begins with: distributions may have it without landing pads, as rustc has `main`.
const BEGIN: &str = r#"
extern int main(int, char **);
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
int begin(int count, char **words) { return main(count, words); }
__asm__(".text\n .globl _start\n .type _start, %function\n _start: bti c\n mov x29, 0\n mov x30, 0\n"
    "mov x5, x0\n ldr x1, [sp]\n add x2, sp, 8\n mov x6, sp\n mov x3, 0\n mov x4, 0\n"
    "adrp x0, :got:begin\n ldr x0, [x0, :got_lo12:begin]\n bl __libc_start_main\n bl abort\n");
"#;

#[test]
fn a_program_whose_code_is_entered_at_landing_pads_only_takes_patches() {
    if target::foreign().is_none() {
        skip!("Linux has no x86-64 processor look after landing pads in programs");
    }
    let fixture = Fixture::copy("guarded");
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/runtime");
    let manifest = fixture.read("Cargo.toml");
    let dependency = format!("\n[dependencies]\nhotpatch-runtime = {{ path = {runtime:?} }}\n");
    fixture.write("Cargo.toml", &(manifest + &dependency), Save::InPlace);
    fixture.edit(MAIN, "fn main() {\n", "fn main() {\n    hotpatch_runtime::start();\n");
    fixture.write("begin.c", BEGIN, Save::InPlace);
    let mut cc = plain_command(&target::tool("cc"), &["-mbranch-protection=standard", "-c"]);
    cc.arg("begin.c").current_dir(fixture.root());
    run(cc).expect_code(0);
    let begin = fixture.path("begin.o");
    let flags = format!(
        "\"--sysroot={}\", \"-Clink-arg=-nostartfiles\", \"-Zpre-link-arg={}\", \
         \"-Clink-arg=-Wl,-z,force-bti\"",
        sysroot().display(),
        begin.display()
    );
    let mut watch = start(&fixture, &flags);
    let program = watch.started().program;
    // The loader guards the code only where the property is loaded.
    let mut headers = plain_command(&target::tool("readelf"), &["-lW"]);
    headers.arg(program);
    let headers = run(headers).expect_code(0).stdout;
    let property = headers.lines().find(|line| line.contains("GNU_PROPERTY")).expect("a property");
    assert_ne!(property.split_whitespace().nth(5), Some("0x000000"), "{headers}");
    takes_patches(&fixture, &mut watch);
}

/// A standard library with landing pads, for all runs of this test.
fn sysroot() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guarded-{}", target::name()));
    let (triple, done) = (target::triple(), home.join("done"));
    let libraries = home.join("lib/rustlib").join(&triple).join("lib");
    if done.exists() {
        return home;
    }
    fs::create_dir_all(home.join("src")).expect("a folder");
    fs::create_dir_all(&libraries).expect("a folder");
    let manifest = "[workspace]\n[package]\nname = \"nothing\"\nedition = \"2021\"\n";
    fs::write(home.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(home.join("src/lib.rs"), "").expect("a file");
    let mut cargo = plain_command(target::cargo(), &["build", "-Zbuild-std=std,panic_unwind"]);
    cargo.args(["--target", &triple]).current_dir(&home).env("RUSTC", target::rustc());
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.env("RUSTFLAGS", protection().trim_matches('"')).env_remove("CARGO");
    run(cargo).expect_code(0);
    let made = home.join("target").join(&triple).join("debug/deps");
    for library in fs::read_dir(made).expect("a folder").flatten() {
        let name = library.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libnothing") {
            fs::copy(library.path(), libraries.join(name)).expect("a copy");
        }
    }
    fs::write(done, "").expect("a file");
    home
}
