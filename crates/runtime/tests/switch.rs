//! Functions of a running program are switched, for all threads at once.

mod support;

use std::io::Write;

use support::{Program, STOPS_THREADS, Server, Template, applied, percentile};

#[test]
fn victim() {
    support::victim::main();
}

#[test]
fn two_functions_are_replaced_and_a_static_of_the_program_is_used() {
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "");
    let mut client = server.client(&program.directory);
    assert_eq!(client.hello.token, "secret");
    assert_eq!(client.hello.pid, program.child.id());
    let functions = [program.address("left"), program.address("right")];
    let counter = Some(program.address("counter"));
    let template = Template::new(&program.directory, &client.hello, &functions, counter);
    assert_eq!(program.number("left"), 0);
    let answer = applied(client.ask(template.frame(1, 11)));
    println!("{answer:?}");
    assert_eq!((answer.functions, answer.duplicate), (2, false));
    assert_eq!((program.number("left"), program.number("right")), (11, 11));
    assert_eq!(program.number("counter"), 2);
    applied(client.ask(template.frame(2, 22)));
    assert_eq!((program.number("left"), program.number("right")), (22, 22));
    assert_eq!((program.number("counter"), program.number("after")), (4, 2));
}

#[test]
fn eight_threads_see_two_hundred_patches_each_at_once() {
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), &["call"; 8].join(","));
    let mut client = server.client(&program.directory);
    let functions = [program.address("left"), program.address("right")];
    let template = Template::new(&program.directory, &client.hello, &functions, None);
    let mut pauses = Vec::new();
    for patch in 1..=200 {
        let answer = applied(client.ask(template.frame(patch, patch.into())));
        // Only the first may have to look where the threads are: 8, the one that answers and the
        // test harness. The runtime's own are not waited for.
        assert_eq!(answer.threads, if patch == 1 && STOPS_THREADS { 10 } else { 0 });
        pauses.push(answer.pause_us);
    }
    assert_eq!(program.number("left"), 200);
    assert_eq!(program.number("backwards"), 0);
    pauses.sort();
    let (half, most) = (percentile(&pauses, 0.5), percentile(&pauses, 0.99));
    println!("pause p50 {half} us, p99 {most} us, {} calls", program.ask("calls"));
}

#[test]
fn code_that_cannot_be_made_writable_is_written_through_proc() {
    if cfg!(target_arch = "aarch64") {
        let why = b"SKIPPED switch: emulators have no filters of system calls\n";
        return drop(std::io::stderr().write_all(why));
    }
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "sealed-code,call,call,sleep");
    let mut client = server.client(&program.directory);
    let functions = [program.address("left"), program.address("right")];
    let template = Template::new(&program.directory, &client.hello, &functions, None);
    for patch in 1..=3 {
        applied(client.ask(template.frame(patch, patch.into())));
        assert_eq!(program.number("left"), u64::from(patch));
    }
    assert_eq!(program.number("backwards"), 0);
}
