//! The rustc wrappers that the user has already: from the environment, from `--config`, and from
//! cargo's configuration files, in cargo's order of precedence.

use std::ffi::OsString;

use crate::cargo_config::{Config, Value};
use crate::env::cargo as names;

/// What to chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserWrappers {
    /// The wrapper of all crates, such as sccache.
    pub all: Option<OsString>,
    /// The wrapper of the workspace's crates.
    pub workspace: Option<OsString>,
}

impl UserWrappers {
    /// The wrappers that cargo would use.
    pub fn of(config: &Config) -> UserWrappers {
        let program = |value: Option<Value>| value.and_then(|v| v.program());
        UserWrappers { all: program(of_all(config)), workspace: program(of_workspace(config)) }
    }
}

/// The wrapper of all crates, with its origin.
pub fn of_all(config: &Config) -> Option<Value> {
    wrapper(config, names::RUSTC_WRAPPER, "rustc-wrapper")
}

/// The wrapper of the workspace's crates, with its origin.
pub fn of_workspace(config: &Config) -> Option<Value> {
    wrapper(config, names::RUSTC_WORKSPACE_WRAPPER, "rustc-workspace-wrapper")
}

/// The variable with the short name wins over `--config`; an empty value means none.
fn wrapper(config: &Config, variable: &str, key: &str) -> Option<Value> {
    let value = config.variable(variable).or_else(|| config.get(&["build", key]))?;
    value.value.as_str().is_some_and(|text| !text.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cargo_config::Sources;

    fn wrappers(sources: &Sources) -> UserWrappers {
        UserWrappers::of(&sources.read())
    }

    fn write(file: &Path, text: &str) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn the_nearest_source_wins() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().to_path_buf();
        let cwd = top.join("a/b");
        write(&top.join("home/config.toml"), "[build]\nrustc-wrapper = \"sccache\"\n");
        write(&cwd.join("x"), "");
        let mut sources = Sources { cwd, cargo_home: Some(top.join("home")), ..Sources::default() };
        let all = |sources: &Sources| wrappers(sources).all;
        assert_eq!(all(&sources), Some("sccache".into()));

        write(&top.join("a/.cargo/config.toml"), "build.rustc-wrapper = \"tools/w\"\n");
        assert_eq!(all(&sources), Some(top.join("a/tools/w").into()));

        sources.environment = vec![(names::BUILD_RUSTC_WRAPPER.into(), "variable".into())];
        assert_eq!(all(&sources), Some("variable".into()));

        write(&top.join("a/b/more.toml"), "[build]\nrustc-wrapper = \"./m\"\n");
        sources.command_line = vec!["build.rustc-wrapper='x'".into(), "more.toml".into()];
        assert_eq!(all(&sources), Some(top.join("a/./m").into()));
        sources.command_line.reverse();
        assert_eq!(all(&sources), Some("x".into()));

        sources.environment.push((names::RUSTC_WRAPPER.into(), "./w".into()));
        assert_eq!(all(&sources), Some(top.join("a/b/./w").into()));
        sources.environment.last_mut().unwrap().1 = "".into();
        assert_eq!(all(&sources), None);
    }

    #[test]
    fn the_two_wrappers_are_told_apart() {
        let sources = Sources {
            command_line: vec!["build.rustc-workspace-wrapper=\"w\"".into()],
            ..Sources::default()
        };
        let wanted = UserWrappers { all: None, workspace: Some("w".into()) };
        assert_eq!(wrappers(&sources), wanted);
    }

    #[test]
    fn a_broken_file_is_left_to_cargo() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(".cargo/config.toml"), "[build\n");
        let sources = Sources { cwd: dir.path().into(), ..Sources::default() };
        assert_eq!(wrappers(&sources), UserWrappers::default());
    }
}
