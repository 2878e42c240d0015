//! The devices that a program for Android is to run on. They are only asked.

use crate::device::{Adb, Traits, Trouble, Wanted};
use crate::doctor::facts::Devices;

/// Asks `adb`, and the devices that are meant.
pub fn look(wanted: &Wanted) -> Devices {
    let adb = match Adb::find(|name| std::env::var_os(name)) {
        Ok(adb) => adb,
        Err(why) => return Devices { adb: Err(why), chosen: None },
    };
    match adb.version() {
        Ok(version) => {
            let version = format!("{version} in {}", adb.program.display());
            Devices { adb: Ok(version), chosen: Some(ask(&adb, wanted)) }
        }
        Err(why) => Devices { adb: Err(why), chosen: None },
    }
}

fn ask(adb: &Adb, wanted: &Wanted) -> Result<Vec<Traits>, Trouble> {
    let silent = |why: String| Trouble { why, fix: "adb kill-server, then try again".into() };
    let listed = adb.devices().map_err(silent)?;
    let chosen = wanted.choose(&listed)?;
    let traits = |device: &&crate::device::Listed| {
        Traits::ask(&adb.device(&device.serial), device.name()).map_err(silent)
    };
    chosen.iter().map(traits).collect()
}
