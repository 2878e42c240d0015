//! Being told when a device goes or comes.

use std::io::Read;
use std::time::Duration;

use super::Shared;
use crate::device::{Listed, parse_list};

/// How long the server of `adb` is given to start again.
const PAUSE: Duration = Duration::from_secs(1);

/// Goes on until everything is to end.
pub(super) fn track(shared: &Shared) {
    loop {
        if let Ok(mut running) = shared.adb.track() {
            let stdout = running.stdout();
            {
                let mut known = shared.known();
                if known.stopping {
                    return;
                }
                known.tracking = Some(running);
            }
            if let Some(stdout) = stdout {
                read_lists(stdout, |list| shared.see(&list));
            }
        }
        if shared.pause(PAUSE) {
            return;
        }
        // Its server has ended, and with it the ports that lead here.
        shared.see(&[]);
    }
}

/// Each list comes with its length in four hexadecimal digits.
fn read_lists(mut stream: impl Read, mut see: impl FnMut(Vec<Listed>)) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let digits = std::str::from_utf8(&length).ok();
        let Some(length) = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) else {
            return;
        };
        let mut text = vec![0; length];
        if stream.read_exact(&mut text).is_err() {
            return;
        }
        see(parse_list(&String::from_utf8_lossy(&text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_one_after_the_other() {
        let mut seen = Vec::new();
        read_lists(&b"00000009a\tdevice\n0000"[..], |list| seen.push(list.len()));
        assert_eq!(seen, [0, 1, 0]);
        read_lists(&b"adb: error"[..], |_| panic!("no list"));
    }
}
