//! Waiting for a tool that comes later: `cargo hotpatch watch --attach`.

use hotpatch_protocol::message::Invitation;
use hotpatch_protocol::waiting_name;

use super::connection;
use super::patch::Patches;
use super::sys;
use super::sys::door::{self, Door};

/// Waits for one invitation after the other, for as long as the program lives.
pub fn wait(patches: &mut Patches) {
    let door = Door::open(&waiting_name(std::process::id()));
    sys::apart::set_ready();
    let door = match door {
        Ok(door) => door,
        Err(e) => return connection::say(&format!("nobody can attach to this program: {e}")),
    };
    while let Ok((said, caller)) = door.answer() {
        // What is no invitation is left without an answer.
        if let Ok(Invitation { address, token }) = serde_json::from_str(&said) {
            door::agree(caller);
            connection::once(&address, &token, patches);
        }
    }
}
