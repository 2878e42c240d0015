//! An HTTP client on one connection that stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, ensure};

use super::{User, Visitor, connect};

/// The connection.
pub struct Http {
    socket: BufReader<TcpStream>,
    asked: usize,
}

impl Http {
    pub fn open(port: u16) -> anyhow::Result<Http> {
        Ok(Http { socket: BufReader::new(connect(port)?), asked: 0 })
    }

    /// The head and the body; the server must keep the connection.
    fn get(&mut self, path: &str) -> anyhow::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(self.socket.read_line(&mut head)? > 0, "the server closed the connection");
        }
        let lower = head.to_lowercase();
        let length = lower.split_once("content-length: ").context("no length")?.1;
        let length = length.split_once("\r\n").context("no length")?.0.trim().parse()?;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).context("the body is not whole")?;
        Ok(head + &String::from_utf8_lossy(&body))
    }
}

impl User for Http {
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        self.get(what)
    }

    fn words(&self, what: &str) -> String {
        format!("GET {what} answers")
    }
}

impl Visitor for Http {
    fn visit(&mut self) -> anyhow::Result<()> {
        self.asked += 1;
        let (path, part) = match self.asked % 2 {
            0 => ("/", "table.csv"),
            _ => ("/table.csv", "499,name 499,249001"),
        };
        let answer = self.get(path)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "GET {path}: {:.40}", answer);
        ensure!(answer.contains(part), "GET {path}: no {part:?}");
        Ok(())
    }
}
