//! What a reactor keeps of its lane: the ring of records, and what the ring had no room for.

use crate::base::slab::Key;
use crate::http::fields::Fields;
use crate::record::inward::Tag;
use crate::record::outward::{CompletionFacts, FailureFacts, RequestId};
use crate::record::ring::Ring;
use std::collections::VecDeque;

/// A record the ring had no room for.
pub(crate) enum Unwritten {
    Offer(Key),
    Late(Key),
    /// The failure of an attempt beside which another runs.
    Failure(Box<(Key, FailureFacts, Tag, u32, RequestId)>),
    Completion(Box<(CompletionFacts, Fields)>),
    /// What is told once and a lane had not read when it died, as it stood in the ring.
    Record(Box<[u8]>),
}

/// A reactor's side of its lane.
#[derive(Default)]
pub struct Lane {
    /// Records.
    pub ring: Ring,
    /// Heads and failures the lane has not seen.
    pub offers: usize,
    pub(crate) has_completions: bool,
    pub(crate) unwritten: VecDeque<Unwritten>,
}

impl Lane {
    /// Nothing of what was offered matters any more. What the lane has to be told of it stays.
    pub(crate) fn start_over(&mut self) {
        self.offers = 0;
        self.has_completions = true;
    }
}
