//! The listening socket, and what a command says to all programs at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hotpatch_protocol::frame::PatchHeader;

use super::chain::Patch;
use super::connection::{self, Shared};
use super::registry::{Process, Registry, Session};
use super::{Expected, Limits, Notice, Sink, Token, cache};
use crate::error::Failure;
use crate::pipeline::relink::GuestLibrary;

/// How a server treats its programs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The secret that programs must know.
    pub token: Token,
    /// How long and how much a connection may take.
    pub limits: Limits,
}

/// What earlier servers of the same fat build have done.
#[derive(Debug, Default)]
pub struct Past<'a> {
    /// The patches from the first on, with their libraries.
    pub patches: Vec<(PatchHeader, &'a [u8])>,
    /// Which processes were sent how many of them.
    pub sent: Vec<(Process, usize)>,
}

/// A socket that listens and is not served yet: a port can be taken before there is a program.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens at `HOST:PORT`; port 0 takes any free one.
    ///
    /// # Errors
    /// A [`Failure`] of kind environment where the address cannot be used.
    pub fn bind(bind: &str) -> Result<Listener, Failure> {
        let failure = |e: std::io::Error| {
            Failure::environment(format!("cannot listen on {bind}: {e}")).hint(
                "give an address of this machine and a free port with --bind HOST:PORT; port 0 \
                 takes any free one",
            )
        };
        let addresses: Vec<_> = bind.to_socket_addrs().map_err(failure)?.collect();
        let socket = TcpListener::bind(&*addresses).map_err(failure)?;
        let address = socket.local_addr().map_err(failure)?;
        Ok(Listener { socket, address })
    }
}

/// Accepts programs and gives them patches, until it is dropped.
pub struct Server {
    address: SocketAddr,
    token: Token,
    registry: Arc<Registry>,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    /// Where connections of other tools' clients are accepted beside those at `address`.
    others: Vec<SocketAddr>,
}

impl Server {
    /// Serves; from here on `sink` gets the notices.
    pub fn start(listener: Listener, config: Config, expected: Expected, sink: Sink) -> Server {
        Self::serve(listener, config, Session::new(expected), sink)
    }

    /// Serves programs of which some were served before.
    ///
    /// # Errors
    /// As [`Server::publish`].
    pub fn resume(
        listener: Listener,
        config: Config,
        expected: Expected,
        sink: Sink,
        past: Past<'_>,
    ) -> anyhow::Result<Server> {
        let session = Session::new(expected);
        for (header, library) in past.patches {
            session.push(Patch::new(&header, library)?)?;
        }
        session.resume(past.sent);
        Ok(Self::serve(listener, config, session, sink))
    }

    fn serve(listener: Listener, config: Config, session: Arc<Session>, sink: Sink) -> Server {
        cache::sweep(&session.expected.live);
        let Listener { socket, address } = listener;
        let registry = Arc::new(Registry::new(session));
        let shared = Arc::new(Shared {
            registry: registry.clone(),
            token: config.token.clone(),
            limits: config.limits,
            sink,
            strangers: AtomicUsize::new(0),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, serving) = (stop.clone(), shared.clone());
        std::thread::spawn(move || accept_all(&socket, &serving, &stopped, connection::serve));
        Server { address, token: config.token, registry, shared, stop, others: Vec::new() }
    }

    /// Also serves programs with cargo-hot's client, at an address of their own.
    pub fn serve_cargo_hot(&mut self, listener: Listener) {
        let Listener { socket, address } = listener;
        self.others.push(address);
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        let serve = connection::serve_cargo_hot;
        std::thread::spawn(move || accept_all(&socket, &shared, &stop, serve));
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a program on this machine finds the server, also when it listens on all addresses.
    pub fn local_address(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }

    /// The secret that programs must know.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Processes that were sent the first patches of the chain, and how many.
    pub fn sent(&self) -> Vec<(Process, usize)> {
        self.registry.session().sent()
    }

    /// How many programs are connected.
    pub fn clients(&self) -> usize {
        self.registry.clients()
    }

    /// Appends a patch to the chain and sends it to all programs, now and later; how many are
    /// connected now.
    ///
    /// # Errors
    /// Where the patch is too large for a frame or does not follow the one before.
    pub fn publish(&self, header: &PatchHeader, library: &[u8]) -> anyhow::Result<usize> {
        self.registry.publish(Patch::new(header, library)?)
    }

    /// What makes programs with another tool's client look again at what the runtime in them has
    /// redirected; it is sent after each patch that their runtime runs.
    pub fn supply_again(&self, library: GuestLibrary) {
        self.registry.supply_again(Arc::new(library));
    }

    /// Appends to what programs with another tool's client load, as part of a patch; how many are
    /// connected now.
    pub fn publish_to_guests(&self, patch: u32, library: GuestLibrary) -> usize {
        self.registry.publish_to_guests(patch, Arc::new(library))
    }

    /// Takes the newest patch off the chain after the only program has refused it, so that the
    /// next patch does not build upon it; false where that is not so.
    pub fn take_back(&self, patch: u32) -> bool {
        self.registry.take_back(patch)
    }

    /// Takes this patch and those after it off the chain, after it has ended the only program; false
    /// where one is connected.
    pub fn give_up(&self, patch: u32) -> bool {
        self.registry.give_up(patch)
    }

    /// The program was built again: its old processes are sent away, and a new chain begins.
    pub fn begin(&self, expected: Expected) {
        let session = Session::new(expected);
        self.registry.restart(Some(session), "the program was built again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.registry.restart(None, "cargo hotpatch ended");
        // Wakes the threads that accept, which then see that they should stop.
        for address in self.others.iter().chain([&self.local_address()]) {
            let _ = TcpStream::connect_timeout(address, Duration::from_secs(1));
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    stop: &AtomicBool,
    serve: fn(TcpStream, SocketAddr, &Arc<Shared>),
) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match accepted {
            Ok((socket, peer)) => {
                if shared.strangers.fetch_add(1, Ordering::Relaxed) >= shared.limits.strangers {
                    shared.strangers.fetch_sub(1, Ordering::Relaxed);
                    let reason = "too many connections without a hello".into();
                    (shared.sink)(Notice::Rejected { peer, reason });
                    continue;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(socket, peer, &shared));
            }
            // Out of file descriptors, or a peer that left at once: the next one may do better.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
