//! The device that a program for Android is to run on.

use super::Facts;
use crate::device::{Traits, Trouble};
use crate::doctor::Check;
use crate::target::android;

/// Programs and patches are linked for pages of this size and smaller ones.
const LARGEST_PAGE: u64 = 16384;

/// Whether there is something that talks to devices.
pub fn adb(facts: &Facts) -> Check {
    const NAME: &str = "adb";
    const FIX: &str = "install it, such as with `sdkmanager platform-tools` or `apt install adb`, \
                       or export ANDROID_HOME=<the folder of the SDK>";
    match facts.devices.as_ref().map(|devices| &devices.adb) {
        None => Check::ok(NAME, "not needed"),
        Some(Ok(version)) => Check::ok(NAME, version),
        Some(Err(why)) => Check::fail(NAME, why, FIX),
    }
}

/// Whether it is clear which device is meant, and that one can be used.
pub fn device(facts: &Facts) -> Check {
    const NAME: &str = "device";
    match chosen(facts) {
        None => Check::ok(NAME, "not looked for"),
        Some(Err(Trouble { why, fix })) => Check::fail(NAME, why, fix),
        Some(Ok(devices)) => {
            let names: Vec<_> = devices.iter().map(|device| &*device.name).collect();
            Check::ok(NAME, names.join(", "))
        }
    }
}

/// Whether it is new enough for what the program is linked for.
pub fn api(facts: &Facts) -> Check {
    const NAME: &str = "device-api";
    let oldest = match &facts.android {
        Some(Ok(kit)) => kit.compiler.api,
        _ => android::OLDEST_API,
    };
    each(NAME, facts, |device| match device.api {
        Some(api) if api < oldest => Err((
            format!("has Android API {api}, and the program is for {oldest} and newer"),
            format!("--android-api {api}, or `min_sdk_version = {api}` in the package's metadata"),
        )),
        Some(api) => Ok(format!("Android API {api}, at least {oldest} is needed")),
        None => Ok("an unknown version of Android".into()),
    })
}

/// Whether it runs programs of this kind.
pub fn abi(facts: &Facts) -> Check {
    let target = facts.target.as_deref().unwrap_or_default();
    each("device-abi", facts, |device| match android::abi(target) {
        Some(abi) if !device.abis.is_empty() && !device.abis.iter().any(|known| known == abi) => {
            let known = device.abis.join(", ");
            let fits = device.abis.iter().find_map(|abi| android::target_of(abi));
            Err((
                format!("runs programs for {known}, and {target} is {abi}"),
                match fits {
                    Some(fits) => format!("--target {fits}, or another device"),
                    None => "choose another device with `--device`".into(),
                },
            ))
        }
        _ => Ok(device.abis.join(", ")),
    })
}

/// Whether its pages are not larger than what programs are linked for.
pub fn page_size(facts: &Facts) -> Check {
    each("device-page-size", facts, |device| match device.page_size {
        Some(size) if size > LARGEST_PAGE => Err((
            format!("has pages of {size} bytes; programs are linked for up to {LARGEST_PAGE}"),
            "choose another device with `--device`".into(),
        )),
        Some(size) => Ok(format!("{size} bytes, linked for up to {LARGEST_PAGE}")),
        None => Ok("not known".into()),
    })
}

/// Whether one of its ports can lead to this machine.
pub fn reverse(facts: &Facts) -> Check {
    each("device-reverse", facts, |device| match &device.no_reverse {
        Some(why) => Err((
            format!("cannot reach this machine: {why}"),
            "connect it by USB, or have it dial this machine by its own address: `watch --bind \
             ADDRESS:PORT`"
                .into(),
        )),
        None => Ok("its ports can lead to this machine".into()),
    })
}

/// What its security rules say about code that changes.
pub fn selinux(facts: &Facts) -> Check {
    each("device-selinux", facts, |device| {
        Ok(match device.selinux.as_deref() {
            Some("Enforcing") => "Enforcing, as usual: its rules let apps and the shell change \
                                  their own code and load it from memory, which patches need; a \
                                  maker's own rules may not"
                .into(),
            Some(other) => other.into(),
            None => "not known".into(),
        })
    })
}

fn chosen(facts: &Facts) -> Option<&Result<Vec<Traits>, Trouble>> {
    facts.devices.as_ref()?.chosen.as_ref()
}

/// One verdict about all devices: what is good of each, or what is wrong with the first that is not.
fn each(
    name: &'static str,
    facts: &Facts,
    look: impl Fn(&Traits) -> Result<String, (String, String)>,
) -> Check {
    let Some(Ok(devices)) = chosen(facts) else { return Check::ok(name, "no device to look at") };
    let mut good = Vec::new();
    for device in devices {
        match look(device) {
            Ok(text) if devices.len() == 1 => good.push(text),
            Ok(text) => good.push(format!("{}: {text}", device.name)),
            Err((why, fix)) => {
                return Check::fail(name, format!("device {} {why}", device.name), fix);
            }
        }
    }
    Check::ok(name, good.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checks::CheckFn;
    use crate::doctor::facts::Devices;

    /// A device on which everything is right.
    fn phone() -> Traits {
        Traits {
            name: "P1 (Phone)".into(),
            api: Some(34),
            abis: vec!["arm64-v8a".into()],
            page_size: Some(16384),
            selinux: Some("Enforcing".into()),
            no_reverse: None,
        }
    }

    fn told(check: CheckFn, chosen: Result<Vec<Traits>, Trouble>) -> String {
        let devices = Devices { adb: Ok("Android Debug Bridge".into()), chosen: Some(chosen) };
        let target = Some("aarch64-linux-android".into());
        shown(check(&Facts { target, devices: Some(devices), ..Facts::default() }))
    }

    fn shown(check: Check) -> String {
        let (status, name) = (format!("{:?}", check.status).to_lowercase(), check.name);
        format!("{status} {name}: {} | {}", check.detail, check.fix.unwrap_or_default())
    }

    #[test]
    fn a_device_that_fits_is_named_with_what_was_found() {
        for (check, text) in [
            (adb as CheckFn, "ok adb: Android Debug Bridge"),
            (device, "ok device: P1 (Phone)"),
            (api, "ok device-api: Android API 34, at least 21 is needed"),
            (abi, "ok device-abi: arm64-v8a"),
            (page_size, "ok device-page-size: 16384 bytes"),
            (reverse, "ok device-reverse: its ports"),
            (selinux, "ok device-selinux: Enforcing, as usual"),
        ] {
            let told = told(check, Ok(vec![phone()]));
            assert!(told.starts_with(text), "{told}");
        }
    }

    #[test]
    fn what_does_not_fit_fails_with_what_mends_it() {
        let two = |bad: Traits| Ok(vec![phone(), bad]);
        let none = Trouble { why: "no Android device".into(), fix: "connect one".into() };
        let abis = vec!["x86_64".into()];
        let table: [(CheckFn, _, &str, &str); 5] = [
            (device, Err(none), "fail device: no Android device", "| connect one"),
            (api, two(Traits { api: Some(20), ..phone() }), "fail device-api", "--android-api 20"),
            (abi, two(Traits { abis, ..phone() }), "fail device-abi", "x86_64-linux-android"),
            (
                page_size,
                two(Traits { page_size: Some(65536), ..phone() }),
                "fail device-page-size: device P1 (Phone) has pages of 65536",
                "--device",
            ),
            (
                reverse,
                two(Traits { no_reverse: Some("closed".into()), ..phone() }),
                "fail device-reverse: device P1 (Phone) cannot reach this machine: closed",
                "watch --bind",
            ),
        ];
        for (check, chosen, begin, part) in table {
            let told = told(check, chosen);
            assert!(told.starts_with(begin) && told.contains(part), "{told}");
        }
        let missing = Devices { adb: Err("`adb` is not found".into()), chosen: None };
        let told = shown(adb(&Facts { devices: Some(missing), ..Facts::default() }));
        assert!(told.starts_with("fail adb") && told.contains("ANDROID_HOME"), "{told}");
    }
}
