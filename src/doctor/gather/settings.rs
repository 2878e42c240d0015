//! What cargo's configuration says about compiling and linking.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::cargo_platform::Cfg;

use super::toolchain::output;
use crate::cargo_config::{Config, Value};
use crate::doctor::checks::is_sccache;
use crate::doctor::facts::{Linker, Runner, Rustc, Setting, Settings, Wrapper};
use crate::env::cargo as names;
use crate::pipeline::capture::args::Call;
use crate::pipeline::capture::user_wrappers;

/// Reads what concerns builds for a target; `cfg` is what rustc says of it.
pub fn read(config: &Config, target: &str, cfg: &[Cfg]) -> Settings {
    let tables = config.tables_of(target, cfg);
    let (rustflags, rustflags_origin) = rustflags(config, &tables);
    let wrappers = [user_wrappers::of_all(config), user_wrappers::of_workspace(config)];
    Settings {
        runner: runner(config, &tables),
        linker: linker(config, &tables, &rustflags, &rustflags_origin),
        wrappers: wrappers.into_iter().flatten().filter_map(wrapper).collect(),
        build_std: config.get(&["unstable", "build-std"]).is_some(),
        unstable: unstable(config, &rustflags, &rustflags_origin),
        bootstrap: std::env::var_os(names::BOOTSTRAP).is_some(),
        rustflags,
        rustflags_origin,
    }
}

/// The flags from the one source that counts: cargo does not join a variable's with a file's.
fn rustflags(config: &Config, tables: &[String]) -> (Vec<String>, String) {
    for variable in [names::ENCODED_RUSTFLAGS, names::RUSTFLAGS] {
        let Some(value) = config.variable(variable) else { continue };
        let text = value.value.as_str().unwrap_or_default().to_string();
        let words = match variable {
            names::ENCODED_RUSTFLAGS if text.is_empty() => Vec::new(),
            names::ENCODED_RUSTFLAGS => text.split('\x1f').map(String::from).collect(),
            _ => value.words(),
        };
        return (words, value.origin.to_string());
    }
    let of_target = tables.iter().map(|table| config.all(&["target", table, "rustflags"]));
    let of_target: Vec<Value> = of_target.flatten().collect();
    let values = match of_target.is_empty() {
        true => config.all(&["build", "rustflags"]),
        false => of_target,
    };
    let origin = values.first().map(|v| v.origin.to_string()).unwrap_or_default();
    // Lists are joined; what the preferred source says comes last, where it wins.
    (values.iter().rev().flat_map(Value::words).collect(), origin)
}

fn linker(
    config: &Config,
    tables: &[String],
    rustflags: &[String],
    rustflags_origin: &str,
) -> Linker {
    let call = Call::new(rustflags);
    let configured = tables.iter().find_map(|table| config.get(&["target", table, "linker"]));
    let configured = configured.and_then(|v| Some((v.program()?, v.origin.to_string())));
    // Rustflags come after cargo's own `-C linker`.
    let (program, origin) = match (call.codegen("linker"), configured) {
        (Some(program), _) => (program.into(), Some(rustflags_origin.to_string())),
        (None, Some((program, origin))) => (program, Some(origin)),
        (None, None) => ("cc".into(), None),
    };
    Linker {
        found: find(&program),
        program: program.to_string_lossy().into_owned(),
        origin,
        flavor: call.codegen("linker-flavor").map(String::from),
        version: None,
    }
}

fn runner(config: &Config, tables: &[String]) -> Option<Runner> {
    let value = tables.iter().find_map(|table| config.get(&["target", table, "runner"]))?;
    let command = value.command()?;
    let program = command.first()?;
    let (found, name) = (find(program).is_some(), program.to_string_lossy().into_owned());
    Some(Runner { program: name, command, origin: value.origin, found })
}

/// Flags for rustc, and switches of cargo.
fn unstable(config: &Config, rustflags: &[String], rustflags_origin: &str) -> Vec<Setting> {
    let call = Call::new(rustflags);
    let flags = call.pieces().iter().filter(|piece| piece.name == "-Z");
    let flags = flags.filter_map(|piece| piece.value.map(|value| format!("-Z {value}")));
    let flags = flags.map(|flag| Setting::new(flag, rustflags_origin));
    let keys = config.keys(&["unstable"]).into_iter().filter_map(|key| {
        let value = config.get(&["unstable", &key])?;
        Some(Setting::new(key, format!("[unstable] of {}", value.origin)))
    });
    flags.chain(keys).collect()
}

fn wrapper(value: Value) -> Option<Wrapper> {
    let program = value.program()?;
    Some(Wrapper { found: find(&program), origin: value.origin, program, answer: None })
}

fn find(program: &OsStr) -> Option<PathBuf> {
    which::which(program).ok()
}

/// Asks the linker about itself, once it is found where rustc looks for the tools that come with it.
pub fn ask_linker(linker: &mut Linker, rustc: &Rustc) {
    if linker.found.is_none() {
        let own = rustc.sysroot.join("lib/rustlib").join(&rustc.host).join("bin");
        linker.found = Some(own.join(&linker.program)).filter(|file| file.is_file());
    }
    if let Some(file) = &linker.found {
        linker.version = output(Command::new(file).arg("--version")).ok();
    }
}

/// Asks the linker and the wrappers about themselves.
pub fn ask_around(settings: &mut Settings, rustc: &Rustc) {
    ask_linker(&mut settings.linker, rustc);
    for wrapper in settings.wrappers.iter_mut().filter(|w| !is_sccache(w)) {
        let file: Option<&Path> = wrapper.found.as_deref();
        wrapper.answer = file.map(|file| {
            let text = output(Command::new(file).arg(&rustc.program).arg("-vV"))?;
            match text.contains(&rustc.version) {
                true => Ok(()),
                false => Err("it does not pass the compiler's answer on".to_string()),
            }
        });
    }
}
