//! The attempts of an exchange: two may run at a time, one as the exchange's own and one, the
//! hedge, beside it.

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

/// What is to be known of all attempts of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many were made.
    pub made: u32,
    /// Whether one of them began beside another.
    pub is_hedged: bool,
    /// Whether the lane was told that one is late: it is told once.
    pub is_told_late: bool,
    /// Backend of the one that lost to another, and the microseconds it had run.
    pub loser: Option<(u32, u32)>,
    /// [`OTHER`] or 0, whichever names the exchange's own attempt.
    side: u64,
}

impl Attempts {
    /// One of two has lost.
    pub fn note_loser(&mut self, loser: &Attempt, now: Nanos) {
        self.loser = Some((loser.forward.backend, micros(loser.decided, now)));
    }
}

impl Exchange {
    /// Name of the attempt for sessions.
    pub fn name(&self) -> upstream::AttemptId {
        self.key.pack() | self.attempts.side
    }

    /// Name of the attempt that runs, or would run, beside it.
    pub fn hedge_name(&self) -> upstream::AttemptId {
        self.name() ^ OTHER
    }

    /// The attempt that a name stands for, if it runs; one that has lost or failed does not.
    pub fn attempt_named(&self, name: upstream::AttemptId) -> Option<&Attempt> {
        if name & OTHER == self.attempts.side { Some(&self.attempt) } else { self.state.hedge() }
    }

    /// The same to change.
    pub fn attempt_named_mut(&mut self, name: upstream::AttemptId) -> Option<&mut Attempt> {
        if name & OTHER == self.attempts.side { Some(&mut self.attempt) } else { self.state.hedge_mut() }
    }

    /// Whether an attempt still waits for a session.
    pub fn is_opening(&self, name: upstream::AttemptId) -> bool {
        let is_opening = |attempt: &Attempt| attempt.upstream.is_none() && attempt.opened == 0;
        self.state.pending().is_some() && self.attempt_named(name).is_some_and(is_opening)
    }

    /// Whether the request can be sent to another backend: all that was taken of its body is still
    /// here.
    pub fn is_replayable(&self) -> bool {
        self.incoming.is_whole()
    }

    /// Whether an attempt is under way, no response head is here, and the request has no body, so
    /// that a second attempt may run beside it.
    pub fn may_hedge(&self) -> bool {
        self.state.pending().is_some_and(|pending| pending.hedge.is_none()) && self.incoming.is_bodiless()
    }

    /// The lane sends the request to a backend. Where that may not be, the reason with which it is
    /// answered.
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
                // A lane that tries all the same gets what the failure was worth.
                return Err(self.outcome.reason);
            }
            self.incoming.rewind();
            self.watch.forget();
            self.outcome.backend = BackendStatus::default();
        }
        // From now on: what an earlier attempt left is judged by what that one was to keep.
        self.incoming.keep(forward.replay_bytes);
        self.attempts.made += 1;
        let wants_to_know = forward.hedge_delay_ms > 0 && !self.attempts.is_told_late;
        let late_at = wants_to_know.then(|| now + forward.hedge_delay_ms as Nanos * 1_000_000);
        self.enter(State::Open(Pending { late_at, hedge: None }));
        Ok(())
    }

    /// The lane wants a second attempt; none where it has no use any more.
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

    /// An attempt has a stream, its head is sent. Returns its deadline.
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

    /// Takes one of two attempts out: the other is the exchange's own from now on. None where one
    /// runs alone.
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

    /// What the lane is told of a failed attempt; `flags` beside those that follow from exchange
    /// and attempt, `status` of a response for which it counts as failed.
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
