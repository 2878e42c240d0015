//! Apple's systems: where the libraries to link against are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::env::apple as names;

/// Where an SDK comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// A folder that the environment names.
    Named(PathBuf),
    /// Rustc asks this program, once for each program that it links.
    Asked(PathBuf),
}

/// Whether a target is one of Apple's systems.
pub fn is_apple(triple: &str) -> bool {
    triple.contains("-apple-")
}

/// Finds out where the SDK comes from; nothing is called.
///
/// # Errors
/// A text that says where it was looked for, or what is wrong with the one that was named.
pub fn find_sdk(
    variable: impl Fn(&str) -> Option<OsString>,
    program: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Sdk, String> {
    match variable(names::SDK).filter(|value| !value.is_empty()) {
        Some(folder) if Path::new(&folder).is_dir() => Ok(Sdk::Named(folder.into())),
        Some(folder) => {
            Err(format!("{} is `{}`, which is no folder", names::SDK, Path::new(&folder).display()))
        }
        None => program(names::FINDER).map(Sdk::Asked).ok_or_else(|| {
            format!("no Apple SDK is found: {} is not set, and there is no `xcrun`", names::SDK)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdk_is_named_or_asked_for() {
        let folder = std::env::temp_dir();
        let set = |value: &Path| {
            let value = value.as_os_str().to_owned();
            move |name: &str| (name == "SDKROOT").then(|| value.clone())
        };
        let xcrun = |name: &str| (name == "xcrun").then(|| PathBuf::from("/bin/xcrun"));
        assert_eq!(find_sdk(set(&folder), xcrun), Ok(Sdk::Named(folder.clone())));
        assert_eq!(find_sdk(|_| None, xcrun), Ok(Sdk::Asked("/bin/xcrun".into())));
        let missing = find_sdk(set(&folder.join("not there")), xcrun).unwrap_err();
        assert!(missing.contains("not there"), "{missing}");
        assert!(find_sdk(|_| None, |_| None).unwrap_err().contains("SDKROOT"));
    }
}
