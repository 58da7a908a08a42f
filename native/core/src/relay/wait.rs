//! Waiting: the lane asked to be offered an exchange again later, or now after all.

use super::{Relay, hedge, lane, withdraw};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::exchange::{Decide, State, Wait};
use crate::record::inward::Tag;
use crate::upstream::Upstreams;

/// Puts an exchange into [`State::Wait`]. It will be offered again as it was offered now.
pub(super) fn begin(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, tag: Tag, wait_ms: u32, reason: Reason) {
    withdraw::held(relay, upstreams, key);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(decide) = exchange.state().decide() else { return };
    let wait = Wait { until: relay.turn.now + wait_ms as Nanos * 1_000_000, failure: decide.offer.failure(), reason };
    exchange.tag = tag;
    exchange.enter(State::Wait(wait));
    relay.deadlines.alarms.push(wait.until, key);
    relay.deadlines.expect(exchange.times.end_at());
}

/// Offers a waiting exchange again; ignores any other.
pub(super) fn wake(relay: &mut Relay, key: Key) {
    if let Some(State::Wait(wait)) = relay.exchanges.get(key).map(|exchange| exchange.state()) {
        lane::offer(relay, key, Decide::about(wait.offer(), true));
    }
}

/// Handles the alarms that are due.
pub(super) fn take_alarms(relay: &mut Relay) {
    let now = relay.turn.now;
    while let Some(key) = relay.deadlines.alarms.next_due(now, &relay.exchanges) {
        if relay.exchanges.get(key).is_some_and(|exchange| exchange.state().is_waiting()) {
            wake(relay, key);
        } else {
            hedge::on_late(relay, key);
        }
    }
}
