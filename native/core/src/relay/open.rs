//! Phases 10 to 12: from a decision to a stream at a backend, and what becomes of an attempt that fails.

use super::{Relay, send};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::micros;
use crate::exchange::attempt::{Attempt, key_of};
use crate::exchange::{Exchange, Offer, Phase};
use crate::http::error::{h2, h3};
use crate::http::fields::Known;
use crate::record::inward::{ASK_ON_FAILURE, Forward, GivenValues, KEEP_REQUEST_ID, SAME_CLIENT, SAME_TIMEOUT};
use crate::record::outward::{self, FailureFacts, RequestId};
use crate::upstream::{self, Fault, Opened, SessionRef, Upstreams};

impl Relay {
    /// The lane sends an exchange to a backend.
    pub(super) fn forward(&mut self, upstreams: &mut Upstreams, key: Key, forward: Forward, values: GivenValues<'_>) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.tag = forward.tag;
        if forward.client != SAME_CLIENT {
            exchange.network = forward.client;
        }
        if forward.exchange_timeout_ms != SAME_TIMEOUT {
            exchange.timeout_ms = forward.exchange_timeout_ms;
        }
        exchange.attempt.begin(forward, self.rules.plans.get(forward.plan as usize).cloned(), self.turn.now);
        exchange.attempt.take_values(values);
        if forward.flags & KEEP_REQUEST_ID != 0 {
            keep_request_id(exchange);
        }
        if let (Some(length), Some(limit)) = (exchange.facts.content_length, forward.max_body_bytes)
            && length > limit
        {
            return self.answer_reason(key, Reason::RequestBodyTooLarge);
        }
        if exchange.attempts > 0 {
            if !exchange.incoming.is_whole() {
                // A lane that tries all the same gets what the failure was worth.
                let reason = exchange.reason;
                return self.answer_reason(key, reason);
            }
            exchange.incoming.rewind();
            (exchange.owed, exchange.backend_status) = (None, 0);
            (exchange.grpc_status, exchange.retry_after_s) = (None, None);
        }
        // From now on: what an earlier attempt left is judged by what that one was to keep.
        exchange.incoming.keep(forward.replay_bytes);
        exchange.attempts += 1;
        exchange.phase = Phase::Open;
        exchange.attempt.count_in(&self.table);
        let (name, deadline) = (exchange.name(), exchange.attempt.first_deadline().min(exchange.end_at()));
        self.expect(deadline);
        self.expect_late(key);
        self.open(upstreams, forward.backend, name);
    }

    /// Asks for a stream.
    pub(super) fn open(&mut self, upstreams: &mut Upstreams, backend: u32, name: upstream::Key) {
        let Some(exchange) = self.exchanges.get(key_of(name)) else { return };
        match upstreams.open(backend, name, exchange.client(), !exchange.incoming.is_done, self.turn.now) {
            Opened::Now(session) => self.start(upstreams, name, session),
            Opened::Waiting => {
                let full = upstreams.full_time(backend, self.turn.now);
                if let Some(attempt) = self.exchanges.get_mut(key_of(name)).and_then(|exchange| exchange.attempt_named(name)) {
                    attempt.full_before = full.total;
                }
            }
            Opened::Failed(fault) => self.attempt_failed(name, fault),
        }
    }

    /// Whether an attempt still waits for a session.
    pub(super) fn is_opening(&mut self, name: upstream::Key) -> bool {
        let Some(exchange) = self.exchanges.get_mut(key_of(name)) else { return false };
        let is_under_way = matches!(exchange.phase, Phase::Open | Phase::Relay);
        is_under_way && exchange.attempt_named(name).is_some_and(|attempt| attempt.upstream.is_none() && attempt.opened == 0)
    }

    /// Phase 11: a session has a place; the head goes out, and the body as far as it can.
    pub(super) fn start(&mut self, upstreams: &mut Upstreams, name: upstream::Key, session: SessionRef) {
        let key = key_of(name);
        if !self.is_opening(name) {
            return upstreams.release(session, name);
        }
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let is_first = name == exchange.name();
        let mut head = std::mem::take(&mut self.scratch.head);
        head.clear();
        let attempt = if is_first { Some(&exchange.attempt) } else { exchange.hedge.as_deref() };
        if let Some(attempt) = attempt {
            send::compose_head(exchange, attempt, self.turn.now, &mut head, &mut self.scratch.text);
        }
        let has_body = !exchange.incoming.is_done;
        let was_reused = upstreams.is_reused(session);
        let started = upstreams.start(session, name, &head, has_body, self.turn.now);
        self.scratch.head = head;
        let now = self.turn.now;
        let Some(attempt) = exchange.attempt_named(name) else { return };
        attempt.was_reused = was_reused;
        match started {
            Ok(stream) => {
                attempt.upstream = Some(stream);
                (attempt.opened, attempt.sent) = (now, now);
                let deadline = attempt.sent_deadline(!has_body).0;
                exchange.times.moved = now;
                if is_first {
                    exchange.phase = Phase::Relay;
                }
                self.expect(deadline);
                if has_body {
                    self.send(upstreams, key);
                }
            }
            Err(fault) => self.attempt_failed(name, fault),
        }
    }

    /// An attempt is over without a response. The lane is asked what to do, if it wants to be, unless another attempt goes on.
    pub(super) fn attempt_failed(&mut self, name: upstream::Key, fault: Fault) {
        let key = key_of(name);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(attempt) = exchange.attempt_named(name) else { return };
        attempt.upstream = None;
        attempt.was_reused = fault.was_reused;
        attempt.count_out(&self.table);
        if exchange.is_committed {
            let code = crate::http::error::h2_to_h3(fault.h2_code);
            let code = if fault.h2_code == h2::NO_ERROR { h3::INTERNAL_ERROR } else { code };
            return self.reset_client(key, code, fault.reason, outward::ENDED_BY_BACKEND);
        }
        let flags = if fault.is_unsent { outward::FAILED_UNSENT } else { 0 };
        if exchange.hedge.is_some() {
            return self.failed_beside(name, fault.reason, flags, None);
        }
        exchange.ended_by = outward::ENDED_BY_BACKEND;
        if exchange.attempt.forward.flags & ASK_ON_FAILURE == 0 {
            return self.answer_reason(key, fault.reason);
        }
        exchange.reason = fault.reason;
        let Some(exchange) = self.exchanges.get(key) else { return };
        let facts = self.failure_facts(exchange, &exchange.attempt, fault.reason, flags);
        self.offer(key, Offer::Failure(facts));
    }

    /// What the lane is told of a failed attempt; `flags` beside those that follow from exchange and attempt.
    pub(super) fn failure_facts(&self, exchange: &Exchange, attempt: &Attempt, reason: Reason, mut flags: u32) -> FailureFacts {
        flags |= if exchange.facts.is_idempotent { outward::FAILED_IDEMPOTENT } else { 0 };
        flags |= if exchange.is_replayable() { outward::FAILED_REPLAYABLE } else { 0 };
        flags |= if attempt.is_hedge { outward::FAILED_HEDGE } else { 0 };
        FailureFacts {
            attempts: exchange.attempts,
            backend: attempt.forward.backend,
            reason: reason as u32,
            flags,
            took_us: micros(attempt.decided, self.turn.now),
            connection: self.connections.get(exchange.connection).map_or(0, |connection| connection.number),
            plan: attempt.forward.plan,
            status: 0,
            grpc_status: None,
            retry_after_s: None,
        }
    }

    /// Takes whatever is under way back from the backends, a held response too.
    pub(super) fn cancel_attempt(&mut self, upstreams: &mut Upstreams, key: Key, code: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.hold.take().is_some() {
            exchange.outgoing.drop_held();
        }
        let (name, hedge_name) = (exchange.name(), exchange.hedge_name());
        if let Some(stream) = exchange.attempt.upstream.take() {
            upstreams.reset(stream, code);
        } else if exchange.phase == Phase::Open {
            upstreams.cancel_wait(exchange.attempt.forward.backend, name);
        }
        exchange.attempt.count_out(&self.table);
        if let Some(mut hedge) = exchange.hedge.take() {
            exchange.loser = Some((hedge.forward.backend, micros(hedge.decided, self.turn.now)));
            withdraw(upstreams, &mut hedge, hedge_name, code);
            hedge.count_out(&self.table);
        }
    }

    /// Takes one attempt back, because its time is over; the other, if there is one, goes on.
    pub(super) fn withdraw(&mut self, upstreams: &mut Upstreams, name: upstream::Key, code: u32) {
        let exchange = self.exchanges.get_mut(key_of(name));
        if let Some(attempt) = exchange.and_then(|exchange| exchange.attempt_named(name)) {
            withdraw(upstreams, attempt, name, code);
        }
    }
}

fn withdraw(upstreams: &mut Upstreams, attempt: &mut Attempt, name: upstream::Key, code: u32) {
    match attempt.upstream.take() {
        Some(stream) => upstreams.reset(stream, code),
        None => upstreams.cancel_wait(attempt.forward.backend, name),
    }
}

/// Takes the client's own request id where the route trusts it: visible characters, 64 at most.
fn keep_request_id(exchange: &mut Exchange) {
    let Some(id) = exchange.request.known(Known::RequestId) else { return };
    if let Some(id) = RequestId::new(id) {
        exchange.request_id = id;
    }
}
