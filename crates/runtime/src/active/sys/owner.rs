//! Whose socket is at the other end of a connection on this machine: the system lists all sockets
//! with their users in `/proc/net/tcp` and `tcp6` (proc_net(5) of the Linux manual pages).

use std::net::{IpAddr, SocketAddr, TcpStream};

/// The user; nothing where the other end is not on this machine, or the list cannot be read.
pub fn of_other_end(stream: &TcpStream) -> Option<u32> {
    let (theirs, ours) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|list| user_in(&std::fs::read_to_string(list).ok()?, theirs, ours))
}

/// The user of the socket that is bound to `local` and connected to `remote`.
fn user_in(list: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (written(local), written(remote));
    list.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is = |word: Option<&str>, forms: &[String; 2]| {
            word.is_some_and(|word| forms.iter().any(|form| form == word))
        };
        let found = is(words.next(), &local) && is(words.next(), &remote);
        found.then(|| words.nth(4)?.parse().ok()).flatten()
    })
}

/// An address as the two lists write it: each 32 bits as a number in the processor's byte order.
fn written(address: SocketAddr) -> [String; 2] {
    let group = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let port = address.port();
    let (short, long) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (group(ip.octets()), ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => (String::new(), ip),
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = long.octets();
    let groups = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
    let long: String = groups.into_iter().map(group).collect();
    [format!("{short}:{port:04X}"), format!("{long}:{port:04X}")]
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_other_end_is_known_by_its_user() {
        // SAFETY: the call has no arguments and cannot fail.
        let me = unsafe { libc::geteuid() };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let _theirs = listener.accept().unwrap();
            assert_eq!(of_other_end(&ours), Some(me), "{address}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_are_told_apart_by_both_ends() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     1 0 7\n\
            1: 0100007F:1F90 0100007F:9C41 01 00000000:00000000 00:00000000 00000000    33 0 8\n\
            2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:9C42 01 \
               00000000:00000000 00:00000000 00000000    34 0 9\n";
        let user = |local: &str, remote: &str| {
            user_in(list, local.parse().unwrap(), remote.parse().unwrap())
        };
        assert_eq!(user("127.0.0.1:8080", "127.0.0.1:40001"), Some(33));
        assert_eq!(user("127.0.0.1:8080", "127.0.0.1:40002"), Some(34));
        assert_eq!(user("127.0.0.2:8080", "127.0.0.1:40001"), None);
        assert_eq!(user("127.0.0.1:8080", "127.0.0.1:40003"), None);
    }
}
