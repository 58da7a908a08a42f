//! Bytes that the shard holds for its peers.

use crate::base::budget::{Account, Entry, Pressure, Side};
use crate::base::counters::{Counters, Id};
use crate::base::timers::Nanos;
use crate::downstream::outgoing::Outgoing;
use crate::upstream::{Stat, Stats};

/// What the shard holds, and how close the process is to its budget.
pub struct Held {
    /// The shard's account.
    pub account: Account,
    /// Pressure on the process's budget when the turn began.
    pub pressure: Pressure,
    /// Credit that backends may still use.
    granted: Entry,
    /// Bytes queued for backends.
    queued: Entry,
    /// No exchange is ended to free memory before this time.
    pub(super) relieve_at: Nanos,
}

impl Held {
    /// Returns an account that holds nothing.
    pub fn new(account: Account) -> Held {
        Held { account, pressure: Pressure::None, granted: Entry::default(), queued: Entry::default(), relieve_at: 0 }
    }

    /// Updates the account with what a response holds.
    pub fn recount(&mut self, outgoing: &mut Outgoing) {
        let bytes = outgoing.bytes();
        self.account.enter(Side::Upstream, &mut outgoing.held, bytes);
    }

    /// Reports the shard's totals to the process at the end of a turn.
    pub fn settle(&mut self, stats: &Stats, counters: &Counters) {
        self.account.enter(Side::Upstream, &mut self.granted, stats[Stat::GrantedBytes]);
        self.account.enter(Side::Downstream, &mut self.queued, stats[Stat::QueuedBytes]);
        self.account.report();
        for side in [Side::Downstream, Side::Upstream] {
            counters.set(Id::HeldBytes, side as usize, self.account.of(side));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::budget::Budget;
    use std::sync::Arc;

    #[test]
    fn the_process_learns_once_a_turn_what_responses_hold_and_what_backends_may_send() {
        let budget = Arc::new(Budget::new(1_000));
        let (mut held, counters, mut stats) = (Held::new(Account::new(budget.clone())), Counters::default(), Stats::default());
        let mut outgoing = Outgoing::default();
        outgoing.add_framed(&[0; 100]);
        held.recount(&mut outgoing);
        assert_eq!(budget.held(), 0, "nothing before the turn ends");
        stats[Stat::GrantedBytes] = 300;
        stats[Stat::QueuedBytes] = 50;
        held.settle(&stats, &counters);
        assert_eq!((held.account.of(Side::Upstream), held.account.of(Side::Downstream), budget.held()), (400, 50, 450));
        stats[Stat::GrantedBytes] = 0;
        outgoing.restart();
        held.recount(&mut outgoing);
        held.settle(&stats, &counters);
        assert_eq!(budget.held(), 50);
        assert_eq!(counters.get(Id::HeldBytes), 50, "of clients' requests");
    }
}
