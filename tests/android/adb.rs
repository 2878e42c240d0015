//! A stand-in for `adb` with devices of its own: `fake-adb.sh`, and what a test does to them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::system::{self, Machine};

/// The folder of an `adb` and of all that it knows.
pub struct Adb(tempfile::TempDir);

impl Adb {
    /// With these phones, each `SERIAL STATE`.
    pub fn new(devices: &[&str]) -> Adb {
        Adb::of(&system::PHONE, devices)
    }

    /// With devices of this kind.
    pub fn of(machine: &Machine, devices: &[&str]) -> Adb {
        let folder = tempfile::Builder::new().prefix("adb-").tempdir().expect("a folder");
        let adb = Adb(folder);
        let script = include_str!("fake-adb.sh");
        let libraries = match machine.missing() {
            None => machine.libraries(),
            Some(_) => Path::new("/nowhere"),
        };
        let constants = format!(
            "#!/bin/bash\nEMULATOR={} ANDROID_STAND_IN_LIBRARIES='{}'\n",
            machine.emulator.unwrap_or_default(),
            libraries.display()
        );
        adb.script("adb", &script.replacen("#!/bin/bash\n", &constants, 1));
        adb.script(
            "commands/getprop",
            "#!/bin/sh\ncat \"$DEVICE/properties/$1\" 2>/dev/null\necho\n",
        );
        adb.script(
            "commands/setprop",
            "#!/bin/sh\nif [ -f \"$DEVICE/../forbidden/setprop\" ]; then\n\
             cat \"$DEVICE/../forbidden/setprop\" >&2; exit 1\nfi\n\
             printf %s \"$2\" >\"$DEVICE/properties/$1\"\n",
        );
        adb.script("commands/getconf", "#!/bin/sh\ncat \"$DEVICE/page\"\n");
        adb.script("commands/getenforce", "#!/bin/sh\necho Enforcing\n");
        for device in devices {
            let serial = device.split(' ').next().expect("a serial number");
            adb.write(&format!("{serial}/reversed"), "");
            adb.write(&format!("{serial}/log"), "--------- beginning of main\nI/app( 1): logged\n");
            adb.write(&format!("{serial}/page"), "16384\n");
            adb.write(&format!("{serial}/tmp/empty"), "");
            adb.write(&format!("{serial}/properties/ro.build.version.sdk"), "34");
            adb.write(&format!("{serial}/properties/ro.product.cpu.abilist"), machine.abi);
        }
        adb.connect(devices);
        adb
    }

    /// From now on these devices are there.
    pub fn connect(&self, devices: &[&str]) {
        let lines: String = devices.iter().map(|device| format!("{device}\n")).collect();
        let new = self.path("devices.new");
        fs::write(&new, lines).expect("a file");
        fs::rename(new, self.path("devices")).expect("a file");
    }

    /// Lets calls of one kind fail with these words.
    pub fn forbid(&self, kind: &str, words: &str) {
        self.write(&format!("forbidden/{kind}"), words);
    }

    /// Its folder, for PATH.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A file below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a file below it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// The text of a file; empty where there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(name), mode).expect("a script to run");
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(String::from).collect()
    }

    /// A device is as it was before.
    #[track_caller]
    pub fn expect_clean(&self, serial: &str) {
        for name in ["addr", "token"] {
            assert_eq!(self.read(&format!("{serial}/properties/debug.hotpatch.{name}")), "");
        }
        assert_eq!(self.read(&format!("{serial}/reversed")), "");
        let left = fs::read_dir(self.path(&format!("{serial}/tmp/hotpatch")));
        assert_eq!(left.into_iter().flatten().count(), 0, "no program is left on the device");
        assert_eq!(self.left_behind(), [""; 0]);
    }

    /// The process behind the call that runs the program on a device.
    pub fn call(&self, serial: &str) -> i32 {
        self.read(&format!("{serial}/call")).trim().parse().expect("a number")
    }

    /// The processes that it has left behind, by their command lines.
    pub fn left_behind(&self) -> Vec<String> {
        let own = self.path("adb").display().to_string();
        let line = |entry: fs::DirEntry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&own).then_some(line)
        };
        fs::read_dir("/proc").expect("/proc").flatten().filter_map(line).collect()
    }
}
