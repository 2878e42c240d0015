//! What a program does not notice of patches, and what it may forbid.

mod support;

use hotpatch_protocol::message::RefusalKind;
use support::{Client, Program, STOPS_THREADS, Server, Template, applied, refused};

#[test]
fn victim() {
    support::victim::main();
}

struct Scene {
    program: Program,
    client: Client,
    template: Template,
    // Keeps listening, so that the program is not told to reconnect elsewhere.
    _server: Server,
}

/// A program with these threads, connected, and a library that replaces two of its functions.
fn scene(threads: &str) -> Scene {
    let server = Server::new();
    let program = Program::start(Some(&server.address()), threads);
    let client = server.client(&program.directory);
    let functions = [program.address("left"), program.address("right")];
    let template = Template::new(&program.directory, &client.hello, &functions, None);
    Scene { program, client, template, _server: server }
}

#[test]
fn no_system_call_says_eintr_while_a_hundred_patches_go_in() {
    let threads = "epoll,epoll-short,poll,nanosleep,select,receive,read,call-many";
    // `syscall` on AArch64 leaves no copy of its call's first argument.
    let by_syscall = if cfg!(target_arch = "aarch64") { "" } else { ",futex" };
    let Scene { mut program, mut client, .. } = scene(&format!("{threads}{by_syscall}"));
    let hello = client.hello.clone();
    // Functions that were never replaced before, so that threads have to be looked at each time.
    let many: Vec<u64> = program.many().to_vec();
    let template = Template::new(&program.directory, &hello, &many[..1], None);
    let mut pauses = Vec::new();
    for (n, function) in many.iter().take(100).enumerate() {
        let patch = n as u32 + 1;
        let frame = template.frame_for(patch, 1000, &hello, &[*function]);
        let answer = applied(client.ask(frame));
        assert_eq!(answer.threads >= 10, STOPS_THREADS, "{answer:?}");
        pauses.push(answer.pause_us);
    }
    pauses.sort();
    println!("pauses: {pauses:?}");
    assert_eq!(program.number("interrupted"), 0);
    let before = program.number("slept");
    assert!(before > 100, "the threads went on: {before}");
    assert_eq!(program.number("many"), 1000);
}

#[test]
fn a_thread_that_blocks_all_signals_and_sleeps_is_no_obstacle() {
    let Scene { mut program, mut client, template, .. } = scene("deaf-asleep,spin");
    applied(client.ask(template.frame(1, 5)));
    assert_eq!(program.number("left"), 5);
}

#[test]
fn a_thread_that_blocks_all_signals_and_spins_is_named_where_it_is_in_the_way() {
    let Scene { mut program, mut client, template, .. } = scene("deaf-spinning");
    if !STOPS_THREADS {
        applied(client.ask(template.frame(1, 5)));
        return assert_eq!(program.number("left"), 5);
    }
    let refusal = refused(client.ask(template.frame(1, 5)), RefusalKind::ThreadNotStopped);
    assert!(refusal.error.contains("\"deaf-spinning\""), "{}", refusal.error);
    assert_eq!(program.number("left"), 0);
    // The library went with the refusal.
    assert!(!program.has_patches());
}

#[test]
fn a_hook_may_say_no() {
    let Scene { mut program, mut client, template, .. } = scene("veto");
    let refusal = refused(client.ask(template.frame(1, 5)), RefusalKind::Vetoed);
    assert_eq!(refusal.error, "not patch 1");
    assert_eq!((program.number("left"), program.number("after")), (0, 0));
}

#[test]
fn a_hook_that_panics_says_no() {
    let Scene { mut program, mut client, template, .. } = scene("panic");
    refused(client.ask(template.frame(1, 5)), RefusalKind::Vetoed);
    // The hooks are still there, and so is the runtime.
    refused(client.ask(template.frame(1, 5)), RefusalKind::Vetoed);
    assert_eq!(program.number("left"), 0);
}

#[test]
fn a_patch_waits_for_the_programs_safepoint() {
    let Scene { mut program, mut client, template, .. } = scene("safepoints,call");
    client.send(template.frame(1, 5));
    // The patch is on its way or waits; in either case it has not come in.
    assert_eq!(program.number("left"), 0);
    while program.number("left") == 0 {
        program.ask("safepoint");
    }
    applied(client.answer());
    assert_eq!(program.number("right"), 5);
}

#[test]
fn a_child_of_fork_has_no_runtime_and_is_not_disturbed() {
    let Scene { mut program, mut client, template, .. } = scene("call");
    assert_eq!(program.ask("fork"), "0 0");
    applied(client.ask(template.frame(1, 5)));
    assert_eq!(program.ask("fork"), "0 5");
    // The parent's runtime goes on.
    applied(client.ask(template.frame(2, 6)));
    assert_eq!(program.number("left"), 6);
}

#[test]
fn children_of_fork_never_find_a_closed_function() {
    let Scene { mut program, mut client, .. } = scene("fork-often");
    let hello = client.hello.clone();
    let many: Vec<u64> = program.many().to_vec();
    let template = Template::new(&program.directory, &hello, &many[..2], None);
    for (n, functions) in many.chunks(2).enumerate() {
        applied(client.ask(template.frame_for(n as u32 + 1, 1000, &hello, functions)));
    }
    assert_eq!(program.ask("stop"), "stopped");
    assert!(program.number("slept") > 0);
    assert_eq!(program.number("interrupted"), 0);
}

#[test]
fn a_program_without_an_address_has_no_runtime() {
    let mut program = Program::start(None, "");
    assert!(!program.ask("threads").contains("hotpatch"));
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "");
    server.client(&program.directory);
    assert_eq!(program.ask("threads").matches("hotpatch").count(), 1);
}
