//! Phase 16, complete: every exchange ends with exactly one completion record.

use super::{Relay, lane};
use crate::base::budget::Side;
use crate::base::counters::Id;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::micros;
use crate::downstream::cause::Cause;
use crate::exchange::{Exchange, State};
use crate::record::layout;
use crate::record::outward::CompletionFacts;
use crate::tls::told::Told;

/// Number of ended exchanges kept for reuse.
const POOL: usize = 512;

/// Ends an exchange and resets both directions of its client's stream.
pub(super) fn reset_client(relay: &mut Relay, key: Key, cause: Cause, reason: Reason, ended_by: u32) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.outcome.ended_by = ended_by;
    let (connection, stream) = (exchange.connection, exchange.stream);
    if let Some(connection) = relay.connections.get_mut(connection) {
        connection.protocol.stream(stream).reset(cause);
    }
    relay.connections.mark(connection);
    complete(relay, key, reason);
}

/// Phase 16, complete: runs exactly once for each exchange. The caller must have withdrawn the
/// attempts.
pub(super) fn complete(relay: &mut Relay, key: Key, reason: Reason) {
    lane::take_back(relay, key);
    let Some(mut exchange) = relay.exchanges.remove(key) else { return };
    debug_assert!(exchange.attempt.upstream.is_none() && exchange.state().hedge().is_none() && !exchange.state().is_held());
    relay.stage.forget(key);
    exchange.attempt.count_out(&relay.table);
    relay.held.account.enter(Side::Upstream, &mut exchange.outgoing.held, 0);
    let mut facts = completion_facts(relay, &exchange, reason);
    if let Some(connection) = relay.connections.get_mut(exchange.connection) {
        exchange.forget_request(connection);
        connection.leave(exchange.stream, exchange.outgoing.is_blocked);
        facts.rtt_us = connection.protocol.rtt_us() as u32;
        facts.connection = connection.accepted.number;
        facts.listener = connection.accepted.listener;
    }
    relay.counters.add(Id::BodyBytesIn, facts.bytes_in);
    relay.counters.add(Id::BodyBytesOut, facts.bytes_out);
    relay.counters.set(Id::ExchangesOpen, 0, relay.exchanges.len() as u64);
    relay.lane.complete(facts, &mut exchange.request.head);
    if relay.pool.len() < POOL {
        exchange.release();
        relay.pool.push(exchange);
    }
}

fn completion_facts(relay: &Relay, exchange: &Exchange, reason: Reason) -> CompletionFacts {
    let reason = if reason == Reason::None { exchange.outcome.reason } else { reason };
    let (times, attempt) = (&exchange.times, &exchange.attempt);
    let has_stream = attempt.opened > 0;
    let mut flags = exchange.outcome.ended_by;
    flags |= if exchange.state().is_committed() { layout::COMPLETED_COMMITTED } else { 0 };
    flags |= if exchange.state().is_answer() { layout::COMPLETED_FROM_EDGE } else { 0 };
    flags |= if attempt.was_reused { layout::COMPLETED_SESSION_REUSED } else { 0 };
    flags |= if exchange.attempts.is_hedged { layout::COMPLETED_HEDGED } else { 0 };
    flags |= if attempt.is_hedge && matches!(exchange.state(), State::Response) { layout::COMPLETED_HEDGE_WON } else { 0 };
    flags |= if exchange.outcome.asked_for_connection { layout::COMPLETED_CONNECTION_AUTH } else { 0 };
    flags |= if exchange.outcome.ended_waiting || exchange.state().is_waiting() { layout::COMPLETED_WAITING } else { 0 };
    let told = exchange.client.told.as_deref();
    flags |= told.map_or(0, Told::completion_flags);
    CompletionFacts {
        exchange: exchange.key,
        tag: exchange.tag,
        backend: if exchange.attempts.made > 0 { attempt.forward.backend } else { u32::MAX },
        attempts: exchange.attempts.made,
        status: exchange.outcome.status as u32,
        reason: reason as u32,
        flags,
        listener: 0,
        peer: exchange.client.peer,
        phases_us: [
            if attempt.decided > 0 { micros(times.head, attempt.decided) } else { 0 },
            if has_stream { micros(attempt.decided, attempt.opened) } else { 0 },
            if has_stream { micros(attempt.opened, attempt.sent) } else { 0 },
            if attempt.answered > 0 { micros(attempt.opened, attempt.answered) } else { 0 },
            micros(if times.head > 0 { times.head } else { times.began }, relay.turn.now),
        ],
        rtt_us: 0,
        bytes_in: exchange.incoming.body_bytes,
        bytes_out: exchange.outgoing.body_bytes,
        connection: 0,
        started_ms: exchange.times.started_ms,
        backend_status: exchange.outcome.backend.status as u32,
        grpc_status: exchange.outcome.backend.grpc_status,
        retry_after_s: exchange.outcome.backend.retry_after_s,
        loser: exchange.attempts.loser,
        request_id: exchange.request.id,
        certificate: told.filter(|_| relay.rules.telling.is_logged).map(Told::line),
    }
}
