//! Android's native development kit: where it is, and which of its compilers links for a target.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::env::android as names;

/// The oldest version of Android that rustc's targets are for.
pub const OLDEST_API: u32 = 21;

/// Kernels with pages of this size run only what is aligned to it; others run it as well.
const PAGE_FLAG: &str = "-Wl,-z,max-page-size=16384";

/// A kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ndk {
    /// Its folder.
    pub root: PathBuf,
    /// Its version, such as `27.0.12077973`.
    pub revision: String,
    /// The folder of its compilers.
    bin: PathBuf,
}

/// A compiler of a kit, for one target and one version of Android.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    /// Its file.
    pub file: PathBuf,
    /// The oldest version of Android that its programs run on.
    pub api: u32,
}

/// The kinds of machine that a kit is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Linux.
    Linux,
    /// macOS, on either processor.
    MacOs,
    /// Windows.
    Windows,
}

impl Host {
    /// This machine.
    pub fn current() -> Host {
        if cfg!(windows) {
            Host::Windows
        } else if cfg!(target_os = "macos") {
            Host::MacOs
        } else {
            Host::Linux
        }
    }

    /// The name of the folder of programs for it. There is one for all processors.
    fn tag(self) -> &'static str {
        match self {
            Host::Linux => "linux-x86_64",
            Host::MacOs => "darwin-x86_64",
            Host::Windows => "windows-x86_64",
        }
    }

    /// The suffix of the compilers, which are scripts there.
    fn suffix(self) -> &'static str {
        if self == Host::Windows { ".cmd" } else { "" }
    }

    /// The name of a program's file there.
    pub fn program(self, name: &str) -> String {
        if self == Host::Windows { format!("{name}.exe") } else { name.to_string() }
    }

    /// Where the SDK is by default.
    fn sdk(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let (base, below) = match self {
            Host::Linux => (names::HOME, "Android/Sdk"),
            Host::MacOs => (names::HOME, "Library/Android/sdk"),
            Host::Windows => (names::LOCAL_APP_DATA, "Android/Sdk"),
        };
        variable(base).map(|base| Path::new(&base).join(below))
    }
}

/// Whether a target is Android.
pub fn is_android(triple: &str) -> bool {
    triple.contains("-linux-android")
}

/// What the linker is told in addition, for programs and for patches.
pub fn link_args(triple: &str) -> &'static [&'static str] {
    if is_android(triple) { &[PAGE_FLAG] } else { &[] }
}

/// Finds the kit that the environment names, or the newest in one of the usual places.
///
/// # Errors
/// A text that says where it was looked for, or what is wrong with the one that was named.
pub fn find(host: Host, variable: impl Fn(&str) -> Option<OsString>) -> Result<Ndk, String> {
    for name in names::NDK {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
        return open(Path::new(&value), host).map_err(|why| format!("{name} is set, but {why}"));
    }
    let sdks = sdks(host, variable);
    let found = sdks.iter().find_map(|sdk| newest(&sdk.join("ndk"), host));
    found.ok_or_else(|| {
        let looked: Vec<_> = sdks.iter().map(|s| s.join("ndk").display().to_string()).collect();
        let looked = if looked.is_empty() { "no folder".into() } else { looked.join(", ") };
        format!(
            "no Android NDK is found: {} is not set, and there is none in {looked}",
            names::NDK[0]
        )
    })
}

/// Where all kits and tools may be: the folders that the environment names, and the usual one.
pub fn sdks(host: Host, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let named = names::SDK.iter().filter_map(|name| variable(name)).map(PathBuf::from);
    named.chain(host.sdk(&variable)).collect()
}

/// What a device calls the kind of programs that a target is for.
pub fn abi(triple: &str) -> Option<&'static str> {
    match triple.split('-').next()? {
        "aarch64" => Some("arm64-v8a"),
        "armv7" | "thumbv7neon" => Some("armeabi-v7a"),
        "i686" => Some("x86"),
        "x86_64" => Some("x86_64"),
        "riscv64" => Some("riscv64"),
        _ => None,
    }
}

/// The target for a kind of programs.
pub fn target_of(abi: &str) -> Option<&'static str> {
    match abi {
        "arm64-v8a" => Some("aarch64-linux-android"),
        "armeabi-v7a" => Some("armv7-linux-androideabi"),
        "x86" => Some("i686-linux-android"),
        "x86_64" => Some("x86_64-linux-android"),
        "riscv64" => Some("riscv64-linux-android"),
        _ => None,
    }
}

/// The newest kit among the folders in `folder`.
fn newest(folder: &Path, host: Host) -> Option<Ndk> {
    let entries = std::fs::read_dir(folder).ok()?;
    let kits = entries.flatten().filter_map(|entry| open(&entry.path(), host).ok());
    kits.max_by_key(|kit| {
        let parts = kit.revision.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
        parts.collect::<Vec<_>>()
    })
}

fn open(root: &Path, host: Host) -> Result<Ndk, String> {
    let properties = root.join("source.properties");
    let text = std::fs::read_to_string(&properties)
        .map_err(|e| format!("`{}` cannot be read: {e}", properties.display()))?;
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "Pkg.Revision").then(|| value.trim().to_string())
    };
    let revision = text.lines().find_map(value).unwrap_or_default();
    let bin = root.join("toolchains/llvm/prebuilt").join(host.tag()).join("bin");
    match bin.is_dir() {
        true => Ok(Ndk { root: root.to_path_buf(), revision, bin }),
        false => Err(format!("it has no compilers for this machine in `{}`", bin.display())),
    }
}

impl Ndk {
    /// The compiler for a target and the oldest version of Android that is wanted, or the next
    /// newer one that the kit knows.
    ///
    /// # Errors
    /// A text that says which versions there are.
    pub fn compiler(&self, host: Host, triple: &str, api: u32) -> Result<Compiler, String> {
        let prefix = match triple.strip_prefix("armv7-") {
            Some(rest) => format!("armv7a-{rest}"),
            None => triple.to_string(),
        };
        let suffix = format!("-clang{}", host.suffix());
        let entries = std::fs::read_dir(&self.bin).into_iter().flatten().flatten();
        let api_of = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix(&prefix)?.strip_suffix(&suffix)?.parse::<u32>().ok()
        };
        let mut known: Vec<u32> = entries.filter_map(api_of).collect();
        known.sort_unstable();
        match known.iter().find(|&&known| known >= api) {
            Some(&api) => {
                Ok(Compiler { file: self.bin.join(format!("{prefix}{api}{suffix}")), api })
            }
            None => Err(format!(
                "the Android NDK {} in `{}` has no compiler for {triple} and Android API {api} \
                 (it has: {})",
                self.revision,
                self.root.display(),
                if known.is_empty() { "none".into() } else { numbers(&known) },
            )),
        }
    }

    /// The archiver.
    pub fn archiver(&self) -> PathBuf {
        self.bin.join("llvm-ar")
    }
}

fn numbers(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit(folder: &Path, revision: &str, tag: &str, compilers: &[&str]) {
        let bin = folder.join("toolchains/llvm/prebuilt").join(tag).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let properties = format!("Pkg.Desc = Android NDK\nPkg.Revision = {revision}\n");
        std::fs::write(folder.join("source.properties"), properties).unwrap();
        for name in compilers {
            std::fs::write(bin.join(name), "").unwrap();
        }
    }

    #[test]
    fn a_kit_is_found_by_each_name_and_in_each_place() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        kit(&top.join("named"), "25.1.1", "linux-x86_64", &[]);
        for sdk in ["sdk", "h/Android/Sdk"] {
            kit(&top.join(sdk).join("ndk/9.9.9"), "9.9.9", "linux-x86_64", &[]);
            kit(&top.join(sdk).join("ndk/27.0.1"), "27.0.1", "linux-x86_64", &[]);
        }
        kit(&top.join("h/Library/Android/sdk/ndk/26"), "26.0.0", "darwin-x86_64", &[]);
        kit(&top.join("w/Android/Sdk/ndk/24"), "24.0.0", "windows-x86_64", &[]);
        type Row<'a> = (Host, &'a [(&'a str, &'a str)], Option<&'a str>);
        let table: [Row<'_>; 8] = [
            (
                Host::Linux,
                &[("ANDROID_NDK_HOME", "named"), ("ANDROID_HOME", "sdk")],
                Some("25.1.1"),
            ),
            (Host::Linux, &[("ANDROID_NDK_ROOT", "named")], Some("25.1.1")),
            (Host::Linux, &[("NDK_HOME", "named")], Some("25.1.1")),
            (Host::Linux, &[("ANDROID_HOME", "sdk"), ("HOME", "nowhere")], Some("27.0.1")),
            (Host::Linux, &[("HOME", "h")], Some("27.0.1")),
            (Host::MacOs, &[("HOME", "h")], Some("26.0.0")),
            (Host::Windows, &[("LOCALAPPDATA", "w")], Some("24.0.0")),
            (Host::Linux, &[("ANDROID_NDK_HOME", "nowhere"), ("HOME", "h")], None),
        ];
        for (host, variables, wanted) in table {
            let variable = |name: &str| {
                let found = variables.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| top.join(value).into_os_string())
            };
            let found = find(host, variable).map(|kit| kit.revision);
            assert_eq!(found.as_deref().ok(), wanted, "{host:?} {variables:?}: {found:?}");
        }
        let missing = find(Host::Linux, |n| (n == "HOME").then(|| "/h".into())).unwrap_err();
        assert!(missing.contains("/h/Android/Sdk/ndk"), "{missing}");
    }

    #[test]
    fn a_compiler_is_chosen_by_target_and_version() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "aarch64-linux-android21-clang",
            "aarch64-linux-android21-clang++",
            "aarch64-linux-android30-clang",
            "armv7a-linux-androideabi21-clang",
        ];
        kit(dir.path(), "27.0.1", "linux-x86_64", &names);
        let ndk = open(dir.path(), Host::Linux).unwrap();
        let chosen = |triple: &str, api| {
            let compiler = ndk.compiler(Host::Linux, triple, api)?;
            Ok::<_, String>(compiler.file.file_name().unwrap().to_str().unwrap().to_string())
        };
        assert_eq!(chosen("aarch64-linux-android", 21).unwrap(), names[0]);
        assert_eq!(chosen("aarch64-linux-android", 24).unwrap(), names[2]);
        assert_eq!(chosen("armv7-linux-androideabi", 21).unwrap(), names[3]);
        let missing = chosen("aarch64-linux-android", 33).unwrap_err();
        assert!(missing.contains("it has: 21, 30"), "{missing}");
        assert!(chosen("x86_64-linux-android", 21).unwrap_err().contains("none"));
    }
}
