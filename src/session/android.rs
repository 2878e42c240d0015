//! Building for Android: the compiler of the user's kit becomes cargo's linker for the target.

use cargo_metadata::Metadata;

use super::selection::CargoSelection;
use crate::cargo_config::{Config, Sources};
use crate::device::Wanted;
use crate::env::android as names;
use crate::target::android::{self, Compiler, Host, Ndk, OLDEST_API};

/// The target that the command line or the configuration asks for.
pub fn target(selection: &CargoSelection, config: &Config) -> Option<String> {
    let configured = || config.get(&["build", "target"])?.words().into_iter().next();
    selection.target.clone().or_else(configured)
}

/// The devices that the user has named, on the command line or in the environment.
pub fn wanted(selection: &CargoSelection) -> Wanted {
    if !selection.device.is_empty() {
        return Wanted { serials: selection.device.clone(), origin: "--device" };
    }
    let serial = std::env::var(names::SERIAL).ok().filter(|serial| !serial.is_empty());
    Wanted { serials: serial.into_iter().collect(), origin: names::SERIAL }
}

/// What was found for an Android target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    /// The kit.
    pub ndk: Ndk,
    /// The compiler that links.
    pub compiler: Compiler,
}

/// Finds the kit where the target is Android and the user has configured no linker of their own,
/// and adds it to the configuration that cargo gets; `None` where it is not wanted.
pub fn configure(
    selection: &mut CargoSelection,
    metadata: &Metadata,
) -> Option<Result<Kit, String>> {
    let config = Sources::current(&selection.config).read();
    let triple = target(selection, &config).filter(|triple| android::is_android(triple))?;
    if config.get(&["target", &triple, "linker"]).is_some() {
        return None;
    }
    let api = selection.android_api.or_else(|| api_of(selection, metadata)).unwrap_or(OLDEST_API);
    let kit = find(&triple, api);
    if let Ok(Kit { ndk, compiler }) = &kit {
        let text = |path: &std::path::Path| serde_json::Value::from(path.to_string_lossy());
        let (linker, archiver) = (text(&compiler.file), text(&ndk.archiver()));
        selection.config.extend([
            format!("target.{triple}.linker={linker}"),
            // For build scripts that compile C.
            format!("env.CC_{triple}={linker}"),
            format!("env.AR_{triple}={archiver}"),
        ]);
    }
    Some(kit)
}

fn find(triple: &str, api: u32) -> Result<Kit, String> {
    let host = Host::current();
    let ndk = android::find(host, |name| std::env::var_os(name))?;
    let compiler = ndk.compiler(host, triple, api)?;
    Ok(Kit { ndk, compiler })
}

/// The oldest version of Android that the program's package names, in the table that the tools
/// which make apps read.
fn api_of(selection: &CargoSelection, metadata: &Metadata) -> Option<u32> {
    let name = |p: &&cargo_metadata::Package| match &selection.package {
        Some(wanted) => p.name.as_str() == wanted.as_str(),
        None => true,
    };
    let apis = metadata.workspace_packages().into_iter().filter(name).filter_map(|package| {
        let android = package.metadata.get("android")?;
        let sdk = android.get("sdk").and_then(|sdk| sdk.get("min_sdk_version"));
        u32::try_from(sdk.or_else(|| android.get("min_sdk_version"))?.as_u64()?).ok()
    });
    apis.max()
}
