//! A program whose server talks nonsense: it answers, and goes on with the code that it has.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use hotpatch_protocol::frame::{PatchHeader, encode};
use hotpatch_protocol::message::{ClientMessage, Hello, RefusalKind, ServerMessage};
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};
use support::{Fixture, PATIENCE, plain_command, run};
use tungstenite::{Message, WebSocket};

/// A program, plainly built, and the server that it dials.
struct Program {
    child: Child,
    lines: Receiver<String>,
    listener: TcpListener,
    _fixture: Fixture,
}

impl Program {
    fn start() -> Self {
        let fixture = Fixture::copy("growing");
        let mut cargo = plain_command("cargo", &["build"]);
        cargo.current_dir(fixture.root());
        run(cargo).expect_code(0);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address").to_string();
        let program = fixture.path("target/debug/growing").display().to_string();
        let mut command = plain_command(&program, &[]);
        command.env(ENV_ADDR, addr).env(ENV_TOKEN, "the token").stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Program { child, lines, listener, _fixture: fixture }
    }

    /// Waits until the program dials in and says hello.
    fn accept(&self) -> (WebSocket<TcpStream>, Hello) {
        let (stream, _) = self.listener.accept().expect("a program that dials");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut socket = tungstenite::accept(stream).expect("a WebSocket");
        match answer(&mut socket) {
            Some(ClientMessage::Hello(hello)) => (socket, hello),
            other => panic!("{other:?} instead of a hello"),
        }
    }

    /// The same, and welcomes it.
    fn welcome(&self, cache_dir: Option<String>) -> (WebSocket<TcpStream>, Hello) {
        let (mut socket, hello) = self.accept();
        say(&mut socket, &ServerMessage::Welcome { cache_dir });
        (socket, hello)
    }

    /// The program still runs, and still says what it said at its start.
    fn goes_on(&self) {
        while self.lines.try_recv().is_ok() {}
        for _ in 0..3 {
            let line = self.lines.recv_timeout(PATIENCE).expect("the program goes on");
            assert!(line.contains("extra=none more=none"), "{line}");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(socket: &mut WebSocket<TcpStream>, message: &ServerMessage) {
    let text = serde_json::to_string(message).expect("a message");
    socket.send(Message::text(text)).expect("a program that listens");
}

/// The program's next message; nothing where it hangs up.
fn answer(socket: &mut WebSocket<TcpStream>) -> Option<ClientMessage> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                return Some(serde_json::from_str(&text).expect("a message"));
            }
            Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
            Ok(_) => {}
            Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the program neither answers nor hangs up")
            }
            Err(_) => return None,
        }
    }
}

fn header(hello: &Hello) -> PatchHeader {
    PatchHeader {
        patch: 1,
        build_id: hello.build_id.clone(),
        content_hash: "00".into(),
        functions: vec!["growing::extra".into()],
        carried: vec![],
    }
}

#[track_caller]
fn refusal(socket: &mut WebSocket<TcpStream>) -> (RefusalKind, String) {
    loop {
        match answer(socket) {
            Some(ClientMessage::Refused(refused)) => return (refused.kind, refused.error),
            Some(ClientMessage::Log { .. }) => {}
            other => panic!("{other:?} instead of a refusal"),
        }
    }
}

#[test]
fn the_hello_says_who_the_program_is() {
    let program = Program::start();
    let (_socket, hello) = program.accept();
    assert_eq!(hello.token, "the token");
    assert_eq!(hello.pid, program.child.id());
    assert_eq!(hello.protocol, hotpatch_protocol::PROTOCOL_VERSION);
    assert!(hello.build_id.len() >= 16, "{hello:?}");
    assert!(hello.applied.is_empty());
    assert_eq!((hello.canary.pointer_width, &*hello.canary.panic), (64, "unwind"));
    program.goes_on();
}

#[test]
fn patches_that_are_none_are_refused() {
    let program = Program::start();
    let (mut socket, hello) = program.welcome(None);
    let bad = |library: &[u8]| encode(&header(&hello), library).expect("a frame");
    let own_file = std::fs::read("/bin/true").expect("some program");
    for library in [&b""[..], b"garbage", b"\x7fELF", &own_file] {
        socket.send(Message::binary(bad(library))).expect("a program that listens");
        let (kind, error) = refusal(&mut socket);
        let expected = [RefusalKind::LoadFailed, RefusalKind::Malformed];
        assert!(expected.contains(&kind), "{kind:?}: {error}");
        assert!(!error.is_empty());
        program.goes_on();
    }
    let other = PatchHeader { build_id: "ab".repeat(20), ..header(&hello) };
    let frame = encode(&other, &own_file).expect("a frame");
    socket.send(Message::binary(frame)).expect("a program that listens");
    assert_eq!(refusal(&mut socket).0, RefusalKind::WrongBuild);
    program.goes_on();
}

#[test]
fn frames_that_are_no_patches() {
    let program = Program::start();
    let frames = [
        Message::binary(vec![]),
        Message::binary(vec![0xff; 100]),
        Message::binary(b"\0\0\0\x02{}rest".to_vec()),
        Message::text("what?"),
        Message::text("[".repeat(100_000)),
    ];
    for frame in frames {
        // The program may answer, or hang up and dial again; it must do one of the two.
        let (mut socket, _) = program.welcome(None);
        socket.send(frame).expect("a program that listens");
        if let Some(message) = answer(&mut socket) {
            let told = matches!(message, ClientMessage::Refused(_) | ClientMessage::Log { .. });
            assert!(told, "{message:?}");
        }
        let _ = socket.close(None);
        drop(socket);
        program.goes_on();
    }
    // A frame that says it has 2^60 bytes.
    use std::io::Write;
    let (mut socket, _) = program.welcome(None);
    let mut huge = vec![0x82, 0x7f];
    huge.extend_from_slice(&(1u64 << 60).to_be_bytes());
    socket.get_mut().write_all(&huge).expect("a program that listens");
    while let Some(message) = answer(&mut socket) {
        assert!(matches!(message, ClientMessage::Refused(_)), "{message:?}");
    }
    program.goes_on();
    let _ = program.accept();
}

#[test]
fn a_folder_for_patches_that_cannot_be_written_to() {
    let program = Program::start();
    let (mut socket, hello) = program.welcome(Some("/proc/no such folder".into()));
    let own_file = std::fs::read("/bin/true").expect("some program");
    let frame = encode(&header(&hello), &own_file).expect("a frame");
    socket.send(Message::binary(frame)).expect("a program that listens");
    let (kind, error) = refusal(&mut socket);
    assert!(!error.is_empty(), "{kind:?}");
    program.goes_on();
}

#[test]
fn a_server_that_says_no_or_nothing_or_goes_away() {
    let program = Program::start();
    let (socket, _) = program.accept();
    program.goes_on();
    drop(socket);
    let (mut socket, _) = program.welcome(None);
    program.goes_on();
    let _ = socket.close(None);
    drop(socket);
    let (mut socket, _) = program.accept();
    let reason = "for a test".to_string();
    say(&mut socket, &ServerMessage::Reject { reason, permanent: true });
    assert!(answer(&mut socket).is_none());
    program.goes_on();
}
