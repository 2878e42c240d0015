//! A server that other machines can reach: `--bind` with an address of the network. Here the other
//! machine is this one, by that address.

mod support;

use std::fs;

use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::Hello;
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN, PROTOCOL_VERSION};
use support::{Client, Fixture, Greeting, Second, Started, Watch, network_address, values};

/// The value of a variable among the words of a line.
#[track_caller]
fn variable(line: &str, name: &str) -> String {
    let found = line.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {line}")).trim_matches('\'').to_string()
}

fn hello(token: &str, build_id: &str) -> Hello {
    let nobody = Canary {
        rustc: String::new(),
        target: String::new(),
        pointer_width: 64,
        panic: "unwind".into(),
    };
    Hello {
        protocol: PROTOCOL_VERSION,
        runtime: env!("CARGO_PKG_VERSION").into(),
        token: token.into(),
        pid: std::process::id(),
        build_id: build_id.into(),
        load_address: 0x5555_0000_0000,
        canary: nobody,
        applied: Vec::new(),
    }
}

/// A program that finds us over the network is patched; whoever has not the token is not even told
/// what is wrong with the rest.
#[track_caller]
fn check(fixture: &Fixture, watch: &mut Watch, address: &str, token: &str) {
    let fat = watch.events("fat-built").remove(0);
    let started = Started { pid: 0, addr: address.into(), program: fat.text("program").into() };
    let variables = [(ENV_ADDR, address.to_string()), (ENV_TOKEN, token.to_string())];
    let program = Second::start(fixture, &started, &variables);
    watch.wait_event("client-connected", |e| e.number("pid") == u64::from(program.pid()));
    program.wait_text("version=0");
    fixture.edit("src/main.rs", "VERSION: u64 = 0", "VERSION: u64 = 1");
    watch.applied();
    let line = loop {
        let line = program.wait_text("version=1");
        if line.starts_with("tick ") {
            break line;
        }
    };
    let said = values(&line);
    assert_eq!(said[""], format!("tick {}", said["atomic"]), "{line}");
    // What we keep on this machine is not offered to a program that comes from elsewhere.
    let maps = fs::read_to_string(format!("/proc/{}/maps", program.pid())).expect("a program");
    let mapped = |part: &str| maps.lines().any(|l| l.contains(part) && l.contains("/patch-1-"));
    assert!(mapped(&format!("/hotpatch-{}-", program.pid())), "{maps}");
    assert!(!mapped("/target/hotpatch/live/"), "{maps}");

    for wrong in ["", "0123456789abcdef0123456789abcdef"] {
        let mut stranger = Client::connect(address);
        match stranger.hello(hello(wrong, fat.text("build_id"))) {
            Greeting::Rejected(why) => assert_eq!(why, "the token is wrong"),
            Greeting::Closed => {}
            Greeting::Welcomed => panic!("token {wrong:?} was taken"),
        }
        assert!(stranger.is_hung_up_on(), "a patch for token {wrong:?}");
        watch.wait_event("warning", |e| e.text("message").contains("the token is wrong"));
    }
    let folder = maps.lines().find_map(|l| l.split_whitespace().nth(5)?.split_once("/patch-1-"));
    drop(program);
    let _ = folder.map(|(folder, _)| fs::remove_dir_all(folder));
}

#[test]
fn an_address_of_the_network() {
    let Some(own) = network_address() else { skip!("this machine has no address but its own") };
    let fixture = Fixture::copy("unmodified");
    let mut watch = Watch::spawn(&fixture, &["--no-run", "--bind", &format!("{own}:0")]);
    let address = watch.wait("serving").text("addr").to_string();
    assert!(address.starts_with(&format!("{own}:")), "{address}");
    let warning = watch.wait("warning");
    for part in [&*address, "unencrypted", "other machines"] {
        assert!(warning.text("message").contains(part), "{warning:?}");
    }
    let line = watch.wait_stderr(&format!("{ENV_TOKEN}="));
    assert_eq!(variable(&line, ENV_ADDR), address);
    check(&fixture, &mut watch, &address, &variable(&line, ENV_TOKEN));
    watch.stop();
}

#[test]
fn all_addresses_of_this_machine() {
    let Some(own) = network_address() else { skip!("this machine has no address but its own") };
    let fixture = Fixture::copy("unmodified");
    let mut watch = Watch::spawn(&fixture, &["--no-run", "--bind", "0.0.0.0:0"]);
    let bound = watch.wait("serving").text("addr").to_string();
    watch.wait_event("warning", |e| e.text("message").contains("other machines"));
    let port = bound.strip_prefix("0.0.0.0:").expect("all addresses");
    // A program on this machine dials the machine itself, one on another machine the network's.
    let line = watch.wait_stderr(&format!("{ENV_TOKEN}="));
    assert_eq!(variable(&line, ENV_ADDR), format!("127.0.0.1:{port}"));
    let other = watch.wait_stderr("on another machine");
    let address = variable(&other, ENV_ADDR);
    assert_eq!(address, format!("{own}:{port}"));
    check(&fixture, &mut watch, &address, &variable(&line, ENV_TOKEN));
    watch.stop();
}

#[test]
fn nothing_is_said_where_nobody_else_can_connect() {
    let fixture = Fixture::copy("unmodified");
    let mut watch = Watch::start(&fixture);
    assert!(watch.wait_values(&[("version", "0")]).starts_with("tick"));
    let warned = watch.events("warning");
    assert!(!warned.iter().any(|e| e.text("message").contains("other machines")), "{warned:?}");
    watch.stop();
}
