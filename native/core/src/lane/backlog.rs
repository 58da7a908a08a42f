//! Records that the ring had no room for. What comes later waits behind them.

use super::Failure;
use crate::base::slab::Key;
use crate::http::fields::Fields;
use crate::record::outward::CompletionFacts;
use std::collections::VecDeque;

/// A record that waits for room. What may change while it waits is read off the exchange once there is room.
pub(super) enum Entry {
    Offer(Key),
    Late(Key),
    /// The failure of an attempt beside which another runs.
    Failure(Box<(Key, Failure)>),
    Completion(Box<(CompletionFacts, Fields)>),
    /// A record that is told once and that a lane had not read when it died, as it stood in the ring.
    Record(Box<[u8]>),
}

impl Entry {
    /// Whether it is about an exchange that is offered anew when the lane changes.
    fn is_offered_anew(&self) -> bool {
        matches!(self, Entry::Offer(_) | Entry::Late(_))
    }
}

/// Entries in the order of their records.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<Entry>);

impl Backlog {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one at the end.
    pub fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<Entry> {
        self.0.pop_front()
    }

    /// There was no room for the first.
    pub fn put_back(&mut self, entry: Entry) {
        self.0.push_front(entry);
    }

    /// Keeps what is told once. Unread records that are told once go before it, in their order.
    pub fn begin_again(&mut self, unread: Vec<Box<[u8]>>) {
        self.0.retain(|entry| !entry.is_offered_anew());
        unread.into_iter().rev().for_each(|record| self.0.push_front(Entry::Record(record)));
    }
}
