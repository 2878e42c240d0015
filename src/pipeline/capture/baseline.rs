//! Keeping the objects that went into the program. Incremental compilation leaves one object for
//! each codegen unit in its session folder; links to them outlive the next session.

use std::io;
use std::path::{Path, PathBuf};

/// Fills `baseline` with links to the objects of the crate's newest finished session below
/// `incremental`, which must have begun after `started_ns` (since 1970); tells how many there are.
///
/// # Errors
/// Where no such session is found (rustc goes on without one on some network file systems), or a
/// file cannot be linked or copied.
pub fn keep(
    incremental: &Path,
    crate_name: &str,
    started_ns: u64,
    baseline: &Path,
) -> io::Result<usize> {
    let newest = newest_session(incremental, crate_name)?;
    let session = newest.filter(|s| s.began_us >= started_ns / 1000).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "rustc left no finished incremental session")
    })?;
    remove(baseline)?;
    std::fs::create_dir_all(baseline)?;
    let mut count = 0;
    for entry in std::fs::read_dir(&session.folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "o") {
            let kept = baseline.join(path.file_name().unwrap_or_default());
            if std::fs::hard_link(&path, &kept).is_err() {
                std::fs::copy(&path, &kept)?;
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Removes a folder with all it has; it need not be there.
///
/// # Errors
/// Where it is there and stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// What a successful rustc leaves for the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// When it began, in microseconds since 1970.
    pub began_us: u64,
    /// Its folder.
    pub folder: PathBuf,
}

/// The session that a successful rustc finished last. The folders are named
/// `<crate>-<id>/s-<time>-<random>-<hash>`; an unfinished one ends in `-working`.
///
/// # Errors
/// Where a folder cannot be read.
pub fn newest_session(incremental: &Path, crate_name: &str) -> io::Result<Option<Session>> {
    let prefix = format!("{crate_name}-");
    let mut sessions = Vec::new();
    for crate_dir in std::fs::read_dir(incremental)? {
        let crate_dir = crate_dir?;
        let name = crate_dir.file_name();
        if !name.to_str().is_some_and(|n| n.starts_with(&prefix)) {
            continue;
        }
        for session in std::fs::read_dir(crate_dir.path())? {
            let session = session?;
            let name = session.file_name();
            if let Some(began_us) = name.to_str().and_then(session_time) {
                sessions.push(Session { began_us, folder: session.path() });
            }
        }
    }
    Ok(sessions.into_iter().max())
}

/// When a finished session began, from its folder's name.
fn session_time(name: &str) -> Option<u64> {
    let mut parts = name.strip_prefix("s-")?.splitn(3, '-');
    let time = u64::from_str_radix(parts.next()?, 36).ok()?;
    parts.next()?;
    let last = parts.next()?;
    (last != "working" && !last.contains('.')).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_finished_session_of_the_crate_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let incremental = dir.path().join("incremental");
        for (session, text) in [
            ("app-1/s-zzz-1-aaa", "old"),
            ("app-2/s-1000-1-aaa", "newest"),
            ("app-2/s-2000-1-working", "unfinished"),
            ("other-1/s-3000-1-aaa", "another crate"),
        ] {
            let session = incremental.join(session);
            std::fs::create_dir_all(&session).unwrap();
            std::fs::write(session.join("cgu.o"), text).unwrap();
            std::fs::write(session.join("dep-graph.bin"), text).unwrap();
        }
        std::fs::write(incremental.join("app-2/s-4000-1.lock"), "").unwrap();
        let baseline = dir.path().join("baseline");
        std::fs::create_dir(&baseline).unwrap();
        std::fs::write(baseline.join("gone.o"), "").unwrap();
        let began_ns = u64::from_str_radix("1000", 36).unwrap() * 1000;
        assert_eq!(keep(&incremental, "app", began_ns, &baseline).unwrap(), 1);
        assert!(keep(&incremental, "app", began_ns + 1000, &baseline).is_err());
        let names: Vec<_> = std::fs::read_dir(&baseline).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(names.len(), 1);
        assert_eq!(std::fs::read_to_string(baseline.join("cgu.o")).unwrap(), "newest");
    }

    #[test]
    fn no_finished_session_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(keep(dir.path(), "app", 0, &dir.path().join("baseline")).is_err());
        assert!(!dir.path().join("baseline").exists());
    }
}
