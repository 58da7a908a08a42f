//! Attempts: phases 10 to 12, from a decision to a stream at a backend, and what becomes of one that fails.

use super::complete::micros;
use super::exchange::{Exchange, Offer, Phase};
use super::{Relay, send};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::http::error::{h2, h3};
use crate::http::fields::Known;
use crate::record::inward::{ASK_ON_FAILURE, Forward, KEEP_REQUEST_ID, SAME_TIMEOUT};
use crate::record::outward::{self, FailureFacts, RequestId};
use crate::upstream::{Fault, Opened, SessionRef, Upstreams};

impl Relay {
    pub(super) fn forward(&mut self, upstreams: &mut Upstreams, key: Key, forward: Forward) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let whole_timeout_ms = exchange.forward.exchange_timeout_ms;
        exchange.tag = forward.tag;
        exchange.forward = forward;
        if forward.exchange_timeout_ms == SAME_TIMEOUT {
            exchange.forward.exchange_timeout_ms = whole_timeout_ms;
        }
        exchange.plan = self.plans.get(forward.plan as usize).cloned();
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
        }
        exchange.attempts += 1;
        exchange.phase = Phase::Open;
        exchange.is_in_flight = true;
        self.table.add_in_flight(forward.backend, 1);
        match upstreams.open(forward.backend, key.pack(), self.now) {
            Opened::Now(session) => self.start(upstreams, key, session),
            Opened::Waiting => {}
            Opened::Failed(fault) => self.attempt_failed(key, fault),
        }
    }

    /// Phase 11: a session has a place; the head goes out, and the body as far as it can.
    pub(super) fn start(&mut self, upstreams: &mut Upstreams, key: Key, session: SessionRef) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Open) else {
            return upstreams.release(session);
        };
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        send::compose_head(exchange, self.now, &mut head, &mut self.text);
        let has_body = !exchange.incoming.is_done;
        exchange.was_reused = upstreams.is_reused(session);
        let started = upstreams.start(session, key.pack(), &head, has_body, self.now);
        self.head = head;
        match started {
            Ok(stream) => {
                exchange.phase = Phase::Relay;
                exchange.upstream = Some(stream);
                exchange.times.opened = self.now;
                exchange.times.sent = self.now;
                exchange.times.moved = self.now;
                if has_body {
                    self.send(upstreams, key);
                }
            }
            Err(fault) => self.attempt_failed(key, fault),
        }
    }

    /// An attempt is over without a response. The lane is asked whether to try again, if it wants to be and it could matter.
    pub(super) fn attempt_failed(&mut self, key: Key, fault: Fault) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.upstream = None;
        if exchange.is_in_flight {
            exchange.is_in_flight = false;
            self.table.add_in_flight(exchange.forward.backend, -1);
        }
        exchange.was_reused = fault.was_reused;
        if exchange.is_committed {
            let code = crate::http::error::h2_to_h3(fault.h2_code);
            let code = if fault.h2_code == h2::NO_ERROR { h3::INTERNAL_ERROR } else { code };
            return self.reset_client(key, code, fault.reason, outward::ENDED_BY_BACKEND);
        }
        let is_unsent = fault.is_unsent;
        exchange.ended_by = outward::ENDED_BY_BACKEND;
        if exchange.forward.flags & ASK_ON_FAILURE == 0 {
            return self.answer_reason(key, fault.reason);
        }
        let mut flags = if is_unsent { outward::FAILED_UNSENT } else { 0 };
        flags |= if exchange.facts.is_idempotent { outward::FAILED_IDEMPOTENT } else { 0 };
        flags |= if exchange.is_replayable() { outward::FAILED_REPLAYABLE } else { 0 };
        let connection = self.connections.get(exchange.connection).map_or(0, |connection| connection.number);
        let facts = FailureFacts {
            attempts: exchange.attempts,
            backend: exchange.forward.backend,
            reason: fault.reason as u32,
            flags,
            took_us: micros(exchange.times.decided, self.now),
            connection,
            plan: exchange.forward.plan,
            status: 0,
            grpc_status: None,
            retry_after_s: None,
        };
        exchange.reason = fault.reason;
        self.offer(key, Offer::Failure(facts));
    }

    /// Takes the attempt back from its backend.
    pub(super) fn cancel_attempt(&mut self, upstreams: &mut Upstreams, key: Key, code: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(stream) = exchange.upstream.take() {
            upstreams.reset(stream, code);
        } else if exchange.phase == Phase::Open {
            upstreams.cancel_wait(exchange.forward.backend, key.pack());
        }
    }
}

/// Takes the client's own request id where the route trusts it: visible characters, 64 at most.
fn keep_request_id(exchange: &mut Exchange) {
    let Some(id) = exchange.request.known(Known::RequestId) else { return };
    if let Some(id) = RequestId::new(id) {
        exchange.request_id = id;
    }
}
