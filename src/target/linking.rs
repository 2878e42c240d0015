//! Which linkers take which flags.

/// Whose options a linker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those of GNU's linker, of ELF.
    Gnu,
    /// Those of Apple's, of Mach-O.
    Apple,
}

impl Dialect {
    /// That of a target's linkers; `None` as target means the host.
    pub fn of(target: Option<&str>) -> Dialect {
        match target {
            Some(triple) if super::apple::is_apple(triple) => Dialect::Apple,
            None if cfg!(target_vendor = "apple") => Dialect::Apple,
            _ => Dialect::Gnu,
        }
    }
}

/// What makes a linker leave open in a patch what only the loader will find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaveOpen(&'static [&'static str]);

impl LeaveOpen {
    /// The ways that linkers of a dialect have, in the order in which they are to be tried. All come
    /// to the same, since what is still open in a linked patch is looked up before it is sent.
    pub fn all(dialect: Dialect) -> &'static [LeaveOpen] {
        match dialect {
            Dialect::Gnu => &[
                LeaveOpen(&["--unresolved-symbols=ignore-all"]),
                LeaveOpen(&["-z", "undefs"]),
                LeaveOpen(&["--warn-unresolved-symbols"]),
                LeaveOpen(&[]),
            ],
            Dialect::Apple => &[LeaveOpen(&["-undefined", "dynamic_lookup"])],
        }
    }

    /// The one that is tried first.
    pub fn first(dialect: Dialect) -> LeaveOpen {
        LeaveOpen::all(dialect)[0]
    }

    /// The flags, for the linker itself or for a driver that hands them on.
    pub fn flags(self, direct: bool) -> Vec<String> {
        match self.0 {
            flags if direct => flags.iter().map(|flag| (*flag).to_owned()).collect(),
            [] => Vec::new(),
            flags => vec![format!("-Wl,{}", flags.join(","))],
        }
    }

    /// Whether words of a linker are about the flag and not about what it links.
    pub fn is_named_in(self, words: &str) -> bool {
        let bare = self.0.last().map(|flag| flag.trim_start_matches('-'));
        let bare = bare.map(|flag| flag.split('=').next().unwrap_or(flag));
        bare.is_some_and(|flag| words.contains(flag))
    }
}

impl std::fmt::Display for LeaveOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => f.write_str("no flag at all"),
            flags => write!(f, "`{}`", flags.join(" ")),
        }
    }
}

/// The flag that makes a linker write a GNU build id, where the target has one; `None` as target
/// means the host.
pub fn build_id_flag(
    target: Option<&str>,
    flavor: Option<&str>,
    linker: Option<&str>,
) -> Option<String> {
    flag("--build-id", target, flavor, linker)
}

/// The flag that makes a linker list a symbol of a program among those that `dlsym` finds, where
/// the target has one.
pub fn export_flag(
    symbol: &str,
    target: Option<&str>,
    flavor: Option<&str>,
    linker: Option<&str>,
) -> Option<String> {
    flag(&format!("--export-dynamic-symbol={symbol}"), target, flavor, linker)
}

/// A flag of the linker for whoever it is that links.
pub fn handed_on(
    name: &str,
    target: Option<&str>,
    flavor: Option<&str>,
    linker: Option<&str>,
) -> Option<String> {
    flag(name, target, flavor, linker)
}

/// The file name of a shared library that rustc makes for a target; `None` means the host.
pub fn shared_library(stem: &str, target: Option<&str>) -> String {
    let has = |part: &str| target.is_some_and(|triple| triple.contains(part));
    match target {
        None => format!("{}{stem}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX),
        _ if has("windows") => format!("{stem}.dll"),
        _ if has("apple") => format!("lib{stem}.dylib"),
        _ => format!("lib{stem}.so"),
    }
}

/// Whether rustc can be asked to leave the debug information in files beside the objects, where a
/// patch's builds find nothing of it. Apple's linkers leave it in the objects in any case.
pub fn can_split_debug_information(target: Option<&str>) -> bool {
    Dialect::of(target) == Dialect::Gnu
}

/// Whether a file's name is that of a shared library.
pub fn is_shared_library(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|e| ["so", "dylib", "dll"].iter().any(|known| e == *known))
}

/// A driver such as `cc` hands flags on, a linker that is called directly does not.
fn flag(
    flag: &str,
    target: Option<&str>,
    flavor: Option<&str>,
    linker: Option<&str>,
) -> Option<String> {
    let elf = match target {
        Some(triple) => {
            !["apple", "windows", "wasm", "uefi", "aix"].iter().any(|other| triple.contains(other))
        }
        None => cfg!(all(unix, not(target_vendor = "apple"))),
    };
    let direct = match (flavor, linker) {
        (Some(flavor), _) => matches!(flavor, "ld" | "ld.lld" | "gnu" | "gnu-lld"),
        (None, Some(linker)) => is_linker(linker),
        (None, None) => false,
    };
    elf.then(|| if direct { flag.to_owned() } else { format!("-Wl,{flag}") })
}

/// Further flags for a linker, for programs and for patches.
pub fn more_flags(target: Option<&str>) -> &'static [&'static str] {
    target.map_or(&[], super::android::link_args)
}

/// Whether a program is a linker itself, by its name, as rustc guesses it.
fn is_linker(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let last = name.rsplit('-').next().unwrap_or(name);
    matches!(last, "ld" | "lld" | "mold" | "wild") || last.starts_with("ld.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_hand_the_flag_on_and_linkers_take_it() {
        let linux = Some("x86_64-unknown-linux-gnu");
        let table = [
            (linux, None, None, Some("-Wl,--build-id")),
            (linux, None, Some("clang"), Some("-Wl,--build-id")),
            (linux, None, Some("/usr/bin/aarch64-linux-gnu-gcc"), Some("-Wl,--build-id")),
            (linux, None, Some("/usr/bin/aarch64-linux-gnu-ld"), Some("--build-id")),
            (linux, None, Some("rust-lld"), Some("--build-id")),
            (linux, None, Some("ld.lld"), Some("--build-id")),
            (linux, Some("gnu-lld-cc"), Some("ld"), Some("-Wl,--build-id")),
            (linux, Some("ld"), Some("cc"), Some("--build-id")),
            (Some("aarch64-linux-android"), None, None, Some("-Wl,--build-id")),
            (Some("aarch64-apple-darwin"), None, None, None),
            (Some("x86_64-pc-windows-msvc"), None, None, None),
            (Some("wasm32-unknown-unknown"), None, None, None),
        ];
        for (target, flavor, linker, wanted) in table {
            let flag = build_id_flag(target, flavor, linker);
            assert_eq!(flag.as_deref(), wanted, "{target:?} {linker:?}");
        }
    }

    #[test]
    fn a_symbol_is_exported_by_whoever_links() {
        let linux = Some("x86_64-unknown-linux-gnu");
        let flag = |linker| export_flag("main", linux, None, linker);
        assert_eq!(flag(None).as_deref(), Some("-Wl,--export-dynamic-symbol=main"));
        assert_eq!(flag(Some("mold")).as_deref(), Some("--export-dynamic-symbol=main"));
        assert_eq!(export_flag("main", Some("aarch64-apple-darwin"), None, None), None);
    }
}
