//! What Android has in the place of an environment, a terminal and folders that everybody may
//! write to: properties, a log, and libraries that are loaded from memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;

/// The room for a property's value with its final zero.
const VALUE: usize = 92;
/// The loader takes the library from an open file.
const USE_LIBRARY_FD: u64 = 0x10;
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

/// Writes a line to the system's log: an app's standard error leads nowhere.
pub fn log(text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: both texts end with a zero byte.
    unsafe { __android_log_write(INFO, c"hotpatch".as_ptr(), text.as_ptr()) };
}

/// The folder that is this program's own: the cache of an app, whose process has the app's name.
pub fn own_folder() -> PathBuf {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    // A second process of an app has a name of its own behind a colon.
    let package = name.split(':').next().unwrap_or_default();
    let cache = PathBuf::from(format!("/data/data/{package}/cache"));
    let is_app = !package.is_empty() && !package.contains('/') && cache.is_dir();
    if is_app { cache } else { std::env::temp_dir() }
}

/// A library in memory, under a name of its own.
///
/// # Errors
/// Where the kernel has no such files.
pub fn memory_file(name: &str, bytes: &[u8]) -> io::Result<File> {
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
