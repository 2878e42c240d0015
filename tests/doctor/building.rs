//! Flags and settings of the build, made for real in a package.

use std::fs;

use super::package::Package;
use super::support::run;

#[test]
fn flags_that_only_a_nightly_compiler_has() {
    let package = Package::new();
    package.config("[build]\nrustflags = [\"-Zshare-generics=y\"]\n");
    package
        .doctor(&[])
        .expect_check("fail", "unstable", "`-Z share-generics=y` (<package>/.cargo/config.toml)")
        .expect_check("fail", "trial-patch", "an empty program cannot be built")
        .expect_text("cargo +nightly hotpatch")
        .expect_code(4);
    // Cargo says it before our own checks can.
    run(package.command(&["fat"])).expect_code(4).expect_text("only accepted on the nightly");
    assert!(!package.path("target").exists(), "nothing was built");

    let mut command = package.command(&["doctor"]);
    command.env("RUSTC_BOOTSTRAP", "1");
    package
        .run(command)
        .expect_check("warn", "unstable", "patching such programs was never tried")
        .expect_check("ok", "trial-patch", "loaded and called");
    package.config("[unstable]\nbuild-std = [\"std\"]\nmtime-on-use = true\n");
    package.doctor(&[]).expect_check("ok", "unstable", "nothing");
    let mut command = package.command(&["doctor"]);
    command.env("RUSTC_BOOTSTRAP", "1");
    let told = "`mtime-on-use` ([unstable] of <package>/.cargo/config.toml)";
    package.run(command).expect_check("warn", "unstable", told);
}

#[test]
fn flags_that_patches_do_not_go_with() {
    let package = Package::new();
    for (flag, status, name, told) in [
        ("-Crelocation-model=static", "fail", "relocation-model", "fixed addresses"),
        ("-Ctarget-feature=+crt-static", "warn", "c-library", "a second one"),
        ("-Clink-arg=-Wl,--strip-all", "fail", "symbols", "`--strip-all`"),
        ("-Clink-arg=-Wl,--icf=all", "warn", "identical-code", "one address"),
        ("-Cinstrument-coverage", "fail", "code-generation", "counters"),
        ("-Ccodegen-units=1", "warn", "codegen-units", "compiles the whole crate"),
    ] {
        let mut command = package.command(&["doctor", "--json"]);
        command.env("RUSTFLAGS", flag);
        let json = package.run(command).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
        let mut checks = json["checks"].as_array().expect("a list").iter();
        let check = checks.find(|check| check["name"] == name).expect("the check");
        assert_eq!(check["status"], status, "{flag}: {check}");
        let words = check["detail"].as_str().expect("a detail").to_owned()
            + check["fix"].as_str().expect("a fix");
        assert!(words.contains(told) && words.contains("RUSTFLAGS"), "{flag}: {check}");
    }
}

#[test]
fn settings_of_the_profile() {
    let package = Package::new();
    let profile = |line: &str| package.manifest(&format!("[profile.dev]\n{line}\n"));
    for (line, status, name, told) in [
        ("split-debuginfo = \"packed\"", "ok", "split-debuginfo", "`split-debuginfo = \"packed\"`"),
        ("panic = \"abort\"", "ok", "panic", "abort; patches follow"),
        ("overflow-checks = false", "ok", "overflow-checks", "off"),
        ("codegen-units = 1", "warn", "codegen-units", "`codegen-units = 1`"),
    ] {
        profile(line);
        package.doctor(&[]).expect_check(status, name, told);
    }
    profile("debug = 1");
    let mut command = package.command(&["doctor"]);
    command.env("RUSTFLAGS", "-Csymbol-mangling-version=v0");
    package.run(command).expect_check("warn", "symbol-mangling", "stays the same");
}

/// A member `q` that the program depends on.
fn with_member(package: &Package, library: &str, profile: &str) {
    fs::create_dir_all(package.path("q/src")).expect("a folder");
    let manifest = format!("[package]\nname = \"q\"\nedition = \"2024\"\n[lib]\n{library}\n");
    fs::write(package.path("q/Cargo.toml"), manifest).expect("a manifest");
    fs::write(package.path("q/src/lib.rs"), "").expect("a library");
    package.manifest(&format!("q = {{ path = \"q\" }}\n{profile}"));
}

#[test]
fn packages_that_are_built_in_another_way_than_the_program() {
    let package = Package::new();
    with_member(&package, "crate-type = [\"dylib\"]", "");
    package
        .doctor(&[])
        .expect_check("warn", "crate-types", "q comes as a shared library of its own (dylib): an")
        .expect_text("crate-type = [\"rlib\", \"dylib\"]");
    with_member(&package, "crate-type = [\"dylib\", \"rlib\"]", "");
    package.doctor(&[]).expect_check("ok", "crate-types", "in the program's own file");
    let mut prefers = package.command(&["doctor"]);
    prefers.env("RUSTFLAGS", "-Cprefer-dynamic");
    package
        .run(prefers)
        .expect_check("ok", "prefer-dynamic", "which patches use as the program does")
        .expect_check("warn", "crate-types", "q comes as a shared library of its own (dylib)")
        .expect_text("fix: remove `-C prefer-dynamic` from the variable RUSTFLAGS");
    let manifest = "[lib]\ncrate-type = [\"cdylib\"]\npath = \"src/main.rs\"\n";
    package.manifest(manifest);
    package.doctor(&[]).expect_check("ok", "crate-types", "all packages are in the program");
    let library = package.doctor(&["--cdylib"]);
    library.expect_check("ok", "crate-types", "a library that another program loads").expect_check(
        "ok",
        "program",
        "the library `p`",
    );
    with_member(&package, "", "[profile.dev.package.q]\noverflow-checks = false\n");
    let told = "on for p, off for q ([profile.dev.package.q] of Cargo.toml)";
    package.doctor(&[]).expect_check("ok", "overflow-checks", told).expect_code(0);
}
