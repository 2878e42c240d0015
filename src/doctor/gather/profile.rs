//! The profile of a build, resolved as cargo does it: the settings of cargo's configuration over
//! those of the manifest, a package's own over those for all, and the compiler's flags over both.

use std::collections::BTreeMap;

use crate::cargo_config::{Config, Origin, Value};
use crate::doctor::facts::{CARGOS_DEFAULT, PackageProfile, Profile, Setting, Settings};
use crate::pipeline::capture::args::Call;

/// The settings that are looked for.
const KEYS: [&str; 10] = [
    "codegen-backend",
    "codegen-units",
    "debug",
    "debug-assertions",
    "lto",
    "opt-level",
    "overflow-checks",
    "panic",
    "split-debuginfo",
    "strip",
];

/// Settings that have another name, or no name, in a profile: `-C` and `-Z` options.
const FLAGS: [(&str, &str); 13] = [
    ("codegen-backend", "codegen-backend"),
    ("codegen-units", "codegen-units"),
    ("debuginfo", "debug"),
    ("debug-assertions", "debug-assertions"),
    ("lto", "lto"),
    ("linker-plugin-lto", "linker-plugin-lto"),
    ("opt-level", "opt-level"),
    ("overflow-checks", "overflow-checks"),
    ("panic", "panic"),
    ("split-debuginfo", "split-debuginfo"),
    ("strip", "strip"),
    ("symbol-mangling-version", "symbol-mangling-version"),
    ("instrument-coverage", "instrument-coverage"),
];

/// The longest chain of `inherits` that is followed.
const MAX_INHERITED: usize = 16;

/// A package whose settings are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a member of the workspace.
    pub is_member: bool,
    /// Whether it is this tool's runtime.
    pub is_runtime: bool,
}

/// Where profiles are written.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The workspace's manifest.
    pub manifest: &'a toml::Table,
    /// Cargo's configuration.
    pub config: &'a Config,
    /// The compiler's flags.
    pub settings: &'a Settings,
}

/// Resolves a profile for each package.
pub fn resolve(name: &str, packages: &[Package], written: Written) -> Profile {
    let chain = chain(name, written);
    let resolved = packages.iter().map(|package| {
        let mut settings = BTreeMap::new();
        for key in KEYS {
            let found = find(&chain, *package, key, written);
            if let Some(setting) = found.or_else(|| default(&chain, key)) {
                settings.insert(key.to_string(), setting);
            }
        }
        override_by_flags(&mut settings, written.settings);
        PackageProfile { package: package.name.into(), is_runtime: package.is_runtime, settings }
    });
    let packages = resolved.collect();
    let unknown = chain.last().is_none_or(|root| root != "dev" && root != "release");
    Profile { name: name.into(), unknown, packages }
}

/// The profile and those it inherits from, down to one of cargo's own.
fn chain(name: &str, written: Written) -> Vec<String> {
    let mut chain = vec![name.to_string()];
    while let Some(last) = chain.last().filter(|_| chain.len() < MAX_INHERITED) {
        let next = match last.as_str() {
            "dev" | "release" => break,
            "test" => Some("dev".to_string()),
            "bench" => Some("release".to_string()),
            other => look(written, &["profile", other, "inherits"]).map(|(text, _)| text),
        };
        match next {
            Some(next) => chain.push(next),
            None => break,
        }
    }
    chain
}

/// A package's own settings win over those for all others, and these over the profile's, whatever
/// was inherited from where.
fn find(chain: &[String], package: Package, key: &str, written: Written) -> Option<Setting> {
    let specs = specs(chain, package.name, written);
    let mut places: Vec<Vec<&str>> = Vec::new();
    for (profile, spec) in &specs {
        places.push(vec!["profile", profile, "package", spec, key]);
    }
    if !package.is_member {
        places.extend(chain.iter().map(|p| vec!["profile", p, "package", "*", key]));
    }
    places.extend(chain.iter().map(|p| vec!["profile", p, key]));
    let (value, origin) = places.iter().find_map(|place| look(written, place))?;
    Some(Setting::new(value, origin))
}

/// The tables `[profile.<name>.package.<spec>]` that mean the package, with their keys.
fn specs<'a>(chain: &'a [String], package: &str, written: Written) -> Vec<(&'a str, String)> {
    let mut found = Vec::new();
    for profile in chain {
        let path = ["profile", profile.as_str(), "package"];
        let in_manifest = at(written.manifest, &path).and_then(toml::Value::as_table);
        let mut keys = written.config.keys(&path);
        keys.extend(in_manifest.into_iter().flat_map(|table| table.keys().cloned()));
        // A variable names a package without being found in a table.
        keys.insert(package.to_string());
        let means = |spec: &String| spec.split(['@', ':']).next() == Some(package);
        found.extend(keys.into_iter().filter(means).map(|spec| (profile.as_str(), spec)));
    }
    found
}

/// A value with its place, for people.
fn look(written: Written, path: &[&str]) -> Option<(String, String)> {
    let table = || match path.split_last() {
        Some((_, folders)) => {
            let quoted = folders.iter().map(|key| match key.contains(['*', '@', ':', '.', '/']) {
                true => format!("\"{key}\""),
                false => (*key).to_string(),
            });
            format!("[{}]", quoted.collect::<Vec<_>>().join("."))
        }
        None => String::new(),
    };
    if let Some(Value { value, origin, .. }) = written.config.get(path) {
        let place = match &origin {
            Origin::File(_) => format!("{} of {origin}", table()),
            Origin::Variable(_) | Origin::CommandLine => origin.to_string(),
        };
        return Some((text(&value), place));
    }
    let value = at(written.manifest, path)?;
    Some((text(value), format!("{} of Cargo.toml", table())))
}

fn at<'a>(table: &'a toml::Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(yes) => yes.to_string(),
        _ => String::new(),
    }
}

/// What cargo's own `release` has; the defaults of `dev` are what the checks want.
fn default(chain: &[String], key: &str) -> Option<Setting> {
    if chain.last().is_none_or(|root| root != "release") {
        return None;
    }
    let value = match key {
        "opt-level" => "3",
        "debug" | "debug-assertions" | "overflow-checks" => "false",
        _ => return None,
    };
    Some(Setting::new(value, CARGOS_DEFAULT))
}

/// Flags come last on the compiler's command line.
fn override_by_flags(settings: &mut BTreeMap<String, Setting>, given: &Settings) {
    let call = Call::new(&given.rustflags);
    let origin = &given.rustflags_origin;
    for (flag, key) in FLAGS {
        if let Some(value) = call.codegen(flag).or_else(|| unstable(&call, flag)) {
            let value = if value.is_empty() { "true" } else { value };
            settings.insert(key.into(), Setting::new(value, origin));
        }
    }
    for flag in ["profile-generate", "profile-use"] {
        if call.codegen(flag).is_some() {
            settings.insert(flag.into(), Setting::new("true", origin));
        }
    }
    if let Some(value) = unstable(&call, "sanitizer") {
        settings.insert("sanitizer".into(), Setting::new(value, origin));
    }
    for (short, key, value) in [("-O", "opt-level", "3"), ("-g", "debug", "2")] {
        if call.pieces().iter().any(|p| p.name == short) {
            settings.insert(key.into(), Setting::new(value, origin));
        }
    }
}

fn unstable<'a>(call: &Call<'a>, flag: &str) -> Option<&'a str> {
    let given = call.pieces().iter().filter(|p| p.name == "-Z").filter_map(|p| p.value);
    let mut given = given.map(|v| v.split_once('=').unwrap_or((v, "")));
    given.rfind(|(key, _)| key.replace('_', "-") == flag).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo_config::Sources;

    const MEMBER: Package = Package { name: "app", is_member: true, is_runtime: false };
    const OTHER: Package = Package { name: "dep", is_member: false, is_runtime: true };

    fn resolved(manifest: &str, config: &[&str], flags: &str, name: &str) -> Profile {
        let manifest: toml::Table = manifest.parse().unwrap();
        let sources = Sources {
            command_line: config.iter().map(|c| (*c).to_string()).collect(),
            ..Sources::default()
        };
        let settings = Settings {
            rustflags: flags.split_whitespace().map(String::from).collect(),
            rustflags_origin: "flags".into(),
            ..Settings::default()
        };
        let config = sources.read();
        let written = Written { manifest: &manifest, config: &config, settings: &settings };
        resolve(name, &[MEMBER, OTHER], written)
    }

    fn value(profile: &Profile, package: usize, key: &str) -> String {
        let setting = profile.packages[package].settings.get(key);
        setting.map_or_else(|| "-".into(), |s| format!("{} {}", s.value, s.origin))
    }

    #[test]
    fn cargos_own_profiles_have_their_defaults() {
        let dev = resolved("", &[], "", "dev");
        assert!(!dev.unknown && dev.packages[0].settings.is_empty());
        let bench = resolved("", &[], "", "bench");
        assert_eq!(value(&bench, 0, "opt-level"), "3 cargo's default for release builds");
        assert_eq!(
            value(&bench, 1, "debug-assertions"),
            "false cargo's default for release builds"
        );
    }

    #[test]
    fn a_packages_own_settings_win_and_the_star_is_for_others() {
        let manifest = "[profile.dev]\nopt-level = 1\n[profile.dev.package.\"*\"]\nopt-level = 2\n\
                        [profile.dev.package.\"dep@1.0.0\"]\ndebug = 0\n";
        let dev = resolved(manifest, &[], "", "dev");
        assert_eq!(value(&dev, 0, "opt-level"), "1 [profile.dev] of Cargo.toml");
        assert_eq!(value(&dev, 1, "opt-level"), "2 [profile.dev.package.\"*\"] of Cargo.toml");
        assert_eq!(value(&dev, 1, "debug"), "0 [profile.dev.package.\"dep@1.0.0\"] of Cargo.toml");
        assert_eq!(value(&dev, 0, "debug"), "-");
    }

    #[test]
    fn a_profile_inherits_and_the_nearer_one_wins() {
        let manifest = "[profile.a]\ninherits = \"b\"\nlto = false\n\
                        [profile.b]\ninherits = \"release\"\nlto = true\nstrip = true\n";
        let a = resolved(manifest, &[], "", "a");
        assert_eq!(value(&a, 0, "lto"), "false [profile.a] of Cargo.toml");
        assert_eq!(value(&a, 0, "strip"), "true [profile.b] of Cargo.toml");
        assert_eq!(value(&a, 0, "opt-level"), "3 cargo's default for release builds");
    }

    #[test]
    fn configuration_wins_over_the_manifest_and_flags_win_over_both() {
        let manifest = "[profile.dev]\nlto = true\nopt-level = 1\n";
        let config = ["profile.dev.lto='thin'", "profile.dev.package.app.opt-level=2"];
        let dev = resolved(manifest, &config, "-C opt-level=s -Zsanitizer=address -Clto", "dev");
        assert_eq!(value(&dev, 0, "lto"), "true flags");
        assert_eq!(value(&dev, 0, "opt-level"), "s flags");
        assert_eq!(value(&dev, 0, "sanitizer"), "address flags");
        let dev = resolved(manifest, &config, "", "dev");
        assert_eq!(value(&dev, 0, "lto"), "thin --config");
        assert_eq!(value(&dev, 0, "opt-level"), "2 --config");
        assert_eq!(value(&dev, 1, "opt-level"), "1 [profile.dev] of Cargo.toml");
    }

    #[test]
    fn a_circle_of_profiles_ends() {
        let manifest = "[profile.a]\ninherits = \"b\"\n[profile.b]\ninherits = \"a\"\n";
        let a = resolved(manifest, &[], "", "a");
        assert!(a.unknown && a.packages[0].settings.is_empty());
    }
}
