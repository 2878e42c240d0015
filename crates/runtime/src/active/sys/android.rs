//! What Android has in the place of an environment, a terminal and folders that everybody may
//! write to: properties, a log, and libraries that are loaded from memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};

/// The room for a property's value with its final zero.
const VALUE: usize = 92;
/// The loader takes the library from an open file.
const USE_LIBRARY_FD: u64 = 0x10;
/// Android's users share the system's user ids: each has this many, one for each app
/// (`AID_USER_OFFSET`).
const IDS_OF_A_USER: u32 = 100_000;
/// The first version of Android, by the number of its API, in which apps may call `membarrier` and
/// `memfd_create`. In those before it a filter ends the app that does (`SECCOMP_*.TXT` in the sources
/// of its C library).
const WITH_NEW_CALLS: u32 = 29;
/// `ANDROID_LOG_INFO`.
const INFO: c_int = 4;

/// `android_dlextinfo`, as the loader of every version of Android has it.
#[repr(C)]
struct LoadOptions {
    flags: u64,
    reserved_address: *mut c_void,
    reserved_size: usize,
    relro_file: c_int,
    library_file: c_int,
    library_offset: i64,
    namespace: *mut c_void,
}

unsafe extern "C" {
    fn __system_property_get(name: *const c_char, value: *mut c_char) -> c_int;
    fn __android_log_write(priority: c_int, tag: *const c_char, text: *const c_char) -> c_int;
    fn android_dlopen_ext(
        name: *const c_char,
        flags: c_int,
        options: *const LoadOptions,
    ) -> *mut c_void;
}

/// The value of a property; nothing where it is not set, or not this program's to read.
pub fn property(name: &str) -> Option<String> {
    let name = CString::new(name).ok()?;
    let mut value: [c_char; VALUE] = [0; VALUE];
    // SAFETY: the name ends with a zero byte, and there is room for the longest value.
    let length = unsafe { __system_property_get(name.as_ptr(), value.as_mut_ptr()) };
    if length <= 0 {
        return None;
    }
    // SAFETY: the system has ended the value with a zero byte.
    let value = unsafe { CStr::from_ptr(value.as_ptr()) };
    value.to_str().ok().map(String::from)
}

/// Whether a system call that came late is answered, be it with an error; else it is the app's end.
pub fn allows_new_calls() -> bool {
    let api = property("ro.build.version.sdk").and_then(|api| api.parse().ok());
    api.is_some_and(|api: u32| api >= WITH_NEW_CALLS)
}

/// Writes a line to the system's log: an app's standard error leads nowhere.
pub fn log(text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: both texts end with a zero byte.
    unsafe { __android_log_write(INFO, c"hotpatch".as_ptr(), text.as_ptr()) };
}

/// The folder that is this program's own: the cache of an app, whose process has the app's name.
pub fn own_folder() -> PathBuf {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    // SAFETY: the call has no arguments and cannot fail.
    let user = unsafe { libc::getuid() } / IDS_OF_A_USER;
    cache_of(&line, user).filter(|cache| cache.is_dir()).unwrap_or_else(std::env::temp_dir)
}

/// The cache of the app with this command line, of one of the device's users.
fn cache_of(line: &[u8], user: u32) -> Option<PathBuf> {
    let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    // A second process of an app has a name of its own behind a colon.
    let package = name.split(':').next().unwrap_or_default();
    if package.is_empty() || package.contains('/') {
        return None;
    }
    let data = if user == 0 { "/data/data".into() } else { format!("/data/user/{user}") };
    Some(PathBuf::from(format!("{data}/{package}/cache")))
}

/// Removes the folders of processes that no longer run. Nobody else tidies up an app's cache, and
/// whoever ends an app does not let it do so.
pub fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.strip_prefix("hotpatch-")?.split_once('-'));
        let Some((pid, stamp)) = parts else { continue };
        let is_ours = stamp.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(pid) = pid.parse::<c_int>().ok().filter(|pid| *pid > 0 && is_ours) else {
            continue;
        };
        // SAFETY: signal 0 is never delivered; it only asks whether the process exists.
        let gone = unsafe { libc::kill(pid, 0) } != 0
            && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        if gone {
            // What stays behind is found again next time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A library in memory, under a name of its own.
///
/// # Errors
/// Where the system has no such files, or not for apps.
pub fn memory_file(name: &str, bytes: &[u8]) -> io::Result<File> {
    if !allows_new_calls() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let name = CString::new(name)?;
    // The C library has this call from Android 11 on, the kernel long since.
    // SAFETY: the name ends with a zero byte.
    let number = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
    let number = c_int::try_from(number).ok().filter(|number| *number >= 0);
    let Some(number) = number else { return Err(io::Error::last_os_error()) };
    // SAFETY: the descriptor is new, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(number) };
    file.write_all(bytes)?;
    Ok(file)
}

/// Loads a library from an open file, as `dlopen` does from a named one.
///
/// A file in memory is loaded whatever folders the app's part of the loader (its namespace) is
/// confined to, and no rule about files of the app's own concerns it.
pub fn open_library(name: &CStr, file: &File) -> *mut c_void {
    let options = LoadOptions {
        flags: USE_LIBRARY_FD,
        reserved_address: std::ptr::null_mut(),
        reserved_size: 0,
        relro_file: -1,
        library_file: file.as_raw_fd(),
        library_offset: 0,
        namespace: std::ptr::null_mut(),
    };
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL;
    // SAFETY: the name ends with a zero byte; what is loaded is the caller's business.
    unsafe { android_dlopen_ext(name.as_ptr(), flags, &options) }
}
