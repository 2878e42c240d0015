//! The machine: limits, file systems, memory protection, network.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::child::{self, End};
use super::{For, Project};
use crate::doctor::facts::{CodePages, FileSystem, Host, Inotify, TargetDir};
use crate::session::Store;

/// Looks at everything.
pub fn look(project: Option<&Project>) -> Host {
    Host {
        inotify: inotify(),
        sources_on: project.and_then(|p| file_system(&p.root)),
        target_dir: project.map(|p| target_dir(&p.target_dir)),
        loopback: Some(loopback().map_err(|e| e.to_string())),
        ..of_the_system(true)
    }
}

/// Whether code can be changed, where that matters, and what may forbid it.
fn of_the_system(changes_code: bool) -> Host {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let enforce = std::fs::read_to_string("/sys/fs/selinux/enforce").unwrap_or_default();
    Host {
        code: changes_code.then(code_pages),
        selinux_enforcing: enforce.trim() == "1",
        seccomp_filter: status.lines().any(|l| l.split_whitespace().eq(["Seccomp:", "2"])),
        runs_others: runs_others(),
        ..Host::default()
    }
}

/// Whether the system hands programs for other processors to an emulator.
pub fn runs_others() -> bool {
    let handlers = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    let mut emulators = handlers.filter(|h| h.file_name().to_string_lossy().starts_with("qemu-"));
    emulators.any(|h| std::fs::read_to_string(h.path()).is_ok_and(|t| t.starts_with("enabled")))
}

/// Looks at what a command needs.
pub fn quick(command: For, store: &Store) -> Host {
    let folder = store.root().parent().unwrap_or(store.root());
    Host {
        target_dir: Some(target_dir(folder)),
        loopback: matches!(command, For::Watch { runs: true, .. })
            .then(|| loopback().map_err(|e| e.to_string())),
        inotify: match command {
            For::Watch { polls: false, .. } => inotify(),
            _ => None,
        },
        ..of_the_system(matches!(command, For::Watch { .. }))
    }
}

/// Where temporary files can be run.
pub fn folder_to_run_in() -> PathBuf {
    let usual = std::env::temp_dir();
    let elsewhere = std::env::current_dir().unwrap_or_default();
    let no_exec = |folder: &Path| volume(folder).is_ok_and(|v| v.f_flag & libc::ST_NOEXEC != 0);
    if no_exec(&usual) { elsewhere } else { usual }
}

fn number(file: &str) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn inotify() -> Option<Inotify> {
    let (used_watches, used_instances) = used();
    Some(Inotify {
        max_watches: number("/proc/sys/fs/inotify/max_user_watches")?,
        max_instances: number("/proc/sys/fs/inotify/max_user_instances")?,
        used_watches,
        used_instances,
    })
}

/// What the user's processes watch, as far as they can be looked into.
fn used() -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let (mut watches, mut instances) = (0, 0);
    // SAFETY: has no preconditions.
    let user = unsafe { libc::getuid() };
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if process.metadata().map_or(true, |m| m.uid() != user) {
            continue;
        }
        let descriptors = process.path().join("fdinfo");
        for entry in std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            if !target.to_string_lossy().contains("inotify") {
                continue;
            }
            let info = std::fs::read_to_string(descriptors.join(entry.file_name()));
            let info = info.unwrap_or_default();
            watches += info.lines().filter(|l| l.starts_with("inotify ")).count() as u64;
            instances += 1;
        }
    }
    (watches, instances)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

fn volume(path: &Path) -> io::Result<libc::statvfs> {
    let path = c_path(path)?;
    let mut volume = MaybeUninit::uninit();
    // SAFETY: the path ends with a zero, and there is room for the answer.
    match unsafe { libc::statvfs(path.as_ptr(), volume.as_mut_ptr()) } {
        // SAFETY: it was filled in.
        0 => Ok(unsafe { volume.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn file_system(path: &Path) -> Option<FileSystem> {
    let path = c_path(path).ok()?;
    let mut answer = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a zero, and there is room for the answer.
    if unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was filled in.
    let kind = unsafe { answer.assume_init() }.f_type;
    // These numbers have 32 bits, and the field's sign differs between systems.
    Some(kind_of(kind as u32))
}

/// The numbers are from the manual page statfs(2).
fn kind_of(magic: u32) -> FileSystem {
    match magic {
        0x0000_6969 => FileSystem::Shared("NFS"),
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => FileSystem::Shared("SMB"),
        0x0102_1997 => FileSystem::Shared("9p"),
        0x6573_5546 => FileSystem::Shared("FUSE"),
        0x00c3_6400 => FileSystem::Shared("Ceph"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Shared("AFS"),
        0x786f_4256 => FileSystem::Shared("a VirtualBox folder"),
        0xbacb_acbc => FileSystem::Shared("a VMware folder"),
        0x5346_5458 | 0x5346_5457 => FileSystem::Shared("a Windows disk"),
        0x794c_7630 => FileSystem::Overlay,
        _ => FileSystem::Local,
    }
}

fn target_dir(folder: &Path) -> TargetDir {
    let exists = folder.ancestors().find(|f| f.is_dir());
    let existing = exists.unwrap_or(Path::new("/")).to_path_buf();
    let volume = volume(&existing);
    let flags = volume.as_ref().map_or(0, |v| v.f_flag);
    TargetDir {
        unwritable: writable(&existing).err().map(|e| e.to_string()),
        no_exec: flags & libc::ST_NOEXEC != 0,
        // Where the system does not tell, there is no reason to complain.
        free: volume.map_or(u64::MAX, |v| v.f_bavail.saturating_mul(v.f_frsize)),
        existing,
    }
}

fn writable(folder: &Path) -> io::Result<()> {
    let path = c_path(folder)?;
    // SAFETY: the path ends with a zero.
    match unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn loopback() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    // The system accepts the connection before anybody asks for it.
    TcpStream::connect(server.local_addr()?).map(drop)
}

/// Exit codes of the trial.
const PAGES: u8 = 0;
const MEMORY_FILE: u8 = 1;
/// Above this there is the system's error number.
const REFUSED: u8 = 2;

/// Does to a function of a child process what the runtime does to the program's functions.
fn code_pages() -> CodePages {
    match child::run(change_code) {
        Ok(End::Code(0)) => CodePages::Pages,
        Ok(End::Code(1)) => CodePages::MemoryFile,
        Ok(End::Code(code)) => {
            let error = io::Error::from_raw_os_error(code - i32::from(REFUSED));
            CodePages::Refused(error.to_string())
        }
        Ok(End::Signal(n)) => CodePages::Refused(format!("the system ends it with signal {n}")),
        Err(e) => CodePages::Refused(e.to_string()),
    }
}

/// Some code to be changed.
#[inline(never)]
extern "C" fn sample() -> i32 {
    std::hint::black_box(1)
}

fn change_code() -> u8 {
    // SAFETY: has no preconditions.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let place = sample as extern "C" fn() -> i32 as usize;
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: the page is code of this process, a copy that ends right after this.
    if unsafe { libc::mprotect((place & !(page - 1)) as *mut libc::c_void, page, all) } == 0 {
        let byte = place as *mut u8;
        // SAFETY: the byte was just made writable; it gets the value that it has.
        unsafe { byte.write_volatile(byte.read_volatile()) };
        return PAGES;
    }
    let refused = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM);
    match write_memory_file(place) {
        Ok(()) => MEMORY_FILE,
        Err(_) => REFUSED.saturating_add(u8::try_from(refused).unwrap_or(u8::MAX)),
    }
}

fn write_memory_file(place: usize) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place as u64)?;
    file.write_all_at(&byte, place as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(kind_of(libc::NFS_SUPER_MAGIC as u32), FileSystem::Shared("NFS"));
        assert_eq!(kind_of(libc::OVERLAYFS_SUPER_MAGIC as u32), FileSystem::Overlay);
        assert_eq!(kind_of(libc::EXT4_SUPER_MAGIC as u32), FileSystem::Local);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let found = target_dir(&dir.path().join("a/b"));
        assert_eq!(found.existing, dir.path());
        assert_eq!(found.unwritable, None);
    }

    #[test]
    fn what_the_runtime_does_to_code_is_tried() {
        assert!(!matches!(code_pages(), CodePages::Refused(_)));
        assert_eq!(sample(), 1);
    }
}
