//! Guests: this process plays one, since a guest is known by what it is and not by what it says.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use cargo_hotpatch::pipeline::deliver::{Limits, Notice};
use cargo_hotpatch::pipeline::relink::{FileWord, GuestLibrary, Replacement};
use cargo_hotpatch::target::process;
use hotpatch_protocol::manifest::BindingKind;
use hotpatch_protocol::message::{ClientMessage, Hello};
use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::bench::*;

/// Where `main` is said to be in the file of this program.
const ANCHOR: u64 = 0x1234;

/// A server for this very program. (Every linker that the tests are built with writes a build id.)
fn bench() -> Bench {
    let own = process::build_id(std::process::id()).expect("this program has a build id");
    bench_of(Limits { answer: Duration::from_secs(300), ..Limits::default() }, &own)
}

fn loaded_at() -> u64 {
    process::program_mapping(std::process::id()).expect("this program is mapped")
}

struct Guest {
    socket: WebSocket<TcpStream>,
    client: u32,
}

impl Guest {
    #[track_caller]
    fn join(bench: &Bench, anchor: u64) -> Guest {
        let query = format!("aslr_reference={anchor}&build_id=5&pid={}", std::process::id());
        let url = format!("ws://{}/_dioxus?{query}", bench.server.address());
        let (socket, _) = tungstenite::client(url, bench.tcp()).unwrap();
        match bench.notice() {
            Notice::Connected { client, .. } => Guest { socket, client },
            other => panic!("not a connection: {other:?}"),
        }
    }

    /// The table that it is told, after a look at who is meant.
    #[track_caller]
    fn table(&mut self) -> Value {
        let message = self.socket.read().unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        let message = &message["HotReload"];
        assert_eq!(message["for_pid"], std::process::id());
        assert_eq!(message["for_build_id"], 5);
        message["jump_table"].clone()
    }

    #[track_caller]
    fn hears_nothing(&mut self) {
        self.socket.send(Message::Ping("?".into())).unwrap();
        assert!(matches!(self.socket.read().unwrap(), Message::Pong(_)));
    }
}

fn file_of(table: &Value) -> PathBuf {
    table["lib"].as_str().unwrap().into()
}

/// As a guest loads it.
fn load(table: &Value) -> memmap2::Mmap {
    let file = std::fs::File::open(file_of(table)).unwrap();
    // SAFETY: nobody writes to the file: that is what the server promises.
    unsafe { memmap2::Mmap::map(&file) }.unwrap()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// A library with one word: the address of byte 0x10 of an image.
fn library_about(number: u32, image: u32) -> GuestLibrary {
    GuestLibrary {
        number,
        name: format!("lib.guest-{number}.so"),
        bytes: vec![0xee; 64],
        words: vec![FileWord { offset: 8, kind: BindingKind::Address, image, value: 0x10 }],
        program_anchor: ANCHOR,
        library_anchor: 0x99,
        replaced: vec![Replacement { image: 0, old: 0x100, new: 0x200 }],
    }
}

#[track_caller]
fn is_sent_and_loaded(bench: &Bench, of: u32, number: u32) {
    let sent = bench.notice();
    assert!(
        matches!(sent, Notice::Sent { client, patch } if (client, patch) == (of, number)),
        "{sent:?}"
    );
    let loaded = bench.notice();
    assert!(
        matches!(loaded, Notice::Loaded { client, patch, .. } if (client, patch) == (of, number)),
        "{loaded:?}"
    );
}

#[test]
fn a_guest_gets_libraries_for_its_own_addresses_one_after_the_other() {
    let bench = bench();
    let mut guest = Guest::join(&bench, loaded_at() + ANCHOR);
    bench.server.publish_to_guests(1, library_about(1, 0));
    bench.server.publish_to_guests(2, library_about(2, 1));
    let table = guest.table();
    assert_eq!(table["map"], serde_json::json!({ "256": 0x200 }));
    assert_eq!(
        (&table["aslr_reference"], &table["new_base_address"]),
        (&ANCHOR.into(), &0x99.into())
    );
    guest.hears_nothing();
    let first = load(&table);
    assert_eq!(word(&first, 8), loaded_at() + 0x10);
    assert_eq!(first[0], 0xee);
    is_sent_and_loaded(&bench, guest.client, 1);

    let table = guest.table();
    let second = load(&table);
    assert_eq!(word(&second, 8), first.as_ptr() as u64 + 0x10, "an address in the first");
    is_sent_and_loaded(&bench, guest.client, 2);

    // The client of this process dials again: what is loaded is not loaded twice, and the newest
    // table is the one that counts.
    drop(guest);
    assert!(matches!(bench.notice(), Notice::Disconnected { .. }));
    let mut again = Guest::join(&bench, loaded_at() + ANCHOR);
    assert_eq!(file_of(&again.table()), file_of(&table));
    is_sent_and_loaded(&bench, again.client, 2);
    again.hears_nothing();
}

#[test]
fn what_would_end_a_guest_is_not_sent() {
    let bench = bench();
    let mut guest = Guest::join(&bench, loaded_at() + ANCHOR + 0x1000);
    bench.server.publish_to_guests(1, library_about(1, 0));
    match bench.notice() {
        Notice::NotSent { patch: 1, error, .. } => assert!(error.contains("not loaded where")),
        other => panic!("it should not be sent: {other:?}"),
    }
    guest.hears_nothing();

    // Nor is what needs the statics of a library that the guest does not have.
    bench.server.publish_to_guests(2, library_about(2, 1));
    match bench.notice() {
        Notice::NotSent { patch: 2, .. } => {}
        other => panic!("it should not be sent: {other:?}"),
    }
    guest.hears_nothing();
}

#[test]
fn a_guest_with_our_runtime_is_told_after_each_patch_and_replaces_nothing() {
    let bench = bench();
    bench.server.supply_again(GuestLibrary {
        words: Vec::new(),
        replaced: Vec::new(),
        ..library_about(0, 0)
    });
    let mut guest = Guest::join(&bench, loaded_at() + ANCHOR);
    let mut program = bench.dial();
    let build_id = process::build_id(std::process::id()).unwrap();
    let hello = Hello { pid: std::process::id(), build_id, ..hello() };
    program.say(&ClientMessage::Hello(hello));
    program.hear();
    assert!(matches!(bench.notice(), Notice::Connected { .. }));
    bench.publish(1);
    assert_eq!(program.receive(), 1);
    guest.hears_nothing();
    program.applied(1);
    assert_eq!(guest.table()["map"], serde_json::json!({}));
    assert!(matches!(bench.notice(), Notice::Applied { .. }));
    let told = bench.notice();
    assert!(
        matches!(told, Notice::ToldAgain { client, patch: 1 } if client == guest.client),
        "{told:?}"
    );
}
