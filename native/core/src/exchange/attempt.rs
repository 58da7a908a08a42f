//! One attempt: a try at one backend, with the lane's decision for it and the times of its steps.

use super::hold::BackendStatus;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::table::BackendTable;
use crate::base::timers::{NEVER, Nanos};
use crate::plan::Plan;
use crate::record::inward::{Forward, GivenValues, NO_PLAN, SAME_CLIENT, Tag};
use crate::record::layout::{FORWARD_HOLD, FORWARD_TELL_DEADLINE, FORWARD_TELL_FAILURES, MAX_VALUES};
use crate::upstream::{self, FullTime, StreamRef};
use std::rc::Rc;

/// Two attempts of an exchange may run at a time. Sessions name each by the exchange's key with
/// this bit set or clear; no key uses the bit.
pub(super) const OTHER: u64 = 1 << 31;

/// Decision of an attempt that has none yet.
pub(super) const NOT_FORWARDED: Forward = Forward {
    plan: NO_PLAN,
    backend: u32::MAX,
    tag: Tag::NONE,
    flags: 0,
    connect_timeout_ms: 0,
    place_timeout_ms: 0,
    head_timeout_ms: 0,
    idle_timeout_ms: 0,
    exchange_timeout_ms: 0,
    attempt_timeout_ms: 0,
    hedge_delay_ms: 0,
    max_body_bytes: None,
    replay_bytes: 0,
    client: SAME_CLIENT,
};

/// Idle timeouts shorter than this would end exchanges that are merely slow; the configuration
/// refuses them (`timeouts.idle`).
const MIN_IDLE_MS: u32 = 100;

/// A try at one backend.
#[derive(Debug)]
pub struct Attempt {
    /// The lane's decision.
    pub forward: Forward,
    /// Plan of the snapshot that the attempt began with.
    pub plan: Option<Rc<Plan>>,
    /// Values that the lane gave for the plan's `${value_0}` and so on.
    pub values: [Vec<u8>; MAX_VALUES],
    /// Stream at the backend; none until a session gives one.
    pub upstream: Option<StreamRef>,
    /// Whether it is counted in the backend's in-flight number.
    pub is_in_flight: bool,
    /// Whether the session had carried requests before.
    pub was_reused: bool,
    /// Whether it began as a hedge.
    pub is_hedge: bool,
    /// How long the backend's pool had been full in total when the attempt began to wait for a
    /// stream.
    pub full_before: Nanos,
    /// When the lane decided.
    pub decided: Nanos,
    /// When the stream was opened.
    pub opened: Nanos,
    /// When the request had been sent.
    pub sent: Nanos,
    /// When the response head arrived.
    pub answered: Nanos,
}

impl Default for Attempt {
    fn default() -> Attempt {
        Attempt {
            forward: NOT_FORWARDED,
            plan: None,
            values: Default::default(),
            upstream: None,
            is_in_flight: false,
            was_reused: false,
            is_hedge: false,
            full_before: 0,
            decided: 0,
            opened: 0,
            sent: 0,
            answered: 0,
        }
    }
}

impl Attempt {
    /// Resets the attempt to undecided. Buffers keep their allocations.
    pub fn forget(&mut self) {
        self.begin(NOT_FORWARDED, None, 0);
        self.values.iter_mut().for_each(Vec::clear);
    }

    /// Starts an attempt. The values stay until [`Attempt::take_values`] replaces them.
    pub fn begin(&mut self, forward: Forward, plan: Option<Rc<Plan>>, now: Nanos) {
        self.forward = forward;
        self.plan = plan;
        self.upstream = None;
        (self.is_in_flight, self.was_reused, self.is_hedge) = (false, false, false);
        self.full_before = 0;
        (self.decided, self.opened, self.sent, self.answered) = (now, 0, 0, 0);
    }

    /// Copies the values of a `Forward`.
    pub fn take_values(&mut self, given: GivenValues<'_>) {
        for (kept, value) in self.values.iter_mut().zip(given.iter()) {
            if let Some(value) = value {
                kept.clear();
                kept.extend_from_slice(value);
            }
        }
    }

    /// Adds the attempt to its backend's in-flight number.
    pub(crate) fn count_in(&mut self, table: &BackendTable) {
        self.is_in_flight = true;
        table.add_in_flight(self.forward.backend, 1);
    }

    /// Subtracts it again; safe to call twice.
    pub(crate) fn count_out(&mut self, table: &BackendTable) {
        if self.is_in_flight {
            self.is_in_flight = false;
            table.add_in_flight(self.forward.backend, -1);
        }
    }

    /// Whether this response is to be held: the lane asked for that, and the plan lists its status.
    pub(crate) fn holds(&self, status: &BackendStatus) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            self.is_asking_for(FORWARD_HOLD)
                && (plan.holds(status.status) || status.grpc_status.is_some_and(|status| plan.holds_grpc(status)))
        })
    }

    /// Whether a gRPC status in the response head could cause a hold.
    pub(crate) fn holds_grpc(&self) -> bool {
        self.is_asking_for(FORWARD_HOLD) && self.plan.as_ref().is_some_and(|plan| plan.holds.has_grpc())
    }

    /// Whether the lane wants to decide on the answer when the exchange's time is over.
    pub(crate) fn asks_at_deadline(&self) -> bool {
        self.is_asking_for(FORWARD_TELL_DEADLINE)
    }

    fn is_asking_for(&self, flag: u32) -> bool {
        let flags = flag | FORWARD_TELL_FAILURES;
        self.forward.flags & flags == flags
    }

    /// Deadline for the response head, or for the next step towards it. `full` says how long the
    /// backend's pool has been full.
    pub(crate) fn head_deadline(&self, is_sent: bool, full: impl FnOnce(u32) -> FullTime, now: Nanos) -> (Nanos, Reason) {
        if self.upstream.is_some() {
            return self.sent_deadline(is_sent);
        }
        let full = full(self.forward.backend);
        // Two separate clocks, of which one runs at a time: waiting while the pool is full does not
        // count as connecting.
        let waited = now.saturating_sub(self.decided);
        let waited_full = full.total.saturating_sub(self.full_before).min(waited);
        let (timeout_ms, spent, reason) = match full.is_full {
            true => (self.forward.place_timeout_ms, waited_full, Reason::SessionsExhausted),
            false => (self.forward.connect_timeout_ms, waited - waited_full, Reason::ConnectTimeout),
        };
        let step = now + after(0, timeout_ms).saturating_sub(spent);
        // Neither is a failure of the backend.
        let late = if full.is_full { Reason::SessionsExhausted } else { Reason::AttemptTimeout };
        self.within_attempt((step, reason), late)
    }

    /// The same for an attempt that has a stream.
    pub(crate) fn sent_deadline(&self, is_sent: bool) -> (Nanos, Reason) {
        let head = if is_sent { (after(self.sent, self.forward.head_timeout_ms), Reason::HeadTimeout) } else { (NEVER, Reason::None) };
        self.within_attempt(head, Reason::AttemptTimeout)
    }

    /// Lower bound of the deadlines of an attempt that waits for a stream.
    pub(crate) fn first_deadline(&self) -> Nanos {
        let timeout_ms = self.forward.connect_timeout_ms.min(self.forward.place_timeout_ms);
        self.within_attempt((after(self.decided, timeout_ms), Reason::None), Reason::None).0
    }

    fn within_attempt(&self, step: (Nanos, Reason), late: Reason) -> (Nanos, Reason) {
        let whole = after(self.decided, self.forward.attempt_timeout_ms);
        if self.forward.attempt_timeout_ms > 0 && whole < step.0 { (whole, late) } else { step }
    }

    /// Nanoseconds that the attempt may pass without a byte in either direction.
    pub(crate) fn idle_timeout(&self) -> Nanos {
        self.forward.idle_timeout_ms.max(MIN_IDLE_MS) as Nanos * 1_000_000
    }
}

fn after(since: Nanos, timeout_ms: u32) -> Nanos {
    since + timeout_ms as Nanos * 1_000_000
}

/// Key of the exchange that an attempt belongs to.
pub(crate) fn key_of(name: upstream::AttemptId) -> Key {
    Key::unpack(name & !OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn connecting_and_waiting_for_a_place_have_a_time_each_that_stands_still_while_the_other_runs() {
        let forward = Forward { connect_timeout_ms: 100, place_timeout_ms: 1_000, ..NOT_FORWARDED };
        let attempt = Attempt { forward, decided: 5_000 * MS, full_before: 70 * MS, ..Attempt::default() };
        let at = |after_ms: Nanos, full_ms: Nanos, is_full| {
            let full = FullTime { is_full, total: (70 + full_ms) * MS };
            let (deadline, reason) = attempt.head_deadline(false, |_| full, (5_000 + after_ms) * MS);
            (deadline / MS - 5_000, reason)
        };
        assert_eq!(at(0, 0, false), (100, Reason::ConnectTimeout));
        assert_eq!(at(0, 0, true), (1_000, Reason::SessionsExhausted));
        assert_eq!(at(60, 0, true), (1_060, Reason::SessionsExhausted), "60 ms of connecting are not taken from the wait");
        assert_eq!(at(500, 440, true), (1_060, Reason::SessionsExhausted));
        assert_eq!(at(500, 440, false), (540, Reason::ConnectTimeout), "40 ms are left to connect");
        assert_eq!(at(600, 440, false), (600, Reason::ConnectTimeout), "over");
        // The clock belongs to another backend that took over the slot, and started at zero.
        assert_eq!(attempt.head_deadline(false, |_| FullTime::default(), 5_050 * MS).0 / MS, 5_100);
    }
}
