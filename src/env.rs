//! The names of all environment variables that the tool reads or sets for its own purposes.
//! (`HOTPATCH_ADDR` and `HOTPATCH_TOKEN`, which the program reads, are in `hotpatch_protocol`.)

/// Set for cargo by `fat`: makes this binary act as a rustc wrapper. Its value is the
/// `<target-dir>/hotpatch` folder that captures go to.
pub const WRAPPER_DIR: &str = "CARGO_HOTPATCH_WRAPPER";

/// Set for cargo by `fat`: the workspace wrapper that the user had configured, to be called by ours.
pub const CHAINED_WORKSPACE_WRAPPER: &str = "CARGO_HOTPATCH_CHAINED_WORKSPACE_WRAPPER";

/// Set for cargo by `fat`: the wrapper of all crates that the user had configured, to be called by ours.
pub const CHAINED_WRAPPER: &str = "CARGO_HOTPATCH_CHAINED_WRAPPER";

/// Set for cargo by `fat` where the program uses packages by path that are no members of its
/// workspace: their folders, one a line. Our wrapper is then called for all crates.
pub const OUTSIDE_PACKAGES: &str = "CARGO_HOTPATCH_OUTSIDE_PACKAGES";

/// Set for cargo by `fat` where programs are to be linked with a runtime that they do not depend
/// on: [`ONLINE`] or [`OFFLINE`].
pub const INJECT: &str = "CARGO_HOTPATCH_INJECT";

/// Set beside [`INJECT`] where the program is a shared library: the folder of its package. Nothing
/// else that is linked is given the runtime then.
pub const INJECT_LIBRARY: &str = "CARGO_HOTPATCH_INJECT_LIBRARY";

/// Cargo may use the network to build the runtime.
pub const ONLINE: &str = "online";

/// It may not.
pub const OFFLINE: &str = "offline";

/// All variables that are ours; a captured environment has none of them.
pub const OWN: &[&str] = &[
    WRAPPER_DIR,
    CHAINED_WORKSPACE_WRAPPER,
    CHAINED_WRAPPER,
    OUTSIDE_PACKAGES,
    INJECT,
    INJECT_LIBRARY,
];

/// Variables through which make and cargo share a jobserver, which is gone at replay.
pub const JOBSERVER: &[&str] = &["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Any value asks for text without colors.
pub const NO_COLOR: &str = "NO_COLOR";

/// The kind of terminal.
pub const TERM: &str = "TERM";

/// The folders in which the dynamic loader looks for libraries.
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// Names that Rust programs give a meaning to.
pub mod rust {
    /// What a program on a device gets of our own environment.
    pub const PASSED_ON: [&str; 2] = ["RUST_BACKTRACE", "RUST_LOG"];
}

/// Names that `dioxus-devtools` in a program gives a meaning to.
pub mod devtools {
    /// Without it the client does not dial.
    pub const ENABLED: &str = "DIOXUS_CLI_ENABLED";
    /// The address of the server.
    pub const SERVER_IP: &str = "DIOXUS_DEVSERVER_IP";
    /// The port of the server.
    pub const SERVER_PORT: &str = "DIOXUS_DEVSERVER_PORT";
    /// A number that the client hands back.
    pub const BUILD: &str = "DIOXUS_BUILD_ID";
}

/// Names that Android's tools give a meaning to.
pub mod android {
    /// The native development kit, the preferred name first.
    pub const NDK: [&str; 3] = ["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "NDK_HOME"];
    /// The folder of all kits.
    pub const SDK: [&str; 2] = ["ANDROID_HOME", "ANDROID_SDK_ROOT"];
    /// The device that is meant.
    pub const SERIAL: &str = "ANDROID_SERIAL";
    /// The user's home folder.
    pub const HOME: &str = "HOME";
    /// Where Windows has the files of the user's programs.
    pub const LOCAL_APP_DATA: &str = "LOCALAPPDATA";
}

/// Names that Apple's tools give a meaning to.
pub mod apple {
    /// The folder of the libraries to link against.
    pub const SDK: &str = "SDKROOT";
    /// The program that knows it.
    pub const FINDER: &str = "xcrun";
}

/// Where programs make their temporary files.
pub const TEMPORARY: &str = "TMPDIR";

/// Names that cargo gives a meaning to.
pub mod cargo {
    /// What all variables that stand for a configuration value begin with.
    pub const PREFIX: &str = "CARGO_";
    /// With 0, cargo writes nothing about the compiler to the target directory.
    pub const CACHE_RUSTC_INFO: &str = "CARGO_CACHE_RUSTC_INFO";
    /// The compiler.
    pub const RUSTC: &str = "RUSTC";
    /// Makes the compiler and cargo take what only nightly ones have.
    pub const BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";
    /// Flags for the compiler, with spaces between them.
    pub const RUSTFLAGS: &str = "RUSTFLAGS";
    /// Flags for the compiler, with the character 0x1f between them.
    pub const ENCODED_RUSTFLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
    /// The cargo that called us.
    pub const CARGO: &str = "CARGO";
    /// The folder of cargo's user-wide configuration and registry.
    pub const CARGO_HOME: &str = "CARGO_HOME";
    /// The user's home folder, for where `CARGO_HOME` is not set.
    pub const HOME: &str = "HOME";
    /// Switches incremental compilation on or off for all profiles.
    pub const INCREMENTAL: &str = "CARGO_INCREMENTAL";
    /// The folder of the package that is compiled.
    pub const MANIFEST_DIR: &str = "CARGO_MANIFEST_DIR";
    /// When cargo uses colors.
    pub const TERM_COLOR: &str = "CARGO_TERM_COLOR";
    /// The folder that the build script of the package writes to.
    pub const OUT_DIR: &str = "OUT_DIR";
    /// How the names of all that tells of the package begin.
    pub const PACKAGE_PREFIX: &str = "CARGO_PKG_";
    /// How the names of all that tells of its `Cargo.toml` begin.
    pub const MANIFEST_PREFIX: &str = "CARGO_MANIFEST_";
    /// How the names of all that tell a test where its package's binaries are begin.
    pub const BIN_EXE_PREFIX: &str = "CARGO_BIN_EXE_";
    /// The name of the package that is compiled.
    pub const PACKAGE_NAME: &str = "CARGO_PKG_NAME";
    /// The name of the binary or example that is compiled; absent for a build script.
    pub const BIN_NAME: &str = "CARGO_BIN_NAME";
    /// The wrapper of all crates.
    pub const RUSTC_WRAPPER: &str = "RUSTC_WRAPPER";
    /// The same as a configuration value.
    pub const BUILD_RUSTC_WRAPPER: &str = "CARGO_BUILD_RUSTC_WRAPPER";
    /// The wrapper of the workspace's crates.
    pub const RUSTC_WORKSPACE_WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";
    /// The same as a configuration value.
    pub const BUILD_RUSTC_WORKSPACE_WRAPPER: &str = "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER";

    /// Whether a variable of this name tells of one build or changes how it is done, and not where
    /// cargo finds packages.
    pub fn is_about_a_build(name: &str) -> bool {
        let sources = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR"];
        let kept = name == CARGO_HOME || sources.iter().any(|prefix| name.starts_with(prefix));
        let of_compiler = ["RUSTC", "RUSTFLAGS", "RUSTDOC"].iter().any(|p| name.starts_with(p));
        let of_cargo = name.starts_with(PREFIX) && !kept;
        of_cargo || of_compiler || name == OUT_DIR || super::JOBSERVER.contains(&name)
    }

    /// Whether cargo may read a variable of this name.
    pub fn is_known(name: &str) -> bool {
        name.starts_with(PREFIX)
            || [RUSTC, RUSTFLAGS, RUSTC_WRAPPER, RUSTC_WORKSPACE_WRAPPER].contains(&name)
    }
}
