//! Bringing a patch library into the process: as a file with a name of its own, since loaders
//! remember libraries by name and debuggers read them again, and then through the dynamic loader.

use std::ffi::{CStr, CString, c_void};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::image::Image;

/// Names that are tried before the directory is given up.
const NAMES: u32 = 1000;

/// A library in the process.
#[derive(Debug)]
pub struct Loaded {
    handle: *mut c_void,
    /// Nothing where it was loaded from memory.
    file: Option<PathBuf>,
    /// What the dynamic loader made of it.
    pub image: Image,
}

/// Where patch libraries are written to.
#[derive(Debug)]
pub struct Store {
    /// The server's choice.
    shared: Option<PathBuf>,
    /// A directory of our own, for when there is no other.
    private: Option<PathBuf>,
    /// Where that is made. Asked for early: the program may change its environment at any time.
    temporary: PathBuf,
}

impl Default for Store {
    fn default() -> Store {
        #[cfg(target_os = "android")]
        let temporary = super::sys::android::own_folder();
        #[cfg(not(target_os = "android"))]
        let temporary = std::env::temp_dir();
        Store { shared: None, private: None, temporary }
    }
}

impl Store {
    /// The server offers a folder. Android's is another machine's, also where the connection looks
    /// as if it came from this one.
    pub fn offer(&mut self, folder: Option<String>) {
        self.shared = folder.filter(|_| !cfg!(target_os = "android")).map(PathBuf::from);
    }

    /// Writes the library to a new file. A directory that cannot be used at all is passed over for
    /// one of our own; a full disk is an error.
    ///
    /// # Errors
    /// A text with the path and the reason.
    pub fn write(&mut self, patch: u32, hash: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let name = name(patch, hash);
        if let Some(shared) = &self.shared {
            if let Ok((path, file)) = create(shared, &name) {
                return fill(path, file, bytes);
            }
        }
        let private = self.private()?;
        let (path, file) = create(&private, &name)
            .map_err(|e| format!("no file can be made in {}: {e}", private.display()))?;
        fill(path, file, bytes)
    }

    fn private(&mut self) -> Result<PathBuf, String> {
        if let Some(known) = self.private.as_ref().filter(|p| p.is_dir()) {
            return Ok(known.clone());
        }
        let parent = self.temporary.clone();
        #[cfg(target_os = "android")]
        super::sys::android::sweep(&parent);
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut result = Err(io::Error::from(io::ErrorKind::AlreadyExists));
        for n in 0..NAMES {
            let unique = stamp.wrapping_add(u128::from(n)) as u32;
            let path = parent.join(format!("hotpatch-{}-{unique:08x}", std::process::id()));
            // Only one that did not exist is ours alone.
            result = DirBuilder::new().mode(0o700).create(&path).map(|()| path);
            if !exists_already(&result) {
                break;
            }
        }
        let path =
            result.map_err(|e| format!("no directory can be made in {}: {e}", parent.display()))?;
        self.private = Some(path.clone());
        Ok(path)
    }
}

fn name(patch: u32, hash: &str) -> String {
    let hash: String = hash.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("patch-{patch}-{hash}")
}

fn exists_already<T>(result: &io::Result<T>) -> bool {
    result.as_ref().err().is_some_and(|e| e.kind() == io::ErrorKind::AlreadyExists)
}

/// Makes a file that did not exist. The plain name may be taken by another process of the same
/// build, or by an earlier one.
fn create(directory: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let make = |name: String| {
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&path).map(|file| (path, file))
    };
    let mut result = make(format!("{name}.so"));
    for n in 0..NAMES {
        if !exists_already(&result) {
            break;
        }
        result = make(format!("{name}-{}-{n}.so", std::process::id()));
    }
    result
}

fn fill(path: PathBuf, mut file: File, bytes: &[u8]) -> Result<PathBuf, String> {
    match file.write_all(bytes) {
        Ok(()) => Ok(path),
        Err(e) => {
            let _ = std::fs::remove_file(&path);
            Err(format!("{} cannot be written: {e}", path.display()))
        }
    }
}

/// Keeps the library with this code from being unloaded: its thread, what patches have bound to, and
/// the entries that lead out of it would all be gone. A program is never unloaded.
///
/// # Errors
/// The dynamic loader's own words.
pub fn keep(own: &Image) -> Result<(), String> {
    if own.is_program() {
        return Ok(());
    }
    // Without RTLD_NODELETE the loader would count this as one user of many, and a host may call
    // `dlclose` until there is none.
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: the name ends with a zero byte, and nothing is loaded anew, so that no code runs.
    let handle = unsafe { libc::dlopen(own.name().as_ptr(), flags) };
    if handle.is_null() { Err(loader_error()) } else { Ok(()) }
}

/// Loads the library. `file` is removed where that fails.
///
/// # Errors
/// The dynamic loader's own words.
pub fn load(file: PathBuf, symbol: &str) -> Result<(Loaded, usize), String> {
    let opened = c_string(file.as_os_str().as_bytes()).and_then(|name| {
        // SAFETY: the library was made for this very program; its build id was checked. It has no
        // constructors of its own.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        found(handle, symbol)
    });
    match opened {
        Ok((handle, address, image)) => Ok((Loaded { handle, file: Some(file), image }, address)),
        Err(e) => {
            let _ = std::fs::remove_file(&file);
            Err(e)
        }
    }
}

/// Loads the library from memory.
///
/// # Errors
/// The system's own words, or the dynamic loader's.
#[cfg(target_os = "android")]
pub fn load_from_memory(
    (patch, hash): (u32, &str),
    bytes: &[u8],
    symbol: &str,
) -> Result<(Loaded, usize), String> {
    use super::sys::android::{memory_file, open_library};
    let name = name(patch, hash);
    let file = memory_file(&name, bytes).map_err(|e| e.to_string())?;
    let handle = open_library(&c_string(format!("{name}.so").as_bytes())?, &file);
    let (handle, address, image) = found(handle, symbol)?;
    Ok((Loaded { handle, file: None, image }, address))
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|e| e.to_string())
}

/// What is known of a library that the loader was asked for, and where it has `symbol`.
fn found(handle: *mut c_void, symbol: &str) -> Result<(*mut c_void, usize, Image), String> {
    let symbol = c_string(symbol.as_bytes())?;
    if handle.is_null() {
        return Err(loader_error());
    }
    // SAFETY: the handle is valid and the name ends with a zero byte.
    let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) } as usize;
    let image = if address == 0 { None } else { Image::of(address) };
    match image {
        Some(image) => Ok((handle, address, image)),
        None => {
            let error = loader_error();
            // SAFETY: nothing of the library is in use.
            unsafe { libc::dlclose(handle) };
            Err(error)
        }
    }
}

fn loader_error() -> String {
    // SAFETY: the call returns null or a string that is valid until the thread's next call.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "the dynamic loader gives no reason".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

impl Loaded {
    /// Where an exported symbol of the library is.
    #[cfg(hotpatch_detours)]
    pub fn symbol(&self, name: &str) -> Option<usize> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is valid and the name ends with a zero byte.
        let address = unsafe { libc::dlsym(self.handle, name.as_ptr()) } as usize;
        (address != 0).then_some(address)
    }

    /// Takes the library out again. Only for one of which nothing was used.
    pub fn discard(self) {
        // SAFETY: the caller promises that nothing of the library is in use.
        unsafe { libc::dlclose(self.handle) };
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_new_and_a_full_disk_leaves_none() {
        let mut store = Store::default();
        let first = store.write(1, "abcdef0123", b"x").unwrap();
        let second = store.write(1, "abcdef0123", b"y").unwrap();
        assert!(first.ends_with("patch-1-abcdef01.so"), "{first:?}");
        assert_ne!(first, second);
        assert_eq!(std::fs::read(&second).unwrap(), b"y");
        let elsewhere = store.write(2, "../../etc/passwd", b"x").unwrap();
        assert_eq!(elsewhere.parent(), first.parent());
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let gone = first.with_file_name("gone.so");
        std::fs::write(&gone, "").unwrap();
        assert!(fill(gone.clone(), full, b"x").is_err());
        assert!(!gone.exists());
        std::fs::remove_dir_all(first.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_directory_that_is_a_file_is_passed_over() {
        let mut store = Store { shared: Some("/dev/null".into()), ..Store::default() };
        let path = store.write(1, "0", b"x").unwrap();
        assert!(path.starts_with(std::env::temp_dir()));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
