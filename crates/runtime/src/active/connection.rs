//! The conversation with the server, on the runtime's one thread. It waits in a read, so that it
//! costs nothing while there is nothing to do.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use hotpatch_protocol::frame::MAX_FRAME;
use hotpatch_protocol::message::{ClientMessage, Hello, RefusalKind, Refused, ServerMessage};
use hotpatch_protocol::{ENDPOINT, PROTOCOL_VERSION};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket, client};

use super::carry;
use super::patch::Patches;
use super::sys;
use super::sys::line::Line;
#[cfg(hotpatch_detours)]
use super::wire::talk_through;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How long the server may take for anything but the next patch.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a conversation is over.
enum End {
    /// The server is gone, or says what cannot be understood: it is dialed again.
    Lost,
    /// It does not want this program, now and later.
    Unwanted(String),
}

type Socket = WebSocket<Line>;

/// Keeps up the conversation for as long as the program lives.
pub fn keep_up(address: &str, token: &str, patches: &mut Patches) {
    let mut delay = FIRST_DELAY;
    let mut server = Server::default();
    loop {
        // What a filter does to the one who dials cannot be known.
        while sys::is_confined() {
            std::thread::park();
        }
        let begun = Instant::now();
        let end = converse(address, token, (patches, &mut server));
        sys::apart::set_ready();
        if let End::Unwanted(reason) = end {
            say(&format!("the server does not want this program: {reason}"));
            return;
        }
        if begun.elapsed() > LONGEST_DELAY {
            delay = FIRST_DELAY;
        }
        std::thread::sleep(delay);
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

/// One conversation, with a server that asked for it.
#[cfg(feature = "inject")]
pub fn once(address: &str, token: &str, patches: &mut Patches) {
    if let End::Unwanted(reason) = converse(address, token, (patches, &mut Server::default())) {
        say(&format!("the server does not want this program: {reason}"));
    }
}

/// Tells the developer, in one line. `eprintln!` would panic where nobody reads it.
pub fn say(text: &str) {
    sys::apart::tell(&format!("hotpatch: {text}\n"));
}

/// Whom the program was started by. Once that one is gone its port may be anybody's, who must not
/// be told the token.
#[derive(Default)]
struct Server {
    user: Option<u32>,
}

fn converse(address: &str, token: &str, (patches, server): (&mut Patches, &mut Server)) -> End {
    let Some(mut socket) = dial(address) else { return End::Lost };
    let user = socket.get_ref().user_at_other_end();
    if server.user.is_some() && user != server.user {
        return End::Lost;
    }
    let end = listen(&mut socket, token, patches, &mut || server.user = user);
    talk_through(None);
    end
}

/// `welcomed` is called when the server has accepted the token.
fn listen(
    socket: &mut Socket,
    token: &str,
    patches: &mut Patches,
    welcomed: &mut dyn FnMut(),
) -> End {
    if !send(socket, &hello(token, patches)) {
        return End::Lost;
    }
    // Until the server has said welcome, it is waited for a while only.
    let mut welcome = false;
    loop {
        let limit = if welcome { patches.look_due().map(left) } else { Some(LIMIT) };
        if socket.get_mut().set_read_timeout(limit).is_err() {
            return End::Lost;
        }
        if welcome {
            sys::apart::set_ready();
        }
        match socket.read() {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(ServerMessage::Welcome { cache_dir }) => {
                    patches.store.offer(cache_dir);
                    welcome = true;
                    welcomed();
                    talk_through(socket.get_ref().place());
                    let types = carry::types();
                    if !types.is_empty() && !send(socket, &ClientMessage::CarriesOver { types }) {
                        return End::Lost;
                    }
                }
                Ok(ServerMessage::Reject { reason, permanent: true }) => {
                    return End::Unwanted(reason);
                }
                Ok(ServerMessage::Reject { permanent: false, .. }) => return End::Lost,
                Err(e) => {
                    let text = format!("a message could not be read: {e}");
                    if !send(socket, &ClientMessage::Log { level: "warn".into(), text }) {
                        return End::Lost;
                    }
                }
            },
            Ok(Message::Binary(frame)) if welcome => {
                let answer = patches.take(&frame);
                let notes = patches.notes.drain(..);
                let logs = notes.map(|text| ClientMessage::Log { level: "info".into(), text });
                if !logs.chain([answer]).all(|message| send(socket, &message)) {
                    return End::Lost;
                }
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) => return End::Lost,
            Err(Error::Capacity(e)) => {
                // The rest of the frame is not read, so this connection is of no more use.
                let refused =
                    Refused { patch: 0, kind: RefusalKind::Malformed, error: e.to_string() };
                send(socket, &ClientMessage::Refused(refused));
                return End::Lost;
            }
            // A debugger that stops the program ends a read that has a time limit.
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(Error::Io(e)) if welcome && is_timeout(&e) && !sys::is_confined() => {
                if !patches.look().all(|message| send(socket, &message)) {
                    return End::Lost;
                }
            }
            Err(_) => return End::Lost,
        }
    }
}

/// How long there is until then; never zero, which sockets do not take.
fn left(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn dial(address: &str) -> Option<Socket> {
    let stream = address
        .to_socket_addrs()
        .ok()?
        .find_map(|address| TcpStream::connect_timeout(&address, LIMIT).ok())?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(64 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let url = format!("ws://{address}{ENDPOINT}");
    client::client_with_config(url, Line::new(stream), Some(config)).ok().map(|(socket, _)| socket)
}

fn hello(token: &str, patches: &Patches) -> ClientMessage {
    ClientMessage::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        runtime: env!("CARGO_PKG_VERSION").into(),
        token: token.into(),
        pid: std::process::id(),
        build_id: patches.build_id(),
        load_address: patches.load_address(),
        canary: patches.canary().clone(),
        applied: patches.ids(),
    })
}

#[cfg(not(hotpatch_detours))]
fn talk_through(_: Option<sys::line::Place>) {}

/// Sends a message; false where the connection is lost.
fn send(socket: &mut Socket, message: &ClientMessage) -> bool {
    let Ok(text) = serde_json::to_string(message) else { return false };
    socket.send(Message::text(text)).is_ok()
}
