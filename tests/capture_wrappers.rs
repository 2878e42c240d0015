//! The fat build next to rustc wrappers that the user has.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::project::{Project, package};
use support::{Output, command, run};

/// A program with a registry crate, and a wrapper script that logs the crates it is called for.
fn project(outside: bool) -> Project {
    let dependencies = if outside { "outside = { path = \"../outside\" }" } else { "" };
    let manifest = format!("[workspace]\n[dependencies]\nitoa = \"1\"\n{dependencies}");
    let project = Project::new(&[
        ("main/Cargo.toml", &package("app", &manifest)),
        ("main/src/main.rs", "fn main() { println!(\"{}\", itoa::Buffer::new().format(5)) }\n"),
        ("outside/Cargo.toml", &package("outside", "[workspace]")),
        ("outside/src/lib.rs", "pub fn outside() {}\n"),
    ]);
    for name in ["all", "members"] {
        let log = project.path(&format!("{name}.log"));
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--crate-name*--emit*) \
             echo \"$*\" | sed 's/.*--crate-name \\([a-z_]*\\) .*/\\1/' >> '{}';; esac\n\
             exec \"$@\"\n",
            log.display()
        );
        project.write(&format!("tools/{name}"), &script);
        let file = project.path(&format!("tools/{name}"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    project
}

/// The crates that a wrapper was called for, sorted.
fn log(project: &Project, name: &str) -> Vec<String> {
    let text = fs::read_to_string(project.path(&format!("{name}.log"))).unwrap_or_default();
    let mut names: Vec<String> = text.lines().map(String::from).collect();
    names.sort();
    names
}

fn fat_with(project: &Project, variables: &[(&str, &str)]) -> Output {
    let mut command = command(&project.main(), &["fat", "--no-inject"]);
    for (name, wrapper) in variables {
        command.env(name, project.path(&format!("tools/{wrapper}")));
    }
    run(command)
}

#[test]
fn wrappers_from_the_environment_are_called_too() {
    let project = project(false);
    let both = [("RUSTC_WRAPPER", "all"), ("RUSTC_WORKSPACE_WRAPPER", "members")];
    fat_with(&project, &both).expect_code(0);
    assert_eq!(log(&project, "all"), ["app", "itoa"]);
    assert_eq!(log(&project, "members"), ["app"]);
    assert_eq!(project.captured(), ["app"]);
}

#[test]
fn wrappers_from_configuration_files_are_called_too() {
    let project = project(false);
    project.write(
        "main/.cargo/config.toml",
        "[build]\nrustc-wrapper = \"../tools/all\"\nrustc-workspace-wrapper = \"../tools/members\"",
    );
    project.fat(&[]).expect_code(0);
    assert_eq!(log(&project, "all"), ["app", "itoa"]);
    assert_eq!(log(&project, "members"), ["app"]);
    assert_eq!(project.captured(), ["app"]);
}

#[test]
fn they_stay_in_place_where_all_crates_go_through_ours() {
    for by_variable in [true, false] {
        let project = project(true);
        if by_variable {
            let both = [("RUSTC_WRAPPER", "all"), ("RUSTC_WORKSPACE_WRAPPER", "members")];
            fat_with(&project, &both).expect_code(0);
        } else {
            project.write(
                "main/.cargo/config.toml",
                "build.rustc-wrapper = \"../tools/all\"\n\
                 build.rustc-workspace-wrapper = \"../tools/members\"",
            );
            project.fat(&[]).expect_code(0);
        }
        assert_eq!(log(&project, "all"), ["app", "itoa", "outside"]);
        assert_eq!(log(&project, "members"), ["app"]);
        assert_eq!(project.captured(), ["app", "outside"]);
    }
}

#[test]
fn a_plain_build_with_a_wrapper_stays_fresh() {
    let project = project(true);
    project.write("main/.cargo/config.toml", "build.rustc-wrapper = \"../tools/all\"\n");
    project.cargo(&["build"]).expect_code(0);
    project.fat(&[]).expect_code(0).expect_no_text("Compiling itoa");
    project.cargo(&["build"]).expect_code(0).expect_no_text("Compiling");
}

#[test]
fn a_wrapper_that_fails_fails_the_build() {
    let project = project(false);
    project.write("tools/all", "#!/bin/sh\necho 'no license' >&2\nexit 7\n");
    fat_with(&project, &[("RUSTC_WRAPPER", "all")]).expect_code(4).expect_text("no license");
    project.write(
        "tools/members",
        "#!/bin/sh\ncase \"$*\" in *--emit*) echo 'no license' >&2; exit 7;; esac\nexec \"$@\"\n",
    );
    fat_with(&project, &[("RUSTC_WORKSPACE_WRAPPER", "members")])
        .expect_code(1)
        .expect_text("no license")
        .expect_text("exit status: 7");
}
