//! A debugger and patches do not get into each other's way. Not run where there is no gdb.

mod support;

use std::process::{Child, Command, Stdio};

use hotpatch_protocol::message::RefusalKind;
use support::{Program, Server, Template, applied, refused};

#[test]
fn victim() {
    support::victim::main();
}

/// Attaches gdb, which runs the commands and lets the program go on.
fn gdb(program: &Program, commands: &[String]) -> Option<Child> {
    let mut command = Command::new("gdb");
    command.args(["-batch", "-nx", "-p", &program.child.id().to_string()]);
    for text in commands {
        command.args(["-ex", text]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(e) => {
            println!("not run: gdb does not start: {e}");
            None
        }
    }
}

/// Waits until a debugger is attached, and the program runs under it.
fn wait_until_attached(program: &mut Program) {
    let status = format!("/proc/{}/status", program.child.id());
    while std::fs::read_to_string(&status).unwrap().contains("TracerPid:\t0\n") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_breakpoint_in_the_old_code_of_a_patched_function_does_no_harm() {
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "call,call");
    let mut client = server.client(&program.directory);
    let functions = [program.address("left"), program.address("right")];
    let template = Template::new(&program.directory, &client.hello, &functions, None);
    applied(client.ask(template.frame(1, 1)));
    // Where a debugger may think that the old prologue ends.
    let address = program.address("left");
    let mut commands: Vec<String> =
        (1..5).map(|offset| format!("break *{}", address + offset)).collect();
    commands.extend(["break names".into(), "continue".into()]);
    let Some(gdb) = gdb(&program, &commands) else { return };
    wait_until_attached(&mut program);
    let before = program.number("calls");
    // No signal of ours stops the program in the debugger.
    let many: Vec<u64> = program.many()[..2].to_vec();
    let hello = client.hello.clone();
    for (patch, value) in (2..20).zip(2..) {
        let frame = match patch % 2 {
            0 => template.frame(patch, value),
            _ => template.frame_for(patch, value, &hello, &many),
        };
        applied(client.ask(frame));
    }
    while program.number("calls") < before + 100_000 {}
    assert_eq!(program.number("left"), 18);
    // This runs into the second breakpoint, where gdb ends and lets the program go.
    assert!(program.ask("threads").contains("hotpatch"));
    let output = gdb.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("names ()"), "{text}");
    assert!(!text.contains("SIG"), "{text}");
    applied(client.ask(template.frame(20, 20)));
    assert_eq!((program.number("left"), program.number("backwards")), (20, 0));
}

#[test]
fn a_function_with_a_breakpoint_in_its_first_bytes_is_refused() {
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "");
    let mut client = server.client(&program.directory);
    let functions = [program.address("left"), program.address("right")];
    let template = Template::new(&program.directory, &client.hello, &functions, None);
    let at = format!("break *{}", program.address("left"));
    let commands = [at, "break names".into(), "continue".into()];
    let Some(gdb) = gdb(&program, &commands) else { return };
    wait_until_attached(&mut program);
    while program.number("right") != 0 {}
    std::thread::sleep(std::time::Duration::from_millis(300));
    let refusal = refused(client.ask(template.frame(1, 1)), RefusalKind::CodeNotWritable);
    assert!(refusal.error.contains("breakpoint"), "{}", refusal.error);
    program.ask("threads");
    gdb.wait_with_output().unwrap();
    applied(client.ask(template.frame(1, 1)));
    assert_eq!(program.number("left"), 1);
}
