//! What makes a program call its functions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ChildStdin;
use std::time::Duration;

/// What a user of the program does.
#[derive(Debug, Clone, Copy)]
pub enum Activity {
    /// Nothing: the program runs by itself.
    None,
    /// Types these characters.
    Type(&'static str),
    /// Asks for pages at this port.
    Http(u16),
    /// Sets and reads keys at this port.
    Redis(u16),
    /// Writes this file of the program's folder.
    Touch(&'static str),
}

impl Activity {
    /// Does it once. What goes wrong shows in what the program then does.
    pub fn once(self, folder: &Path, stdin: &mut Option<ChildStdin>) {
        let _ = match self {
            Activity::None => Ok(()),
            Activity::Type(keys) => match stdin {
                Some(stdin) => stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()),
                None => Ok(()),
            },
            Activity::Http(port) => ["/", "/table.csv", "/none", "/sub/"].iter().try_for_each(|p| {
                let request = format!("GET {p} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                exchange(port, request.as_bytes())
            }),
            Activity::Redis(port) => exchange(
                port,
                b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n\
                  *1\r\n$4\r\nPING\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n*1\r\n$4\r\nNONE\r\n",
            ),
            Activity::Touch(name) => std::fs::write(folder.join(name), format!("{:?}", std::time::Instant::now())),
        };
    }
}

fn exchange(port: u16, request: &[u8]) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    Ok(())
}
