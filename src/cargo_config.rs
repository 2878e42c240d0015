//! Cargo's configuration as cargo itself would see it: variables of the environment, `--config`,
//! and the configuration files, each value with the place it comes from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use cargo_metadata::cargo_platform::{Cfg, Platform};

use crate::env::cargo as names;

/// How many files may include each other in a row.
const MAX_INCLUDES: usize = 8;

/// Where configuration comes from; gathered once, so that the rest is a function of it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The variables of the environment that cargo or rustc might read.
    pub environment: Vec<(String, OsString)>,
    /// The values of `--config`.
    pub command_line: Vec<String>,
    /// Cargo's working directory.
    pub cwd: PathBuf,
    /// Cargo's home.
    pub cargo_home: Option<PathBuf>,
}

impl Sources {
    /// The sources for a cargo that is started here and now with these values of `--config`.
    pub fn current(command_line: &[String]) -> Sources {
        let home = || std::env::var_os(names::HOME).map(|h| Path::new(&h).join(".cargo"));
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v)));
        Sources {
            environment: environment.filter(|(name, _)| names::is_known(name)).collect(),
            command_line: command_line.to_vec(),
            cwd: std::env::current_dir().unwrap_or_default(),
            cargo_home: std::env::var_os(names::CARGO_HOME).map(PathBuf::from).or_else(home),
        }
    }

    /// Reads the files. One that cannot be understood is left out: cargo itself complains of it.
    pub fn read(&self) -> Config {
        let mut config = Config { environment: self.environment.clone(), ..Config::default() };
        config.cwd.clone_from(&self.cwd);
        for value in self.command_line.iter().rev() {
            let file = self.cwd.join(value);
            if file.is_file() {
                layers_of(&file, MAX_INCLUDES, &mut config.command_line);
            } else if let Ok(table) = value.parse() {
                let (origin, base) = (Origin::CommandLine, self.cwd.clone());
                config.command_line.push(Layer { origin, base, table });
            }
        }
        let above = self.cwd.ancestors().map(|folder| folder.join(".cargo"));
        let mut seen = BTreeSet::new();
        for folder in above.chain(self.cargo_home.clone()) {
            let older = folder.join("config");
            let file = if older.is_file() { older } else { folder.join("config.toml") };
            if seen.insert(file.clone()) {
                layers_of(&file, MAX_INCLUDES, &mut config.files);
            }
        }
        config
    }
}

/// Adds a file's layer, and then those of the files that it includes, the last one first.
fn layers_of(file: &Path, depth: usize, layers: &mut Vec<Layer>) {
    let text = std::fs::read_to_string(file).ok();
    let Some(table) = text.and_then(|text| text.parse::<toml::Table>().ok()) else { return };
    let folder = file.parent().unwrap_or(Path::new("/"));
    let included: Vec<PathBuf> = match table.get("include") {
        Some(toml::Value::Array(list)) => list.iter().filter_map(included).collect(),
        Some(one) => included(one).into_iter().collect(),
        None => Vec::new(),
    };
    // Paths in a file are relative to the folder that has the `.cargo` folder.
    let base = folder.parent().unwrap_or(Path::new("/")).to_path_buf();
    layers.push(Layer { origin: Origin::File(file.to_path_buf()), base, table });
    if depth > 0 {
        for path in included.into_iter().rev() {
            layers_of(&folder.join(path), depth - 1, layers);
        }
    }
}

fn included(value: &toml::Value) -> Option<PathBuf> {
    let path = value.as_str().or_else(|| value.get("path")?.as_str())?;
    Some(path.into())
}

/// The configuration that was read.
#[derive(Debug, Clone, Default)]
pub struct Config {
    environment: Vec<(String, OsString)>,
    cwd: PathBuf,
    command_line: Vec<Layer>,
    files: Vec<Layer>,
}

/// One table of values, from one place.
#[derive(Debug, Clone)]
struct Layer {
    origin: Origin,
    base: PathBuf,
    table: toml::Table,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A variable of the environment.
    Variable(String),
    /// The option `--config`.
    CommandLine,
    /// A configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Variable(name) => write!(f, "the variable {name}"),
            Origin::CommandLine => f.write_str("--config"),
            Origin::File(file) => write!(f, "{}", file.display()),
        }
    }
}

/// A value, and what is needed to tell what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The value; a variable's text is a boolean or a number where it reads like one.
    pub value: toml::Value,
    /// Where it was set.
    pub origin: Origin,
    base: PathBuf,
}

impl Value {
    /// The program that the value names: a bare name is searched for in `PATH`, a path is
    /// relative to the place of the value.
    pub fn program(&self) -> Option<OsString> {
        let text = self.value.as_str()?;
        let is_path = Path::new(text).components().count() > 1;
        Some(if is_path { self.base.join(text).into() } else { text.into() })
    }

    /// The program that the value names, as [`Value::program`] does, and its arguments: a list, or
    /// a text with spaces between them.
    pub fn command(&self) -> Option<Vec<OsString>> {
        let words = self.words();
        let (program, args) = words.split_first()?;
        let program = Value { value: program.as_str().into(), ..self.clone() }.program()?;
        Some(std::iter::once(program).chain(args.iter().map(OsString::from)).collect())
    }

    /// The words of a list, or of a text with spaces between them.
    pub fn words(&self) -> Vec<String> {
        match &self.value {
            toml::Value::String(text) => text.split_whitespace().map(String::from).collect(),
            toml::Value::Array(list) => {
                list.iter().filter_map(|word| word.as_str().map(String::from)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Config {
    /// A variable of the environment, as a value.
    pub fn variable(&self, name: &str) -> Option<Value> {
        let (_, value) = self.environment.iter().find(|(n, _)| n == name)?;
        let text = value.to_str()?;
        let parsed = text.parse().map(toml::Value::Boolean);
        let value = parsed.or_else(|_| text.parse().map(toml::Value::Integer));
        Some(Value {
            value: value.unwrap_or_else(|_: std::num::ParseIntError| text.into()),
            origin: Origin::Variable(name.into()),
            base: self.cwd.clone(),
        })
    }

    /// What is configured for a target under `key`: in the table of its own name, or in one whose
    /// condition it fulfils. `cfg` is what rustc says of the target, asked only where it matters.
    pub fn of_target(
        &self,
        target: &str,
        cfg: impl FnOnce() -> Vec<Cfg>,
        key: &str,
    ) -> Option<Value> {
        let own = self.get(&["target", target, key]);
        own.or_else(|| {
            let conditional = self.keys(&["target"]).iter().any(|table| {
                table.starts_with("cfg(") && self.get(&["target", table, key]).is_some()
            });
            let tables = if conditional { self.tables_of(target, &cfg()) } else { Vec::new() };
            tables.iter().find_map(|table| self.get(&["target", table, key]))
        })
    }

    /// The tables below `target` that concern a target, its own first.
    pub fn tables_of(&self, target: &str, cfg: &[Cfg]) -> Vec<String> {
        let keys = self.keys(&["target"]).into_iter();
        let matching = keys.filter(|key| {
            let platform = key.starts_with("cfg(").then(|| key.parse::<Platform>().ok());
            platform.flatten().is_some_and(|p| p.matches(target, cfg))
        });
        std::iter::once(target.to_string()).chain(matching).collect()
    }

    /// The value at a path of keys, from the source that cargo prefers.
    pub fn get(&self, path: &[&str]) -> Option<Value> {
        self.all(path).into_iter().next()
    }

    /// The value at a path of keys in each source that has it, the preferred one first.
    pub fn all(&self, path: &[&str]) -> Vec<Value> {
        let given = self.command_line.iter().filter_map(|layer| layer.get(path));
        let variable = self.variable(&variable_name(path));
        let files = self.files.iter().filter_map(|layer| layer.get(path));
        given.chain(variable).chain(files).collect()
    }

    /// The keys of the tables at a path, from all files and the command line.
    pub fn keys(&self, path: &[&str]) -> BTreeSet<String> {
        let layers = self.command_line.iter().chain(&self.files);
        let tables = layers.filter_map(|layer| layer.find(path)?.as_table());
        tables.flat_map(|table| table.keys().cloned()).collect()
    }
}

impl Layer {
    fn find(&self, path: &[&str]) -> Option<&toml::Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.table.get(*first)?, |value, key| value.get(key))
    }

    fn get(&self, path: &[&str]) -> Option<Value> {
        let value = self.find(path)?.clone();
        Some(Value { value, origin: self.origin.clone(), base: self.base.clone() })
    }
}

/// `build.rustc-wrapper` is also `CARGO_BUILD_RUSTC_WRAPPER`.
fn variable_name(path: &[&str]) -> String {
    let name = path.join("_").to_uppercase().replace(['-', '.'], "_");
    format!("{}{name}", names::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Path, text: &str) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn values_know_their_origin_and_the_preferred_one_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        write(&top.join("home/config.toml"), "[profile.dev]\nopt-level = 1\n");
        write(&top.join("a/.cargo/config.toml"), "[profile.dev]\nopt-level = 2\n");
        let mut sources = Sources {
            cwd: top.join("a/b"),
            cargo_home: Some(top.join("home")),
            ..Sources::default()
        };
        let path = ["profile", "dev", "opt-level"];
        let first = |sources: &Sources| {
            let value = sources.read().get(&path).unwrap();
            (value.value.clone(), value.origin.to_string())
        };
        let file = top.join("a/.cargo/config.toml").display().to_string();
        assert_eq!(first(&sources), (2.into(), file));
        assert_eq!(sources.read().all(&path).len(), 2);

        sources.environment = vec![("CARGO_PROFILE_DEV_OPT_LEVEL".into(), "3".into())];
        let wanted = (3.into(), "the variable CARGO_PROFILE_DEV_OPT_LEVEL".to_string());
        assert_eq!(first(&sources), wanted);

        sources.command_line = vec!["profile.dev.opt-level='s'".into()];
        assert_eq!(first(&sources), ("s".into(), "--config".into()));
    }

    #[test]
    fn included_files_stand_behind_the_file_that_includes_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".cargo");
        write(&folder.join("config.toml"), "include = ['a.toml', {path='b.toml'}]\n[x]\none=1\n");
        write(&folder.join("a.toml"), "[x]\none=2\ntwo=2\nthree=2\n");
        write(&folder.join("b.toml"), "include='config.toml'\n[x]\ntwo=3\n");
        let config = Sources { cwd: dir.path().into(), ..Sources::default() }.read();
        for (key, wanted) in [("one", 1), ("two", 3), ("three", 2)] {
            assert_eq!(config.get(&["x", key]).unwrap().value.as_integer(), Some(wanted), "{key}");
        }
        assert_eq!(config.keys(&["x"]).into_iter().collect::<Vec<_>>(), ["one", "three", "two"]);
    }

    #[test]
    fn what_concerns_a_target_is_in_its_own_table_or_in_one_with_a_condition() {
        let config = |lines: &[&str]| {
            let command_line = lines.iter().map(|l| l.to_string()).collect();
            Sources { command_line, cwd: "/w".into(), ..Sources::default() }.read()
        };
        let cfg: Vec<Cfg> =
            vec!["target_arch=\"aarch64\"".parse().unwrap(), "unix".parse().unwrap()];
        let target = "aarch64-unknown-linux-gnu";
        let runner = |config: &Config| {
            let value = config.of_target(target, || cfg.clone(), "runner")?;
            Some(value.command()?.join(std::ffi::OsStr::new("|")))
        };
        let own = "target.aarch64-unknown-linux-gnu.runner='./run.sh -x'";
        let conditional = "target.'cfg(target_arch=\"aarch64\")'.runner=['qemu', 'a b']";
        let other = "target.'cfg(windows)'.runner='wine'";
        assert_eq!(runner(&config(&[other])), None);
        assert_eq!(runner(&config(&[other, conditional])), Some("qemu|a b".into()));
        assert_eq!(runner(&config(&[conditional, own])), Some("/w/./run.sh|-x".into()));
        let never = || -> Vec<Cfg> { panic!("rustc need not be asked") };
        assert!(config(&[own]).of_target(target, never, "linker").is_none());
    }

    #[test]
    fn lists_and_texts_are_words() {
        let sources = Sources {
            command_line: vec!["build.rustflags=['-C', 'a b']".into(), "x.y=' -C  c '".into()],
            ..Sources::default()
        };
        let config = sources.read();
        assert_eq!(config.get(&["build", "rustflags"]).unwrap().words(), ["-C", "a b"]);
        assert_eq!(config.get(&["x", "y"]).unwrap().words(), ["-C", "c"]);
    }
}
