//! The folders below `<store>/live` in which running programs keep the patch libraries they loaded.

use std::net::IpAddr;
use std::path::Path;

/// The folder for a program that dials from `peer`, made for it; only a program on this machine
/// can use one.
pub(super) fn folder(live: &Path, peer: IpAddr, pid: u32) -> Option<String> {
    if !peer.is_loopback() {
        return None;
    }
    let folder = live.join(pid.to_string());
    // A program writes to a temporary folder where it gets none, so this need not succeed.
    std::fs::create_dir_all(&folder).ok()?;
    folder.into_os_string().into_string().ok()
}

/// Removes the folders of programs that no longer run.
pub(super) fn sweep(live: &Path) {
    let Ok(entries) = std::fs::read_dir(live) else { return };
    for entry in entries.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if pid.is_some_and(|pid| pid > 0 && !runs(pid)) {
            // Best effort: what stays behind is found again at the next start.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn runs(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered; it only asks whether the process exists.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_programs_are_swept_and_others_stay() {
        let live = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (dead, own) = (child.id().to_string(), std::process::id().to_string());
        for name in [&*dead, &*own, "note"] {
            std::fs::create_dir(live.path().join(name)).unwrap();
        }
        sweep(live.path());
        assert!(!live.path().join(dead).exists());
        assert!(live.path().join(own).exists() && live.path().join("note").exists());
    }

    #[test]
    fn only_programs_on_this_machine_get_a_folder() {
        let live = tempfile::tempdir().unwrap();
        assert_eq!(folder(live.path(), "10.0.0.1".parse().unwrap(), 7), None);
        let made = folder(live.path(), "127.0.0.1".parse().unwrap(), 7).unwrap();
        assert!(Path::new(&made).is_dir());
    }
}
