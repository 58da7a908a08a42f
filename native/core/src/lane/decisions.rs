//! The lane's decisions.

use crate::base::slab::Key;
use crate::record::inward::{self, Decision};
use crate::record::ring::DecisionRing;

/// Reads a lane's decisions in the order in which it wrote them.
pub struct Decisions {
    ring: DecisionRing,
}

impl Decisions {
    pub(super) fn new(ring: DecisionRing) -> Decisions {
        Decisions { ring }
    }

    /// Reads all decisions in place. Invalid records are skipped.
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
