//! The reading half of a connection, as tungstenite sees it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::driver::ToDriver;

/// A socket that one thread reads. What tungstenite wants to write by itself while it reads (the
/// answer to a ping or to a close) goes to the thread that writes, so that it never lands in the
/// middle of a patch.
pub(super) struct ReadHalf {
    socket: TcpStream,
    deadline: Option<Instant>,
    driver: Option<Sender<ToDriver>>,
}

impl ReadHalf {
    /// A socket nobody else writes to yet, from which everything must be read before `deadline`.
    pub fn new(socket: TcpStream, deadline: Instant) -> Self {
        ReadHalf { socket, deadline: Some(deadline), driver: None }
    }

    /// Sends no more, and throws away what still comes, until the peer closes or `deadline`.
    pub fn finish(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        if self.socket.shutdown(Shutdown::Write).is_ok() {
            let mut sink = [0; 4096];
            while self.read(&mut sink).is_ok_and(|count| count > 0) {}
        }
    }

    /// From here on reads take as long as they take, and writes go to `driver`.
    pub fn hand_over(&mut self, driver: Sender<ToDriver>) -> io::Result<()> {
        self.deadline = None;
        self.driver = Some(driver);
        self.socket.set_read_timeout(None)
    }
}

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            // A timeout for each read alone would let a byte now and then keep the connection.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
        }
        match self.socket.read(buffer) {
            // tungstenite takes "would block" for "call me again".
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            other => other,
        }
    }
}

impl Write for ReadHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.driver {
            None => self.socket.write(bytes),
            // All of `bytes` is taken, so these are always whole frames.
            Some(driver) => match driver.send(ToDriver::Raw(bytes.to_vec())) {
                Ok(()) => Ok(bytes.len()),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
