//! Which of the connected devices are meant.

use super::listed::{Listed, State};

/// What the user has said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The devices by their serial numbers; none is said where there is only one.
    pub serials: Vec<String>,
    /// Where that was said.
    pub origin: &'static str,
}

/// Why no device can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub why: String,
    /// What mends it.
    pub fix: String,
}

impl Wanted {
    /// Whether a device is one of those that are meant, where it is the only one that is there.
    pub fn admits(&self, serial: &str) -> bool {
        self.serials.is_empty() || self.serials.iter().any(|wanted| wanted == serial)
    }

    /// The devices to use.
    ///
    /// # Errors
    /// Which device is missing or not ready, or that there are several and none was named.
    pub fn choose<'a>(&self, listed: &'a [Listed]) -> Result<Vec<&'a Listed>, Trouble> {
        if !self.serials.is_empty() {
            return self.serials.iter().map(|serial| self.named(serial, listed)).collect();
        }
        let ready: Vec<_> = listed.iter().filter(|d| d.state == State::Ready).collect();
        match (ready.len(), listed) {
            (1, _) => Ok(ready),
            (0, []) => Err(Trouble {
                why: "no Android device is connected".into(),
                fix: "connect one with USB debugging on, or start an emulator; `adb devices` must \
                      list it"
                    .into(),
            }),
            (0, [first, ..]) => {
                let each: Vec<_> = listed.iter().map(unready).collect();
                Err(Trouble { why: each.join("; "), fix: first.state.fix().into() })
            }
            _ => {
                let names: Vec<_> = ready.iter().map(|d| d.name()).collect();
                Err(Trouble {
                    why: format!("{} devices are connected: {}", ready.len(), names.join(", ")),
                    fix: format!(
                        "choose with `--device {}` (once for each that is to be used), or with \
                         ANDROID_SERIAL",
                        ready[0].serial
                    ),
                })
            }
        }
    }

    fn named<'a>(&self, serial: &str, listed: &'a [Listed]) -> Result<&'a Listed, Trouble> {
        let Some(found) = listed.iter().find(|device| device.serial == serial) else {
            let there: Vec<_> = listed.iter().map(Listed::name).collect();
            let there = if there.is_empty() { "none is".into() } else { there.join(", ") };
            return Err(Trouble {
                why: format!("device {serial} (from {}) is not connected ({there})", self.origin),
                fix: "connect it, or name another; `adb devices` lists them".into(),
            });
        };
        match &found.state {
            State::Ready => Ok(found),
            state => Err(Trouble { why: unready(found), fix: state.fix().into() }),
        }
    }
}

fn unready(device: &Listed) -> String {
    format!("device {} is {}", device.name(), device.state.trouble())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::parse_list;

    fn chosen(wanted: &[&str], listed: &str) -> Result<Vec<String>, String> {
        let serials = wanted.iter().map(|w| w.to_string()).collect();
        let wanted = Wanted { serials, origin: "--device" };
        let listed = parse_list(listed);
        let found = wanted.choose(&listed).map_err(|t| format!("{} | {}", t.why, t.fix))?;
        Ok(found.iter().map(|device| device.serial.clone()).collect())
    }

    #[test]
    fn the_only_device_is_meant_and_of_several_those_that_are_named() {
        assert_eq!(chosen(&[], "a device").unwrap(), ["a"]);
        assert_eq!(chosen(&[], "a device\nb unauthorized").unwrap(), ["a"]);
        assert_eq!(chosen(&["b"], "a device\nb device").unwrap(), ["b"]);
        assert_eq!(chosen(&["b", "a"], "a device\nb device").unwrap(), ["b", "a"]);
    }

    #[test]
    fn what_is_in_the_way_is_named_with_what_mends_it() {
        let table: [(&[&str], &str, &str); 7] = [
            (&[], "", "no Android device is connected | connect one"),
            (&[], "a unauthorized", "device a is unauthorized | unlock its screen"),
            (&[], "a offline", "device a is offline | plug it in again"),
            (&[], "a device\nb device", "2 devices are connected: a, b | choose with `--device a`"),
            (&["c"], "a device", "device c (from --device) is not connected (a) | connect it"),
            (&["c"], "", "device c (from --device) is not connected (none is) |"),
            (&["a", "b"], "a device\nb offline", "device b is offline | plug"),
        ];
        for (wanted, listed, text) in table {
            let told = chosen(wanted, listed).unwrap_err();
            assert!(told.starts_with(text), "{wanted:?} {listed:?}: {told}");
        }
    }
}
