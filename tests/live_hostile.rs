//! Programs that take away what the runtime inside of them may lean on, or bring what could be in
//! its way. None of them knows of it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Fixture, Watch, command, run, values};

const LIB: &str = "src/lib.rs";

fn is_root() -> bool {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn edit(fixture: &Fixture, from: u32, to: u32) {
    fixture.set(LIB, "version", &from.to_string(), &to.to_string());
}

/// The next tick of `what` that this version printed; counting goes on.
#[track_caller]
fn tick(watch: &mut Watch, what: &str, version: u32) -> u64 {
    let wanted = format!("what={what} version={version}");
    let line = watch.wait_line(|l| l.starts_with("tick ") && l.ends_with(&wanted));
    values(&line)[""].trim_start_matches("tick ").parse().expect("a number")
}

/// Two patches reach a program that was started with these arguments; it is left running.
#[track_caller]
fn patched(fixture: &Fixture, bin: &str, args: &[&str]) -> Watch {
    let watch = Watch::start_with(fixture, &[&["--bin", bin], args].concat());
    two_patches(fixture, watch, &bin.replace('_', "-"))
}

#[track_caller]
fn two_patches(fixture: &Fixture, mut watch: Watch, what: &str) -> Watch {
    let mut last = tick(&mut watch, what, 0);
    for n in 1..=2 {
        edit(fixture, n - 1, n);
        watch.applied();
        let number = tick(&mut watch, what, n);
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    edit(fixture, 2, 0);
    watch.applied();
    watch
}

#[test]
fn an_allocator_of_its_own_no_main_and_no_unwinding() {
    let fixture = Fixture::copy("hostile");
    patched(&fixture, "allocates", &[]).stop();
    patched(&fixture, "no_main", &[]).stop();
    patched(&fixture, "allocates", &["--profile", "aborting"]).stop();
}

#[test]
fn every_descriptor_closed_another_folder_and_all_signals_blocked() {
    let fixture = Fixture::copy("hostile");
    let mut watch = patched(&fixture, "sheds", &["--", "files", "folder", "signals"]);
    watch.close_stdin();
    let end = values(&watch.wait_text("end files="));
    assert_eq!((&*end["files"], &*end["touched"]), ("1020", "0"));
    watch.wait_exit();
}

#[test]
fn a_filter_on_the_system_calls_of_a_thread() {
    let fixture = Fixture::copy("hostile");
    patched(&fixture, "sheds", &["--", "filter"]).stop();
}

#[test]
fn a_filter_on_all_threads_refuses_patches_by_name() {
    let fixture = Fixture::copy("hostile");
    let mut watch = Watch::start_with(&fixture, &["--bin", "sheds", "--", "filters"]);
    tick(&mut watch, "sheds", 0);
    edit(&fixture, 0, 1);
    let failed = watch.wait("patch-failed");
    assert!(failed.text("error").contains("seccomp"), "{failed:?}");
    let before = tick(&mut watch, "sheds", 0);
    assert!(tick(&mut watch, "sheds", 0) > before);
    watch.stop();
}

/// A folder that whoever has given up root's rights can still write to.
fn folder_for_anybody() -> Option<tempfile::TempDir> {
    let mode = |folder: &Path| fs::metadata(folder).map_or(0, |data| data.permissions().mode());
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let place = places.iter().find(|place| place.ancestors().all(|f| mode(f) & 0o001 != 0))?;
    let folder = tempfile::tempdir_in(place).expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("a mode");
    Some(folder)
}

#[test]
fn rights_given_up_and_a_locked_room() {
    if !is_root() {
        skip!("only root can give up rights");
    }
    let Some(folder) = folder_for_anybody() else {
        skip!("no folder for temporary files that everybody can reach");
    };
    let fixture = Fixture::copy("hostile");
    let args = ["watch", "--message-format", "json", "--bin", "sheds", "--", "root", "rights"];
    let mut tool = command(fixture.root(), &args);
    tool.env("TMPDIR", folder.path());
    two_patches(&fixture, Watch::spawn_command(tool), "sheds").stop();
}

#[test]
fn a_program_with_other_rights_than_its_user_sleeps() {
    if !is_root() {
        skip!("only root can make such a program");
    }
    let fixture = Fixture::copy("hostile");
    run(command(fixture.root(), &["fat", "--bin", "no_main"])).expect_code(0);
    let file = fixture.path("setuid");
    fs::copy(fixture.path("target/debug/no_main"), &file).expect("a copy");
    std::os::unix::fs::chown(&file, Some(65534), None).expect("another owner");
    let threads = |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        let mut program = std::process::Command::new(&file);
        // Nobody listens there.
        program.env(hotpatch_protocol::ENV_ADDR, "127.0.0.1:9");
        let mut child = program.stdout(std::process::Stdio::piped()).spawn().expect("a program");
        let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("a process");
        let count = tasks.count();
        child.kill().expect("a process");
        child.wait().expect("a process");
        count
    };
    assert_eq!(threads(0o755), 2, "the runtime has a thread");
    if fs::read_to_string("/proc/mounts")
        .is_ok_and(|m| m.contains("nosuid") && threads(0o4755) == 2)
    {
        skip!("such programs are not allowed here");
    }
    assert_eq!(threads(0o4755), 1);
}

/// Starts `children` with and without leave for its children to ask for patches.
fn children(fixture: &Fixture, how: &str, asked: bool) -> Watch {
    let args = ["watch", "--message-format", "json", "--bin", "children", "--", how];
    let mut tool = command(fixture.root(), &args);
    if asked {
        tool.env(hotpatch_protocol::ENV_CHILDREN, "1");
    }
    let mut watch = Watch::spawn_command(tool);
    watch.wait("client-connected");
    watch
}

#[test]
fn a_forked_child_stays_as_it_is_and_lives() {
    let fixture = Fixture::copy("hostile");
    let mut watch = children(&fixture, "fork", false);
    tick(&mut watch, "forked", 0);
    edit(&fixture, 0, 1);
    watch.applied();
    tick(&mut watch, "parent", 1);
    let after = tick(&mut watch, "forked", 0);
    assert!(tick(&mut watch, "forked", 0) > after);
    watch.stop();
}

#[test]
fn a_process_that_a_daemon_leaves_behind_is_told_of() {
    let fixture = Fixture::copy("hostile");
    let mut watch = children(&fixture, "daemon", false);
    let told = watch.wait("warning");
    let message = told.text("message");
    let pid =
        message.strip_prefix("process ").and_then(|m| m.split_once(", which the program has"));
    let pid: u32 = pid.expect(message).0.parse().expect("a number");
    let file = fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    assert!(file.ends_with("debug/children"), "{}", file.display());
    // SAFETY: it is the process that was just looked at.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    assert_eq!(watch.wait_exit(), Some(0));
}

#[test]
fn a_started_child_is_patched_only_when_that_is_asked_for() {
    let fixture = Fixture::copy("hostile");
    let mut watch = children(&fixture, "spawn", false);
    tick(&mut watch, "spawned", 0);
    edit(&fixture, 0, 1);
    watch.applied();
    let after = tick(&mut watch, "spawned", 0);
    assert!(tick(&mut watch, "spawned", 0) > after);
    assert_eq!(watch.events("client-connected").len(), 1);
    watch.stop();

    let mut watch = children(&fixture, "spawn", true);
    watch.wait("client-connected");
    tick(&mut watch, "spawned", 1);
    edit(&fixture, 1, 2);
    tick(&mut watch, "spawned", 2);
    watch.stop();
}

#[test]
fn a_program_that_becomes_itself_again_is_patched_only_when_that_is_asked_for() {
    let fixture = Fixture::copy("hostile");
    let mut watch = children(&fixture, "exec", false);
    tick(&mut watch, "again", 0);
    edit(&fixture, 0, 1);
    watch.wait("patch-built");
    let after = tick(&mut watch, "again", 0);
    assert!(tick(&mut watch, "again", 0) > after);
    watch.stop();

    let mut watch = children(&fixture, "exec", true);
    tick(&mut watch, "again", 1);
    edit(&fixture, 1, 2);
    tick(&mut watch, "again", 2);
    watch.stop();
}
