//! Compiler, linker, flags and profile.

use super::*;
use crate::doctor::facts::{Started, Step, Trial};
use crate::target::linking::{Dialect, LeaveOpen};

#[test]
fn the_toolchain_is_judged() {
    expect(&[
        (|f| compiler(f).release = "1.84.1".into(), "fail rustc", "rustup update"),
        (
            |f| compiler(f).has_std = false,
            "fail target-std",
            "rustup target add --toolchain stable-x86_64-unknown-linux-gnu x86_64",
        ),
        (
            |f| (compiler(f).has_std, compiler(f).sysroot) = (false, "/usr".into()),
            "fail target-std",
            "install the standard library for x86_64-unknown-linux-gnu where",
        ),
        (
            |f| f.target = Some("x86_64-pc-windows-msvc".into()),
            "fail target",
            "cannot be patched yet",
        ),
        (
            |f| {
                f.target = Some("x86_64-pc-windows-msvc".into());
                compiler(f).host = "x86_64-pc-windows-msvc".into();
            },
            "fail target",
            "use an x86-64 Linux machine",
        ),
        (|f| wrapped(f, "/opt/sccache"), "warn rustc-wrapper", "RUSTC_WRAPPER= cargo hotpatch"),
    ]);
    let from_source = |f: &mut Facts| {
        compiler(f).has_std = false;
        f.settings.build_std = true;
    };
    assert_eq!(verdicts(from_source), [""; 0]);
    assert_eq!(verdicts(|f| wrapped(f, "/opt/other")), [""; 0]);
}

#[test]
fn a_linker_is_told_from_a_driver_as_rustc_does() {
    const GCC: &str = "cc (GCC) 12 Copyright (C) 2022 Free Software Foundation, Inc.";
    const LD: &str = "GNU ld (GNU Binutils) 2.40 Free Software Foundation";
    for (program, flavor, version, good) in [
        ("cc", None, GCC, true),
        ("/x/link.sh", None, GCC, false),
        ("/x/link.sh", Some("gcc"), GCC, true),
        ("x86_64-linux-gnu-ld", None, LD, true),
        ("ld.lld", None, "Debian LLD 14.0.6 (compatible with GNU linkers)", true),
        ("ld.lld-14", None, "Debian LLD 14.0.6", true),
        ("mold", None, "mold 1.10.1 (compatible with GNU ld)", false),
        ("mold", Some("ld"), "mold 1.10.1 (compatible with GNU ld)", true),
        ("clang-17", None, "Debian clang version 17", true),
        ("cc", Some("ld.lld"), GCC, false),
        ("zig-cc", None, "who knows", true),
    ] {
        let mut facts = healthy();
        facts.settings.linker.program = program.into();
        facts.settings.linker.flavor = flavor.map(String::from);
        facts.settings.linker.version = Some(version.into());
        let status = linking::linker_flavor(&facts).status;
        assert_eq!(status == Status::Ok, good, "{program} {flavor:?}");
    }
}

#[test]
fn flags_are_judged() {
    for (flags, name, fail) in [
        ("-C relocation-model=static", "relocation-model", true),
        ("-Crelocation-model=pic", "", false),
        ("-C target-feature=+avx,+crt-static", "c-library", false),
        ("-C target-feature=+crt-static -C target-feature=-crt-static", "", false),
        ("-C link-arg=-static-pie", "c-library", false),
        ("-C link-arg=-no-pie", "", false),
        ("-C prefer-dynamic", "", false),
        ("-C prefer-dynamic=no", "", false),
        ("-C link-arg=-Wl,--gc-sections,-s", "symbols", true),
        ("-C link-args=-O1", "", false),
        ("-C link-arg=-Wl,--icf=all", "identical-code", false),
        ("-C link-arg=-Wl,--icf=none", "", false),
    ] {
        let mut facts = healthy();
        facts.settings.rustflags = flags.split(' ').map(String::from).collect();
        let checks = all(&facts).into_iter().map(|check| check(&facts));
        let bad: Vec<_> = checks.filter(|c| c.status != Status::Ok).collect();
        let told: Vec<_> = bad.iter().map(|c| c.name).collect();
        assert_eq!(told.join(" "), name, "{flags}");
        assert_eq!(bad.iter().any(|c| c.status == Status::Fail), fail, "{flags}");
    }
}

#[test]
fn the_profile_of_each_package_is_judged_and_the_runtimes_is_not() {
    for (key, value, wanted) in [
        ("strip", "true", "warn strip: `strip = true` ([profile.dev]"),
        ("strip", "symbols", "warn strip: `strip = \"symbols\"`"),
        ("strip", "none", ""),
        ("lto", "thin", "fail lto"),
        ("lto", "false", ""),
        ("lto", "off", ""),
        ("opt-level", "1", ""),
        ("opt-level", "s", "warn opt-level"),
        ("codegen-units", "1", "warn codegen-units"),
        ("codegen-units", "16", ""),
        ("debug", "line-tables-only", "warn debug"),
        ("debug", "0", "warn debug"),
        ("debug", "full", ""),
        ("split-debuginfo", "packed", ""),
        ("panic", "abort", ""),
        ("codegen-backend", "cranelift", "warn code-generation"),
        ("instrument-coverage", "true", "fail code-generation"),
        ("symbol-mangling-version", "v0", ""),
    ] {
        let mut facts = healthy();
        package(&mut facts, "p", key, value);
        let failing = all(&facts).into_iter().map(|check| check(&facts));
        let told: Vec<_> = failing.filter(|c| c.status != Status::Ok).collect();
        let told = told.first().map_or(String::new(), |c| {
            format!("{} {}: {}", format!("{:?}", c.status).to_lowercase(), c.name, c.detail)
        });
        assert!(told.starts_with(wanted) && told.is_empty() == wanted.is_empty(), "{key}: {told}");
        let mut facts = healthy();
        package(&mut facts, "hotpatch-runtime", key, value);
        assert!(all(&facts).into_iter().all(|check| check(&facts).status == Status::Ok), "{key}");
    }
}

#[test]
fn the_packages_with_a_setting_are_named_where_not_all_have_it() {
    let mut facts = healthy();
    for (name, value) in [("a", "3"), ("b", "0"), ("c", "3")] {
        package(&mut facts, name, "opt-level", value);
    }
    let check = profile::opt_level(&facts);
    assert!(check.detail.starts_with("`opt-level = 3` for a, c ([profile.dev]"), "{check:?}");
    let fix = check.fix.unwrap_or_default();
    assert_eq!(fix, "set `opt-level = 1` in [profile.dev] of Cargo.toml");
}

#[test]
fn the_first_way_to_leave_symbols_open_that_links_is_told() {
    let unknown = || Err((Step::Link, "unknown flag".to_string()));
    for (results, status, wanted) in [
        (vec![Ok(()), Ok(())], Status::Ok, "left open by `--unresolved-symbols=ignore-all`; also "),
        (vec![unknown(), Ok(())], Status::Ok, "left open by `-z undefs`; not taken: `--unres"),
        (vec![unknown(), unknown()], Status::Fail, "cc takes no flag that leaves symbols open"),
    ] {
        let ways = LeaveOpen::all(Dialect::Gnu).iter().copied().zip(results).collect();
        let mut facts = healthy();
        let (linker, started) = ("cc".into(), Started::Here);
        facts.trial = Some(Trial { linker, started, failed: None, ways });
        let check = linking::unresolved(&facts);
        assert!(check.status == status && check.detail.starts_with(wanted), "{check:?}");
    }
}
