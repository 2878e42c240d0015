//! Looking at the machine and the project. Nothing is written but a temporary directory for the
//! trial patch, which is removed.

mod child;
mod devices;
mod host;
mod profile;
mod project;
mod runtime;
mod settings;
mod toolchain;
mod trial;

use super::facts::{Devices, Facts, Project, Settings};
use super::{For, Scratch};
use crate::cargo_config::Sources;
use crate::session::{CargoSelection, Session, android};
use crate::target::android::is_android;
use crate::target::{apple, support};

/// Gathers everything.
pub fn gather(selection: &CargoSelection, scratch: &Scratch) -> Facts {
    let session = Session::look(selection);
    // With what was found for the target.
    let selection = session.as_ref().map_or(selection, |session| &session.selection);
    let config = Sources::current(&selection.config).read();
    let mut toolchain = toolchain::ask(&config);
    let target = android::target(selection, &config);
    let host = toolchain.rustc.as_ref().ok().map(|r| r.host.clone());
    let target = target.or_else(|| host.clone());
    let cfg = match (&mut toolchain.rustc, &target) {
        (Ok(rustc), Some(target)) => toolchain::ask_about(rustc, target),
        _ => Vec::new(),
    };
    let mut settings = settings::read(&config, target.as_deref().unwrap_or_default(), &cfg);
    if let Ok(rustc) = &toolchain.rustc {
        settings::ask_around(&mut settings, rustc);
    }
    let kit = session.as_ref().ok().and_then(|session| session.android.clone());
    let devices = devices_for(selection, target.as_deref(), &settings);
    let project = session.and_then(|session| project::look(&session, &config, &settings));
    let rustc = toolchain.rustc.as_ref().ok();
    let can_try = rustc.filter(|r| r.has_std || settings.build_std && target == host).is_some()
        && target.as_deref().is_some_and(support::is_supported)
        && settings.linker.found.is_some();
    let foreign = target.clone().filter(|_| target != host);
    let can_try = can_try && (foreign.is_none() || settings.linker.origin.is_some());
    let trial = rustc.filter(|_| can_try);
    let trial = trial.map(|rustc| trial::run(rustc, &settings, foreign, scratch));
    Facts {
        host: host::look(project.as_ref().ok()),
        apple: sdk(target.as_deref()),
        devices,
        target,
        android: kit,
        trial,
        settings,
        toolchain: Some(toolchain),
        project: Some(project),
    }
}

/// Where the SDK for one of Apple's targets comes from.
fn sdk(target: Option<&str>) -> Option<Result<apple::Sdk, String>> {
    let wanted = target.is_some_and(apple::is_apple);
    wanted.then(|| apple::find_sdk(|name| std::env::var_os(name), |name| which::which(name).ok()))
}

/// Gathers what costs next to nothing, for a command that is about to start.
pub fn quick(command: For, session: &Session) -> Facts {
    let selection = &session.selection;
    let config = Sources::current(&selection.config).read();
    let target = android::target(selection, &config);
    let host = host::quick(command, &session.store);
    if command == For::Patch {
        // How the program was built is settled.
        return Facts { target, host, ..Facts::default() };
    }
    let triple = target.as_deref().unwrap_or(support::here());
    let mut toolchain = toolchain::ask(&config);
    let cfg = match &mut toolchain.rustc {
        // Only rustc knows which tables are meant, and what comes with it.
        Ok(rustc) => toolchain::ask_about(rustc, triple),
        Err(_) => Vec::new(),
    };
    let mut settings = settings::read(&config, triple, &cfg);
    // What an Android kit has as a linker is known.
    if let (Ok(rustc), None) = (&toolchain.rustc, &session.android) {
        settings::ask_linker(&mut settings.linker, rustc);
    }
    let devices = match command {
        For::Watch { .. } => devices_for(selection, target.as_deref(), &settings),
        _ => None,
    };
    let project = project::quick(session, &config, &settings);
    let android = session.android.clone();
    let (toolchain, project) = (Some(toolchain), Some(Ok(project)));
    let apple = sdk(target.as_deref());
    Facts {
        target,
        android,
        devices,
        apple,
        toolchain,
        settings,
        host,
        project,
        ..Facts::default()
    }
}

/// The devices, where it is on them that programs for the target are run.
fn devices_for(
    selection: &CargoSelection,
    target: Option<&str>,
    settings: &Settings,
) -> Option<Devices> {
    let runs_there = target.is_some_and(is_android) && settings.runner.is_none();
    runs_there.then(|| devices::look(&android::wanted(selection)))
}
