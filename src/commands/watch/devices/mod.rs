//! The devices that `watch` has set up: each reaches our server, and its programs can read where
//! that is. What was set up is taken back at the end, and set up again on a device that comes back.

mod logs;
mod remote;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN, PROPERTY_ADDR, PROPERTY_TOKEN};

use super::program::quoted;
use super::runner;
use crate::device::{Adb, Device, Listed, Running, State, Wanted};
use crate::env::rust::PASSED_ON;
use crate::error::Failure;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::deliver::Server;
use crate::report::{Event, Reporter};
use crate::session::{Session, android};
use crate::target::android::is_android;
use logs::Logs;
pub(super) use remote::Remote;

/// How long it is waited for a device before it is looked for again.
const ROUND: Duration = Duration::from_secs(2);
/// How often a device that has just come back is asked.
const ATTEMPTS: u32 = 5;
/// Where programs are put, which everybody may run there.
const FOLDER: &str = "/data/local/tmp/hotpatch";

/// How a device reaches our server.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The port that leads here, where the device does not dial us by our own address.
    port: Option<u16>,
    /// Where it dials.
    address: SocketAddr,
    token: String,
}

impl Link {
    /// To the server that listens at `bound`.
    pub fn to(bound: SocketAddr, token: &str) -> Link {
        let local = bound.ip().is_loopback() || bound.ip().is_unspecified();
        let address = match local {
            true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bound.port()),
            false => bound,
        };
        Link { port: local.then_some(bound.port()), address, token: token.into() }
    }

    fn set_up(&self, device: &Device) -> Result<(), String> {
        if let Some(port) = self.port {
            device.reverse(port)?;
        }
        device.set_property(PROPERTY_ADDR, &self.address.to_string())?;
        device.set_property(PROPERTY_TOKEN, &self.token)
    }

    fn take_back(&self, device: &Device) -> Result<(), String> {
        let port = self.port.map_or(Ok(()), |port| device.unreverse(port));
        device.set_property(PROPERTY_ADDR, "")?;
        device.set_property(PROPERTY_TOKEN, "")?;
        port
    }
}

/// All of them.
pub(super) struct Devices {
    shared: Arc<Shared>,
    logs: Logs,
    tracker: Option<JoinHandle<()>>,
}

/// What the threads have in common.
pub(super) struct Shared {
    adb: Adb,
    wanted: Wanted,
    link: Link,
    reporter: Arc<Reporter>,
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    /// The devices that are used, and whether each is there and set up.
    ready: BTreeMap<String, bool>,
    /// The folders on them that hold programs.
    pushed: BTreeSet<(String, String)>,
    /// How often each was lost.
    losses: BTreeMap<String, u32>,
    tracking: Option<Running>,
    stopping: bool,
}

/// Sets the devices up that a program for Android is to run on: nothing where it is for something
/// else, or the user has configured what runs it. A program that is started elsewhere (`runs` is
/// false) may come to a device later.
///
/// # Errors
/// A [`Failure`] of kind environment where there is no device to run it on, or it is not clear on
/// which.
pub(super) fn open(
    session: &Session,
    (fat, runs): (&FatBuild, bool),
    server: &Server,
    reporter: &Arc<Reporter>,
) -> Result<Option<Devices>, Failure> {
    if !is_android(&fat.target) || !runner::of(fat, session).is_empty() {
        return Ok(None);
    }
    let later = |why: &str, rest: &str| {
        reporter.emit(&Event::Warning { message: format!("{why}; {rest}") });
    };
    let adb = match Adb::find(|name| std::env::var_os(name)) {
        Ok(adb) => adb,
        Err(why) if runs => return Err(Failure::environment(why)),
        Err(why) => {
            later(&why, "nothing is set up on a device");
            return Ok(None);
        }
    };
    let listed = adb.devices().map_err(Failure::environment)?;
    let wanted = android::wanted(&session.selection);
    let is_any_ready = listed.iter().any(|device| device.state == State::Ready);
    let chosen = match wanted.choose(&listed) {
        Ok(chosen) => chosen.into_iter().cloned().collect(),
        Err(trouble) if runs || (wanted.serials.is_empty() && is_any_ready) => {
            return Err(Failure::environment(trouble.why).hint(trouble.fix));
        }
        Err(trouble) => {
            later(&trouble.why, "a device that comes is set up then");
            Vec::new()
        }
    };
    let link = Link::to(server.address(), server.token().as_str());
    Devices::start((adb, wanted), &chosen, link, reporter).map(Some)
}

impl Devices {
    /// Sets the devices up, and keeps them so.
    ///
    /// # Errors
    /// A [`Failure`] of kind environment where one of them does not allow it.
    pub fn start(
        (adb, wanted): (Adb, Wanted),
        chosen: &[Listed],
        link: Link,
        reporter: &Arc<Reporter>,
    ) -> Result<Devices, Failure> {
        let known = Mutex::new(Known::default());
        let (reporter, changed) = (reporter.clone(), Condvar::new());
        let shared = Arc::new(Shared { adb, wanted, link, reporter, known, changed });
        let mut devices = Devices { shared: shared.clone(), logs: Logs::default(), tracker: None };
        for listed in chosen {
            shared.known().ready.insert(listed.serial.clone(), false);
            shared.set_up(listed).map_err(|why| not_set_up(&listed.name(), &why))?;
        }
        devices.tracker = Some(std::thread::spawn(move || track::track(&shared)));
        Ok(devices)
    }

    /// The same, to be held by others.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The environment of a program that is started on one: what tells it of us, and what of our
    /// own is about Rust.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        let link = &self.shared.link;
        let own = [(ENV_ADDR, link.address.to_string()), (ENV_TOKEN, link.token.clone())];
        let passed = PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
        own.into_iter().chain(passed).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// A program has connected: what it writes to the system's log is shown.
    pub fn connected(&self, client: u32, pid: u32) {
        self.logs.follow(&self.shared, client, pid);
    }

    /// A program is no longer connected.
    pub fn disconnected(&self, client: u32) {
        self.logs.forget(client);
    }
}

fn not_set_up(name: &str, why: &str) -> Failure {
    Failure::environment(format!("device {name} cannot be set up: {why}")).hint(
        "`cargo hotpatch doctor` looks at the device; a program that you start with the variables \
         that `--no-run` prints needs no setting up",
    )
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.logs.end();
        let mut known = self.shared.known();
        known.stopping = true;
        drop(known.tracking.take());
        drop(known);
        self.shared.changed.notify_all();
        if let Some(tracker) = self.tracker.take() {
            // A panic in it was printed.
            let _ = tracker.join();
        }
        let known = std::mem::take(&mut *self.shared.known());
        for (serial, ready) in &known.ready {
            let device = self.shared.adb.device(serial);
            if !ready {
                continue;
            }
            let result = self.shared.link.take_back(&device);
            let folders = known.pushed.iter().filter(|(of, _)| of == serial);
            let folders: Vec<_> = folders.map(|(_, folder)| folder.as_str()).collect();
            if !folders.is_empty() {
                // It is in the way of nobody.
                let _ = device.shell(&format!("rm -rf {}", folders.join(" ")));
            }
            if let Err(why) = result {
                let message = format!("device {serial} could not be put back as it was: {why}");
                self.shared.reporter.emit(&Event::Warning { message });
            }
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The devices that can be used now.
    fn ready(&self) -> Vec<Device> {
        let known = self.known();
        let ready = known.ready.iter().filter(|(_, ready)| **ready);
        ready.map(|(serial, _)| self.adb.device(serial)).collect()
    }

    /// Whether output has to say which device it is of.
    fn are_many(&self) -> bool {
        self.known().ready.len() > 1
    }

    fn set_up(&self, listed: &Listed) -> Result<(), String> {
        let device = self.adb.device(&listed.serial);
        if let Err(why) = self.link.set_up(&device) {
            // As far as it got.
            let _ = self.link.take_back(&device);
            return Err(why);
        }
        self.known().ready.insert(listed.serial.clone(), true);
        let (device, name) = (listed.serial.clone(), listed.name());
        let addr = self.link.address.to_string();
        self.reporter.emit(&Event::DeviceReady { device, name, addr });
        self.changed.notify_all();
        Ok(())
    }

    /// A device is gone.
    fn lose(&self, serial: &str) {
        let mut known = self.known();
        let was_ready = known.ready.insert(serial.into(), false);
        if was_ready == Some(true) {
            *known.losses.entry(serial.into()).or_default() += 1;
        }
        drop(known);
        if was_ready == Some(true) {
            self.reporter.emit(&Event::DeviceGone { device: serial.into() });
        }
    }

    /// How often a device was lost so far.
    fn losses(&self, serial: &str) -> u32 {
        self.known().losses.get(serial).copied().unwrap_or_default()
    }

    /// The devices that are there now are these.
    fn see(&self, list: &[Listed]) {
        let is_there = |serial: &str| {
            list.iter().any(|device| device.serial == serial && device.state == State::Ready)
        };
        let ours: Vec<(String, bool)> =
            self.known().ready.iter().map(|(serial, ready)| (serial.clone(), *ready)).collect();
        for (serial, ready) in &ours {
            if *ready && !is_there(serial) {
                self.lose(serial);
            }
        }
        let mut room = !self.wanted.serials.is_empty() || ours.is_empty();
        for device in list.iter().filter(|device| device.state == State::Ready) {
            let known = ours.iter().find(|(serial, _)| *serial == device.serial);
            let is_new = known.is_none() && room && self.wanted.admits(&device.serial);
            if is_new || known.is_some_and(|(_, ready)| !ready) {
                room &= !self.wanted.serials.is_empty();
                self.come_back(device);
            }
        }
    }

    /// One that has just come needs a moment.
    fn come_back(&self, device: &Listed) {
        for attempt in 1..=ATTEMPTS {
            match self.set_up(device) {
                Ok(()) => return,
                Err(why) if attempt == ATTEMPTS => {
                    let message = format!("device {} cannot be set up: {why}", device.name());
                    self.reporter.emit(&Event::Warning { message });
                }
                Err(_) if self.pause(Duration::from_millis(500)) => return,
                Err(_) => {}
            }
        }
    }

    /// Waits; true once everything is to end.
    fn pause(&self, time: Duration) -> bool {
        let known = self.known();
        let waited = self.changed.wait_timeout_while(known, time, |known| !known.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    /// Waits until a device is there again; false where it is no longer to be waited for.
    fn await_ready(&self, serial: &str, go_on: impl Fn() -> bool) -> bool {
        loop {
            let known = self.known();
            let missing =
                |known: &mut Known| !known.stopping && known.ready.get(serial) != Some(&true);
            let waited = self.changed.wait_timeout_while(known, ROUND, missing);
            let known = waited.unwrap_or_else(PoisonError::into_inner).0;
            let (ready, stopping) = (known.ready.get(serial) == Some(&true), known.stopping);
            drop(known);
            if ready || stopping || !go_on() {
                return ready && !stopping;
            }
            if let Ok(list) = self.adb.devices() {
                self.see(&list);
            }
        }
    }

    /// Puts the files of a program on a device; their folder there.
    fn push(&self, device: &Device, build_id: &str, files: &[&Path]) -> Result<String, Failure> {
        let folder = format!("{FOLDER}/{}", build_id.get(..16).unwrap_or(build_id));
        if !self.known().pushed.insert((device.serial.clone(), folder.clone())) {
            return Ok(folder);
        }
        let put = |file: &Path| {
            let name = quoted(file.file_name().unwrap_or_default());
            device.shell(&format!("mkdir -p {folder}"))?;
            device.push(file, &folder)?;
            device.shell(&format!("chmod 755 {folder}/{name}"))
        };
        for file in files {
            put(file).map_err(|why| {
                let (file, serial) = (file.display(), &device.serial);
                let text = format!("`{file}` cannot be put on device {serial}: {why}");
                Failure::environment(text)
                    .hint("`adb shell df /data/local/tmp` tells whether there is room for it")
            })?;
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_dials_its_own_port_unless_our_address_is_one_of_a_network() {
        let link = |bound: &str| {
            let link = Link::to(bound.parse().unwrap(), "t");
            (link.port, link.address.to_string())
        };
        assert_eq!(link("127.0.0.1:99"), (Some(99), "127.0.0.1:99".into()));
        assert_eq!(link("0.0.0.0:99"), (Some(99), "127.0.0.1:99".into()));
        assert_eq!(link("[::1]:99"), (Some(99), "127.0.0.1:99".into()));
        assert_eq!(link("192.168.0.5:99"), (None, "192.168.0.5:99".into()));
    }
}
