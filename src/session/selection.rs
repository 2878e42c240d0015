//! Cargo's own selection flags, with cargo's meaning.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueEnum};

use crate::error::{Failure, Kind};

/// When to use colors, as cargo has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl Color {
    fn as_str(self) -> &'static str {
        match self {
            Color::Auto => "auto",
            Color::Always => "always",
            Color::Never => "never",
        }
    }
}

/// The kinds of targets that are programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// A binary.
    Bin,
    /// An example.
    Example,
    /// An integration test.
    Test,
    /// A benchmark.
    Bench,
    /// A library for other languages, which somebody else's program loads.
    Cdylib,
    /// The unit tests of a library.
    Lib,
}

impl ProgramKind {
    /// All of them.
    pub const ALL: [ProgramKind; 6] = [
        ProgramKind::Bin,
        ProgramKind::Example,
        ProgramKind::Test,
        ProgramKind::Bench,
        ProgramKind::Cdylib,
        ProgramKind::Lib,
    ];

    /// Its name in flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            ProgramKind::Bin => "bin",
            ProgramKind::Example => "example",
            ProgramKind::Test => "test",
            ProgramKind::Bench => "bench",
            ProgramKind::Cdylib => "cdylib",
            ProgramKind::Lib => "lib",
        }
    }

    /// The flag by which cargo builds it, where it has one name at most in a package.
    fn flag(self) -> &'static str {
        if self == ProgramKind::Cdylib { "lib" } else { self.name() }
    }

    /// Whether `cargo test` or `cargo bench` runs it, in the folder of its package.
    pub fn is_test(self) -> bool {
        !matches!(self, ProgramKind::Bin | ProgramKind::Example | ProgramKind::Cdylib)
    }
}

/// Which program cargo is to build and how: cargo's flags, with cargo's meaning.
#[derive(Debug, Clone, Default, Args)]
pub struct CargoSelection {
    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH", help_heading = "Manifest options")]
    pub manifest_path: Option<PathBuf>,
    /// Package with the program
    #[arg(short, long, value_name = "SPEC", help_heading = "Package selection")]
    pub package: Option<String>,
    /// Name of the binary
    #[arg(long, value_name = "NAME", group = "program", help_heading = "Target selection")]
    pub bin: Option<String>,
    /// Name of the example
    #[arg(long, value_name = "NAME", group = "program", help_heading = "Target selection")]
    pub example: Option<String>,
    /// Name of the integration test
    #[arg(long, value_name = "NAME", group = "program", help_heading = "Target selection")]
    pub test: Option<String>,
    /// Name of the benchmark
    #[arg(long, value_name = "NAME", group = "program", help_heading = "Target selection")]
    pub bench: Option<String>,
    /// The library's unit tests
    #[arg(long, group = "program", help_heading = "Target selection")]
    pub lib: bool,
    /// The library for other languages (crate type cdylib or dylib), which another program loads
    #[arg(long, group = "program", help_heading = "Target selection")]
    pub cdylib: bool,
    /// Space or comma separated list of features to activate
    #[arg(short = 'F', long, value_name = "FEATURES", help_heading = "Feature selection")]
    pub features: Vec<String>,
    /// Activate all available features
    #[arg(long, help_heading = "Feature selection")]
    pub all_features: bool,
    /// Do not activate the `default` feature
    #[arg(long, help_heading = "Feature selection")]
    pub no_default_features: bool,
    /// Build with the specified profile
    #[arg(long, value_name = "PROFILE-NAME", help_heading = "Compilation options")]
    pub profile: Option<String>,
    /// Build in release mode, with optimizations
    #[arg(short, long, conflicts_with = "profile", help_heading = "Compilation options")]
    pub release: bool,
    /// Build for the target triple
    #[arg(long, value_name = "TRIPLE", help_heading = "Compilation options")]
    pub target: Option<String>,
    /// Oldest version of Android that the program runs on (for Android targets)
    #[arg(long, value_name = "LEVEL", help_heading = "Compilation options")]
    pub android_api: Option<u32>,
    /// Device to run on, by its serial number (for Android targets; once for each device)
    #[arg(long, value_name = "SERIAL", help_heading = "Compilation options")]
    pub device: Vec<String>,
    /// Directory for all generated artifacts
    #[arg(long, value_name = "DIRECTORY", help_heading = "Compilation options")]
    pub target_dir: Option<PathBuf>,
    /// Override a configuration value
    #[arg(long, value_name = "KEY=VALUE|PATH", help_heading = "Manifest options")]
    pub config: Vec<String>,
    /// Assert that `Cargo.lock` will remain unchanged
    #[arg(long, help_heading = "Manifest options")]
    pub locked: bool,
    /// Run without accessing the network
    #[arg(long, help_heading = "Manifest options")]
    pub offline: bool,
    /// Equivalent to specifying both --locked and --offline
    #[arg(long, help_heading = "Manifest options")]
    pub frozen: bool,
    /// Do not bring the runtime into the program: it depends on hotpatch-runtime, or on none
    #[arg(long)]
    pub no_inject: bool,
    /// Use verbose output (-vv very verbose)
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Do not print cargo's progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Coloring
    #[arg(long, value_name = "WHEN")]
    pub color: Option<Color>,
}

impl CargoSelection {
    /// The kind of program that the flags name, with its name; a library's tests have none.
    pub fn program(&self) -> Option<(ProgramKind, Option<&str>)> {
        let named = [
            (ProgramKind::Bin, &self.bin),
            (ProgramKind::Example, &self.example),
            (ProgramKind::Test, &self.test),
            (ProgramKind::Bench, &self.bench),
        ];
        let named = named.into_iter().find_map(|(kind, name)| Some((kind, Some(name.as_deref()?))));
        let library = self.cdylib.then_some((ProgramKind::Cdylib, None));
        named.or(library).or_else(|| self.lib.then_some((ProgramKind::Lib, None)))
    }

    /// The flags for cargo's building commands, all but `--message-format`.
    pub fn build_args(&self) -> Vec<String> {
        let mut args = self.common_args();
        push(&mut args, "--package", self.package.as_deref());
        if let Some((kind, name)) = self.program() {
            args.push(format!("--{}", kind.flag()));
            args.extend(name.map(String::from));
        }
        push(&mut args, "--profile", self.profile.as_deref());
        push(&mut args, "--target", self.target.as_deref());
        push(&mut args, "--target-dir", self.target_dir.as_deref().map(Path::to_string_lossy));
        if self.release {
            args.push("--release".into());
        }
        args
    }

    /// The flags for `cargo metadata`, all but `--format-version` and the platform.
    pub fn metadata_args(&self) -> Vec<String> {
        self.common_args()
    }

    /// The flags that every command of cargo takes.
    fn common_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        push(
            &mut args,
            "--manifest-path",
            self.manifest_path.as_deref().map(Path::to_string_lossy),
        );
        for features in &self.features {
            push(&mut args, "--features", Some(features));
        }
        for config in &self.config {
            push(&mut args, "--config", Some(config));
        }
        push(&mut args, "--color", self.color.map(Color::as_str));
        for (given, flag) in [
            (self.all_features, "--all-features"),
            (self.no_default_features, "--no-default-features"),
            (self.locked, "--locked"),
            (self.offline, "--offline"),
            (self.frozen, "--frozen"),
            (self.quiet, "--quiet"),
        ] {
            if given {
                args.push(flag.into());
            }
        }
        args.extend((0..self.verbose).map(|_| "--verbose".to_string()));
        args
    }

    /// The name of the profile, such as `dev`.
    pub fn profile_name(&self) -> &str {
        match &self.profile {
            Some(name) => name,
            None if self.release => "release",
            None if self.has_test_profile() => "test",
            None => "dev",
        }
    }

    /// Whether cargo must not use the network.
    pub fn is_offline(&self) -> bool {
        self.offline || self.frozen
    }

    /// Whether `cargo test` and not `cargo build` makes the program. A benchmark is for the `dev`
    /// profile here, since the one that `cargo bench` takes is optimized.
    pub fn has_test_profile(&self) -> bool {
        self.test.is_some() || self.lib
    }

    /// Paths become absolute, so that nothing depends on the working directory any more.
    pub(crate) fn validate(mut self) -> Result<Self, Failure> {
        if let Some(path) = &self.manifest_path {
            if !path.is_file() {
                return Err(usage(format!("manifest path `{}` does not exist", path.display())));
            }
            self.manifest_path = Some(absolute(path)?);
        }
        if let Some(path) = &self.target_dir {
            self.target_dir = Some(absolute(path)?);
        }
        Ok(self)
    }
}

fn push(args: &mut Vec<String>, flag: &str, value: Option<impl Into<String>>) {
    if let Some(value) = value {
        args.extend([flag.to_string(), value.into()]);
    }
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path)
        .map_err(|e| usage(format!("`{}` is not a usable path: {e}", path.display())))?;
    match absolute.to_str() {
        Some(_) => Ok(absolute),
        None => Err(usage(format!("`{}` is not valid UTF-8", path.display()))),
    }
}

pub(crate) fn usage(message: String) -> Failure {
    Failure::new(Kind::Usage, message)
}
