//! Programs that are linked by something else than rustc's default.

mod support;

use std::fs;

use support::{Fixture, Save, Watch, narrow_linker, values};

const MAIN: &str = "src/main.rs";

fn installed(tool: &str) -> bool {
    which::which(tool).is_ok()
}

/// Runs programs with the runtime as a dependency and without one, linked with these arguments,
/// through three patches.
fn patches_with(link_args: &[&str]) {
    for name in ["counters", "unmodified"] {
        patches_of(name, link_args);
    }
}

fn patches_of(name: &str, link_args: &[&str]) {
    let fixture = Fixture::copy(name);
    let script: String = link_args
        .iter()
        .map(|a| format!("    println!(\"cargo::rustc-link-arg-bins={a}\");\n"))
        .collect();
    fixture.write("build.rs", &format!("fn main() {{\n{script}}}\n"), Save::InPlace);
    three_patches(&fixture);
}

fn three_patches(fixture: &Fixture) {
    let mut watch = Watch::start(fixture);
    watch.wait_values(&[("version", "0")]);
    for n in 1..=3 {
        let (from, to) = (format!("VERSION: u64 = {};", n - 1), format!("VERSION: u64 = {n};"));
        fixture.edit(MAIN, &from, &to);
        watch.applied();
        let newest = format!(" version={n} ");
        let said = values(&watch.wait_line(|l| l.starts_with("tick") && l.contains(&newest)));
        for name in ["atomic", "plain", "cell", "lazy", "names", "list"] {
            assert_eq!(format!("tick {}", said[name]), said[""], "{name}");
        }
    }
    watch.say("thread");
    watch.wait_text("dropped version=3 lazy=1");
    watch.stop();
}

#[test]
fn gnu_ld() {
    if !installed("ld.bfd") {
        skip!("no ld.bfd");
    }
    patches_with(&["-fuse-ld=bfd"]);
}

#[test]
fn gold() {
    if !installed("ld.gold") {
        skip!("no ld.gold");
    }
    patches_with(&["-fuse-ld=gold"]);
}

#[test]
fn lld_of_the_distribution() {
    let Ok(lld) = which::which("ld.lld") else { skip!("no ld.lld") };
    // By its folder, since rustc's own comes first otherwise.
    let folder = lld.parent().expect("a folder").display().to_string();
    patches_with(&[&format!("-B{folder}"), "-fuse-ld=lld"]);
}

#[test]
fn mold_through_the_user_s_configuration() {
    if !installed("mold") {
        skip!("no mold");
    }
    let fixture = Fixture::copy("unmodified");
    fs::create_dir(fixture.path(".cargo")).expect("a folder");
    let config =
        "[target.x86_64-unknown-linux-gnu]\nrustflags = [\"-C\", \"link-arg=-fuse-ld=mold\"]\n";
    fixture.write(".cargo/config.toml", config, Save::InPlace);
    three_patches(&fixture);
}

#[test]
fn a_linker_that_knows_only_an_older_flag_for_what_is_left_open() {
    let fixture = Fixture::copy("unmodified");
    let folder = fixture.scratch().join("tools");
    let refused = ["--unresolved-symbols=*", "undefs"];
    let Some(args) = narrow_linker(&folder, &refused, true) else { skip!("no ld.bfd") };
    fs::create_dir(fixture.path(".cargo")).expect("a folder");
    let flags: Vec<_> = args.iter().map(|arg| format!("link-arg={arg}")).collect();
    let config = format!("[build]\nrustflags = [\"-C\", {:?}, \"-C\", {:?}]\n", flags[0], flags[1]);
    fixture.write(".cargo/config.toml", &config, Save::InPlace);
    three_patches(&fixture);
}

#[test]
fn clang_as_the_driver() {
    if !installed("clang") {
        skip!("no clang");
    }
    let fixture = Fixture::copy("unmodified");
    fs::create_dir(fixture.path(".cargo")).expect("a folder");
    let config = "[target.x86_64-unknown-linux-gnu]\nlinker = \"clang\"\n";
    fixture.write(".cargo/config.toml", config, Save::InPlace);
    three_patches(&fixture);
}

#[test]
fn a_wrapper_of_the_user_s_own_is_called_too() {
    let fixture = Fixture::copy("growing");
    let (wrapper, calls) =
        (fixture.scratch().join("own wrapper.sh"), fixture.scratch().join("calls"));
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nexec \"$@\"\n", calls.display());
    fs::write(&wrapper, script).expect("a script");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a script to run");
    for variable in ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER"] {
        let _ = fs::remove_file(&calls);
        let args = ["watch", "--message-format", "json"];
        let mut tool = support::command(fixture.root(), &args);
        tool.env(variable, &wrapper);
        let mut watch = Watch::spawn_command(tool);
        watch.wait("client-connected");
        let called = fs::read_to_string(&calls).unwrap_or_default();
        assert!(called.contains("--crate-name growing"), "{variable}: {called}");
        let old = fixture.read(MAIN).contains("\"none\") // EDIT extra");
        let (from, to) = if old { ("none", "some") } else { ("some", "none") };
        fixture.set(MAIN, "extra", from, to);
        watch.applied();
        watch.wait_values(&[("extra", to)]);
        watch.stop();
    }
}
