//! Guests: programs that were written for another tool and load patches by its client. They know
//! no secret and do not answer, so the server finds out by itself who they are and what they have
//! loaded, and checks everything before it sends: a guest ends when it is sent what it cannot load.

mod driver;
mod place;
mod wire;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tungstenite::{Message, WebSocket};

use super::connection::Shared;
use super::driver::ToDriver;
use super::registry::Session;
use super::stream::ReadHalf;
use super::{Limits, Notice, cache};
use crate::pipeline::relink::GuestLibrary;
use crate::target::process;
use driver::Driver;
pub(super) use wire::{DEVTOOLS_PATH, Hello};

/// Where programs with cargo-hot's client dial; the address is part of that protocol.
pub const CARGO_HOT_ADDRESS: &str = "127.0.0.1:1100";

/// Which client a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Our own runtime.
    Hotpatch,
    /// `dioxus-devtools`.
    Devtools,
    /// `cargo-hot-protocol`.
    CargoHot,
}

impl Protocol {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Hotpatch => "hotpatch",
            Protocol::Devtools => "dioxus-devtools",
            Protocol::CargoHot => "cargo-hot",
        }
    }
}

/// What there is for the guests of one fat build.
#[derive(Debug, Default)]
pub(super) struct Supply {
    /// What makes a guest look again at what our runtime has redirected.
    pub again: Option<Arc<GuestLibrary>>,
    /// The libraries that replace functions, each with the number of its patch. Every guest loads
    /// all of them in order, since later ones use the statics of earlier ones.
    pub chain: Vec<(u32, Arc<GuestLibrary>)>,
}

impl Session {
    /// The library of this index, with its patch, and whether it is the newest.
    fn guest_library(&self, index: usize) -> Option<(u32, Arc<GuestLibrary>, bool)> {
        let supply = self.supply.lock().unwrap_or_else(PoisonError::into_inner);
        let (patch, library) = supply.chain.get(index)?;
        Some((*patch, library.clone(), index + 1 == supply.chain.len()))
    }

    /// What makes a guest look again.
    fn again(&self) -> Option<Arc<GuestLibrary>> {
        self.supply.lock().unwrap_or_else(PoisonError::into_inner).again.clone()
    }
}

/// A guest that was let in.
#[derive(Debug)]
struct Guest {
    client: u32,
    pid: u32,
    hello: Hello,
    /// Where its libraries go.
    folder: PathBuf,
}

/// Serves a program with `dioxus-devtools` until it goes away.
pub(super) fn serve_devtools(
    mut socket: WebSocket<ReadHalf>,
    hello: Hello,
    (write_half, peer): (TcpStream, SocketAddr),
    shared: &Arc<Shared>,
) -> Result<(), String> {
    let (client, inbox) = admit(hello, (write_half, peer), shared)?;
    socket.set_config(|c| c.max_message_size = Some(shared.limits.message_size));
    socket.set_config(|c| c.max_frame_size = Some(shared.limits.message_size));
    let handed = socket.get_mut().hand_over(inbox.clone());
    let reason = match handed {
        Ok(()) => loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    for (level, text) in wire::log_lines(&text) {
                        (shared.sink)(Notice::Log { client, level, text });
                    }
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => break "closed by the program".into(),
                Err(error) => break error.to_string(),
            }
        },
        Err(error) => error.to_string(),
    };
    let _ = inbox.send(ToDriver::End(reason));
    Ok(())
}

/// Serves a program with cargo-hot's client until it goes away.
pub(super) fn serve_cargo_hot(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let served = cargo_hot_hello(&socket, &shared.limits).and_then(|(hello, mut read_half)| {
        let (_, inbox) = admit(hello, (socket, peer), shared)?;
        let mut rest = [0; 256];
        let reason = loop {
            match read_half.read(&mut rest) {
                Ok(0) => break "closed by the program".to_owned(),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        let _ = inbox.send(ToDriver::End(reason));
        Ok(())
    });
    if let Err(reason) = served {
        (shared.sink)(Notice::Rejected { peer, reason });
    }
}

/// The client says one number.
fn cargo_hot_hello(socket: &TcpStream, limits: &Limits) -> Result<(Hello, TcpStream), String> {
    let setup = |e: std::io::Error| format!("the socket cannot be set up: {e}");
    socket.set_write_timeout(Some(limits.write)).map_err(setup)?;
    let mut half = ReadHalf::new(socket.try_clone().map_err(setup)?, Instant::now() + limits.hello);
    let mut number = [0; 8];
    half.read_exact(&mut number).map_err(|e| format!("no hello: {e}"))?;
    socket.set_read_timeout(None).map_err(setup)?;
    Ok((Hello::of_cargo_hot(number), socket.try_clone().map_err(setup)?))
}

/// Lets a guest in and starts the thread that writes to it.
fn admit(
    hello: Hello,
    (socket, peer): (TcpStream, SocketAddr),
    shared: &Arc<Shared>,
) -> Result<(u32, Sender<ToDriver>), String> {
    let ours = socket.local_addr().map_err(|e| e.to_string())?;
    let session = shared.registry.session();
    let pid = identify(&hello, (ours, peer), &session)?;
    let folder = cache::folder(&session.expected.live, peer.ip().to_canonical(), pid)
        .ok_or("there is no folder for its libraries")?;
    // The system tells of mapped files by their real paths.
    let folder = std::fs::canonicalize(folder).map_err(|e| e.to_string())?;
    let folder = folder.join(format!("{GUEST_FOLDER}{}", session.stamp));
    check_session(pid, &folder)?;
    let client = shared.registry.number();
    let (inbox, messages) = mpsc::channel();
    if !shared.registry.add_guest((client, pid), &session, inbox.clone()) {
        let _ = inbox.send(ToDriver::End("the program was built again".into()));
    }
    let protocol = hello.protocol;
    // Of what is published from here on, it is told when our runtime runs it.
    let is_late = session.len() > 0;
    (shared.sink)(Notice::Connected { client, pid, peer, protocol });
    let guest = Guest { client, pid, hello, folder };
    let driver = Driver::new(guest, socket, session, shared);
    std::thread::spawn(move || driver.run(&messages, is_late));
    Ok((client, inbox))
}

const GUEST_FOLDER: &str = "guest-";

/// The process of a guest: on this machine, ours to look into, and of this build.
fn identify(
    hello: &Hello,
    (ours, peer): (SocketAddr, SocketAddr),
    session: &Session,
) -> Result<u32, String> {
    let name = hello.protocol.name();
    if !peer.ip().to_canonical().is_loopback() {
        return Err(format!("{name} clients are served on this machine only"));
    }
    let holders = process::at_other_end(ours, peer);
    let expected = &session.expected.build_id;
    let found = match hello.pid {
        Some(pid) => holders.iter().find(|holder| **holder == pid),
        None => {
            let is_ours = |pid: &&u32| process::build_id(**pid).as_ref() == Some(expected);
            holders.iter().find(is_ours).or(holders.first())
        }
    };
    let pid = *found.ok_or_else(|| format!("no process of yours is behind this {name} client"))?;
    match process::build_id(pid) {
        Some(build) if build == *expected => {}
        Some(_) => return Err(format!("process {pid} runs another build; restart it")),
        None => return Err(format!("process {pid} cannot be looked into")),
    }
    if hello.anchor == 0 {
        return Err(format!(
            "process {pid} does not export `main`, by which {name} tells where it is loaded: \
             the linker must know `--export-dynamic-symbol`"
        ));
    }
    Ok(pid)
}

/// Libraries of another session have statics that this one knows nothing of.
fn check_session(pid: u32, folder: &std::path::Path) -> Result<(), String> {
    let of_guests = |path: &std::path::Path| {
        let parent = path.parent().filter(|parent| parent.parent() == folder.parent());
        parent
            .filter(|parent| {
                parent.file_name().is_some_and(|n| n.to_string_lossy().starts_with(GUEST_FOLDER))
            })
            .is_some_and(|parent| parent != folder)
    };
    match process::mapped_files(pid).iter().any(|(path, _)| of_guests(path)) {
        true => Err(format!("process {pid} runs patches of another session; restart it")),
        false => Ok(()),
    }
}
