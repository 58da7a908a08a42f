//! What happens when the process holds as many bytes as it may: the slowest go.
//!
//! Each reactor lets go its part of what is too much and chooses among its own, so no word passes
//! between threads. The slowest is who has gone longest without a byte either way and holds
//! something: bytes that its client does not take, or a window for a body that does not come. Who
//! merely waits for a backend holds nothing and stays.

use super::Relay;
use super::deadline::time_out;
use crate::base::budget::Pressure;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::exchange::Exchange;
use crate::upstream::Stat;
use crate::upstream::Upstreams;

/// What an end sets free is seen only when sessions and connections have had their turn, and the
/// walk over all exchanges is not for nothing.
const RELIEF_INTERVAL: Nanos = 5_000_000;

impl Relay {
    /// Ends exchanges, the slowest first, until this reactor's part of what is too much is free.
    /// Does nothing while the budget is kept.
    pub fn relieve(&mut self, upstreams: &mut Upstreams) {
        if self.held.pressure < Pressure::Full || self.turn.now < self.held.relieve_at {
            return;
        }
        self.held.relieve_at = self.turn.now + RELIEF_INTERVAL;
        let excess = self.held.account.excess();
        let mut holders: Vec<(Nanos, Key, u64)> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| may_be_ended(exchange))
            .map(|(key, exchange)| (exchange.times.moved, key, exchange.held()))
            .filter(|(_, _, held)| *held > 0)
            .collect();
        holders.sort_unstable_by_key(|(moved, key, _)| (*moved, key.index));
        let mut freed = 0;
        for (_, key, held) in holders {
            if freed >= excess {
                break;
            }
            let Some(exchange) = self.exchanges.get(key) else { continue };
            let name = exchange.name();
            let granted = upstreams.stats[Stat::GrantedBytes];
            time_out(self, upstreams, key, name, Reason::BudgetExhausted);
            freed += held + granted.saturating_sub(upstreams.stats[Stat::GrantedBytes]);
        }
    }
}

/// Whether nobody is about to do something with it: an exchange that is being decided will be asked
/// about in the next turn.
fn may_be_ended(exchange: &Exchange) -> bool {
    exchange.state().is_waiting() || exchange.state().is_under_way() || exchange.state().is_answer()
}
