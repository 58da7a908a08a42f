//! Withdraws attempts from backends: resets their streams, or ends their wait for one.

use super::Relay;
use super::notes::Note;
use crate::base::slab::Key;
use crate::exchange::State;
use crate::exchange::attempt::{Attempt, key_of};
use crate::http::error::h2;
use crate::upstream::{self, Upstreams};

/// Withdraws everything that runs for an exchange, and drops a held response.
pub(super) fn all(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, code: u32) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.drop_hold();
    let (name, hedge_name) = (exchange.name(), exchange.hedge_name());
    if let Some(stream) = exchange.attempt.upstream.take() {
        upstreams.reset(stream, code);
    } else if matches!(exchange.state(), State::Open(_)) {
        upstreams.cancel_wait(exchange.attempt.forward.backend, name);
    }
    exchange.attempt.count_out(&relay.table);
    if let Some(mut hedge) = exchange.take_out(hedge_name) {
        exchange.attempts.note_loser(&hedge, relay.turn.now);
        take_back(upstreams, &mut hedge, hedge_name, code);
        hedge.count_out(&relay.table);
    }
}

/// Withdraws one attempt; the other, if any, goes on.
pub(super) fn one(relay: &mut Relay, upstreams: &mut Upstreams, name: upstream::AttemptId, code: u32) {
    let exchange = relay.exchanges.get_mut(key_of(name));
    if let Some(attempt) = exchange.and_then(|exchange| exchange.attempt_named_mut(name)) {
        take_back(upstreams, attempt, name, code);
    }
}

/// Drops a held response and resets its stream if that is still open.
pub(super) fn held(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if !exchange.drop_hold() {
        return;
    }
    if let Some(stream) = exchange.attempt.upstream.take() {
        upstreams.reset(stream, h2::CANCEL);
    }
    exchange.attempt.count_out(&relay.table);
    relay.held.recount(&mut exchange.outgoing);
}

/// Withdraws the rival of the attempt that won. Sessions learn of it once they have returned.
pub(super) fn rival(relay: &mut Relay, name: upstream::AttemptId) {
    let Some(exchange) = relay.exchanges.get_mut(key_of(name)) else { return };
    let loser_name = if name == exchange.name() { exchange.hedge_name() } else { exchange.name() };
    let Some(mut loser) = exchange.take_out(loser_name) else { return };
    exchange.attempts.note_loser(&loser, relay.turn.now);
    relay.notes.push(match loser.upstream.take() {
        Some(stream) => Note::Reset(stream, h2::CANCEL),
        None => Note::CancelWait(loser.forward.backend, loser_name),
    });
    loser.count_out(&relay.table);
}

fn take_back(upstreams: &mut Upstreams, attempt: &mut Attempt, name: upstream::AttemptId, code: u32) {
    match attempt.upstream.take() {
        Some(stream) => upstreams.reset(stream, code),
        None => upstreams.cancel_wait(attempt.forward.backend, name),
    }
}
