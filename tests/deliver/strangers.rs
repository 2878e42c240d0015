//! Connections that must not get a byte of a patch, and must not hurt those that may.

use std::io::{Read, Write};
use std::time::Duration;

use cargo_hotpatch::pipeline::deliver::{Limits, Listener};
use hotpatch_protocol::ENDPOINT;
use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::{ClientMessage, Hello, ServerMessage};
use tungstenite::Message;

use crate::bench::*;

/// The hello is turned away with a reason that contains `part`, and not a byte of a patch.
#[track_caller]
fn is_turned_away(hello: Hello, part: &str) {
    let bench = bench();
    bench.publish(1);
    let mut program = bench.dial();
    program.say(&ClientMessage::Hello(hello));
    match program.hear() {
        ServerMessage::Reject { reason, permanent } => {
            assert!(reason.contains(part), "{reason}");
            assert!(permanent);
        }
        other => panic!("not a rejection: {other:?}"),
    }
    let rest = program.rest();
    assert!(rest.iter().all(|m| matches!(m, Message::Close(_))), "{rest:?}");
    assert!(bench.rejection().contains(part));
}

#[test]
fn a_wrong_token_never_gets_a_byte_of_a_patch() {
    is_turned_away(Hello { token: "guess".into(), ..hello() }, "the token is wrong");
}

#[test]
fn another_build_is_told_to_restart() {
    let other = Hello { build_id: "00ff".into(), ..hello() };
    is_turned_away(other, "the program runs another build (00ff, not aabbccddeeff); restart it");
}

#[test]
fn another_compiler_is_named() {
    let canary = Canary { rustc: "deadbeef".into(), ..canary() };
    is_turned_away(Hello { canary, ..hello() }, "deadbeef");
}

#[test]
fn another_protocol_version_is_named() {
    is_turned_away(Hello { protocol: 99, ..hello() }, "speaks protocol 99");
}

#[test]
fn patches_of_another_session_are_not_built_upon() {
    is_turned_away(Hello { applied: vec![1], ..hello() }, "another session");
}

#[test]
fn only_the_endpoint_answers() {
    let bench = bench();
    let url = format!("ws://{}/other", bench.server.address());
    let refused = tungstenite::client(url, bench.tcp()).err().map(|e| e.to_string());
    assert!(refused.as_deref().is_some_and(|e| e.contains("404")), "{refused:?}");
    assert!(bench.rejection().contains("no handshake"));
}

/// Dials as `dioxus-devtools` does, and is turned away for this reason.
#[track_caller]
fn is_no_guest(query: &str, part: &str) {
    let bench = bench();
    let url = format!("ws://{}/_dioxus{query}", bench.server.address());
    let answer = tungstenite::client(url, bench.tcp());
    assert!(bench.rejection().contains(part));
    let Ok((mut socket, _)) = answer else { return };
    assert!(socket.read().is_err(), "not a word to whom we do not know");
}

#[test]
fn a_guest_is_known_by_its_process_and_not_by_what_it_says() {
    let own = std::process::id();
    is_no_guest(&format!("?aslr_reference=4096&build_id=0&pid={own}"), "runs another build");
    is_no_guest("?aslr_reference=4096&build_id=0&pid=1", "no process of yours");
    is_no_guest("?aslr_reference=4096&build_id=0", "no handshake");
    is_no_guest("", "no handshake");
}

#[test]
fn a_web_page_is_turned_away() {
    let bench = bench();
    let address = bench.server.address();
    let request = tungstenite::ClientRequestBuilder::new(
        format!("ws://{address}{ENDPOINT}").parse().unwrap(),
    )
    .with_header("Origin", "http://example.com");
    let refused = tungstenite::client(request, bench.tcp()).err().map(|e| e.to_string());
    assert!(refused.as_deref().is_some_and(|e| e.contains("403")), "{refused:?}");
}

#[test]
fn garbage_is_no_handshake_and_hurts_nobody() {
    let bench = bench();
    let (mut good, client) = bench.join(1, &[]);
    let mut bad = bench.tcp();
    bad.write_all(&[0xff, 0, 1, 2, b'\r', b'\n', b'\r', b'\n']).unwrap();
    assert!(bench.rejection().contains("no handshake"));
    bench.publish(1);
    good.apply(1);
    is_applied(bench.notice(), client, 1);
}

#[test]
fn garbage_instead_of_a_hello_is_turned_away() {
    let bench = bench();
    for text in ["", "{", "[1,2]", r#"{"type":"applied"}"#] {
        let mut program = bench.dial();
        program.socket.send(Message::text(text)).unwrap();
        assert!(matches!(program.hear(), ServerMessage::Reject { permanent: true, .. }), "{text}");
        bench.rejection();
    }
    let mut program = bench.dial();
    program.socket.send(Message::binary(vec![0; 100])).unwrap();
    assert!(matches!(program.hear(), ServerMessage::Reject { .. }));
}

#[test]
fn an_oversized_frame_before_the_hello_is_not_read() {
    let bench = bench();
    let mut program = bench.dial();
    // The server may close before all of it is written.
    let _ = program.socket.send(Message::text("x".repeat(70 * 1024)));
    assert!(bench.rejection().contains("too long"));
    let (mut good, client) = bench.join(1, &[]);
    bench.publish(1);
    good.apply(1);
    is_applied(bench.notice(), client, 1);
}

#[test]
fn a_frame_that_claims_to_be_huge_is_turned_away_by_its_header() {
    let bench = bench();
    let mut program = bench.dial();
    let mut claim = vec![0x82, 0xff];
    claim.extend_from_slice(&u64::MAX.to_be_bytes());
    claim.extend_from_slice(&[0; 4]);
    program.socket.get_mut().write_all(&claim).unwrap();
    bench.rejection();
}

#[test]
fn a_connection_that_says_nothing_is_dropped_in_time() {
    let limits = Limits { hello: Duration::from_millis(50), ..Limits::default() };
    let bench = bench_with(limits);
    let mut silent = bench.tcp();
    assert!(bench.rejection().contains("no handshake"));
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0, "closed");
    let program = bench.dial();
    assert!(bench.rejection().contains("no hello"));
    assert!(program.rest().iter().all(|m| matches!(m, Message::Text(_) | Message::Close(_))));
}

#[test]
fn a_byte_now_and_then_does_not_keep_a_connection() {
    let limits = Limits { hello: Duration::from_millis(200), ..Limits::default() };
    let bench = bench_with(limits);
    let mut slow = bench.tcp();
    let dripping = std::thread::spawn(move || {
        for byte in b"GET /hotpatch HTTP/1.1\r\n".iter().cycle() {
            if slow.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(bench.rejection().contains("no handshake"));
    dripping.join().unwrap();
}

#[test]
fn strangers_cannot_use_up_all_threads() {
    let bench = bench_with(Limits { strangers: 2, ..Limits::default() });
    let _waiting = [bench.tcp(), bench.tcp()];
    let _one_too_many = bench.tcp();
    assert!(bench.rejection().contains("too many connections"));
}

#[test]
fn a_port_that_is_taken_says_what_to_do() {
    let bench = bench();
    let bind = bench.server.address().to_string();
    let failure = Listener::bind(&bind).unwrap_err();
    assert!(failure.message.contains(&bind), "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("--bind")));
}
