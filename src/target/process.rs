//! What the system tells of other processes of this machine. (Linux: the folder `/proc`.)

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{self, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotpatch_protocol::{AGREED, waiting_name};

use super::binary::program;

/// How long a runtime that waits may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processes that hold the other end of a connection on this machine: of the same user as
/// we, or of any where we may read everybody's. `ours` and `peer` are the connection as we see it.
pub fn at_other_end(ours: SocketAddr, peer: SocketAddr) -> Vec<u32> {
    let Some(inode) = socket_inode(peer, ours) else { return Vec::new() };
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    all()
        .filter(|pid| {
            let files =
                std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            links.any(|link| link == socket)
        })
        .collect()
}

/// The number of the socket that is bound to `local` and connected to `remote`.
fn socket_inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let this = socket_address(words.next()?)?;
            let other = socket_address(words.next()?)?;
            let inode = words.nth(6)?.parse().ok().filter(|inode| *inode != 0)?;
            (same(this, local) && same(other, remote)).then_some(inode)
        })
    })
}

fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

/// `0100007F:1F90`: each group of eight digits is a number in the processor's byte order.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for group in address.as_bytes().chunks(8) {
        let group = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
        bytes.extend_from_slice(&group.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The processes that were given this variable when they, or those that they were forked from, were
/// started; of the same user as we, or of any where we may read everybody's.
pub fn with_variable(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let has = |pid: &u32| {
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let mut found: Vec<u32> = all().filter(has).collect();
    found.sort_unstable();
    found
}

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The GNU build id of the file that a process runs, lower-case hex.
pub fn build_id(pid: u32) -> Option<String> {
    program::build_id(Path::new(&format!("/proc/{pid}/exe"))).ok()
}

/// Where the file that a process runs is mapped.
pub fn program_mapping(pid: u32) -> Option<u64> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    mapped_files(pid).into_iter().find(|(path, _)| *path == program).map(|(_, at)| at)
}

/// The files that a process has mapped from their beginning, with the address of that place.
pub fn mapped_files(pid: u32) -> Vec<(PathBuf, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    text.lines().filter_map(mapped_file).collect()
}

/// `55d0c0000000-55d0c0001000 r--p 00000000 08:01 1234      /path with spaces`.
fn mapped_file(line: &str) -> Option<(PathBuf, u64)> {
    let mut words = line.splitn(6, ' ');
    let (from, _) = words.next()?.split_once('-')?;
    let offset = u64::from_str_radix(words.nth(1)?, 16).ok()?;
    let path = words.nth(2)?.trim_start();
    let from = u64::from_str_radix(from, 16).ok()?;
    (offset == 0 && path.starts_with('/')).then(|| (path.into(), from))
}

/// Eight bytes of a process's memory.
pub fn read_word(pid: u32, address: u64) -> Option<u64> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut word = [0; 8];
    memory.read_exact_at(&mut word, address).ok()?;
    Some(u64::from_le_bytes(word))
}

/// Says something to the runtime that waits in a process of ours, and waits until it agrees.
///
/// # Errors
/// Why it does not, for people.
pub fn invite(pid: u32, text: &str) -> Result<(), String> {
    let address = net::SocketAddr::from_abstract_name(waiting_name(pid));
    let connect = address.and_then(|address| UnixStream::connect_addr(&address));
    let mut socket = connect.map_err(|e| match e.kind() {
        ErrorKind::ConnectionRefused => "it does not wait for that".to_string(),
        _ => e.to_string(),
    })?;
    if !is_of(&socket, pid) {
        return Err("another process has taken its place".into());
    }
    let mut agreed = Vec::new();
    let asked = socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| socket.write_all(text.as_bytes()))
        .and_then(|()| socket.shutdown(std::net::Shutdown::Write))
        .and_then(|()| (&socket).read_to_end(&mut agreed));
    match asked {
        Ok(_) if agreed == AGREED => Ok(()),
        Ok(_) => Err("it does not agree: its runtime is of another version, or confined".into()),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err("it does not answer: another `cargo hotpatch watch` may be attached to it".into())
        }
        Err(e) => Err(e.to_string()),
    }
}

/// Whether the other end of a socket is a process, and of our user.
fn is_of(socket: &UnixStream, pid: u32) -> bool {
    let mut found = MaybeUninit::<libc::ucred>::zeroed();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than one `ucred`, of which all bytes zero is a valid value,
    // and the other calls only ask.
    unsafe {
        let asked = libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            found.as_mut_ptr().cast(),
            &mut length,
        );
        let found = found.assume_init();
        asked == 0 && u32::try_from(found.pid) == Ok(pid) && found.uid == libc::geteuid()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_process_behind_a_connection_is_found_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let ours = server.local_addr().unwrap();
        assert!(at_other_end(ours, peer).contains(&std::process::id()));
        assert!(at_other_end("127.0.0.1:1".parse().unwrap(), peer).is_empty());
        drop(client);
    }

    #[test]
    fn addresses_of_sockets_are_read() {
        assert_eq!(socket_address("0100007F:1F90"), Some("127.0.0.1:8080".parse().unwrap()));
        let v6 = socket_address("0000000000000000FFFF00000100007F:0050").unwrap();
        assert!(same(v6, "127.0.0.1:80".parse().unwrap()), "{v6}");
    }

    #[test]
    fn mapped_files_have_their_paths_and_addresses() {
        let line = "55d0c0000000-55d0c0001000 r--p 00000000 08:01 1234      /a b/c";
        assert_eq!(mapped_file(line), Some(("/a b/c".into(), 0x55d0_c000_0000)));
        let later = "55d0c0001000-55d0c0002000 r-xp 00001000 08:01 1234      /a b/c";
        assert_eq!(mapped_file(later), None);
        assert_eq!(mapped_file("7f00-7f01 rw-p 00000000 00:00 0 "), None);
        let own = std::env::current_exe().unwrap();
        assert!(mapped_files(std::process::id()).iter().any(|(path, _)| *path == own));
    }

    #[test]
    fn processes_are_known_by_a_variable() {
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("60").env("HOTPATCH_KNOWN_BY", "this").spawn().unwrap();
        let until = std::time::Instant::now() + PATIENCE;
        let mut found = Vec::new();
        // While it becomes the other program, it has no variables.
        while found.is_empty() && std::time::Instant::now() < until {
            found = with_variable("HOTPATCH_KNOWN_BY", "this");
        }
        assert_eq!(found, [child.id()]);
        assert!(with_variable("HOTPATCH_KNOWN_BY", "thi").is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn words_of_a_process_are_read() {
        let word = Box::new(0x1122_3344_5566_7788_u64);
        let address = std::ptr::from_ref(&*word) as u64;
        assert_eq!(read_word(std::process::id(), address), Some(*word));
        assert_eq!(read_word(std::process::id(), 8), None);
    }
}
