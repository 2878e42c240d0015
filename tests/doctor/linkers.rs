//! Linkers: those that are installed, and those that cannot do what patches need.

use super::package::{Package, Report, TARGET, script};
use super::support::narrow_linker;
use crate::skip;

#[test]
fn linkers_that_rustc_takes_for_something_else() {
    let package = Package::new();
    script(&package.path("link.sh"), "exec cc \"$@\"");
    package.config("[target.'cfg(target_os = \"linux\")']\nlinker = \"./link.sh\"\n");
    package
        .doctor(&[])
        .expect_check("fail", "linker-flavor", "takes `<package>/./link.sh` for a linker")
        .expect_check("fail", "trial-patch", "an empty program cannot be built");
    package.config(
        "[target.'cfg(target_os = \"linux\")']\nlinker = \"./link.sh\"\n\
         [build]\nrustflags = [\"-C\", \"linker-flavor=gcc\"]\n",
    );
    package.doctor(&[]).expect_check("ok", "linker-flavor", "compiler driver").expect_check(
        "ok",
        "trial-patch",
        "linked by <package>/./link.sh",
    );
}

#[test]
fn a_linker_that_makes_programs_but_no_patches() {
    let package = Package::new();
    for (line, name, told) in [
        ("exit 1", "no-shared", "a patch cannot be linked"),
        (
            "o=; for a; do [ \"$o\" ] && cp /bin/sh \"$a\"; o=; [ \"$a\" = -o ] && o=1; done; exit 0",
            "wrong",
            "cannot be loaded",
        ),
    ] {
        let linker = package.path(name);
        let text =
            format!("for a; do [ \"$a\" = -shared ] && {{ {line}; exit; }}; done\nexec cc \"$@\"");
        script(&linker, &text);
        let linker = format!("target.{TARGET}.linker={:?}", linker.display().to_string());
        package
            .doctor(&["--config", &linker])
            .expect_check("fail", "trial-patch", told)
            .expect_code(4);
    }
}

fn doctor_with(package: &Package, args: &[&str]) -> Report {
    let flags: Vec<String> =
        args.iter().map(|arg| format!("\"-C\", {:?}", format!("link-arg={arg}"))).collect();
    package.config(&format!("[build]\nrustflags = [{}]\n", flags.join(", ")));
    package.doctor(&[])
}

const FIRST: &str = "left open by `--unresolved-symbols=ignore-all`";

#[test]
fn each_flag_for_what_is_left_open_is_tried() {
    let package = Package::new();
    for (name, others) in [
        ("bfd", "also taken: `-z undefs`, `--warn-unresolved-symbols`, no flag at all"),
        ("lld", "also taken: `-z undefs`, `--warn-unresolved-symbols`, no flag at all"),
        ("mold", "also taken: `-z undefs`, `--warn-unresolved-symbols`, no flag at all"),
        ("gold", "not taken: `-z undefs` ("),
    ] {
        if which::which(format!("ld.{name}")).is_err() {
            continue;
        }
        let report = doctor_with(&package, &[&format!("-fuse-ld={name}")]);
        report
            .expect_check("ok", "unresolved-symbols", FIRST)
            .expect_check("ok", "unresolved-symbols", others)
            .expect_check("ok", "trial-patch", "loaded and called");
    }
}

#[test]
fn linkers_that_lack_a_flag_for_what_is_left_open() {
    let package = Package::new();
    let folder = package.path("tools");
    let (new, older, oldest) = ("--unresolved-symbols=*", "undefs", "--warn-unresolved-symbols");
    for (refused, strict, told) in [
        (vec![new], true, "left open by `-z undefs`; also taken: `--warn-unresolved-symbols`"),
        (vec![new, older], true, "left open by `--warn-unresolved-symbols`; not taken: `--unr"),
        (vec![new, older, oldest], false, "left open by no flag at all; not taken: `--unresolved"),
    ] {
        let Some(args) = narrow_linker(&folder, &refused, strict) else { skip!("no ld.bfd") };
        doctor_with(&package, &[&args[0], &args[1]])
            .expect_check("ok", "unresolved-symbols", told)
            .expect_check("ok", "trial-patch", "loaded and called");
    }
    let Some(args) = narrow_linker(&folder, &[new, older, oldest], true) else { return };
    doctor_with(&package, &[&args[0], &args[1]])
        .expect_code(4)
        .expect_check("fail", "unresolved-symbols", "cc takes no flag that leaves symbols open")
        .expect_check("fail", "trial-patch", "a patch cannot be linked")
        .expect_text("fix: try without the flags in <package>/.cargo/config.toml");
}
