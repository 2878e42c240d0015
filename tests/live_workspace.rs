//! Programs of several crates: each of them can be edited.

mod support;

use std::fs::File;

use support::{Fixture, Watch, values};

const ENGINE: &str = "engine/src/lib.rs";

#[test]
fn an_edit_in_any_crate_reaches_the_program() {
    let fixture = Fixture::copy("workspace");
    let mut watch = Watch::start_with(&fixture, &["-p", "app"]);
    watch.wait_text("tick 1 ");
    let edits = [
        ("app/src/main.rs", "own", "10", "11"),
        (ENGINE, "plain", "100", "101"),
        (ENGINE, "generic", "200", "201"),
        (ENGINE, "inlined", "300", "301"),
        ("../sibling/src/lib.rs", "outside", "400", "401"),
        ("tool/src/lib.rs", "from_lib", "500", "501"),
    ];
    for (file, name, from, to) in edits {
        fixture.set(file, name, from, to);
        watch.applied();
        watch.wait_values(&[(name, to)]);
    }
    fixture.edit("engine/src/banner.txt", "welcome", "good morning");
    watch.applied();
    watch.wait_values(&[("banner", "good morning")]);
    let last = values(&watch.next_line("tick"));
    for (_, name, _, to) in edits {
        assert_eq!(last[name], to, "{name}");
    }
    check_ticks(&watch);
    watch.stop();
}

fn check_ticks(watch: &Watch) {
    let lines = watch.log().lines();
    for (n, line) in lines.iter().filter(|l| l.starts_with("tick")).enumerate() {
        let said = values(line);
        assert_eq!(said[""], format!("tick {}", n + 1));
        for name in ["calls", "local", "outside_calls"] {
            assert_eq!(said[name], (n + 1).to_string(), "{name} in {line}");
        }
    }
}

#[test]
fn several_files_in_one_save_give_one_patch() {
    let fixture = Fixture::copy("workspace");
    let mut watch = Watch::start_with(&fixture, &["--bin", "app"]);
    watch.wait_text("tick 1 ");
    watch.save_at_once(|| {
        fixture.set(ENGINE, "plain", "100", "150");
        fixture.set("app/src/main.rs", "own", "10", "15");
        fixture.set("tool/src/lib.rs", "from_lib", "500", "550");
    });
    let applied = watch.applied();
    watch.wait_values(&[("plain", "150"), ("own", "15"), ("from_lib", "550")]);
    let built = watch.built(&applied);
    let mut crates = built.list("crates");
    crates.sort();
    assert_eq!(crates, ["app", "engine", "tool"], "{built:?}");
    watch.let_it_run(5);
    assert_eq!(watch.events("patch-applied").len(), 1);
    check_ticks(&watch);
    watch.stop();
}

#[test]
fn a_crate_that_is_saved_while_the_others_are_primed() {
    let fixture = Fixture::copy("workspace");
    // Whoever holds this lock keeps thin builds waiting, the priming one too.
    let units = fixture.path("target/hotpatch/units");
    std::fs::create_dir_all(&units).expect("a folder");
    let lock = File::create(units.join("thin.lock")).expect("a file");
    lock.lock().expect("a lock");
    let mut watch = Watch::start_with(&fixture, &["-p", "app", "--restart", "never"]);
    watch.wait_text("tick 1 ");
    // The program's own crate first, so that the first job does not know of the library's change.
    fixture.edit("app/src/main.rs", "    10 // EDIT own", "    engine::brand_new() // EDIT own");
    watch.let_it_run(3);
    let new = "pub fn brand_new() -> u32 {\n    77\n}\n\n";
    let text = std::fs::read_to_string(fixture.path(ENGINE)).expect("the library");
    let (head, rest) = text.split_once("/// ").expect("an item");
    fixture.write(ENGINE, &format!("{head}{new}/// {rest}"), support::Save::InPlace);
    watch.let_it_run(3);
    lock.unlock().expect("no lock");
    watch.applied();
    watch.wait_values(&[("own", "77")]);
    check_ticks(&watch);
    watch.stop();
}

#[test]
fn a_package_with_a_library_and_a_program_of_the_same_name() {
    let fixture = Fixture::copy("workspace");
    let mut watch = Watch::start_with(&fixture, &["-p", "tool"]);
    watch.wait_text("tick 1 ");
    fixture.set("tool/src/lib.rs", "from_lib", "500", "501");
    watch.applied();
    watch.wait_values(&[("from_lib", "501"), ("from_bin", "600")]);
    fixture.set("tool/src/main.rs", "from_bin", "600", "601");
    watch.applied();
    watch.wait_values(&[("from_lib", "501"), ("from_bin", "601")]);
    watch.stop();
}

#[test]
fn a_folder_with_spaces_and_letters_beyond_ascii() {
    let fixture = Fixture::copy_as("workspace", "größer als zuvor ✓");
    let mut watch = Watch::start_with(&fixture, &["-p", "app"]);
    watch.wait_text("tick 1 ");
    fixture.set("app/src/main.rs", "own", "10", "11");
    watch.applied();
    watch.wait_values(&[("own", "11")]);
    fixture.set(ENGINE, "plain", "100", "101");
    watch.applied();
    watch.wait_values(&[("plain", "101")]);
    watch.stop();
}

#[test]
fn a_generic_function_of_a_library_at_a_type_that_is_new() {
    let fixture = Fixture::copy("workspace");
    let mut watch = Watch::start_with(&fixture, &["-p", "app"]);
    watch.wait_text("tick 1 ");
    fixture.edit("app/src/main.rs", "engine::generic(1u32)", "engine::generic(5u16) + 1");
    watch.applied();
    watch.wait_values(&[("generic", "205")]);
    fixture.set(ENGINE, "generic", "200", "300");
    watch.applied();
    watch.wait_values(&[("generic", "305")]);
    watch.stop();
}

#[test]
fn build_scripts_and_procedural_macros_are_built_as_ever_and_ask_for_a_restart() {
    let fixture = Fixture::copy("workspace");
    let mut watch = Watch::start_with(&fixture, &["-p", "app", "--restart", "never"]);
    watch.wait_values(&[("made", "703/800/0.0.0")]);
    fixture.edit(ENGINE, "count!(a b c)", "count!(a b)");
    watch.applied();
    watch.wait_values(&[("made", "702/800/0.0.0")]);
    fixture.set("engine/build.rs", "generated", "800", "801");
    let required = watch.wait("restart-required");
    assert!(required.text("cause").contains("build script"), "{required:?}");
    fixture.set("shout/src/lib.rs", "count", "700", "1700");
    let required = watch.wait("restart-required");
    assert!(required.text("cause").contains("proc macro"), "{required:?}");
    watch.let_it_run(3);
    watch.stop();
}
