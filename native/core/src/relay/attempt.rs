//! One attempt: a try at one backend, what the lane decided for it, and when its steps were taken.

use super::BackendTable;
use super::exchange::OTHER;
use super::hold::Answer;
use super::plan::Plan;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos};
use crate::record::inward::{ASK_ON_FAILURE, Forward, GivenValues, HOLD, MAX_VALUES, NO_PLAN, Tag};
use crate::upstream::{self, StreamRef};
use std::rc::Rc;

/// No decision yet.
const NOT_FORWARDED: Forward = Forward {
    plan: NO_PLAN,
    backend: u32::MAX,
    tag: Tag::NONE,
    flags: 0,
    connect_timeout_ms: 0,
    head_timeout_ms: 0,
    idle_timeout_ms: 0,
    exchange_timeout_ms: 0,
    attempt_timeout_ms: 0,
    hedge_delay_ms: 0,
    max_body_bytes: None,
    replay_bytes: 0,
};

/// Idle timeouts shorter than this would end exchanges that are merely slow.
const MIN_IDLE_MS: u32 = 1_000;

/// One try at one backend.
#[derive(Debug)]
pub struct Attempt {
    /// What the lane decided.
    pub forward: Forward,
    /// Edits, of the generation it began with.
    pub plan: Option<Rc<Plan>>,
    /// What the lane brought for the edits: `${value_0}` and so on.
    pub values: [Vec<u8>; MAX_VALUES],
    /// Its stream.
    pub upstream: Option<StreamRef>,
    /// Whether it counts in the backend's in-flight number.
    pub is_in_flight: bool,
    /// Whether the session had served before.
    pub was_reused: bool,
    /// Whether it began beside another.
    pub is_hedge: bool,
    /// Decision taken.
    pub decided: Nanos,
    /// Stream opened.
    pub opened: Nanos,
    /// Request sent.
    pub sent: Nanos,
    /// Response head came.
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
            decided: 0,
            opened: 0,
            sent: 0,
            answered: 0,
        }
    }
}

impl Attempt {
    /// As if nothing had been decided; buffers stay.
    pub fn forget(&mut self) {
        self.begin(NOT_FORWARDED, None, 0);
        self.values.iter_mut().for_each(Vec::clear);
    }

    /// Begins anew. Values stay until others come.
    pub fn begin(&mut self, forward: Forward, plan: Option<Rc<Plan>>, now: Nanos) {
        self.forward = forward;
        self.plan = plan;
        self.upstream = None;
        (self.is_in_flight, self.was_reused, self.is_hedge) = (false, false, false);
        (self.decided, self.opened, self.sent, self.answered) = (now, 0, 0, 0);
    }

    /// Keeps the values a `Forward` brought.
    pub fn take_values(&mut self, given: GivenValues<'_>) {
        for (kept, value) in self.values.iter_mut().zip(given.iter()) {
            if let Some(value) = value {
                kept.clear();
                kept.extend_from_slice(value);
            }
        }
    }

    /// Counts the attempt in its backend's number.
    pub(super) fn count_in(&mut self, table: &BackendTable) {
        self.is_in_flight = true;
        table.add_in_flight(self.forward.backend, 1);
    }

    /// Takes it out again, once.
    pub(super) fn count_out(&mut self, table: &BackendTable) {
        if self.is_in_flight {
            self.is_in_flight = false;
            table.add_in_flight(self.forward.backend, -1);
        }
    }

    /// Whether the plan wants a response held, and the lane asked.
    pub(super) fn holds(&self, answer: &Answer) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            self.is_asking() && (plan.holds(answer.status) || answer.grpc_status.is_some_and(|status| plan.holds_grpc(status)))
        })
    }

    /// Whether a gRPC status in the response's head could have it held.
    pub(super) fn holds_grpc(&self) -> bool {
        self.is_asking() && self.plan.as_ref().is_some_and(|plan| plan.holds.has_grpc())
    }

    fn is_asking(&self) -> bool {
        self.forward.flags & (HOLD | ASK_ON_FAILURE) == HOLD | ASK_ON_FAILURE
    }

    /// Until when a response head must be here, or something on the way to it, while none is.
    pub(super) fn head_deadline(&self, is_sent: bool) -> (Nanos, Reason) {
        let after = |since: Nanos, timeout_ms: u32| since + timeout_ms as Nanos * 1_000_000;
        let step = match self.upstream {
            None => (after(self.decided, self.forward.connect_timeout_ms), Reason::ConnectTimeout),
            Some(_) if is_sent => (after(self.sent, self.forward.head_timeout_ms), Reason::HeadTimeout),
            Some(_) => (NEVER, Reason::None),
        };
        let whole = after(self.decided, self.forward.attempt_timeout_ms);
        if self.forward.attempt_timeout_ms > 0 && whole < step.0 { (whole, Reason::AttemptTimeout) } else { step }
    }

    /// Nanoseconds without a byte either way that are too many.
    pub(super) fn idle_timeout(&self) -> Nanos {
        self.forward.idle_timeout_ms.max(MIN_IDLE_MS) as Nanos * 1_000_000
    }
}

/// The exchange of an attempt.
pub(super) fn key_of(name: upstream::Key) -> Key {
    Key::unpack(name & !OTHER)
}
