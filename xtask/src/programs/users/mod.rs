//! Users of the programs: each does what it is told in a word or two, and tells what the program
//! then showed.

mod http;
mod lines;
mod lsp;
mod redis;
mod screen;
mod tunnel;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::watched::{Place, Watched};

/// How a program is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keys and a terminal's screen. A word is a key or is typed; `resize` makes the terminal one
    /// column wider or narrower. It is used from the moment on when this is on the screen.
    Screen(&'static str),
    /// A line of input, and what the program prints then.
    Lines,
    /// This file is written, and the program prints something.
    Touch(&'static str),
    /// Requests of a language client: `open`, `hover LINE COLUMN`, or a method.
    Lsp,
    /// The answer to GET, on one connection.
    Http,
    /// The answer to a command, on one connection; a new one where the server has closed it.
    Redis,
    /// What goes through a tunnel (`echo`), what the server logs of a new connection in it
    /// (`open`), and what it says to a new client (`hello`).
    Tunnel,
}

/// How long a program may take to answer on a busy machine.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Somebody who uses a program.
pub trait User {
    /// Does this, and tells what the program showed.
    ///
    /// # Errors
    /// Where the program cannot be reached, or a connection that must stay is gone.
    fn ask(&mut self, what: &str) -> anyhow::Result<String>;

    /// What was asked, for people.
    fn words(&self, what: &str) -> String;
}

/// Somebody who asks again and again.
pub trait Visitor: Send {
    /// One request and its whole answer.
    ///
    /// # Errors
    /// Whatever is not the answer that the request must have.
    fn visit(&mut self) -> anyhow::Result<()>;
}

/// A user of a program that runs.
///
/// # Errors
/// Where it cannot be reached.
pub fn open(kind: Kind, place: &Place, watched: &Watched) -> anyhow::Result<Box<dyn User>> {
    Ok(match kind {
        Kind::Screen(ready) => Box::new(screen::Screen::open(watched.terminal()?, ready)?),
        Kind::Lines => Box::new(lines::Lines::new(watched.pipes()?, None)),
        Kind::Touch(file) => {
            Box::new(lines::Lines::new(watched.pipes()?, Some(place.files.join(file))))
        }
        Kind::Lsp => Box::new(lsp::Client::new(watched.pipes()?)),
        Kind::Http => Box::new(http::Http::open(place.port)?),
        Kind::Redis => Box::new(redis::Redis::open(place.port)?),
        Kind::Tunnel => Box::new(tunnel::Tunnel::open(place, watched.pipes()?)?),
    })
}

/// A visitor with a connection of its own. `user` is who uses the program meanwhile.
///
/// # Errors
/// Where it cannot be reached, or is no server.
pub fn visitor(kind: Kind, port: u16) -> anyhow::Result<Box<dyn Visitor>> {
    Ok(match kind {
        Kind::Http => Box::new(http::Http::open(port)?),
        Kind::Redis => Box::new(redis::Redis::open(port)?),
        Kind::Tunnel => Box::new(tunnel::Echo::open(port)?),
        _ => bail!("it is no server"),
    })
}

/// A connection, as soon as somebody listens.
fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let until = Instant::now() + ANSWER_WITHIN;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => {
                socket.set_read_timeout(Some(ANSWER_WITHIN))?;
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(e) if Instant::now() > until => {
                return Err(e).with_context(|| format!("nobody listens at port {port}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
