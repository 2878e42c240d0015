//! For which targets programs can be patched.

/// Targets whose programs are patched while they run.
pub const LIVE: &[&str] = &[
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-linux-android",
    "x86_64-linux-android",
];

/// Targets for which patches are made and linked, and no program takes them yet.
pub const LINKED: &[&str] = &[
    "armv7-linux-androideabi",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
    "aarch64-apple-ios-sim",
];

/// Whether patches for a target can be made.
pub fn is_supported(triple: &str) -> bool {
    is_live(triple) || LINKED.contains(&triple)
}

/// Whether programs for a target are patched while they run.
pub fn is_live(triple: &str) -> bool {
    LIVE.contains(&triple)
}

/// Whether the runtime does anything in programs for a target; `None` means the host.
pub fn has_runtime(triple: Option<&str>) -> bool {
    match triple {
        Some(triple) => !super::apple::is_apple(triple) && !is_arm(triple),
        None => !cfg!(target_vendor = "apple"),
    }
}

/// Whether a target's processor is a 32-bit Arm.
pub fn is_arm(triple: &str) -> bool {
    triple.starts_with("arm") || triple.starts_with("thumb")
}

/// The target of this machine's own programs, as far as they can be patched.
pub fn here() -> &'static str {
    LIVE.iter().find(|triple| runs_here(triple)).unwrap_or(&LIVE[0])
}

/// Whether this machine's processor and system run programs for a target.
pub fn runs_here(triple: &str) -> bool {
    let (processor, rest) = triple.split_once('-').unwrap_or((triple, ""));
    let system = match std::env::consts::OS {
        "macos" => "apple-darwin",
        other => other,
    };
    processor == std::env::consts::ARCH && rest.contains(system) && !rest.contains("android")
}

/// The emulator of a target's processor, by its usual name.
pub fn emulator(triple: &str) -> String {
    format!("qemu-{}", triple.split('-').next().unwrap_or(triple))
}

/// Whether this tool was built for a machine whose own programs can be patched. (Its own C
/// library may be another one.)
pub fn is_supported_host() -> bool {
    cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))
}
