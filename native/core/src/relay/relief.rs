//! Ends the slowest exchanges when the process holds as many bytes as it may.
//!
//! Each reactor frees its share of the excess and chooses among its own exchanges, so threads need
//! not talk. The slowest exchange is the one that has gone longest without a byte in either
//! direction and holds something: bytes that its client does not take, or a window for a body that
//! does not arrive. An exchange that only waits for a backend holds nothing and stays.

use super::Relay;
use super::deadline::time_out;
use crate::base::budget::Pressure;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::exchange::Exchange;
use crate::upstream::Stat;
use crate::upstream::Upstreams;

/// Ending an exchange frees memory only after sessions and connections have run, and the walk over
/// all exchanges is costly.
const RELIEF_INTERVAL: Nanos = 5_000_000;

impl Relay {
    /// Ends the slowest exchanges until this reactor's share of the excess is free. Does nothing
    /// while the process is within its budget.
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

/// Whether the exchange may be ended: one with a pending decision is about to move on.
fn may_be_ended(exchange: &Exchange) -> bool {
    exchange.state().is_waiting() || exchange.state().is_under_way() || exchange.state().is_answer()
}
