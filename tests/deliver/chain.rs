//! Programs that were welcomed: what they get, in which order, and what is told of them.

use std::time::Duration;

use cargo_hotpatch::pipeline::deliver::{Expected, Limits, Notice};
use hotpatch_protocol::message::{ClientMessage, Hello, RefusalKind, ServerMessage};
use tungstenite::Message;

use crate::bench::*;

#[test]
fn a_patch_goes_to_the_program_and_its_answer_comes_back() {
    let bench = bench();
    let (mut program, client) = bench.join(7, &[]);
    bench.publish(1);
    program.apply(1);
    is_applied(bench.notice(), client, 1);
    bench.publish(2);
    program.apply(2);
    is_applied(bench.notice(), client, 2);
}

#[test]
fn a_program_on_this_machine_is_given_a_folder() {
    let bench = bench();
    let mut program = bench.dial();
    program.say(&ClientMessage::Hello(Hello { pid: 77, ..hello() }));
    let folder = bench.live.path().join("77");
    let told = ServerMessage::Welcome { cache_dir: Some(folder.to_str().unwrap().into()) };
    assert_eq!(program.hear(), told);
    assert!(folder.is_dir());
}

#[test]
fn a_client_that_goes_mad_after_its_hello_is_cut_off_alone() {
    let bench = bench();
    let (mut good, client) = bench.join(1, &[]);
    for nonsense in [Message::text("nonsense"), Message::binary(vec![1]), Message::text("{}")] {
        let (mut mad, id) = bench.join(2, &[]);
        mad.socket.send(nonsense).unwrap();
        match bench.notice() {
            Notice::Disconnected { client, .. } => assert_eq!(client, id),
            other => panic!("{other:?}"),
        }
    }
    bench.publish(1);
    good.apply(1);
    is_applied(bench.notice(), client, 1);
}

#[test]
fn an_answer_to_nothing_ends_the_connection() {
    let bench = bench();
    let (mut program, _) = bench.join(1, &[]);
    program.applied(5);
    match bench.notice() {
        Notice::Disconnected { reason, unanswered: None, .. } => {
            assert!(reason.contains("patch 5"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_does_not_answer_is_reported_and_may_answer_late() {
    let limits = Limits { answer: Duration::from_millis(50), ..Limits::default() };
    let bench = bench_with(limits);
    let (mut program, id) = bench.join(1, &[]);
    bench.publish(1);
    match bench.notice() {
        Notice::NoAnswer { client, patch: 1, .. } => assert_eq!(client, id),
        other => panic!("{other:?}"),
    }
    bench.publish(2);
    match bench.notice() {
        Notice::NoAnswer { patch: 2, detail, .. } => {
            assert!(detail.contains("patch 1"), "{detail}")
        }
        other => panic!("{other:?}"),
    }
    program.apply(1);
    is_applied(bench.notice(), id, 1);
    program.apply(2);
    is_applied(bench.notice(), id, 2);
}

#[test]
fn a_disconnect_during_a_patch_says_which_one_was_lost() {
    let bench = bench();
    let (mut program, _) = bench.join(1, &[]);
    bench.publish(1);
    assert_eq!(program.receive(), 1);
    drop(program);
    match bench.notice() {
        Notice::Disconnected { unanswered: Some(1), .. } => {}
        other => panic!("{other:?}"),
    }
    // It comes back, once having applied it before the connection broke, once not.
    let (mut with, client) = bench.join(1, &[1]);
    bench.publish(2);
    with.apply(2);
    is_applied(bench.notice(), client, 2);
}

#[test]
fn a_disconnect_does_not_stop_others() {
    let bench = bench();
    let (lost, lost_id) = bench.join(1, &[]);
    let (mut good, client) = bench.join(2, &[]);
    drop(lost);
    match bench.notice() {
        Notice::Disconnected { client, .. } => assert_eq!(client, lost_id),
        other => panic!("{other:?}"),
    }
    bench.publish(1);
    good.apply(1);
    is_applied(bench.notice(), client, 1);
}

#[test]
fn a_late_program_gets_the_whole_chain_in_order() {
    let bench = bench();
    for patch in 1..=3 {
        bench.publish(patch);
    }
    let (mut program, client) = bench.join(1, &[]);
    for patch in 1..=3 {
        program.apply(patch);
        is_applied(bench.notice(), client, patch);
    }
    program.hears_nothing();
}

#[test]
fn a_program_that_comes_back_gets_only_what_it_lacks() {
    let bench = bench();
    let (mut program, client) = bench.join(1, &[]);
    bench.publish(1);
    program.apply(1);
    is_applied(bench.notice(), client, 1);
    drop(program);
    assert!(matches!(bench.notice(), Notice::Disconnected { unanswered: None, .. }));
    bench.publish(2);
    let (mut program, client) = bench.join(1, &[1]);
    program.apply(2);
    is_applied(bench.notice(), client, 2);
}

#[test]
fn a_refused_patch_is_tried_again_before_the_next_one() {
    let bench = bench();
    let (mut program, id) = bench.join(1, &[]);
    bench.publish(1);
    program.refuse(1);
    match bench.notice() {
        Notice::Refused { client, patch: 1, kind: RefusalKind::Vetoed, error } => {
            assert_eq!((client, &*error), (id, "not now"));
        }
        other => panic!("{other:?}"),
    }
    program.hears_nothing();
    bench.publish(2);
    program.apply(1);
    is_applied(bench.notice(), id, 1);
    program.apply(2);
    is_applied(bench.notice(), id, 2);
}

#[test]
fn two_programs_answer_each_for_itself() {
    let bench = bench();
    let (mut first, a) = bench.join(1, &[]);
    let (mut second, b) = bench.join(2, &[]);
    assert_eq!(bench.server.clients(), 2);
    bench.publish(1);
    first.apply(1);
    is_applied(bench.notice(), a, 1);
    second.refuse(1);
    assert!(matches!(bench.notice(), Notice::Refused { client, .. } if client == b));
    bench.publish(2);
    first.apply(2);
    is_applied(bench.notice(), a, 2);
    second.apply(1);
    is_applied(bench.notice(), b, 1);
    second.apply(2);
    is_applied(bench.notice(), b, 2);
}

#[test]
fn what_the_program_logs_is_passed_on() {
    let bench = bench();
    let (mut program, _) = bench.join(1, &[]);
    program.say(&ClientMessage::Log { level: "warn".into(), text: "a thread was slow".into() });
    assert!(matches!(bench.notice(), Notice::Log { text, .. } if text == "a thread was slow"));
}

#[test]
fn a_new_build_sends_the_old_programs_away() {
    let bench = bench();
    let (old, _) = bench.join(1, &[]);
    bench.publish(1);
    bench.server.begin(Expected { build_id: "beef".into(), ..expected(&bench.live) });
    assert!(matches!(bench.notice(), Notice::Disconnected { unanswered: Some(1), .. }));
    drop(old);
    let mut stale = bench.dial();
    stale.say(&ClientMessage::Hello(hello()));
    assert!(matches!(stale.hear(), ServerMessage::Reject { permanent: true, .. }));
    bench.rejection();
    let mut fresh = bench.dial();
    fresh.say(&ClientMessage::Hello(Hello { build_id: "beef".into(), ..hello() }));
    assert!(matches!(fresh.hear(), ServerMessage::Welcome { .. }));
    Program::hears_nothing(&mut fresh);
}

#[test]
fn dropping_the_server_frees_its_port_and_ends_its_connections() {
    let bench = bench();
    let (program, _) = bench.join(1, &[]);
    let address = bench.server.address();
    drop(bench.server);
    program.rest();
    assert!(matches!(bench.notices.recv().unwrap(), Notice::Disconnected { .. }));
    let mut free = std::net::TcpListener::bind(address);
    while free.is_err() {
        // The accepting thread closes the listener as soon as it runs.
        std::thread::yield_now();
        free = std::net::TcpListener::bind(address);
    }
}
