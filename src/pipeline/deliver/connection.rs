//! One connection from its first byte: handshake, hello, then a thread that reads.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};
use std::time::{Duration, Instant};

use hotpatch_protocol::ENDPOINT;
use hotpatch_protocol::message::{ClientMessage, Hello, ServerMessage};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::{StatusCode, header};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::chain::Progress;
use super::driver::{Driver, ToDriver};
use super::guest::{self, Protocol};
use super::registry::{Registry, Session};
use super::stream::ReadHalf;
use super::{Limits, Notice, Sink, Token, admission, cache};

/// What every connection needs of its server.
pub(super) struct Shared {
    pub registry: Arc<Registry>,
    pub token: Token,
    pub limits: Limits,
    pub sink: Sink,
    pub strangers: AtomicUsize,
}

type Socket = WebSocket<ReadHalf>;

/// Serves one connection until it ends.
pub(super) fn serve(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let stranger = Stranger(shared);
    let served = open(socket, &shared.limits).and_then(|opened| match opened.dialed {
        Dialed::Ours => {
            let admitted = admit(opened, peer, shared);
            drop(stranger);
            let (socket, inbox) = admitted?;
            read_all(socket, &inbox);
            Ok(())
        }
        Dialed::Devtools(hello) => {
            drop(stranger);
            guest::serve_devtools(opened.socket, hello, (opened.write_half, peer), shared)?;
            Ok(())
        }
    });
    if let Err(Turned { reason, socket }) = served {
        (shared.sink)(Notice::Rejected { peer, reason });
        if let Some(mut socket) = socket {
            socket.finish(Instant::now() + Duration::from_secs(1));
        }
    }
}

/// Serves one connection of a client that speaks no WebSocket until it ends.
pub(super) fn serve_cargo_hot(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    drop(Stranger(shared));
    guest::serve_cargo_hot(socket, peer, shared);
}

/// A connection after its handshake.
struct Opened {
    socket: Socket,
    write_half: TcpStream,
    dialed: Dialed,
}

/// Whom the client asked for.
enum Dialed {
    Ours,
    Devtools(guest::Hello),
}

/// A connection that was turned away: why, and its socket where the program was told so. What the
/// program still sends must then be read, since closing a socket with unread bytes resets it, and
/// the reason might be lost on its way.
struct Turned {
    reason: String,
    socket: Option<ReadHalf>,
}

impl From<String> for Turned {
    fn from(reason: String) -> Self {
        Turned { reason, socket: None }
    }
}

/// Counts a connection as one without a hello; the accepting thread has counted it already.
struct Stranger<'a>(&'a Shared);

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        self.0.strangers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn open(tcp: TcpStream, limits: &Limits) -> Result<Opened, Turned> {
    let setup = |e: std::io::Error| format!("the socket cannot be set up: {e}");
    tcp.set_nodelay(true).map_err(setup)?;
    tcp.set_write_timeout(Some(limits.write)).map_err(setup)?;
    keep_alive(&tcp).map_err(setup)?;
    let write_half = tcp.try_clone().map_err(setup)?;
    let half = ReadHalf::new(tcp, Instant::now() + limits.hello);
    let (socket, dialed) = handshake(half, limits)?;
    Ok(Opened { socket, write_half, dialed })
}

/// Hears the hello. Afterwards the driver runs in its own thread.
fn admit(
    opened: Opened,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> Result<(Socket, Sender<ToDriver>), Turned> {
    let Opened { mut socket, write_half, .. } = opened;
    let hello = match first_message(&mut socket, &shared.token) {
        Ok(hello) => hello,
        Err(reason) => return Err(reject(socket, reason)),
    };
    let session = shared.registry.session();
    let process = (hello.pid, hello.load_address);
    let checked = admission::check_build(&hello, &session.expected).and_then(|()| {
        admission::check_applied(&hello.applied, &session.ids(), session.sent_to(process))
    });
    let applied = match checked {
        Ok(applied) => applied,
        Err(reason) => return Err(reject(socket, reason)),
    };
    let cache_dir = cache::folder(&session.expected.live, peer.ip(), hello.pid);
    say(&mut socket, &ServerMessage::Welcome { cache_dir })
        .map_err(|e| format!("the program went away at its welcome: {e}"))?;
    let client = shared.registry.number();
    session.note_process(client, process);
    let connected =
        Notice::Connected { client, pid: hello.pid, peer, protocol: Protocol::Hotpatch };
    let inbox = start_driver(client, shared, session, (write_half, applied), connected);
    socket.set_config(|c| c.max_message_size = Some(shared.limits.message_size));
    socket.set_config(|c| c.max_frame_size = Some(shared.limits.message_size));
    if let Err(error) = socket.get_mut().hand_over(inbox.clone()) {
        let _ = inbox.send(ToDriver::End(error.to_string()));
    }
    Ok((socket, inbox))
}

/// Notices a peer that vanished without a word, also while nobody saves.
fn keep_alive(tcp: &TcpStream) -> std::io::Result<()> {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket2::SockRef::from(tcp).set_tcp_keepalive(&probes)
}

// The callback's error type is tungstenite's.
#[allow(clippy::result_large_err)]
fn handshake(half: ReadHalf, limits: &Limits) -> Result<(Socket, Dialed), String> {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .max_message_size(Some(limits.hello_size))
        .max_frame_size(Some(limits.hello_size));
    let mut dialed = Dialed::Ours;
    let only_programs = |request: &Request, response: Response| {
        let refuse = |status: StatusCode| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = status;
            refusal
        };
        match request.uri().path() {
            ENDPOINT => {}
            guest::DEVTOOLS_PATH => {
                let hello = guest::Hello::of_devtools(request.uri().query().unwrap_or_default());
                dialed = Dialed::Devtools(hello.map_err(|_| refuse(StatusCode::BAD_REQUEST))?);
            }
            _ => return Err(refuse(StatusCode::NOT_FOUND)),
        }
        // Only a browser sends it: some web page that tries the ports of its visitor's machine.
        if request.headers().contains_key(header::ORIGIN) {
            return Err(refuse(StatusCode::FORBIDDEN));
        }
        Ok(response)
    };
    let accepted = tungstenite::accept_hdr_with_config(half, only_programs, Some(config));
    let socket = accepted.map_err(|error| match error {
        HandshakeError::Failure(error) => format!("no handshake: {error}"),
        HandshakeError::Interrupted(_) => "no handshake in time".into(),
    })?;
    Ok((socket, dialed))
}

fn first_message(socket: &mut Socket, token: &Token) -> Result<Hello, String> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return admission::read_hello(&text, token),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) => return Err("the first message is no hello".into()),
            Err(error) => return Err(format!("no hello: {error}")),
        }
    }
}

fn say(socket: &mut Socket, message: &ServerMessage) -> Result<(), tungstenite::Error> {
    let text = serde_json::to_string(message).map_err(std::io::Error::from)?;
    socket.send(Message::text(text))
}

/// Tells the program why it is turned away.
fn reject(mut socket: Socket, reason: String) -> Turned {
    let message = ServerMessage::Reject { reason: reason.clone(), permanent: true };
    let told = say(&mut socket, &message).is_ok() && socket.close(None).is_ok();
    Turned { reason, socket: told.then(|| socket.into_inner()) }
}

fn start_driver(
    client: u32,
    shared: &Arc<Shared>,
    session: Arc<Session>,
    (socket, applied): (TcpStream, usize),
    connected: Notice,
) -> Sender<ToDriver> {
    let (inbox, messages) = mpsc::channel();
    // Joins before the driver looks at the chain, so that no patch can fall between the two.
    if !shared.registry.add(client, &session, inbox.clone()) {
        let _ = inbox.send(ToDriver::End("the program was built again".into()));
    }
    (shared.sink)(connected);
    let driver = Driver {
        client,
        socket,
        registry: shared.registry.clone(),
        session,
        sink: shared.sink.clone(),
        answer_limit: shared.limits.answer,
        progress: Progress::after(applied),
        sent: Instant::now(),
        reported: None,
    };
    std::thread::spawn(move || driver.run(messages));
    inbox
}

/// Reads until the connection ends, and passes everything on.
fn read_all(mut socket: Socket, inbox: &Sender<ToDriver>) {
    let reason = loop {
        match socket.read() {
            Ok(Message::Text(text)) => match serde_json::from_str::<ClientMessage>(&text) {
                Ok(message) => {
                    if inbox.send(ToDriver::Said(message)).is_err() {
                        return;
                    }
                }
                Err(error) => break format!("the program said what is no message: {error}"),
            },
            Ok(Message::Binary(_)) => break "the program sent a binary message".into(),
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => break "closed by the program".into(),
            Err(error) => break error.to_string(),
        }
    };
    // The driver may have ended first; then there is nobody to tell.
    let _ = inbox.send(ToDriver::End(reason));
}
