//! Getting our wrapper between cargo and rustc.
//!
//! Cargo counts the path of the workspace wrapper, but not what is behind it, as part of what
//! makes a workspace member fresh. So the path is a link below the store that stays the same when
//! the tool is installed anew, and a new *generation* in it makes cargo build the members again
//! (and nothing else) when captures are missing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cargo_metadata::{Metadata, Package, PackageId};

use super::record::VERSION;
use super::select::Choice;
use super::user_wrappers::UserWrappers;
use super::wrapper::{OWN_PACKAGES, TROUBLE};
use crate::cargo_config::Sources;
use crate::env;
use crate::error::Failure;
use crate::session::Session;

const LINK: &str = "cargo-hotpatch";

/// How many codegen units the crates outside of the workspace are given: about as many as an
/// incremental build has anyway, but another number, so that cargo keeps what the fat build makes
/// of them apart from what the user's own builds make.
const SEPARATE: u32 = 255;

/// How cargo is made to call us.
#[derive(Debug, Clone)]
pub struct Wrapping {
    link: PathBuf,
    root: PathBuf,
    outside: Vec<Outside>,
    profile: String,
    user: UserWrappers,
    inject: Option<&'static str>,
    library: Option<PathBuf>,
}

/// A package by path that is no member of the workspace, whose crates are captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    name: String,
    folder: PathBuf,
}

impl Wrapping {
    /// Sets the link up, in a new generation where that is asked for or there is none.
    ///
    /// # Errors
    /// A [`Failure`] where the store cannot be written.
    pub fn prepare(session: &Session, locals: &Locals, renew: bool) -> Result<Wrapping, Failure> {
        let folder = session.store.wrappers();
        let newest = newest_generation(&folder);
        let generation = match newest {
            Some(generation) if !renew => generation,
            older => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                older.map_or(now, |older| now.max(older + 1))
            }
        };
        let folder = folder.join(format!("{VERSION}-{generation:x}"));
        std::fs::create_dir_all(&folder).map_err(|e| Failure::io("create", &folder, &e))?;
        let link = folder.join(LINK);
        let itself = std::env::current_exe().map_err(|e| Failure::io("find", &link, &e))?;
        if std::fs::read_link(&link).ok().as_ref() != Some(&itself) {
            _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&itself, &link)
                .map_err(|e| Failure::io("create", &link, &e))?;
        }
        _ = std::fs::remove_file(folder.join(TROUBLE));
        Ok(Wrapping {
            link,
            root: session.store.root().to_path_buf(),
            outside: locals.outside.clone(),
            profile: session.selection.profile_name().to_string(),
            user: UserWrappers::of(&Sources::current(&session.selection.config).read()),
            inject: None,
            library: None,
        })
    }

    /// Has the program linked with the runtime where that is `wanted`.
    pub fn injecting(mut self, wanted: bool, choice: &Choice, session: &Session) -> Wrapping {
        let offline = session.selection.is_offline();
        self.inject = wanted.then_some(if offline { env::OFFLINE } else { env::ONLINE });
        self.library = choice.is_library().then(|| choice.folder.clone()).filter(|_| wanted);
        self
    }

    /// The name of the generation.
    pub fn generation(&self) -> String {
        let folder = self.link.parent().and_then(Path::file_name);
        folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The file in which our wrapper says why a capture failed.
    pub fn trouble(&self) -> PathBuf {
        self.link.with_file_name(TROUBLE)
    }

    /// Makes a `cargo build` call us.
    ///
    /// The wrapper of all crates is set by a flag where possible: build scripts that compile C
    /// watch the variable for the same purpose, and would run again because of it.
    pub fn apply(&self, command: &mut Command) {
        command.env(env::WRAPPER_DIR, &self.root);
        // By the configuration and not by the variable, of which sccache says that it is forbidden.
        command.env_remove(env::cargo::INCREMENTAL).args(["--config", "build.incremental=true"]);
        command.env(env::cargo::RUSTC_WORKSPACE_WRAPPER, &self.link);
        match self.inject {
            Some(network) => command.env(env::INJECT, network),
            None => command.env_remove(env::INJECT),
        };
        match &self.library {
            Some(folder) => command.env(env::INJECT_LIBRARY, folder),
            None => command.env_remove(env::INJECT_LIBRARY),
        };
        let chained = |value: &Option<OsString>| value.clone().unwrap_or_default();
        command.env(env::CHAINED_WORKSPACE_WRAPPER, chained(&self.user.workspace));
        if self.outside.is_empty() {
            return;
        }
        let folders: Vec<_> = self.outside.iter().map(|p| p.folder.to_string_lossy()).collect();
        command.env(env::OUTSIDE_PACKAGES, folders.join("\n"));
        for Outside { name, .. } in &self.outside {
            let key = format!("profile.{}.package.{name}", self.profile);
            command.args(["--config", &format!("{key}.codegen-units={SEPARATE}")]);
        }
        command.env(env::CHAINED_WRAPPER, chained(&self.user.all));
        if std::env::var_os(env::cargo::RUSTC_WRAPPER).is_some() {
            command.env(env::cargo::RUSTC_WRAPPER, &self.link);
        } else {
            let path = serde_json::Value::from(self.link.to_string_lossy());
            command.args(["--config", &format!("build.rustc-wrapper={path}")]);
        }
    }
}

fn newest_generation(folder: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let (version, generation) = name.split_once('-')?;
            let generation = u64::from_str_radix(generation, 16).ok()?;
            (version == VERSION.to_string()).then_some(generation)
        })
        .max()
}

/// The packages whose crates are captured.
#[derive(Debug, Clone, Default)]
pub struct Locals {
    /// Members and other packages by path, as far as a patch can change them.
    pub packages: BTreeSet<String>,
    /// Those that are no members.
    pub outside: Vec<Outside>,
}

impl Locals {
    /// Looks through all packages of the build. A package by path that a registry package
    /// depends on cannot be changed, since the latter is not compiled again.
    pub fn of(metadata: &Metadata) -> Locals {
        let own = |p: &Package| OWN_PACKAGES.contains(&p.name.as_str());
        let local = |p: &Package| p.source.is_none() && !own(p);
        let foreign = metadata.packages.iter().filter(|p| !local(p)).map(|p| &p.id).collect();
        let pinned = reachable(metadata, foreign);
        let mut locals = Locals::default();
        for package in metadata.packages.iter().filter(|p| local(p) && !pinned.contains(&p.id)) {
            locals.packages.insert(package.id.repr.clone());
            if !metadata.workspace_members.contains(&package.id) {
                let folder = package.manifest_path.parent().map(PathBuf::from);
                let name = package.name.to_string();
                locals.outside.extend(folder.map(|folder| Outside { name, folder }));
            }
        }
        locals
    }
}

/// The packages that the given ones depend on, directly or not, and these themselves.
fn reachable<'a>(metadata: &'a Metadata, from: Vec<&'a PackageId>) -> BTreeSet<&'a PackageId> {
    let nodes = metadata.resolve.iter().flat_map(|r| &r.nodes);
    let nodes: std::collections::BTreeMap<_, _> = nodes.map(|n| (&n.id, n)).collect();
    let mut seen: BTreeSet<&PackageId> = from.iter().copied().collect();
    let mut open = from;
    while let Some(id) = open.pop() {
        let next = nodes.get(id).into_iter().flat_map(|n| &n.dependencies);
        open.extend(next.filter(|id| seen.insert(id)));
    }
    seen
}
