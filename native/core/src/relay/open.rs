//! Phases 10 and 11: from a decision to a stream at a backend.

use super::{Relay, answer, fail, send};
use crate::base::slab::Key;
use crate::exchange::attempt::key_of;
use crate::record::inward::{Forward, GivenValues};
use crate::upstream::{self, Opened, SessionRef, Upstreams};

/// Sends an exchange to the backend that the lane chose.
pub(super) fn forward(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, forward: Forward, values: GivenValues<'_>) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let plan = relay.rules.plans.get(forward.plan as usize).cloned();
    if let Err(reason) = exchange.begin_attempt(forward, plan, values, relay.turn.now) {
        return answer::reason(relay, key, reason);
    }
    exchange.attempt.count_in(&relay.table);
    relay.deadlines.expect(exchange.attempt.first_deadline().min(exchange.times.end_at()));
    if let Some(late_at) = exchange.state().alarm_at() {
        relay.deadlines.alarms.push(late_at, key);
    }
    let name = exchange.name();
    ask(relay, upstreams, forward.backend, name);
}

/// Asks for a stream.
pub(super) fn ask(relay: &mut Relay, upstreams: &mut Upstreams, backend: u32, name: upstream::AttemptId) {
    let Some(exchange) = relay.exchanges.get_mut(key_of(name)) else { return };
    match upstreams.open(backend, name, exchange.client.claimant(exchange.connection), !exchange.incoming.is_done, relay.turn.now) {
        Opened::Now(session) => start(relay, upstreams, name, session),
        Opened::Waiting => {
            let full = upstreams.full_time(backend, relay.turn.now);
            if let Some(attempt) = exchange.attempt_named_mut(name) {
                attempt.full_before = full.total;
            }
        }
        Opened::Failed(fault) => fail::attempt(relay, name, fault),
    }
}

/// Phase 11: a session has a permit. Sends the head, and as much of the body as possible.
pub(super) fn start(relay: &mut Relay, upstreams: &mut Upstreams, name: upstream::AttemptId, session: SessionRef) {
    let (key, now) = (key_of(name), relay.turn.now);
    let Some(exchange) = relay.exchanges.get_mut(key).filter(|exchange| exchange.is_opening(name)) else {
        return upstreams.release(session, name);
    };
    let head = &mut relay.scratch.head;
    head.clear();
    if let Some(attempt) = exchange.attempt_named(name) {
        send::compose_head(exchange, attempt, now, head, &mut relay.scratch.text);
    }
    let has_body = !exchange.incoming.is_done;
    let was_reused = upstreams.is_reused(session);
    let started = upstreams.start(session, name, head, has_body, now);
    let Some(attempt) = exchange.attempt_named_mut(name) else { return };
    attempt.was_reused = was_reused;
    match started {
        Ok(stream) => {
            relay.deadlines.expect(exchange.start_attempt(name, stream, now));
            if has_body {
                send::send(relay, upstreams, key);
            }
        }
        Err(fault) => fail::attempt(relay, name, fault),
    }
}
