//! Programs that `watch` must not trust, beside one that it serves all the same.

mod support;

use hotpatch_protocol::message::{ClientMessage, Hello};
use support::{Client, Fixture, Greeting, Watch, hello_of};
use tungstenite::Message;

const MAIN: &str = "src/main.rs";

fn start() -> (Fixture, Watch) {
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("extra", "none")]);
    (fixture, watch)
}

/// The program that `watch` started still gets its patches.
#[track_caller]
fn still_serves(fixture: &Fixture, watch: &mut Watch, from: &str, to: &str) {
    fixture.set(MAIN, "extra", from, to);
    watch.applied();
    watch.wait_values(&[("extra", to)]);
}

#[track_caller]
fn expect_rejection(addr: &str, hello: Hello, word: &str) {
    let mut client = Client::connect(addr);
    match client.hello(hello) {
        Greeting::Rejected(reason) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?} where a rejection that says {word:?} was expected"),
    }
    assert!(client.is_hung_up_on());
}

#[test]
fn a_wrong_token_never_gets_a_byte_of_a_patch() {
    let (fixture, mut watch) = start();
    still_serves(&fixture, &mut watch, "none", "one");
    let (addr, right) = (watch.started().addr, hello_of(&watch));
    let mut longer = right.token.clone();
    longer.push('0');
    for token in ["", "0000000000000000", &longer, &right.token[1..]] {
        let mut client = Client::connect(&addr);
        let greeting = client.hello(Hello { token: token.into(), ..right.clone() });
        assert!(!matches!(greeting, Greeting::Welcomed), "{token:?}");
        assert!(client.is_hung_up_on(), "{token:?}");
    }
    still_serves(&fixture, &mut watch, "one", "two");
    assert_eq!(watch.events("client-connected").len(), 1);
    watch.stop();
}

#[test]
fn programs_of_another_build_protocol_or_compiler_are_told_why() {
    let (fixture, mut watch) = start();
    let (addr, right) = (watch.started().addr, hello_of(&watch));
    let build_id = "0123456789abcdef0123456789abcdef01234567".to_string();
    expect_rejection(&addr, Hello { build_id, ..right.clone() }, "build");
    expect_rejection(&addr, Hello { protocol: 999, ..right.clone() }, "protocol");
    let mut other = right.clone();
    other.canary.rustc = "0123456789".into();
    expect_rejection(&addr, other, "rustc");
    assert!(matches!(Client::connect(&addr).hello(right), Greeting::Welcomed));
    still_serves(&fixture, &mut watch, "none", "one");
    watch.stop();
}

#[test]
fn garbage_and_oversized_frames() {
    let (fixture, mut watch) = start();
    let (addr, right) = (watch.started().addr, hello_of(&watch));
    for first in [
        Message::text("hello"),
        Message::text("{\"type\":\"hello\"}"),
        Message::text("[".repeat(100_000)),
        Message::binary(vec![0xff; 4096]),
    ] {
        let mut client = Client::connect(&addr);
        client.send(first);
        assert!(client.is_hung_up_on());
    }
    // A frame that says it has 2^60 bytes, masked, as a first message and after a good hello.
    let mut huge = vec![0x82, 0xff];
    huge.extend_from_slice(&(1u64 << 60).to_be_bytes());
    huge.extend_from_slice(&[0; 64]);
    let mut client = Client::connect(&addr);
    client.send_raw(&huge);
    assert!(client.is_hung_up_on());
    let mut client = Client::connect(&addr);
    assert!(matches!(client.hello(right.clone()), Greeting::Welcomed));
    client.send_raw(&huge);
    assert!(client.is_hung_up_on());
    // No WebSocket at all.
    use std::io::{Read, Write};
    let mut plain = std::net::TcpStream::connect(&addr).expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    still_serves(&fixture, &mut watch, "none", "one");
    watch.stop();
}

#[test]
fn a_client_that_goes_away_with_a_patch_on_its_way() {
    let (fixture, mut watch) = start();
    let (addr, right) = (watch.started().addr, hello_of(&watch));
    let mut client = Client::connect(&addr);
    assert!(matches!(client.hello(right), Greeting::Welcomed));
    let number = watch.wait("client-connected").number("client");
    fixture.set(MAIN, "extra", "none", "one");
    let patch = client.hear().expect("a patch");
    assert!(patch.is_binary(), "{patch:?}");
    client.cut();
    assert_eq!(watch.wait("client-disconnected").number("client"), number);
    watch.wait_values(&[("extra", "one")]);
    still_serves(&fixture, &mut watch, "one", "two");
    let foreign = watch.events("patch-applied").into_iter().any(|e| e.number("client") == number);
    assert!(!foreign, "nobody said that this client has applied anything");
    watch.stop();
}

#[test]
fn a_client_that_says_things_out_of_turn() {
    let (fixture, mut watch) = start();
    let (addr, right) = (watch.started().addr, hello_of(&watch));
    let mut client = Client::connect(&addr);
    assert!(matches!(client.hello(right.clone()), Greeting::Welcomed));
    client.say(&ClientMessage::Applied(hotpatch_protocol::message::Applied {
        patch: 77,
        functions: 1,
        pause_us: 1,
        apply_us: 1,
        threads: 1,
        duplicate: false,
    }));
    client.say(&ClientMessage::Hello(right));
    still_serves(&fixture, &mut watch, "none", "one");
    assert!(watch.events("patch-applied").iter().all(|e| e.number("patch") != 77));
    watch.stop();
}
