//! Records that found no room in the ring. Later records queue behind them.

use super::Failure;
use crate::base::slab::Key;
use crate::http::fields::Fields;
use crate::record::outward::CompletionFacts;
use std::collections::VecDeque;

/// A record that waits for room. What may change meanwhile is read from the exchange when it is
/// written.
pub(super) enum Entry {
    Offer(Key),
    Late(Key),
    /// A failed attempt beside which another still runs.
    Failure(Box<(Key, Failure)>),
    Completion(Box<(CompletionFacts, Fields)>),
    /// A record that is told once and that a dead lane left unread, as it was in the ring.
    Record(Box<[u8]>),
}

impl Entry {
    /// Whether its exchange is offered again when the lane changes.
    fn is_offered_anew(&self) -> bool {
        matches!(self, Entry::Offer(_) | Entry::Late(_))
    }
}

/// Waiting records, in order.
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

    /// Puts the first entry back because there was no room for it.
    pub fn put_back(&mut self, entry: Entry) {
        self.0.push_front(entry);
    }

    /// Drops what will be offered again, and puts the unread records that are told once first.
    pub fn begin_again(&mut self, unread: Vec<Box<[u8]>>) {
        self.0.retain(|entry| !entry.is_offered_anew());
        unread.into_iter().rev().for_each(|record| self.0.push_front(Entry::Record(record)));
    }
}
