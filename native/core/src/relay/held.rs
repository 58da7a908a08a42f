//! Bytes that the shard holds for its peers.

use crate::base::budget::{Account, Entry, Pressure, Side};
use crate::base::counters::{Counters, Id};
use crate::base::timers::Nanos;
use crate::downstream::outgoing::Outgoing;
use crate::upstream::{Stat, Stats};

/// What the shard holds, and how near that brings the process to its budget.
pub struct Held {
    /// The shard's account.
    pub account: Account,
    /// How much of the process's budget was held when the turn began.
    pub pressure: Pressure,
    /// What backends may still send.
    granted: Entry,
    /// What waits for backends to read it.
    queued: Entry,
    /// No exchange is ended for want of room before this time.
    pub(super) relieve_at: Nanos,
}

impl Held {
    /// Nothing is held.
    pub fn new(account: Account) -> Held {
        Held { account, pressure: Pressure::None, granted: Entry::default(), queued: Entry::default(), relieve_at: 0 }
    }

    /// Counts anew what is held of a response.
    pub fn recount(&mut self, outgoing: &mut Outgoing) {
        let bytes = outgoing.bytes();
        self.account.enter(Side::Upstream, &mut outgoing.held, bytes);
    }

    /// A turn ends: the process learns what is held here.
    pub fn settle(&mut self, stats: &Stats, counters: &Counters) {
        self.account.enter(Side::Upstream, &mut self.granted, stats[Stat::GrantedBytes]);
        self.account.enter(Side::Downstream, &mut self.queued, stats[Stat::QueuedBytes]);
        self.account.settle();
        for side in [Side::Downstream, Side::Upstream] {
            counters.set(Id::HeldBytes, side as usize, self.account.of(side));
        }
    }
}
