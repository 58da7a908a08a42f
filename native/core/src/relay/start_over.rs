//! Resets the relay after a panic.

use super::deadlines::Deadlines;
use super::notes::Notes;
use super::scratch::{Scratch, Stage};
use super::{Held, Relay, Turn, end};
use crate::base::counters::Id;
use crate::base::panics;
use crate::base::rng::Rng;

/// Drops every exchange and every connection. Completions for the lane stay, and so do its ring and
/// the slab's generations, so that no key is used twice.
pub(crate) fn start_over(relay: &mut Relay) {
    for key in relay.exchanges.keys() {
        let _ = panics::guard_shard(|| end::abandon(relay, key));
    }
    let Relay { connections, exchanges, lane, held, turn, rules, .. } = relay;
    for exchange in exchanges.drain() {
        let _ = panics::guard_shard(|| drop(exchange));
    }
    for connection in connections.start_over() {
        let _ = panics::guard_shard(|| drop(connection));
    }
    lane.start_over();
    rules.start_over();
    *held = Held::new(held.account.fresh());
    *turn = Turn::new(turn.clock);
    (relay.deadlines, relay.notes, relay.pool) = (Deadlines::default(), Notes::default(), Vec::new());
    (relay.rng, relay.stage, relay.scratch) = (Rng::default(), Stage::default(), Scratch::default());
    relay.counters.set(Id::ExchangesOpen, 0, 0);
    relay.counters.set(Id::ConnectionsOpen, 0, 0);
}
