//! What programs and failures come to, as events.

use std::time::Instant;

use super::ledger::Ledger;
use super::workshop::milliseconds;
use crate::pipeline::capture::FatBuild;
use crate::pipeline::deliver::{Notice, Protocol};
use crate::report::Event;

/// What programs without the runtime cannot have.
const LIMITS: &str = "this program loads patches by another tool's client: what it does not call \
                      through that client keeps its old code, and it does not say when it runs \
                      the new one; without `--no-inject` every function changes, and the client \
                      is told as well";

/// The warning that is due for a program that could not be given the runtime.
pub fn without_runtime(fat: &FatBuild) -> Option<String> {
    fat.without_runtime().map(|why| {
        format!(
            "the program is linked without the runtime, so that it cannot be patched while it \
             runs: {why}"
        )
    })
}

/// What the fat build of a library has done to what others see of it, and why.
pub fn visibility(fat: &FatBuild) -> Option<String> {
    let name = fat.program.file_name()?.to_string_lossy();
    fat.is_library().then(|| {
        format!(
            "`{name}` exports the names that a build of your own exports and hides the others as \
             that does: patches find hidden functions and statics by their addresses, which are \
             read from the symbol table of this file (so it is not stripped; the copy that is \
             loaded may be)"
        )
    })
}

/// The events that a notice of the server comes to.
pub fn events(ledger: &mut Ledger, notice: Notice, build_id: &str, verbose: bool) -> Vec<Event> {
    match notice {
        Notice::Connected { client, pid, protocol, .. } => {
            match protocol {
                Protocol::Hotpatch => ledger.connected(client, pid, Instant::now()),
                _ => ledger.guest_connected(client, pid, Instant::now()),
            }
            let (build_id, protocol) = (build_id.into(), protocol.name());
            vec![Event::ClientConnected { client, pid, build_id, protocol }]
        }
        Notice::Sent { client, patch } => {
            let mut told = vec![Event::PatchSent { patch, client }];
            if ledger.is_first_for(client) {
                told.push(Event::Warning { message: LIMITS.into() });
            }
            told
        }
        Notice::Loaded { client, patch, sent } => {
            let total_ms = milliseconds(ledger.waited_since(patch, client, sent).elapsed());
            vec![Event::PatchLoaded { patch, client, total_ms }]
        }
        Notice::NotSent { client, patch, error } => {
            vec![Event::PatchFailed { patch, client, error: format!("not-sent: {error}") }]
        }
        Notice::ToldAgain { client, patch } => vec![Event::RefreshSent { patch, client }],
        Notice::Applied { client, sent, answer } => {
            let waited = ledger.waited_since(answer.patch, client, sent).elapsed();
            vec![Event::PatchApplied {
                patch: answer.patch,
                client,
                functions: answer.functions,
                pause_us: answer.pause_us,
                apply_ms: answer.apply_us as f64 / 1e3,
                total_ms: milliseconds(waited),
            }]
        }
        Notice::Refused { client, patch, kind, error } => {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or("refused");
            vec![Event::PatchFailed { patch, client, error: format!("{kind}: {error}") }]
        }
        Notice::NoAnswer { client, patch, detail } => {
            vec![Event::PatchFailed { patch, client, error: format!("no-answer: {detail}") }]
        }
        Notice::StillRunning { client, patch, functions } => {
            vec![Event::StillRunning { patch, client, functions }]
        }
        Notice::CarriesOver { .. } => Vec::new(),
        // Told once it is known to be the program's end.
        Notice::Crashed { .. } => Vec::new(),
        Notice::Log { level, text, .. } => {
            let worth_it = verbose || level != "info";
            Vec::from_iter(worth_it.then_some(Event::Warning { message: text }))
        }
        Notice::Disconnected { client, reason, unanswered } => {
            ledger.disconnected(client);
            let lost = unanswered.map(|patch| {
                let error = format!("disconnected: the program went away ({reason})");
                Event::PatchFailed { patch, client, error }
            });
            lost.into_iter().chain([Event::ClientDisconnected { client }]).collect()
        }
        Notice::Rejected { peer, reason } => {
            let message = format!("a connection from {peer} was turned away: {reason}");
            vec![Event::Warning { message }]
        }
    }
}

/// The event of a change that no patch can carry. Its text names each obstacle in backticks, at
/// the start of a line.
pub fn refusal(patch: u32, error: &anyhow::Error) -> Event {
    let detail = format!("{error:#}");
    let item = |line: &str| {
        let (_, rest) = line.split_once('`')?;
        Some(rest.split_once('`')?.0.to_string())
    };
    let items = detail.lines().filter_map(item).collect();
    Event::PatchRefused { patch, kind: "unsupported-change".into(), items, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn a_refusal_lists_what_stands_in_its_way() {
        let text = "this change cannot be patched in: `a::f`: too small\n`a::g`: a new layout";
        match refusal(3, &Failure::refused(text).into()) {
            Event::PatchRefused { patch: 3, items, detail, .. } => {
                assert_eq!(items, ["a::f", "a::g"]);
                assert_eq!(detail, text);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_that_dies_under_a_patch_is_told_before_its_connection() {
        let notice =
            Notice::Disconnected { client: 1, reason: "reset".into(), unanswered: Some(2) };
        let told = events(&mut Ledger::default(), notice, "aa", false);
        assert!(matches!(&told[0], Event::PatchFailed { patch: 2, client: 1, error }
            if error.contains("reset")));
        assert!(matches!(told[1], Event::ClientDisconnected { client: 1 }));
    }
}
