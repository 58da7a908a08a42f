//! The attempts of an exchange. At most two run at a time: the exchange's own and the hedge.

use super::attempt::{Attempt, OTHER};
use super::hold::BackendStatus;
use super::{Exchange, Pending, State};
use crate::base::reason::Reason;
use crate::base::timers::{NEVER, Nanos, micros};
use crate::plan::Plan;
use crate::record::inward::{Forward, GivenValues, SAME_CLIENT, SAME_TIMEOUT};
use crate::record::layout::{self, FORWARD_KEEP_REQUEST_ID};
use crate::record::outward::FailureFacts;
use crate::upstream;
use std::rc::Rc;

/// What all attempts of an exchange have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Number of attempts made.
    pub made: u32,
    /// Whether there was a hedge.
    pub is_hedged: bool,
    /// Whether the lane has been told of a late attempt. It is told only once.
    pub is_told_late: bool,
    /// Backend of the attempt that lost to the other, and how long it ran in microseconds.
    pub loser: Option<(u32, u32)>,
    /// The exchange's own attempt has this bit in its name: [`OTHER`] or 0.
    side: u64,
}

impl Attempts {
    /// Notes the attempt that lost to the other.
    pub fn note_loser(&mut self, loser: &Attempt, now: Nanos) {
        self.loser = Some((loser.forward.backend, micros(loser.decided, now)));
    }
}

impl Exchange {
    /// Name by which sessions know the exchange's own attempt.
    pub fn name(&self) -> upstream::AttemptId {
        self.key.pack() | self.attempts.side
    }

    /// Name of the hedge, whether one runs or not.
    pub fn hedge_name(&self) -> upstream::AttemptId {
        self.name() ^ OTHER
    }

    /// Finds a running attempt by name; none if it has lost or failed.
    pub fn attempt_named(&self, name: upstream::AttemptId) -> Option<&Attempt> {
        if name & OTHER == self.attempts.side { Some(&self.attempt) } else { self.state.hedge() }
    }

    /// Mutable version of [`Exchange::attempt_named`].
    pub fn attempt_named_mut(&mut self, name: upstream::AttemptId) -> Option<&mut Attempt> {
        if name & OTHER == self.attempts.side { Some(&mut self.attempt) } else { self.state.hedge_mut() }
    }

    /// Whether an attempt still waits for a session.
    pub fn is_opening(&self, name: upstream::AttemptId) -> bool {
        let is_opening = |attempt: &Attempt| attempt.upstream.is_none() && attempt.opened == 0;
        self.state.pending().is_some() && self.attempt_named(name).is_some_and(is_opening)
    }

    /// Whether the request can be sent again: everything read of its body is still buffered.
    pub fn is_replayable(&self) -> bool {
        self.incoming.is_whole()
    }

    /// Whether a hedge may start: an attempt is in progress without a response head, and the
    /// request has no body.
    pub fn may_hedge(&self) -> bool {
        self.state.pending().is_some_and(|pending| pending.hedge.is_none()) && self.incoming.is_bodiless()
    }

    /// Starts an attempt that the lane decided on. If none may start, returns the reason to answer
    /// with.
    pub fn begin_attempt(&mut self, forward: Forward, plan: Option<Rc<Plan>>, values: GivenValues<'_>, now: Nanos) -> Result<(), Reason> {
        self.tag = forward.tag;
        if forward.client != SAME_CLIENT {
            self.client.network = forward.client;
        }
        if forward.exchange_timeout_ms != SAME_TIMEOUT {
            self.times.timeout_ms = forward.exchange_timeout_ms;
        }
        self.attempt.begin(forward, plan, now);
        self.attempt.take_values(values);
        if forward.flags & FORWARD_KEEP_REQUEST_ID != 0 {
            self.request.keep_id();
        }
        let is_too_large = |length| forward.max_body_bytes.is_some_and(|limit| length > limit);
        if self.request.facts.content_length.is_some_and(is_too_large) {
            return Err(Reason::RequestBodyTooLarge);
        }
        if self.attempts.made > 0 {
            if !self.is_replayable() {
                // If the lane tries anyway, the client gets the reason of the failure.
                return Err(self.outcome.reason);
            }
            self.incoming.rewind();
            self.watch.forget();
            self.outcome.backend = BackendStatus::default();
        }
        // Applies from now on: the previous attempt's replay limit decided what it left.
        self.incoming.keep(forward.replay_bytes);
        self.attempts.made += 1;
        let wants_to_know = forward.hedge_delay_ms > 0 && !self.attempts.is_told_late;
        let late_at = wants_to_know.then(|| now + forward.hedge_delay_ms as Nanos * 1_000_000);
        self.enter(State::Open(Pending { late_at, hedge: None }));
        Ok(())
    }

    /// Starts the hedge that the lane decided on; none if it may not start any more.
    pub fn begin_hedge(&mut self, forward: Forward, plan: Option<Rc<Plan>>, values: GivenValues<'_>, now: Nanos) -> Option<&mut Attempt> {
        if !self.may_hedge() {
            return None;
        }
        self.tag = forward.tag;
        self.attempts.is_hedged = true;
        self.attempts.made += 1;
        let mut hedge = Box::new(Attempt { values: self.attempt.values.clone(), ..Attempt::default() });
        hedge.begin(forward, plan, now);
        hedge.take_values(values);
        hedge.is_hedge = true;
        Some(&mut **self.state.pending_mut()?.hedge.insert(hedge))
    }

    /// Notes that an attempt has a stream and its head is sent. Returns its deadline.
    pub fn start_attempt(&mut self, name: upstream::AttemptId, stream: upstream::StreamRef, now: Nanos) -> Nanos {
        let is_sent = self.incoming.is_done;
        let Some(attempt) = self.attempt_named_mut(name) else { return NEVER };
        attempt.upstream = Some(stream);
        (attempt.opened, attempt.sent) = (now, now);
        let deadline = attempt.sent_deadline(is_sent).0;
        self.times.moved = now;
        if name == self.name()
            && let Some(pending) = self.pending_mut()
        {
            let pending = std::mem::take(pending);
            self.enter(State::Request(pending));
        }
        deadline
    }

    /// Takes out one of two attempts and makes the other the exchange's own. None if only one runs.
    pub fn take_out(&mut self, name: upstream::AttemptId) -> Option<Box<Attempt>> {
        let Pending { late_at, hedge } = self.state.pending_mut()?;
        let (mut taken, late_at) = (hedge.take()?, *late_at);
        if name == self.name() {
            std::mem::swap(&mut self.attempt, &mut *taken);
            self.attempts.side ^= OTHER;
            let pending = Pending { late_at, hedge: None };
            self.enter(if self.attempt.upstream.is_some() { State::Request(pending) } else { State::Open(pending) });
        }
        Some(taken)
    }

    /// Describes a failed attempt to the lane. `flags` are added to those that follow from the
    /// exchange and the attempt; `status` is that of a response that counts as a failure.
    pub fn failure(&self, attempt: &Attempt, reason: Reason, flags: u32, status: BackendStatus, now: Nanos) -> FailureFacts {
        let mut flags = flags;
        flags |= if self.request.facts.is_idempotent { layout::FAILED_IDEMPOTENT } else { 0 };
        flags |= if self.is_replayable() { layout::FAILED_REPLAYABLE } else { 0 };
        flags |= if attempt.is_hedge { layout::FAILED_HEDGE } else { 0 };
        FailureFacts {
            attempts: self.attempts.made,
            backend: attempt.forward.backend,
            reason: reason as u32,
            flags,
            took_us: micros(attempt.decided, now),
            connection: self.client.number,
            plan: attempt.forward.plan,
            status: status.status as u32,
            grpc_status: status.grpc_status,
            retry_after_s: status.retry_after_s,
        }
    }
}
