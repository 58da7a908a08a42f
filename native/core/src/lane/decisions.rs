//! What a lane has decided.

use crate::base::slab::Key;
use crate::record::inward::{self, Decision};
use crate::record::ring::DecisionRing;

/// Decisions of a lane, in the order in which it wrote them.
pub struct Decisions {
    ring: DecisionRing,
}

impl Decisions {
    pub(super) fn new(ring: DecisionRing) -> Decisions {
        Decisions { ring }
    }

    /// Takes all, each where it stands. Records that say nothing valid are passed over.
    pub fn take(&mut self, mut carry_out: impl FnMut(Key, Decision<'_>)) {
        while let Some(record) = self.ring.next_record() {
            if let Some((key, decision)) = inward::read(record) {
                carry_out(key, decision);
            }
        }
    }

    /// Writes a decision as a lane would. False when the ring is full.
    #[cfg(test)]
    pub fn write(&mut self, record: &[u8]) -> bool {
        self.ring.write(record)
    }
}
