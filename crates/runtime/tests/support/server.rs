//! The server's side of the conversation.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use hotpatch_protocol::message::{ClientMessage, Hello, ServerMessage};
use tungstenite::{Message, WebSocket};

/// Listens for programs.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    pub fn new() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn at(address: &str) -> Server {
        Server { listener: TcpListener::bind(address).unwrap() }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next connection, before anything was said on it.
    pub fn stream(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The next program that says hello, welcomed.
    pub fn client(&self, cache_dir: &Path) -> Client {
        let mut client = self.unwelcomed();
        client.say(&ServerMessage::Welcome { cache_dir: Some(cache_dir.display().to_string()) });
        client
    }

    /// The next program that says hello.
    pub fn unwelcomed(&self) -> Client {
        let mut socket = tungstenite::accept(self.stream()).unwrap();
        let hello = match read(&mut socket) {
            ClientMessage::Hello(hello) => hello,
            other => panic!("no hello: {other:?}"),
        };
        Client { socket, hello }
    }
}

/// A program that said hello.
pub struct Client {
    pub socket: WebSocket<TcpStream>,
    pub hello: Hello,
}

impl Client {
    pub fn say(&mut self, message: &ServerMessage) {
        self.socket.send(Message::text(serde_json::to_string(message).unwrap())).unwrap();
    }

    pub fn send(&mut self, frame: Vec<u8>) {
        self.socket.send(Message::binary(frame)).unwrap();
    }

    /// The next answer; what is only told to the developer is printed.
    pub fn answer(&mut self) -> ClientMessage {
        loop {
            match read(&mut self.socket) {
                ClientMessage::Log { level, text } => println!("{level}: {text}"),
                other => return other,
            }
        }
    }

    /// Sends a frame and waits for the answer.
    pub fn ask(&mut self, frame: Vec<u8>) -> ClientMessage {
        self.send(frame);
        self.answer()
    }
}

fn read(socket: &mut WebSocket<TcpStream>) -> ClientMessage {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected message {other:?}"),
        }
    }
}
