//! What a device is like.

use super::adb::Device;

/// Everything about a device that decides whether a program runs there and takes patches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    /// How it is named to people.
    pub name: String,
    /// The version of its system as programs count them.
    pub api: Option<u32>,
    /// The kinds of programs that it runs, the preferred one first.
    pub abis: Vec<String>,
    /// The size of a page of its memory.
    pub page_size: Option<u64>,
    /// What SELinux does there, such as `Enforcing`.
    pub selinux: Option<String>,
    /// Why its ports cannot lead to this machine, where that is so.
    pub no_reverse: Option<String>,
}

/// One question for everything. A command that a device does not have answers nothing.
const QUESTION: &str = "echo api=$(getprop ro.build.version.sdk); \
                        echo abis=$(getprop ro.product.cpu.abilist); \
                        echo page=$(getconf PAGE_SIZE 2>/dev/null); \
                        echo selinux=$(getenforce 2>/dev/null)";

impl Traits {
    /// Asks the device, which changes nothing on it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn ask(device: &Device, name: String) -> Result<Traits, String> {
        let answer = device.shell(QUESTION)?;
        let no_reverse = device.reversed().err();
        Ok(Traits { name, no_reverse, ..Traits::parse(&answer) })
    }

    fn parse(answer: &str) -> Traits {
        let value = |name: &str| {
            let line = answer.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix('='));
            line.map(str::trim).filter(|value| !value.is_empty())
        };
        let abis = value("abis").unwrap_or_default().split(',').filter(|abi| !abi.is_empty());
        Traits {
            api: value("api").and_then(|v| v.parse().ok()),
            abis: abis.map(String::from).collect(),
            page_size: value("page").and_then(|v| v.parse().ok()),
            selinux: value("selinux").map(String::from),
            ..Traits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_missing_stays_unknown() {
        let full = Traits::parse(
            "api=34\r\nabis=arm64-v8a,armeabi-v7a\r\npage=16384\r\nselinux=Enforcing\r\n",
        );
        assert_eq!((full.api, full.page_size), (Some(34), Some(16384)));
        assert_eq!(full.abis, ["arm64-v8a", "armeabi-v7a"]);
        assert_eq!(full.selinux.as_deref(), Some("Enforcing"));
        assert_eq!(Traits::parse("api=\nabis=\npage=\nselinux=\n"), Traits::default());
    }
}
