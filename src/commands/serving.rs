//! What `watch` and `patch --wait` have in common as servers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::Context;
use hotpatch_protocol::frame::PatchHeader;
use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};

use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::deliver::{
    CARGO_HOT_ADDRESS, Config, Expected, Limits, Listener, Notice, Server, Sink, Token,
};
use crate::pipeline::diff::Patch;
use crate::report::{Event, Reporter};
use crate::session::Store;

/// Where to listen. A program that was `started_elsewhere` may dial an address already: the one in
/// our own environment is used then, unless the command line says another.
pub fn address(bind: SocketAddr, started_elsewhere: bool) -> String {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match std::env::var(ENV_ADDR) {
        Ok(known) if started_elsewhere && bind == default && !known.is_empty() => known,
        _ => bind.to_string(),
    }
}

/// Tells where we serve, and what it means where other machines can reach that.
pub fn announce(server: &Server, reporter: &Reporter) {
    let bound = server.address();
    reporter.emit(&Event::Serving { addr: bound.to_string() });
    if let Some(message) = exposure(bound) {
        reporter.emit(&Event::Warning { message });
    }
}

/// Prints where a program on another machine finds us, if that is not where we listen.
pub fn instruct_others(server: &Server, reporter: &Reporter) {
    if let Some(address) = network_address(server.address()) {
        reporter.instruct(&format!("on another machine it takes {ENV_ADDR}={address}"));
    }
}

fn exposure(bound: SocketAddr) -> Option<String> {
    (!bound.ip().is_loopback()).then(|| {
        format!(
            "other machines can connect to {bound}: only who knows the token is served, but the \
             token and the patches travel unencrypted, and whoever can read or change what \
             travels can bring other code into the program; use it only in a network that you \
             trust, and leave `--bind` out elsewhere"
        )
    })
}

/// By which address another machine finds what listens on all of this machine's addresses: the one
/// from which it would reach others. (Nothing is sent for that.)
fn network_address(bound: SocketAddr) -> Option<SocketAddr> {
    // Addresses for documentation: RFC 5737 and RFC 3849.
    let (any, other) = match bound {
        _ if !bound.ip().is_unspecified() => return None,
        SocketAddr::V4(_) => ("0.0.0.0:0", "198.51.100.1:9"),
        SocketAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(other).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then(|| SocketAddr::new(own, bound.port()))
}

/// Listens where programs with cargo-hot's client dial, which is written into them.
///
/// # Errors
/// Where the port is taken.
pub fn cargo_hot_listener() -> Result<Listener, Failure> {
    let hint = "end whatever else serves cargo-hot, or leave `--client cargo-hot` out";
    Listener::bind(CARGO_HOT_ADDRESS).map_err(|failure| failure.hint(hint))
}

/// The server's settings, with a new token, or, for a program that was `started_elsewhere`, the one
/// of our own environment.
///
/// # Errors
/// Where the system has no random numbers.
pub fn config(started_elsewhere: bool) -> anyhow::Result<Config> {
    let token = match std::env::var(ENV_TOKEN) {
        Ok(known) if started_elsewhere && !known.is_empty() => Token::given(known),
        _ => Token::random().context("making a random token")?,
    };
    Ok(Config { token, limits: Limits::default() })
}

/// The program that a fat build made.
pub fn expected(fat: &FatBuild, store: &Store) -> Expected {
    let canary = Canary {
        rustc: fat.rustc_commit.clone(),
        target: fat.target.clone(),
        // Programs for others take no patches yet.
        pointer_width: 64,
        panic: fat.panic.clone(),
    };
    Expected { build_id: fat.build_id.clone(), canary, live: store.live() }
}

/// Sends notices into a command's channel.
pub fn sink<T: Send + 'static>(inbox: &Sender<T>, wrap: fn(Notice) -> T) -> Sink {
    let inbox = inbox.clone();
    Arc::new(move |notice| drop(inbox.send(wrap(notice))))
}

/// What goes with a patch's bytes.
pub fn header(fat: &FatBuild, patch: &Patch) -> PatchHeader {
    PatchHeader {
        patch: patch.patch,
        build_id: fat.build_id.clone(),
        content_hash: blake3::hash(&patch.bytes).to_hex().to_string(),
        functions: patch.functions.clone(),
        carried: patch.carried.clone(),
    }
}
