//! A Redis client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::ensure;

use super::{User, Visitor, connect};

/// The connection that stays.
pub struct Redis {
    port: u16,
    socket: BufReader<TcpStream>,
    asked: usize,
}

impl Redis {
    pub fn open(port: u16) -> anyhow::Result<Redis> {
        Ok(Redis { port, socket: BufReader::new(connect(port)?), asked: 0 })
    }
}

fn send(socket: &mut BufReader<TcpStream>, command: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    socket.get_mut().write_all(request.as_bytes())?;
    let mut answer = String::new();
    if socket.read_line(&mut answer)? == 0 {
        return Ok("closed".into());
    }
    if let Some(length) = answer.strip_prefix('$').and_then(|l| l.trim().parse::<usize>().ok()) {
        let mut value = vec![0; length + 2];
        socket.read_exact(&mut value)?;
        answer += &String::from_utf8_lossy(&value);
    }
    Ok(answer)
}

impl User for Redis {
    /// What the server may answer by closing the connection is asked on another one.
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        match what.contains(" ex ") {
            true => send(&mut BufReader::new(connect(self.port)?), what),
            false => {
                let answer = send(&mut self.socket, what)?;
                ensure!(answer != "closed", "the server closed the connection");
                Ok(answer)
            }
        }
    }

    fn words(&self, what: &str) -> String {
        format!("`{what}` answers")
    }
}

impl Visitor for Redis {
    fn visit(&mut self) -> anyhow::Result<()> {
        self.asked += 1;
        let value = self.asked;
        let key = self.socket.get_ref().local_addr()?.port();
        let (command, expected) = match value % 3 {
            0 => (format!("set {key} {value}"), "+OK".to_string()),
            1 => (format!("get {key}"), format!("\r\n{}\r\n", value - 1)),
            _ => ("ping".to_string(), "-ERR unknown command 'ping'".to_string()),
        };
        let answer = send(&mut self.socket, &command)?;
        // Nothing has been set yet.
        let right = answer.contains(&expected) || (value == 1 && answer.starts_with("$-1"));
        ensure!(right, "`{command}`: {answer:?}");
        Ok(())
    }
}
