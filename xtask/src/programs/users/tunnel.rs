//! A tunnel: a server that echoes, the program's own client in front of it, and connections
//! through the program to that server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{User, Visitor, connect};
use crate::programs::watched::{Pipes, Place};

/// Where the program takes its clients; it has no argument for it.
const CONTROL: u16 = 7835;

/// The client and a connection that stays.
pub struct Tunnel {
    client: Child,
    port: u16,
    stays: Echo,
    pipes: Pipes,
}

impl Tunnel {
    /// Starts the server and the client; the tunnel's entry is the place's port.
    pub fn open(place: &Place, pipes: Pipes) -> anyhow::Result<Tunnel> {
        drop(connect(CONTROL)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let behind = listener.local_addr()?.port().to_string();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || echo(socket));
            }
        });
        let port = place.port.to_string();
        let mut command = Command::new(place.target.join("debug/bore"));
        command.args(["local", &behind, "--to", "127.0.0.1", "--port", &port]);
        let client = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let client = client.context("the tunnel's client")?;
        let stays = Echo::open(place.port)?;
        Ok(Tunnel { client, port: place.port, stays, pipes })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn echo(socket: TcpStream) {
    let Ok(mut writer) = socket.try_clone() else { return };
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        if writer.write_all(format!("{line}\n").as_bytes()).is_err() {
            return;
        }
    }
}

impl User for Tunnel {
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        match what {
            "echo" => {
                self.stays.visit()?;
                Ok("the same line".into())
            }
            "open" => {
                let from = self.pipes.printed().len();
                Echo::open(self.port)?.visit()?;
                Ok(self.pipes.printed().split_off(from))
            }
            _ => hello(),
        }
    }

    fn words(&self, what: &str) -> String {
        match what {
            "open" => "a new connection is logged as".into(),
            _ => "a new client is told".into(),
        }
    }
}

/// What the server says to a new client within a second.
fn hello() -> anyhow::Result<String> {
    let mut socket = connect(CONTROL)?;
    socket.write_all(b"{\"Hello\":0}\0")?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let (mut said, mut buffer) = (Vec::new(), [0; 256]);
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        if let Ok(length) = socket.read(&mut buffer) {
            said.extend_from_slice(&buffer[..length]);
        }
    }
    Ok(String::from_utf8_lossy(&said).replace('\0', "<0>\n"))
}

/// A connection through the tunnel.
pub struct Echo {
    socket: BufReader<TcpStream>,
    asked: usize,
}

impl Echo {
    pub fn open(port: u16) -> anyhow::Result<Echo> {
        Ok(Echo { socket: BufReader::new(connect(port)?), asked: 0 })
    }
}

impl Visitor for Echo {
    fn visit(&mut self) -> anyhow::Result<()> {
        self.asked += 1;
        let line = format!("request {}\n", self.asked);
        self.socket.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        self.socket.read_line(&mut answer)?;
        ensure!(answer == line, "{line:?} came back as {answer:?}");
        Ok(())
    }
}
