//! Phases 10 to 12: from a decision to a stream at a backend, and what becomes of an attempt that fails.

use super::{Relay, send};
use crate::base::slab::Key;
use crate::exchange::attempt::{Attempt, key_of};
use crate::exchange::hold::BackendStatus;
use crate::exchange::{Decide, Offer, State};
use crate::http::error::{h2, h3};
use crate::record::inward::{Forward, GivenValues};
use crate::record::layout::{self, FORWARD_TELL_FAILURES};
use crate::upstream::{self, Fault, Opened, SessionRef, Upstreams};

impl Relay {
    /// The lane sends an exchange to a backend.
    pub(super) fn forward(&mut self, upstreams: &mut Upstreams, key: Key, forward: Forward, values: GivenValues<'_>) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let plan = self.rules.plans.get(forward.plan as usize).cloned();
        if let Err(reason) = exchange.begin_attempt(forward, plan, values, self.turn.now) {
            return self.answer_reason(key, reason);
        }
        exchange.attempt.count_in(&self.table);
        let (name, deadline) = (exchange.name(), exchange.attempt.first_deadline().min(exchange.times.end_at()));
        let late_at = exchange.state().alarm_at();
        self.expect(deadline);
        if let Some(late_at) = late_at {
            self.deadlines.alarms.push(late_at, key);
        }
        self.open(upstreams, forward.backend, name);
    }

    /// Asks for a stream.
    pub(super) fn open(&mut self, upstreams: &mut Upstreams, backend: u32, name: upstream::Key) {
        let Some(exchange) = self.exchanges.get(key_of(name)) else { return };
        match upstreams.open(backend, name, exchange.claimant(), !exchange.incoming.is_done, self.turn.now) {
            Opened::Now(session) => self.start(upstreams, name, session),
            Opened::Waiting => {
                let full = upstreams.full_time(backend, self.turn.now);
                if let Some(attempt) = self.exchanges.get_mut(key_of(name)).and_then(|exchange| exchange.attempt_named_mut(name)) {
                    attempt.full_before = full.total;
                }
            }
            Opened::Failed(fault) => self.attempt_failed(name, fault),
        }
    }

    /// Whether an attempt still waits for a session.
    pub(super) fn is_opening(&self, name: upstream::Key) -> bool {
        self.exchanges.get(key_of(name)).is_some_and(|exchange| exchange.is_opening(name))
    }

    /// Phase 11: a session has a place; the head goes out, and the body as far as it can.
    pub(super) fn start(&mut self, upstreams: &mut Upstreams, name: upstream::Key, session: SessionRef) {
        let key = key_of(name);
        if !self.is_opening(name) {
            return upstreams.release(session, name);
        }
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let mut head = std::mem::take(&mut self.scratch.head);
        head.clear();
        if let Some(attempt) = exchange.attempt_named(name) {
            send::compose_head(exchange, attempt, self.turn.now, &mut head, &mut self.scratch.text);
        }
        let has_body = !exchange.incoming.is_done;
        let was_reused = upstreams.is_reused(session);
        let started = upstreams.start(session, name, &head, has_body, self.turn.now);
        self.scratch.head = head;
        let Some(attempt) = exchange.attempt_named_mut(name) else { return };
        attempt.was_reused = was_reused;
        match started {
            Ok(stream) => {
                let deadline = exchange.start_attempt(name, stream, self.turn.now);
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
        let Some(attempt) = exchange.attempt_named_mut(name) else { return };
        attempt.upstream = None;
        attempt.was_reused = fault.was_reused;
        attempt.count_out(&self.table);
        if exchange.state().is_committed() {
            let code = crate::http::error::h2_to_h3(fault.h2_code);
            let code = if fault.h2_code == h2::NO_ERROR { h3::INTERNAL_ERROR } else { code };
            return self.reset_client(key, code, fault.reason, layout::COMPLETED_BY_BACKEND);
        }
        let flags = if fault.is_unsent { layout::FAILED_UNSENT } else { 0 };
        if exchange.state().hedge().is_some() {
            return self.failed_beside(name, fault.reason, flags, BackendStatus::default());
        }
        exchange.outcome.ended_by = layout::COMPLETED_BY_BACKEND;
        if exchange.attempt.forward.flags & FORWARD_TELL_FAILURES == 0 {
            return self.answer_reason(key, fault.reason);
        }
        exchange.outcome.reason = fault.reason;
        let facts = exchange.failure(&exchange.attempt, fault.reason, flags, BackendStatus::default(), self.turn.now);
        self.offer(key, Decide::about(Offer::Failure(facts), false));
    }

    /// Takes whatever is under way back from the backends, a held response too.
    pub(super) fn cancel_attempt(&mut self, upstreams: &mut Upstreams, key: Key, code: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.drop_hold();
        let (name, hedge_name) = (exchange.name(), exchange.hedge_name());
        if let Some(stream) = exchange.attempt.upstream.take() {
            upstreams.reset(stream, code);
        } else if matches!(exchange.state(), State::Open(_)) {
            upstreams.cancel_wait(exchange.attempt.forward.backend, name);
        }
        exchange.attempt.count_out(&self.table);
        if let Some(mut hedge) = exchange.take_out(hedge_name) {
            exchange.attempts.note_loser(&hedge, self.turn.now);
            withdraw(upstreams, &mut hedge, hedge_name, code);
            hedge.count_out(&self.table);
        }
    }

    /// Takes one attempt back, because its time is over; the other, if there is one, goes on.
    pub(super) fn withdraw(&mut self, upstreams: &mut Upstreams, name: upstream::Key, code: u32) {
        let exchange = self.exchanges.get_mut(key_of(name));
        if let Some(attempt) = exchange.and_then(|exchange| exchange.attempt_named_mut(name)) {
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
