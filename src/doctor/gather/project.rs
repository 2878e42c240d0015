//! The user's program: its packages, its profile, its earlier fat build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cargo_metadata::{CrateType, Metadata, Package};

use super::profile::{self, Written};
use super::runtime::{self, code_files};
use crate::cargo_config::Config;
use crate::doctor::facts::{Captured, Profile, Project, Runtime, Settings};
use crate::error::{self, Failure};
use crate::pipeline::capture::args::Call;
use crate::pipeline::capture::linked::{self, is_linked, node};
use crate::pipeline::capture::wrapper::{OWN_PACKAGES, RUNTIME};
use crate::pipeline::capture::{self, Choice, FatBuild};
use crate::session::{Session, Store};

/// What clocks and file systems may differ by.
const TOLERANCE: Duration = Duration::from_secs(5);
/// How many of cargo's own files are looked at.
const MAX_FINGERPRINTS: usize = 5000;

/// Looks at everything.
///
/// # Errors
/// A [`Failure`] where it is not clear which program is meant.
pub fn look(session: &Session, config: &Config, settings: &Settings) -> Result<Project, Failure> {
    let choice = Choice::of(&session.metadata, &session.selection).map_err(in_one_line)?;
    let packages = linked::packages(&session.metadata, &choice);
    let sources = code_files(&source_folders(&packages, &choice));
    let captured = captured(session, &choice);
    let mut inputs: BTreeSet<PathBuf> = sources.iter().cloned().collect();
    if let Some(Ok((fat, _))) = &captured {
        inputs.extend(fat.units.iter().flat_map(|unit| unit.inputs.iter().cloned()));
    }
    let folders: BTreeSet<&Path> = inputs.iter().filter_map(|file| file.parent()).collect();
    Ok(Project {
        folders: folders.len(),
        profile: resolve(session, config, settings, &packages),
        runtime: Runtime {
            no_inject: session.selection.no_inject,
            ..runtime_of(&session.metadata, &packages, &choice, &sources)
        },
        captured: captured.map(|found| found.map(|(_, captured)| captured)),
        root: session.metadata.workspace_root.clone().into_std_path_buf(),
        target_dir: target_dir(&session.store),
        other_watch: watching(&session.store),
        from_the_future: from_the_future(&inputs, &session.store),
        shared_libraries: shared_libraries(&packages, &choice, settings),
        is_library: choice.is_library(),
        package: choice.package,
        program: choice.target,
    })
}

/// Looks at what is known without reading sources or captures.
pub fn quick(session: &Session, config: &Config, settings: &Settings) -> Project {
    // What is wrong with the choice is told when it is made.
    let choice = Choice::of(&session.metadata, &session.selection).ok();
    let packages =
        choice.map(|choice| linked::packages(&session.metadata, &choice)).unwrap_or_default();
    Project {
        profile: resolve(session, config, settings, &packages),
        root: session.metadata.workspace_root.clone().into_std_path_buf(),
        target_dir: target_dir(&session.store),
        ..Project::default()
    }
}

/// The list of programs becomes part of the fix.
fn in_one_line(mut failure: Failure) -> Failure {
    let mut lines = failure.message.lines().map(str::trim);
    let first = lines.next().unwrap_or_default().to_string();
    let programs = lines.collect::<Vec<_>>().join(", or ");
    if !programs.is_empty() {
        failure.hint = Some(programs);
    }
    failure.message = first;
    failure
}

fn target_dir(store: &Store) -> PathBuf {
    store.root().parent().unwrap_or(store.root()).to_path_buf()
}

fn is_local(package: &Package) -> bool {
    package.source.is_none() && !OWN_PACKAGES.contains(&package.name.as_str())
}

fn resolve(
    session: &Session,
    config: &Config,
    settings: &Settings,
    packages: &[&Package],
) -> Profile {
    let file = session.metadata.workspace_root.join("Cargo.toml");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let manifest = text.parse().unwrap_or_default();
    let members = &session.metadata.workspace_members;
    let wanted = packages.iter().filter(|p| is_local(p) || p.name.as_str() == RUNTIME);
    let mut wanted: Vec<_> = wanted
        .map(|package| profile::Package {
            name: package.name.as_str(),
            is_member: members.contains(&package.id),
            is_runtime: package.name.as_str() == RUNTIME,
        })
        .collect();
    if !wanted.iter().any(|p| p.is_runtime) {
        wanted.push(profile::Package { name: RUNTIME, is_member: false, is_runtime: true });
    }
    let written = Written { manifest: &manifest, config, settings };
    profile::resolve(session.selection.profile_name(), &wanted, written)
}

/// The folders of the program's own source and of the libraries it uses.
fn source_folders(packages: &[&Package], choice: &Choice) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for package in packages.iter().filter(|p| is_local(p)) {
        let own = package.id == choice.package_id;
        for target in &package.targets {
            let chosen = own && choice.is(target);
            if chosen || capture::is_library(target) {
                folders.extend(target.src_path.parent().map(PathBuf::from));
            }
        }
    }
    folders
}

/// Those that cannot be had in another form, since rustc prefers to link a program statically
/// unless it is told otherwise.
fn shared_libraries(packages: &[&Package], choice: &Choice, settings: &Settings) -> Vec<String> {
    let prefers_them = Call::new(&settings.rustflags).is_on("prefer-dynamic");
    let others = packages.iter().filter(|p| is_local(p) && p.id != choice.package_id);
    let shared = others.filter(|p| {
        let mut libraries = p.targets.iter().filter(|t| t.is_dylib());
        libraries
            .any(|t| prefers_them || t.crate_types.iter().all(|kind| *kind == CrateType::DyLib))
    });
    shared.map(|p| p.name.to_string()).collect()
}

fn runtime_of(
    metadata: &Metadata,
    packages: &[&Package],
    choice: &Choice,
    sources: &[PathBuf],
) -> Runtime {
    let linked = packages.iter().find(|p| p.name.as_str() == RUNTIME);
    let mut names = BTreeSet::new();
    let mut features: Vec<String> = Vec::new();
    for package in packages.iter().filter(|p| is_local(p)) {
        let with_dev = choice.uses_dev_dependencies() && package.id == choice.package_id;
        let dependencies = package.dependencies.iter();
        let ours = dependencies
            .filter(|d| d.name == RUNTIME && is_linked(d.kind, with_dev))
            .filter(|d| linked.is_some() || !d.optional);
        for dependency in ours {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
            names.insert(name.replace('-', "_"));
            features.extend(dependency.features.iter().cloned());
        }
    }
    if let Some(node) = linked.and_then(|runtime| node(metadata, &runtime.id)) {
        features.extend(node.features.iter().map(|f| f.to_string()));
    }
    let main = packages.iter().filter(|p| p.id == choice.package_id).flat_map(|p| &p.targets);
    let main = main.filter(|target| choice.is(target));
    Runtime {
        dependency: linked.is_some() || !names.is_empty(),
        no_inject: false,
        version: linked.map(|runtime| runtime.version.to_string()),
        in_release: features.iter().any(|f| f == "release"),
        call: runtime::find_call(sources, &names),
        main: main.map(|t| t.src_path.clone().into()).next().unwrap_or_default(),
    }
}

/// The earlier fat build, where there is a record of one.
fn captured(session: &Session, choice: &Choice) -> Option<Result<(FatBuild, Captured), Failure>> {
    let record = session.store.programs().join(choice.record_name(&session.selection));
    let recorded = modified(&record)?;
    let fat = match capture::load(session) {
        Ok(fat) => fat,
        Err(error) => {
            let known = error::failure(&error).cloned();
            return Some(Err(known.unwrap_or_else(|| Failure::environment(format!("{error:#}")))));
        }
    };
    let newer = |files: BTreeSet<PathBuf>| -> Vec<PathBuf> {
        files.into_iter().filter(|f| modified(f).is_some_and(|time| time > recorded)).collect()
    };
    let own = target_dir(&session.store);
    let inputs = fat.units.iter().flat_map(|u| u.inputs.iter().cloned());
    let captured = Captured {
        program: fat.program.clone(),
        build_id: fat.build_id.clone(),
        rustc: fat.rustc_version.lines().next().unwrap_or_default().to_string(),
        without_runtime: fat.without_runtime().map(String::from),
        newer_sources: newer(inputs.filter(|file| !file.starts_with(&own)).collect()),
        outdated: fat.outdated().into_values().flatten().collect(),
    };
    Some(Ok((fat, captured)))
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// The process that has the lock of a running `watch`. It is looked up and not tried, which could
/// be in the way of one that starts at this moment.
fn watching(store: &Store) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = store.watch_lock();
    let inode = file.metadata().ok()?.ino();
    let pid: u32 = std::fs::read_to_string(&file).ok()?.trim().parse().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let held = locks.lines().any(|line| {
        // `1: FLOCK  ADVISORY  WRITE 4242 fe:00:1234 0 EOF`
        let words: Vec<&str> = line.split_whitespace().collect();
        let of_file = |w: &&str| w.rsplit(':').next().is_some_and(|n| n == inode.to_string());
        let by = words.get(4).and_then(|w| w.parse().ok());
        by == Some(pid) && words.get(5).is_some_and(of_file)
    });
    held.then_some(pid)
}

/// The file with the latest time of modification, where that is yet to come.
fn from_the_future(inputs: &BTreeSet<PathBuf>, store: &Store) -> Option<(PathBuf, Duration)> {
    let entries = |folder: PathBuf| {
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()))
    };
    let fingerprints = entries(target_dir(store)).flat_map(|p| entries(p.join(".fingerprint")));
    let fingerprints = fingerprints.flat_map(entries).take(MAX_FINGERPRINTS);
    let now = SystemTime::now();
    let ahead = |file: PathBuf| {
        let ahead = modified(&file)?.duration_since(now).ok()?;
        (ahead > TOLERANCE).then_some((file, ahead))
    };
    inputs.iter().cloned().chain(fingerprints).filter_map(ahead).max_by_key(|(_, ahead)| *ahead)
}
