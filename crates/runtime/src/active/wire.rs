//! Saying something to the server from another thread than the one that talks to it. What is said
//! goes out in one piece, so that it does not get between the parts of another message.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use super::sys::raw;

/// The room for a WebSocket frame's header with a 16-bit length and a mask.
const HEADER: usize = 8;
const ROOM: usize = 8192;

/// Where the server listens, or -1.
static SOCKET: AtomicI32 = AtomicI32::new(-1);

/// From now on the server is reached through this descriptor; -1 for none.
pub fn talk_through(descriptor: i32) {
    SOCKET.store(descriptor, SeqCst);
}

/// A text message in the making. Making and sending it neither allocates nor locks.
pub struct Text {
    bytes: [u8; ROOM],
    length: usize,
}

impl Text {
    /// An empty one.
    pub fn new() -> Text {
        Text { bytes: [0; ROOM], length: HEADER }
    }

    /// Sends it, where a server listens: one final frame. A mask of zeros leaves the text as it is.
    pub fn send(mut self) {
        let [high, low] = (self.length.saturating_sub(HEADER) as u16).to_be_bytes();
        let header = [0x81, 0x80 | 126, high, low, 0, 0, 0, 0];
        for (to, from) in self.bytes.iter_mut().zip(header) {
            *to = from;
        }
        let socket = SOCKET.load(SeqCst);
        if socket >= 0 {
            raw::send(socket, self.bytes.get(..self.length).unwrap_or_default());
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length.checked_add(part.len()).ok_or(fmt::Error)?;
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_text_arrives_as_a_message() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        talk_through(ours.as_raw_fd());
        let mut text = Text::new();
        text.write_str("hello").unwrap();
        text.send();
        talk_through(-1);
        let mut frame = [0; 13];
        theirs.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..8], [0x81, 0xfe, 0, 5, 0, 0, 0, 0]);
        assert_eq!(&frame[8..], b"hello");
        assert!(Text::new().write_str(&"x".repeat(ROOM)).is_err());
    }
}
