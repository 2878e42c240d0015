//! The patches of one fat build in order, and how far one client is along them.

use std::sync::Arc;

use hotpatch_protocol::frame::{self, PatchHeader};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A published patch, as the bytes that every client gets.
#[derive(Debug)]
pub(super) struct Patch {
    /// Its id.
    pub id: u32,
    /// One complete WebSocket frame. A server's frames are not masked, so it is the same for all.
    pub wire: Vec<u8>,
}

impl Patch {
    /// Packs a patch.
    pub fn new(header: &PatchHeader, library: &[u8]) -> anyhow::Result<Arc<Patch>> {
        let payload = frame::encode(header, library)?;
        anyhow::ensure!(
            payload.len() <= frame::MAX_FRAME,
            "patch {} has {} bytes; no frame may be larger than {}",
            header.patch,
            payload.len(),
            frame::MAX_FRAME
        );
        let websocket = FrameHeader { opcode: OpCode::Data(Data::Binary), ..Default::default() };
        let mut wire = Vec::with_capacity(payload.len() + 10);
        websocket.format(payload.len() as u64, &mut wire)?;
        wire.extend_from_slice(&payload);
        Ok(Arc::new(Patch { id: header.patch, wire }))
    }
}

/// How far one client is: what it runs, what is on its way, what it would not take.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// How many patches of the chain the client runs.
    applied: usize,
    /// Set while the next one is on its way: how long the chain was when it was sent.
    in_flight: Option<usize>,
    /// Set when the client refused the next one: how long the chain was when that one was sent.
    /// There is no retry before the chain grows.
    refused: Option<usize>,
}

/// An answer to something that was not asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unexpected;

impl Progress {
    /// A client that runs the first `applied` patches already.
    pub fn after(applied: usize) -> Self {
        Progress { applied, ..Default::default() }
    }

    /// The index of the patch to send now, which counts as sent from here on.
    pub fn next(&mut self, chain: usize) -> Option<usize> {
        if self.in_flight.is_some() || self.applied >= chain || self.refused == Some(chain) {
            return None;
        }
        self.in_flight = Some(chain);
        self.refused = None;
        Some(self.applied)
    }

    /// The index of the patch that was sent and not answered.
    pub fn in_flight(&self) -> Option<usize> {
        self.in_flight.map(|_| self.applied)
    }

    /// The client runs the patch at `index`.
    pub fn applied(&mut self, index: Option<usize>) -> Result<(), Unexpected> {
        self.answered(index)?;
        self.applied += 1;
        Ok(())
    }

    /// The client refused the patch at `index`.
    pub fn refused(&mut self, index: Option<usize>) -> Result<(), Unexpected> {
        self.refused = Some(self.answered(index)?);
        Ok(())
    }

    /// The chain has lost the patch that the client refused.
    pub fn taken_back(&mut self) {
        self.refused = None;
    }

    fn answered(&mut self, index: Option<usize>) -> Result<usize, Unexpected> {
        match self.in_flight {
            Some(chain) if index == Some(self.applied) => {
                self.in_flight = None;
                Ok(chain)
            }
            _ => Err(Unexpected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_client_gets_the_chain_one_by_one_in_order() {
        let mut p = Progress::default();
        assert_eq!(p.next(2), Some(0));
        assert_eq!(p.next(2), None, "one patch at a time");
        p.applied(Some(0)).unwrap();
        assert_eq!(p.next(2), Some(1));
        p.applied(Some(1)).unwrap();
        assert_eq!(p.next(2), None);
    }

    #[test]
    fn a_client_that_reconnects_gets_only_what_it_lacks() {
        let mut p = Progress::after(2);
        assert_eq!(p.next(2), None);
        assert_eq!(p.next(3), Some(2));
    }

    #[test]
    fn a_refused_patch_comes_again_before_the_next_one() {
        let mut p = Progress::default();
        assert_eq!(p.next(1), Some(0));
        p.refused(Some(0)).unwrap();
        assert_eq!(p.next(1), None, "nothing new: no retry in a loop");
        assert_eq!(p.next(2), Some(0));
        p.applied(Some(0)).unwrap();
        assert_eq!(p.next(2), Some(1));
    }

    #[test]
    fn a_patch_published_during_a_refusal_brings_the_refused_one_at_once() {
        let mut p = Progress::default();
        assert_eq!(p.next(1), Some(0));
        p.refused(Some(0)).unwrap();
        assert_eq!(p.next(2), Some(0), "the chain grew while the first was on its way");
        p.refused(Some(0)).unwrap();
        assert_eq!(p.next(2), None);
        assert_eq!(p.next(3), Some(0));
    }

    #[test]
    fn after_a_refused_patch_was_taken_back_another_one_comes_in_its_place() {
        let mut p = Progress::after(2);
        assert_eq!(p.next(3), Some(2));
        p.refused(Some(2)).unwrap();
        p.taken_back();
        assert_eq!(p.next(2), None);
        assert_eq!(p.next(3), Some(2));
    }

    #[test]
    fn answers_to_nothing_are_noticed() {
        let mut p = Progress::default();
        assert_eq!(p.applied(Some(0)), Err(Unexpected));
        assert_eq!(p.next(1), Some(0));
        assert_eq!(p.applied(None), Err(Unexpected));
        assert_eq!(p.refused(Some(1)), Err(Unexpected));
        assert_eq!(p.in_flight(), Some(0));
    }
}
