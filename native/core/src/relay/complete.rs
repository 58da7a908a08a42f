//! How exchanges end, and phase 16, complete: whatever happened, one completion record says it.

use super::{POOL, Relay, withdraw};
use crate::base::budget::Side;
use crate::base::counters::Id;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::micros;
use crate::exchange::{Exchange, State};
use crate::http::error::{h2, h3};
use crate::record::layout;
use crate::record::outward::CompletionFacts;
use crate::tls::told::Told;
use crate::upstream::Upstreams;

impl Relay {
    /// Ends an exchange without a response: both of the client's directions are reset.
    pub(super) fn abort(&mut self, upstreams: &mut Upstreams, key: Key, code: u64, reason: Reason, ended_by: u32) {
        withdraw::all(self, upstreams, key, h2::CANCEL);
        self.reset_client(key, code, reason, ended_by);
    }

    pub(super) fn reset_client(&mut self, key: Key, code: u64, reason: Reason, ended_by: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.outcome.ended_by = ended_by;
        let (connection, stream) = (exchange.connection, exchange.stream);
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.protocol.refuse(stream, code);
        }
        self.connections.mark(connection);
        self.complete(key, reason);
    }

    /// The process ends before the exchange did. Of one that no backend has seen the client is told that it may be sent again elsewhere (RFC 9114 §4.1.1).
    pub fn cut(&mut self, upstreams: &mut Upstreams, key: Key) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let is_unseen = exchange.attempts.made == 0 && !exchange.state().is_answer();
        let code = if is_unseen { h3::REQUEST_REJECTED } else { h3::INTERNAL_ERROR };
        self.abort(upstreams, key, code, Reason::Shutdown, 0);
    }

    /// Ends all exchanges of a connection that is given up for a fault of ours.
    pub fn fail_exchanges(&mut self, upstreams: &mut Upstreams, connection: Key) {
        let Some(state) = self.connections.get(connection) else { return };
        let exchanges: Vec<Key> = state.exchanges.values().copied().collect();
        for key in exchanges {
            withdraw::all(self, upstreams, key, h2::INTERNAL_ERROR);
            self.complete(key, Reason::InternalError);
        }
    }

    /// Ends an exchange whose attempts' sessions are given up too.
    pub(super) fn abandon(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(mut hedge) = exchange.take_out(exchange.hedge_name()) {
            hedge.count_out(&self.table);
        }
        exchange.drop_hold();
        exchange.attempt.upstream = None;
        // The rest comes to nothing if it panics.
        exchange.attempt.count_out(&self.table);
        self.complete(key, Reason::InternalError);
    }

    /// The client is gone or has reset its stream.
    pub fn client_left(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason, code: u64) {
        withdraw::all(self, upstreams, key, crate::http::error::h3_to_h2(code));
        if reason == Reason::ClientReset {
            // It may have reset its own direction alone (RFC 9114 §4.1.1): ours ends too.
            return self.reset_client(key, h3::REQUEST_CANCELLED, reason, layout::COMPLETED_BY_CLIENT);
        }
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.outcome.ended_by = layout::COMPLETED_BY_CLIENT;
        }
        self.complete(key, reason);
    }

    /// Phase 16, complete: always runs, once an exchange. The attempt must have been taken back.
    pub(super) fn complete(&mut self, key: Key, reason: Reason) {
        let Some(mut exchange) = self.exchanges.remove(key) else { return };
        debug_assert!(exchange.attempt.upstream.is_none() && exchange.state().hedge().is_none() && !exchange.state().is_held());
        if self.stage.owner == Some(key) {
            self.stage.owner = None;
            self.stage.bytes.clear();
        }
        if let Some(at) = exchange.state().decide().and_then(|decide| decide.written_at) {
            self.lane.withdraw(at, key);
        }
        exchange.attempt.count_out(&self.table);
        self.held.account.enter(Side::Upstream, &mut exchange.outgoing.held, 0);
        let mut facts = self.completion_facts(&exchange, reason);
        if let Some(connection) = self.connections.get_mut(exchange.connection) {
            exchange.forget_request(connection);
            connection.leave(exchange.stream, exchange.outgoing.is_blocked);
            facts.rtt_us = connection.protocol.transport.rtt_us as u32;
            facts.connection = connection.accepted.number;
            facts.listener = connection.accepted.listener;
        }
        self.counters.add(Id::BodyBytesIn, facts.bytes_in);
        self.counters.add(Id::BodyBytesOut, facts.bytes_out);
        self.counters.set(Id::ExchangesOpen, 0, self.exchanges.len() as u64);
        self.lane.complete(facts, &mut exchange.request.head);
        if self.pool.len() < POOL {
            exchange.release();
            self.pool.push(exchange);
        }
    }

    pub(super) fn completion_facts(&self, exchange: &Exchange, reason: Reason) -> CompletionFacts {
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
                micros(if times.head > 0 { times.head } else { times.began }, self.turn.now),
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
            certificate: told.filter(|_| self.rules.telling.is_logged).map(Told::line),
        }
    }
}
