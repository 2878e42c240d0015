//! What `watch` makes of saves, of a program's ways to run, and of several programs.

mod support;

use support::{Fixture, Save, Second, Watch, command, environment_of, values};

const MAIN: &str = "src/main.rs";
const NONE: &str = "String::from(\"none\") // EDIT extra";

fn start(fixture: &Fixture) -> Watch {
    let mut watch = Watch::start(fixture);
    watch.wait_values(&[("extra", "none")]);
    watch
}

fn extra(text: &str) -> String {
    format!("String::from(\"{text}\") // EDIT extra")
}

#[test]
fn each_way_of_saving_gives_one_patch() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    let mut from = NONE.to_string();
    for (n, save) in [Save::InPlace, Save::Rename, Save::Backup, Save::Rename].iter().enumerate() {
        let to = extra(&format!("save {n}"));
        fixture.edit_by(MAIN, &from, &to, *save);
        let applied = watch.applied();
        assert_eq!(applied.number("patch"), n as u64 + 1, "after {save:?}");
        watch.wait_values(&[("extra", &format!("save {n}"))]);
        watch.let_it_run(10);
        assert_eq!(watch.events("patch-applied").len(), n + 1, "after {save:?}");
        from = to;
    }
    watch.stop();
}

#[test]
fn a_burst_of_saves_ends_with_the_last_text() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    let text = fixture.read(MAIN);
    for n in 0..40 {
        let save = if n % 2 == 0 { Save::InPlace } else { Save::Rename };
        fixture.write(MAIN, &text.replace(NONE, &extra(&format!("burst {n}"))), save);
    }
    watch.wait_values(&[("extra", "burst 39")]);
    watch.let_it_run(10);
    let patches = watch.events("patch-applied").len();
    assert!(patches < 10, "40 saves gave {patches} patches");
    watch.stop();
}

#[test]
fn an_edit_and_its_revert() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    for round in 0..3 {
        fixture.edit(MAIN, NONE, &extra("some"));
        watch.applied();
        watch.wait_values(&[("extra", "some")]);
        fixture.edit(MAIN, &extra("some"), NONE);
        watch.applied();
        watch.wait_values(&[("extra", "none")]);
        assert_eq!(watch.events("patch-applied").len(), 2 * round + 2);
    }
    watch.stop();
}

#[test]
fn a_save_that_changes_no_code_changes_nothing() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    fixture.edit(MAIN, "// EDIT items\n", "// EDIT items, said otherwise\n");
    let nothing = watch.wait("nothing-changed");
    assert!(nothing.list("files").iter().any(|f| f.ends_with("src/main.rs")), "{nothing:?}");
    fixture.edit(
        MAIN,
        "fn extra(",
        "// A line more: all that follows is one line further down.\nfn extra(",
    );
    watch.wait("nothing-changed");
    fixture.touch(MAIN);
    watch.wait("nothing-changed");
    // The files that are none of the program's.
    std::fs::write(fixture.path("src/notes.txt"), "nothing").expect("a new file");
    fixture.edit(MAIN, NONE, &extra("after all"));
    watch.applied();
    watch.wait_values(&[("extra", "after all")]);
    assert_eq!(watch.events("patch-applied").len(), 1);
    watch.stop();
}

#[test]
fn a_syntax_error_is_shown_once_and_the_program_goes_on() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    fixture.edit(MAIN, NONE, "String::from(\"none\" // EDIT extra");
    let error = watch.wait_event("compiler-message", |e| e.is_compile_error());
    let rendered = error.0["message"]["rendered"].as_str().unwrap_or("").to_string();
    assert!(rendered.contains("src/main.rs:"), "{rendered}");
    watch.let_it_run(20);
    let errors = watch
        .events("compiler-message")
        .into_iter()
        .filter(|e| e.is_compile_error() && e.0["message"]["rendered"].as_str() == Some(&rendered));
    assert_eq!(errors.count(), 1);
    fixture.edit(MAIN, "String::from(\"none\" // EDIT extra", &extra("mended"));
    watch.applied();
    watch.wait_values(&[("extra", "mended")]);
    fixture.edit(MAIN, &extra("mended"), "\"another type\" // EDIT extra");
    let error = watch.wait_event("compiler-message", |e| e.is_compile_error());
    assert_eq!(error.0["message"]["code"]["code"], "E0308", "{error:?}");
    fixture.edit(MAIN, "\"another type\" // EDIT extra", NONE);
    watch.applied();
    watch.wait_values(&[("extra", "none")]);
    watch.stop();
}

#[test]
fn a_change_during_a_build_is_not_lost() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    for n in 0..5 {
        let (old, new) = (n.to_string(), (n + 1).to_string());
        let from = if n == 0 { NONE.to_string() } else { extra(&old) };
        fixture.edit(MAIN, &from, &extra(&new));
        watch.wait("change-detected");
        let from = if n == 0 { "none".to_string() } else { old };
        let from = format!("String::from(\"{from}\") // EDIT more");
        fixture.edit(MAIN, &from, &format!("String::from(\"{new}\") // EDIT more"));
        watch.wait_values(&[("extra", &new), ("more", &new)]);
    }
    watch.stop();
}

#[test]
fn a_source_file_that_goes_away_and_comes_back() {
    let fixture = Fixture::copy("dispatch");
    let mut watch = Watch::start(&fixture);
    watch.wait_text("data 1 ");
    let text = fixture.read("src/data.rs");
    std::fs::remove_file(fixture.path("src/data.rs")).expect("a file to delete");
    let error = watch.wait_event("compiler-message", |e| e.is_compile_error());
    assert!(error.0["message"]["rendered"].as_str().unwrap_or("").contains("data"), "{error:?}");
    watch.let_it_run(10);
    fixture.write("src/data.rs", &text.replace("\"hello\"", "\"back again\""), Save::InPlace);
    watch.applied();
    watch.wait_values(&[("literal", "back again")]);
    watch.stop();
}

#[test]
fn the_program_s_exit_code_is_the_tool_s() {
    let fixture = Fixture::copy("dispatch");
    for code in [0, 7] {
        let mut watch = Watch::start(&fixture);
        watch.wait_text("tick 1 ");
        watch.say(&format!("quit {code}"));
        assert_eq!(watch.wait("program-exited").number("code"), code);
        assert_eq!(watch.wait_exit(), Some(code as i32));
    }
}

#[test]
fn arguments_folder_and_environment_are_those_of_cargo_run() {
    let fixture = Fixture::copy("growing");
    let show = "hotpatch_runtime::start();\n    println!(\"args={:?} cwd={} package={:?} own={:?}\", \
        std::env::args().skip(1).collect::<Vec<_>>(), std::env::current_dir().unwrap().display(), \
        std::env::var(\"CARGO_PKG_NAME\"), std::env::var(\"OWN_VARIABLE\"));";
    fixture.edit(MAIN, "hotpatch_runtime::start();", show);
    let folder = fixture.path("src").canonicalize().expect("a folder");
    let args = ["watch", "--message-format", "json", "--", "-x", "two words", "--bin"];
    let mut tool = command(&folder, &args);
    tool.env("OWN_VARIABLE", "kept");
    let mut watch = Watch::spawn_command(tool);
    let said = values(&watch.wait_text("args="));
    assert_eq!(said["args"], r#"["-x", "two words", "--bin"]"#);
    assert_eq!(said["cwd"], folder.display().to_string());
    assert_eq!((&*said["package"], &*said["own"]), ("Ok(\"growing\")", "Ok(\"kept\")"));
    watch.wait("client-connected");
    watch.stop();
}

#[test]
fn a_second_program_gets_all_patches_that_the_first_has() {
    let fixture = Fixture::copy("growing");
    let mut watch = start(&fixture);
    fixture.edit(MAIN, NONE, &extra("one"));
    watch.applied();
    fixture.set(MAIN, "more", "\"none\"", "\"two\"");
    watch.applied();
    let started = watch.started();
    let variables: Vec<_> = environment_of(&started).into_iter().collect();
    let second = Second::start(&fixture, &started, &variables);
    let connected = watch.wait("client-connected");
    assert_eq!(connected.number("pid"), u64::from(second.pid()));
    let client = connected.number("client");
    for patch in 1..=2 {
        watch.wait_event("patch-applied", |e| {
            e.number("client") == client && e.number("patch") == patch
        });
    }
    second.wait_text("extra=one more=two");
    fixture.edit(MAIN, &extra("one"), &extra("three"));
    watch.applied();
    watch.applied();
    second.wait_text("extra=three more=two");
    watch.wait_values(&[("extra", "three"), ("more", "two")]);
    drop(second);
    assert_eq!(watch.wait("client-disconnected").number("client"), client);
    watch.stop();
}

#[test]
fn a_program_that_is_started_elsewhere_finds_the_server() {
    let fixture = Fixture::copy("growing");
    let (mut watch, started, variables) = Watch::start_without_program(&fixture);
    let second = Second::start(&fixture, &started, &variables);
    watch.wait("client-connected");
    fixture.edit(MAIN, NONE, &extra("from afar"));
    watch.applied();
    second.wait_text("extra=from afar");
    assert!(watch.events("program-started").is_empty());
    watch.stop();
}

#[test]
fn a_log_file_takes_the_tool_s_lines_and_leaves_the_terminal_to_the_program() {
    let fixture = Fixture::copy("growing");
    let log = fixture.scratch().join("the log.txt");
    let log_arg = log.display().to_string();
    let args = ["watch", "--log", &log_arg];
    let mut watch = Watch::spawn_command(command(fixture.root(), &args));
    let waited = |what: &str| {
        let deadline = std::time::Instant::now() + support::PATIENCE;
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(what) {
            assert!(std::time::Instant::now() < deadline, "no {what:?} in the log");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    while !watch.log().garbage().iter().any(|l| l.contains("extra=none")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(watch.log().garbage().len() < 4000, "the program does not run");
    }
    fixture.edit(MAIN, NONE, &extra("logged"));
    waited("growing::extra");
    watch.signal_group(libc::SIGINT);
    watch.wait_exit();
    let foreign: Vec<_> =
        watch.log().garbage().into_iter().filter(|l| !l.starts_with("tick ")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let stderr = watch.log().stderr();
    assert!(!stderr.contains("growing::extra"), "{stderr}");
}

#[test]
fn a_manifest_asks_for_a_restart() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start_with(&fixture, &["--restart", "never"]);
    let manifest = fixture.read("Cargo.toml") + "\n[features]\nmore = []\n";
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    let required = watch.wait("restart-required");
    assert!(required.text("cause").contains("Cargo.toml"), "{required:?}");
    watch.let_it_run(3);
    fixture.edit(MAIN, NONE, &extra("still patched"));
    watch.wait_values(&[("extra", "still patched")]);
    watch.stop();
}

#[test]
fn a_target_directory_that_was_cleaned_asks_for_a_restart_and_gets_one() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start_with(&fixture, &["--restart", "auto"]);
    let first = watch.started().pid;
    fixture.edit(MAIN, NONE, &extra("first"));
    watch.applied();
    // Of `cargo clean` what matters here, without the dependencies, which take long to compile.
    std::fs::remove_dir_all(fixture.store().join("units")).expect("the captures");
    fixture.edit(MAIN, &extra("first"), &extra("cleaned"));
    let required = watch.wait("restart-required");
    assert!(required.text("cause").contains("cargo clean"), "{required:?}");
    assert_ne!(watch.wait("program-started").number("pid"), u64::from(first));
    watch.wait_values(&[("extra", "cleaned")]);
    fixture.edit(MAIN, &extra("cleaned"), &extra("patched"));
    watch.applied();
    watch.wait_values(&[("extra", "patched")]);
    watch.stop();
}

#[test]
fn a_restart_when_the_user_has_asked_for_automatic_ones() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start_with(&fixture, &["--restart", "auto"]);
    let first = watch.started().pid;
    let manifest = fixture.read("Cargo.toml") + "\n[features]\ndefault = [\"more\"]\nmore = []\n";
    fixture.write("Cargo.toml", &manifest, Save::InPlace);
    watch.wait("restart-required");
    let second = watch.wait("program-started").number("pid");
    assert_ne!(second, u64::from(first));
    watch.wait("client-connected");
    fixture.edit(MAIN, NONE, &extra("anew"));
    watch.applied();
    watch.wait_values(&[("extra", "anew")]);
    watch.stop();
}

#[test]
fn people_get_one_line_a_patch() {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::spawn_command(command(fixture.root(), &["watch"]));
    while !watch.log().garbage().iter().any(|l| l.contains("extra=none")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(watch.log().garbage().len() < 4000, "the program does not run");
    }
    fixture.edit(MAIN, NONE, &extra("for people"));
    let line = watch.wait_stderr("growing::extra");
    assert!(line.contains("ms"), "{line}");
    watch.signal_group(libc::SIGINT);
    watch.wait_exit();
    let lines = watch.log().stderr();
    assert_eq!(lines.lines().filter(|l| l.contains("growing::extra")).count(), 1, "{lines}");
}
