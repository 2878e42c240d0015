//! What `adb` says of the devices that it sees.

/// A device in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name that it has for `adb`.
    pub serial: String,
    /// Whether it can be used.
    pub state: State,
    /// What its maker calls it, where that is known.
    pub model: Option<String>,
}

/// Whether a device can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can.
    Ready,
    /// Its owner has not yet allowed this machine to.
    Unauthorized,
    /// It does not answer.
    Offline,
    /// This user may not use it.
    NoPermissions,
    /// Something else, in the words of `adb`.
    Other(String),
}

impl State {
    fn of(words: &[&str]) -> State {
        match words {
            ["device", ..] => State::Ready,
            ["unauthorized" | "authorizing", ..] => State::Unauthorized,
            ["offline" | "connecting", ..] => State::Offline,
            ["no", rest, ..] if rest.starts_with("permissions") => State::NoPermissions,
            _ => State::Other(words.first().copied().unwrap_or_default().to_string()),
        }
    }

    /// What is wrong with it, for people.
    pub fn trouble(&self) -> String {
        match self {
            State::Ready => "ready".into(),
            State::Unauthorized => "unauthorized".into(),
            State::Offline => "offline".into(),
            State::NoPermissions => "not accessible to this user".into(),
            State::Other(words) => format!("in the state `{words}`"),
        }
    }

    /// What mends it.
    pub fn fix(&self) -> &'static str {
        match self {
            State::Unauthorized => "unlock its screen and allow USB debugging from this computer",
            State::Offline => "plug it in again, or run `adb reconnect offline`",
            State::NoPermissions => {
                "add a udev rule for it (such as with `apt install android-sdk-platform-tools-common`)"
            }
            _ => "wait until `adb devices` shows it as `device`",
        }
    }
}

impl Listed {
    /// How it is named to people.
    pub fn name(&self) -> String {
        match &self.model {
            Some(model) => format!("{} ({})", self.serial, model.replace('_', " ")),
            None => self.serial.clone(),
        }
    }
}

/// Reads what `adb devices -l` and `adb track-devices` print.
pub fn parse_list(text: &str) -> Vec<Listed> {
    let own = |line: &&str| !line.starts_with('*') && !line.starts_with("List of devices");
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (serial, rest) = words.split_first()?;
        let model = rest.iter().find_map(|word| word.strip_prefix("model:"));
        let state = State::of(rest);
        (!rest.is_empty()).then(|| Listed {
            serial: serial.to_string(),
            state,
            model: model.map(String::from),
        })
    };
    text.lines().filter(own).filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_device_is_told_apart() {
        let text = "* daemon not running; starting now at tcp:5037\n\
                    * daemon started successfully\n\
                    List of devices attached\n\
                    emulator-5554\tdevice product:sdk model:Pixel_7 device:emu transport_id:1\n\
                    0A1B unauthorized usb:1-1 transport_id:2\n\
                    192.168.0.9:5555 offline\n\
                    F00 no permissions (user in plugdev group); see [http://x]\n\
                    B4 recovery\n\n";
        let found = parse_list(text);
        let states: Vec<_> = found.iter().map(|d| (&*d.serial, d.state.clone())).collect();
        assert_eq!(
            states,
            [
                ("emulator-5554", State::Ready),
                ("0A1B", State::Unauthorized),
                ("192.168.0.9:5555", State::Offline),
                ("F00", State::NoPermissions),
                ("B4", State::Other("recovery".into())),
            ]
        );
        assert_eq!(found[0].name(), "emulator-5554 (Pixel 7)");
        assert_eq!(found[1].name(), "0A1B");
        assert!(parse_list("List of devices attached\n\n").is_empty());
    }
}
