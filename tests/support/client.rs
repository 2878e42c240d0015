//! A program's side of the conversation, spoken by the test.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::{ClientMessage, Hello, ServerMessage};
use hotpatch_protocol::{ENDPOINT, ENV_ADDR, ENV_TOKEN, PROTOCOL_VERSION};
use tungstenite::{Message, WebSocket};

use super::{Started, Watch, target};

/// The address by which this machine's network knows it; nothing where it has none.
pub fn network_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation, to which nothing is sent.
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A connection that says whatever a test wants it to say.
pub struct Client {
    socket: WebSocket<TcpStream>,
}

/// What a server did with a [`Hello`].
#[derive(Debug)]
pub enum Greeting {
    Welcomed,
    Rejected(String),
    /// The connection ended without a word.
    Closed,
}

impl Client {
    /// Connects, and says nothing yet.
    #[track_caller]
    pub fn connect(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap_or_else(|e| panic!("{addr}: {e}"));
        stream.set_read_timeout(Some(super::PATIENCE)).expect("a timeout");
        let url = format!("ws://{addr}{ENDPOINT}");
        let (socket, _) = tungstenite::client(url, stream).expect("a WebSocket");
        Client { socket }
    }

    /// Says hello and hears what comes back.
    pub fn hello(&mut self, hello: Hello) -> Greeting {
        self.say(&ClientMessage::Hello(hello));
        match self.hear() {
            Some(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(ServerMessage::Welcome { .. }) => Greeting::Welcomed,
                Ok(ServerMessage::Reject { reason, .. }) => Greeting::Rejected(reason),
                Err(e) => panic!("{text}: {e}"),
            },
            Some(other) => panic!("no greeting: {other:?}"),
            None => Greeting::Closed,
        }
    }

    /// Sends a message of the protocol.
    pub fn say(&mut self, message: &ClientMessage) {
        let text = serde_json::to_string(message).expect("a message");
        self.send(Message::text(text));
    }

    /// Sends anything; a server that has hung up is no error here.
    pub fn send(&mut self, message: Message) {
        let _ = self.socket.send(message);
    }

    /// Sends bytes that need not be a WebSocket frame.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        use std::io::Write;
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// The next text or binary message; nothing at the end of the connection.
    pub fn hear(&mut self) -> Option<Message> {
        loop {
            match self.socket.read() {
                Ok(m) if m.is_text() || m.is_binary() => return Some(m),
                Ok(m) if m.is_close() => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the server neither answered nor hung up")
                }
                Err(_) => return None,
            }
        }
    }

    /// True where the server hangs up without sending a patch.
    pub fn is_hung_up_on(&mut self) -> bool {
        while let Some(message) = self.hear() {
            if message.is_binary() {
                return false;
            }
        }
        true
    }

    /// Ends the connection as a killed program does.
    pub fn cut(self) {
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
    }

    /// Does not wait for longer than this for a message.
    pub fn set_patience(&mut self, patience: Duration) {
        self.socket.get_mut().set_read_timeout(Some(patience)).expect("a timeout");
    }
}

/// The hello that the running program would say (with a pid that is this test's).
#[track_caller]
pub fn hello_of(watch: &Watch) -> Hello {
    let started = watch.started();
    let connected = watch.events("client-connected").remove(0);
    let version = super::run(super::plain_command(target::rustc(), &["-vV"])).stdout;
    let line = |name: &str| {
        let found = version.lines().find_map(|l| l.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {version}")).to_string()
    };
    Hello {
        protocol: PROTOCOL_VERSION,
        runtime: env!("CARGO_PKG_VERSION").into(),
        token: environment_of(&started)[ENV_TOKEN].clone(),
        pid: std::process::id(),
        build_id: connected.text("build_id").into(),
        load_address: 0x5555_0000_0000,
        canary: Canary {
            rustc: line("commit-hash: "),
            target: target::foreign().map_or_else(|| line("host: "), |f| f.triple.into()),
            pointer_width: 64,
            panic: "unwind".into(),
        },
        applied: Vec::new(),
    }
}

/// The variables with which a program finds the server, as the running program has them.
#[track_caller]
pub fn environment_of(started: &Started) -> BTreeMap<&'static str, String> {
    let raw = fs::read(format!("/proc/{}/environ", started.pid)).expect("a running program");
    let text = String::from_utf8_lossy(&raw).into_owned();
    let value = |name: &'static str| {
        let found = text.split('\0').find_map(|v| v.strip_prefix(name)?.strip_prefix('='));
        (name, found.unwrap_or_else(|| panic!("the program has no {name}")).to_string())
    };
    BTreeMap::from([value(ENV_ADDR), value(ENV_TOKEN)])
}
