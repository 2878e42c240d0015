use super::*;

fn human() -> Human {
    Human::new(false, false, false)
}

fn changed(human: &mut Human, files: &[&str]) {
    let files = files.iter().map(PathBuf::from).collect();
    assert_eq!(human.line(&Event::ChangeDetected { files, crates: vec![] }), None);
}

fn built(human: &mut Human, patch: u32, functions: &[&str]) {
    let event = Event::PatchBuilt {
        patch,
        crates: vec![],
        functions: functions.iter().map(|name| name.to_string()).collect(),
        library: "x.so".into(),
        bytes: 1,
        timings_ms: Timings { thin: 78.4, relink: 12.0, diff: 2.0, total: 97.0 },
    };
    assert_eq!(human.line(&event), None, "a patch is told when a program runs it");
}

fn applied(human: &mut Human, patch: u32) -> String {
    let event = Event::PatchApplied {
        patch,
        client: 1,
        functions: 1,
        pause_us: 90,
        apply_ms: 3.1,
        total_ms: 112.2,
    };
    human.line(&event).unwrap()
}

#[test]
fn a_patch_is_one_line_with_its_times() {
    let mut human = human();
    changed(&mut human, &["/w/src/main.rs"]);
    built(&mut human, 1, &["prog::tick"]);
    assert_eq!(
        applied(&mut human, 1),
        "     Patched main.rs: 1 function (prog::tick) in 112 ms (rustc 78, link 14, apply 3)\n"
    );
}

#[test]
fn long_lists_are_counted() {
    let mut human = human();
    changed(&mut human, &["/w/a.rs", "/w/io/mod.rs", "/w/c.rs", "/w/d.rs"]);
    built(&mut human, 1, &["a", "b", "c", "d", "e"]);
    let line = applied(&mut human, 1);
    assert!(line.contains("a.rs, io/mod.rs, c.rs and 1 more: 5 functions"), "{line}");
    assert!(line.contains("(a, b, c and 2 more)"), "{line}");
}

#[test]
fn instances_of_a_generic_function_are_counted_and_named_once() {
    let mut human = human();
    built(&mut human, 1, &["p::show<T>", "p::tick", "p::show<T>"]);
    let line = applied(&mut human, 1);
    assert!(line.contains("3 functions (p::show<T>, p::tick)"), "{line}");
}

#[test]
fn with_two_programs_the_line_says_which() {
    let mut human = human();
    for (client, pid) in [(1, 41), (2, 42)] {
        human.line(&Event::ClientConnected {
            client,
            pid,
            build_id: String::new(),
            protocol: "hotpatch",
        });
    }
    built(&mut human, 1, &["a"]);
    assert!(applied(&mut human, 1).ends_with("(process 41)\n"));
}

#[test]
fn what_needs_a_restart_is_named() {
    let cause = "a build script or one of its inputs changed".to_string();
    let event = Event::RestartRequired { cause, files: vec!["/w/p/build.rs".into()] };
    assert_eq!(
        human().line(&event).unwrap(),
        "     Restart needed: a build script or one of its inputs changed (/w/p/build.rs)\n"
    );
}

#[test]
fn a_call_that_does_not_end_is_named() {
    let event = Event::StillRunning { patch: 1, client: 1, functions: vec!["x::main".into()] };
    assert_eq!(
        human().line(&event).unwrap(),
        "    Old code `x::main` changed, but its running call finishes in old code; restart to \
         run it\n"
    );
}

#[test]
fn a_crash_names_the_patch_the_function_and_what_is_good() {
    let event = Event::ProgramCrashed {
        pid: 41,
        patch: 3,
        functions: vec!["p::f".into(), "p::g".into()],
        signal: Some(libc::SIGSEGV),
        after_ms: 120,
        last_good: Some(2),
        held_back: vec!["/w/src/main.rs".into()],
    };
    assert_eq!(
        human().line(&event).unwrap(),
        "     Crashed process 41 by SIGSEGV in `p::f`, new in patch 3, 0.1 s after it came\n   \
         Last good the program with patch 2; main.rs is held back until the next save\n"
    );
}

#[test]
fn quiet_leaves_results_and_problems() {
    let mut human = Human::new(false, true, false);
    assert_eq!(human.line(&Event::Serving { addr: "x".into() }), None);
    built(&mut human, 1, &["a"]);
    assert!(applied(&mut human, 1).contains("Patched"));
    let warning = Event::Warning { message: "careful".into() };
    assert_eq!(human.line(&warning).unwrap(), "warning: careful\n");
}

#[test]
fn colors_only_where_asked_for() {
    let event = Event::Serving { addr: "x".into() };
    assert_eq!(human().line(&event).unwrap(), "     Serving patches at x\n");
    let mut colored = Human::new(true, false, false);
    assert_eq!(colored.line(&event).unwrap(), "\x1b[1;32m     Serving\x1b[0m patches at x\n");
}
