//! Everything the tool tells: one [`Event`] type, printed by a [`Reporter`] as lines for people or
//! as JSON objects.

mod human;
mod reporter;

use std::path::PathBuf;

use serde::Serialize;

pub use reporter::{Reporter, Style};

/// Something that a user or a script wants to know; `reason` names it in JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Event {
    /// The fat build is done.
    FatBuilt {
        program: PathBuf,
        build_id: String,
        target: String,
        crates: Vec<String>,
        elapsed_ms: u64,
    },
    /// The server listens.
    Serving { addr: String },
    /// A device has been set up: programs on it find the server at `addr`.
    DeviceReady { device: String, name: String, addr: String },
    /// A device that was set up is gone; it is set up again when it comes back.
    DeviceGone { device: String },
    /// The program was started; `device` is there where it runs on one.
    ProgramStarted {
        pid: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    /// A line of the program's own output; on a device also of its log (`stream` is `logcat`).
    ProgramOutput {
        stream: &'static str,
        line: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    /// A program said hello and was accepted.
    ClientConnected { client: u32, pid: u32, build_id: String, protocol: &'static str },
    /// Inputs of the program changed.
    ChangeDetected { files: Vec<PathBuf>, crates: Vec<String> },
    /// A diagnostic of rustc, in cargo's shape.
    CompilerMessage {
        package_id: String,
        manifest_path: PathBuf,
        target: serde_json::Value,
        message: serde_json::Value,
    },
    /// A patch was built.
    PatchBuilt {
        patch: u32,
        crates: Vec<String>,
        functions: Vec<String>,
        library: PathBuf,
        bytes: u64,
        timings_ms: Timings,
    },
    /// A program runs the patch, as it said itself.
    PatchApplied {
        patch: u32,
        client: u32,
        functions: u32,
        pause_us: u64,
        apply_ms: f64,
        total_ms: f64,
    },
    /// Functions that a patch has changed have calls that began before and do not end.
    StillRunning { patch: u32, client: u32, functions: Vec<String> },
    /// A program with another tool's client was told to load a patch.
    PatchSent { patch: u32, client: u32 },
    /// Such a program has loaded the patch; whether it runs any of it cannot be seen.
    PatchLoaded { patch: u32, client: u32, total_ms: f64 },
    /// Such a program, in which the runtime runs the patch, was told to call everything again.
    RefreshSent { patch: u32, client: u32 },
    /// A change cannot be carried by a patch.
    PatchRefused { patch: u32, kind: String, items: Vec<String>, detail: String },
    /// A program could not take the patch.
    PatchFailed { patch: u32, client: u32, error: String },
    /// A save changed no code.
    NothingChanged { files: Vec<PathBuf> },
    /// Only a restart can bring the change into the program.
    RestartRequired { cause: String, files: Vec<PathBuf> },
    /// The program has crashed or panicked in code that a patch brought a short time before.
    /// `last_good` is the patch that it can be started with, 0 for none; nothing where it cannot
    /// be started without the bad one.
    ProgramCrashed {
        pid: u32,
        patch: u32,
        functions: Vec<String>,
        signal: Option<i32>,
        after_ms: u64,
        last_good: Option<u32>,
        held_back: Vec<PathBuf>,
    },
    /// The program ended.
    ProgramExited { pid: u32, code: Option<i32>, signal: Option<i32> },
    /// A program is no longer connected.
    ClientDisconnected { client: u32 },
    /// Something worth knowing that is no result.
    Warning { message: String },
}

/// How long the stages took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Replayed rustc.
    pub thin: f64,
    /// Comparing objects, binding, linking.
    pub relink: f64,
    /// Building and checking the jump table.
    pub diff: f64,
    /// From the first file event to the built patch.
    pub total: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn are_told_as(table: Vec<(Event, Value)>) {
        for (event, expected) in table {
            assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        }
    }

    #[test]
    fn events_of_programs_have_the_fields_of_the_contract() {
        let text = String::from;
        are_told_as(vec![
            (Event::Serving { addr: text("a") }, json!({"reason": "serving", "addr": "a"})),
            (
                Event::ProgramStarted { pid: 1, device: None },
                json!({"reason": "program-started", "pid": 1}),
            ),
            (
                Event::ProgramOutput { stream: "stdout", line: text("x"), device: None },
                json!({"reason": "program-output", "stream": "stdout", "line": "x"}),
            ),
            (
                Event::ClientConnected { client: 1, pid: 2, build_id: text("b"), protocol: "p" },
                json!({"reason": "client-connected", "client": 1, "pid": 2, "build_id": "b",
                    "protocol": "p"}),
            ),
            (
                Event::ProgramExited { pid: 1, code: None, signal: Some(9) },
                json!({"reason": "program-exited", "pid": 1, "code": null, "signal": 9}),
            ),
            (
                Event::ProgramCrashed {
                    pid: 1,
                    patch: 3,
                    functions: vec![text("p::f")],
                    signal: Some(11),
                    after_ms: 4,
                    last_good: Some(2),
                    held_back: vec!["f.rs".into()],
                },
                json!({"reason": "program-crashed", "pid": 1, "patch": 3, "functions": ["p::f"],
                    "signal": 11, "after_ms": 4, "last_good": 2, "held_back": ["f.rs"]}),
            ),
            (
                Event::ClientDisconnected { client: 1 },
                json!({"reason": "client-disconnected", "client": 1}),
            ),
        ]);
    }

    #[test]
    fn events_of_devices_have_the_fields_of_the_contract() {
        let device = || Some(String::from("d"));
        are_told_as(vec![
            (
                Event::DeviceReady { device: "d".into(), name: "n".into(), addr: "a".into() },
                json!({"reason": "device-ready", "device": "d", "name": "n", "addr": "a"}),
            ),
            (
                Event::DeviceGone { device: "d".into() },
                json!({"reason": "device-gone", "device": "d"}),
            ),
            (
                Event::ProgramStarted { pid: 1, device: device() },
                json!({"reason": "program-started", "pid": 1, "device": "d"}),
            ),
            (
                Event::ProgramOutput { stream: "logcat", line: "x".into(), device: device() },
                json!({"reason": "program-output", "stream": "logcat", "line": "x",
                    "device": "d"}),
            ),
        ]);
    }

    #[test]
    fn events_of_patches_have_the_fields_of_the_contract() {
        let text = String::from;
        let timings_ms = Timings { thin: 1.5, relink: 2.0, diff: 0.0, total: 4.0 };
        are_told_as(vec![
            (
                Event::ChangeDetected { files: vec!["f".into()], crates: vec![text("c")] },
                json!({"reason": "change-detected", "files": ["f"], "crates": ["c"]}),
            ),
            (
                Event::PatchBuilt {
                    patch: 1,
                    crates: vec![],
                    functions: vec![text("p::f")],
                    library: "l.so".into(),
                    bytes: 9,
                    timings_ms,
                },
                json!({"reason": "patch-built", "patch": 1, "crates": [], "functions": ["p::f"],
                    "library": "l.so", "bytes": 9,
                    "timings_ms": {"thin": 1.5, "relink": 2.0, "diff": 0.0, "total": 4.0}}),
            ),
            (
                Event::PatchApplied {
                    patch: 1,
                    client: 2,
                    functions: 3,
                    pause_us: 4,
                    apply_ms: 5.5,
                    total_ms: 6.5,
                },
                json!({"reason": "patch-applied", "patch": 1, "client": 2, "functions": 3,
                    "pause_us": 4, "apply_ms": 5.5, "total_ms": 6.5}),
            ),
            (
                Event::StillRunning { patch: 1, client: 2, functions: vec![text("p::main")] },
                json!({"reason": "still-running", "patch": 1, "client": 2,
                    "functions": ["p::main"]}),
            ),
            (
                Event::PatchRefused {
                    patch: 1,
                    kind: text("k"),
                    items: vec![text("i")],
                    detail: text("d"),
                },
                json!({"reason": "patch-refused", "patch": 1, "kind": "k", "items": ["i"],
                    "detail": "d"}),
            ),
            (
                Event::PatchFailed { patch: 1, client: 2, error: text("e") },
                json!({"reason": "patch-failed", "patch": 1, "client": 2, "error": "e"}),
            ),
            (
                Event::NothingChanged { files: vec![] },
                json!({"reason": "nothing-changed", "files": []}),
            ),
            (
                Event::RestartRequired { cause: text("c"), files: vec![] },
                json!({"reason": "restart-required", "cause": "c", "files": []}),
            ),
        ]);
    }
    #[test]
    fn events_of_other_tools_clients_have_the_fields_of_the_contract() {
        are_told_as(vec![
            (
                Event::PatchSent { patch: 1, client: 2 },
                json!({"reason": "patch-sent", "patch": 1, "client": 2}),
            ),
            (
                Event::PatchLoaded { patch: 1, client: 2, total_ms: 0.5 },
                json!({"reason": "patch-loaded", "patch": 1, "client": 2, "total_ms": 0.5}),
            ),
            (
                Event::RefreshSent { patch: 1, client: 2 },
                json!({"reason": "refresh-sent", "patch": 1, "client": 2}),
            ),
        ]);
    }
}
