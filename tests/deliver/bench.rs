//! A server, and scripted programs that talk to it.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use cargo_hotpatch::pipeline::deliver::{
    Config, Expected, Limits, Listener, Notice, Server, Token,
};
use hotpatch_protocol::frame::{self, PatchHeader};
use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::{
    Applied, ClientMessage, Hello, RefusalKind, Refused, ServerMessage,
};
use hotpatch_protocol::{ENDPOINT, PROTOCOL_VERSION};
use tungstenite::{Message, WebSocket};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const BUILD: &str = "aabbccddeeff00112233";

/// A server, what it told, and the folder it works in.
pub struct Bench {
    pub server: Server,
    pub notices: Receiver<Notice>,
    pub live: tempfile::TempDir,
}

pub fn canary() -> Canary {
    Canary {
        rustc: "59807616e".into(),
        target: "x86_64-unknown-linux-gnu".into(),
        pointer_width: 64,
        panic: "unwind".into(),
    }
}

pub fn bench() -> Bench {
    bench_with(Limits::default())
}

pub fn bench_with(limits: Limits) -> Bench {
    bench_of(limits, BUILD)
}

pub fn bench_of(limits: Limits, build: &str) -> Bench {
    let live = tempfile::tempdir().unwrap();
    let (tell, notices) = mpsc::channel();
    let config = Config { token: Token::given(TOKEN), limits };
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let sink = Arc::new(move |notice| drop(tell.send(notice)));
    let expected = Expected { build_id: build.into(), ..expected(&live) };
    let server = Server::start(listener, config, expected, sink);
    Bench { server, notices, live }
}

pub fn expected(live: &tempfile::TempDir) -> Expected {
    Expected { build_id: BUILD.into(), canary: canary(), live: live.path().into() }
}

impl Bench {
    pub fn tcp(&self) -> TcpStream {
        let socket = TcpStream::connect(self.server.address()).unwrap();
        // Only so that a bug ends in a failed test and not in one that hangs.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    pub fn dial(&self) -> Program {
        let url = format!("ws://{}{ENDPOINT}", self.server.address());
        let (socket, _) = tungstenite::client(url, self.tcp()).unwrap();
        Program { socket }
    }

    /// A program that was welcomed; it runs `applied` already.
    pub fn join(&self, pid: u32, applied: &[u32]) -> (Program, u32) {
        let mut program = self.dial();
        program.say(&ClientMessage::Hello(Hello { pid, applied: applied.into(), ..hello() }));
        let welcome = program.hear();
        assert!(matches!(welcome, ServerMessage::Welcome { .. }), "{welcome:?}");
        match self.notice() {
            Notice::Connected { client, pid: said, .. } if said == pid => (program, client),
            other => panic!("not the expected connection: {other:?}"),
        }
    }

    pub fn publish(&self, patch: u32) {
        self.server.publish(&header(patch), &library(patch)).unwrap();
    }

    pub fn notice(&self) -> Notice {
        self.notices.recv_timeout(Duration::from_secs(60)).expect("a notice")
    }

    pub fn rejection(&self) -> String {
        match self.notice() {
            Notice::Rejected { reason, .. } => reason,
            other => panic!("not a rejection: {other:?}"),
        }
    }
}

pub fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        runtime: "0.1.0".into(),
        token: TOKEN.into(),
        pid: 4242,
        build_id: BUILD.into(),
        load_address: 0x5555_0000,
        canary: canary(),
        applied: vec![],
    }
}

pub fn header(patch: u32) -> PatchHeader {
    PatchHeader {
        patch,
        build_id: BUILD.into(),
        content_hash: format!("{patch:08x}"),
        functions: vec!["prog::tick".into()],
        carried: vec![],
    }
}

pub fn library(patch: u32) -> Vec<u8> {
    vec![patch as u8; 3000]
}

pub struct Program {
    pub socket: WebSocket<TcpStream>,
}

impl Program {
    pub fn say(&mut self, message: &ClientMessage) {
        self.socket.send(Message::text(serde_json::to_string(message).unwrap())).unwrap();
    }

    pub fn hear(&mut self) -> ServerMessage {
        match self.socket.read().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a text message: {other:?}"),
        }
    }

    pub fn receive(&mut self) -> u32 {
        match self.socket.read().unwrap() {
            Message::Binary(bytes) => {
                let (got, bytes) = frame::decode(&bytes).unwrap();
                assert_eq!((&got, bytes), (&header(got.patch), &*library(got.patch)));
                got.patch
            }
            other => panic!("not a patch: {other:?}"),
        }
    }

    pub fn apply(&mut self, patch: u32) {
        assert_eq!(self.receive(), patch);
        self.applied(patch);
    }

    pub fn applied(&mut self, patch: u32) {
        self.say(&ClientMessage::Applied(Applied {
            patch,
            functions: 1,
            pause_us: 10,
            apply_us: 300,
            threads: 2,
            duplicate: false,
        }));
    }

    pub fn refuse(&mut self, patch: u32) {
        assert_eq!(self.receive(), patch);
        let (kind, error) = (RefusalKind::Vetoed, "not now".into());
        self.say(&ClientMessage::Refused(Refused { patch, kind, error }));
    }

    /// All that still arrives until the server closes.
    pub fn rest(mut self) -> Vec<Message> {
        let mut heard = Vec::new();
        while let Ok(message) = self.socket.read() {
            heard.push(message);
        }
        heard
    }

    /// That nothing more was sent is seen by the answer to a ping: it would come after it.
    pub fn hears_nothing(&mut self) {
        self.socket.send(Message::Ping("?".into())).unwrap();
        assert!(matches!(self.socket.read().unwrap(), Message::Pong(_)));
    }
}

#[track_caller]
pub fn is_applied(notice: Notice, client: u32, patch: u32) {
    match notice {
        Notice::Applied { client: c, answer, .. } if c == client && answer.patch == patch => {}
        other => panic!("client {client} should have applied patch {patch}: {other:?}"),
    }
}
