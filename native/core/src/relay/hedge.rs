//! Hedging: a second attempt beside one that is late. The first final response head wins, and the
//! other attempt is withdrawn from its backend. Until then the client gets the interim responses of
//! both, as they arrive (RFC 9110 §15.2).
//!
//! Sessions know both attempts by the exchange's key, told apart by one bit. A session may still
//! report on an attempt that has lost, even within the same read. No attempt has that name any
//! more, so the report is ignored and nothing of it can reach the client.

use super::{Relay, lane, open};
use crate::base::slab::Key;
use crate::record::inward::{Forward, GivenValues};
use crate::upstream::Upstreams;

/// Handles the end of the hedge delay: tells the lane if a hedge could help.
pub(super) fn on_late(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if let Some(pending) = exchange.pending_mut() {
        pending.late_at = None;
    }
    if exchange.may_hedge() {
        exchange.attempts.is_told_late = true;
        lane::tell_late(relay, key);
    }
}

/// Starts the hedge that the lane decided on. Ignores the decision if it came too late.
pub(super) fn begin(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, forward: Forward, values: GivenValues<'_>) {
    let plan = relay.rules.plans.get(forward.plan as usize).cloned();
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let name = exchange.hedge_name();
    let Some(hedge) = exchange.begin_hedge(forward, plan, values, relay.turn.now) else { return };
    hedge.count_in(&relay.table);
    let deadline = hedge.first_deadline();
    relay.deadlines.expect(deadline);
    open::ask(relay, upstreams, forward.backend, name);
}
