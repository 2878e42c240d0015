//! Saying something to the server from another thread than the one that talks to it. What is said
//! goes out in one piece, so that it does not get between the parts of another message.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};

use super::sys::line::{Place, identity};
use super::sys::raw;

/// The room for a WebSocket frame's header with a 16-bit length and a mask.
const HEADER: usize = 8;
const ROOM: usize = 8192;

/// Where the server listens, or -1.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// What its descriptor is known by, zeros where nobody else can take the number.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

/// From now on the server is reached here.
pub fn talk_through(place: Option<Place>) {
    SOCKET.store(-1, SeqCst);
    let Some(Place { descriptor, identity }) = place else { return };
    let (device, inode) = identity.unwrap_or_default();
    DEVICE.store(device, SeqCst);
    INODE.store(inode, SeqCst);
    SOCKET.store(descriptor, SeqCst);
}

/// The descriptor, unless it is the program's own file by now.
fn socket() -> Option<i32> {
    let socket = SOCKET.load(SeqCst);
    let known = (DEVICE.load(SeqCst), INODE.load(SeqCst));
    let is_ours = socket >= 0 && (known == (0, 0) || identity(socket) == Some(known));
    is_ours.then_some(socket)
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
        if let Some(socket) = socket() {
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

    /// Tests share the one place.
    #[test]
    fn a_text_arrives_as_a_message_and_only_at_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let descriptor = ours.as_raw_fd();
        let say = |text: &str| {
            let mut message = Text::new();
            message.write_str(text).unwrap();
            message.send();
        };
        let known = identity(descriptor);
        assert!(known.is_some());
        for identity in [None, known] {
            talk_through(Some(Place { descriptor, identity }));
            say("hello");
            let mut frame = [0; 13];
            theirs.read_exact(&mut frame).unwrap();
            assert_eq!(frame[..8], [0x81, 0xfe, 0, 5, 0, 0, 0, 0]);
            assert_eq!(&frame[8..], b"hello");
        }
        let another = known.map(|(device, inode)| (device, inode.wrapping_add(1)));
        talk_through(Some(Place { descriptor, identity: another }));
        say("to somebody else");
        talk_through(None);
        say("to nobody");
        drop(ours);
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(Text::new().write_str(&"x".repeat(ROOM)).is_err());
    }
}
