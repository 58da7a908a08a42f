//! `AttemptFailed` and `Late`: what the lane has to know of an attempt before its exchange is over.

use super::RequestId;
use super::writer::{Writer, round};
use crate::base::slab::Key;
use crate::record::inward::Tag;
use crate::record::layout::{ATTEMPT_FAILED, LATE, NONE};
use crate::record::ring::Ring;

/// Words of an `AttemptFailed` before its text, and bytes of a `Late`.
const FAILED_WORDS: usize = 22;
const LATE_BYTES: usize = 56;

/// What an `AttemptFailed` says beside tag, age and request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureFacts {
    /// Attempts made so far.
    pub attempts: u32,
    /// Backend of the attempt.
    pub backend: u32,
    /// Reason's number.
    pub reason: u32,
    /// `FAILED_…` flags.
    pub flags: u32,
    /// Microseconds it took.
    pub took_us: u32,
    /// Number of the connection.
    pub connection: u64,
    /// Plan, as given.
    pub plan: u32,
    /// Status of the response for which the attempt counts as failed, 0 when there was none.
    pub status: u32,
    /// gRPC status of that response.
    pub grpc_status: Option<u32>,
    /// Seconds of its Retry-After.
    pub retry_after_s: Option<u32>,
}

/// Writes an `AttemptFailed`; false when the ring has no room now.
pub fn write_attempt_failed(ring: &mut Ring, exchange: Key, facts: &FailureFacts, tag: Tag, age_us: u32, request_id: &RequestId) -> bool {
    let id = request_id.as_bytes();
    let fixed = FAILED_WORDS * 4;
    let size = round(fixed + id.len());
    let Some(mut w) = Writer::start(ring, size, ATTEMPT_FAILED, exchange, fixed) else { return false };
    w.words(4, [facts.attempts, facts.backend, tag.route, facts.reason, facts.flags, facts.took_us]);
    w.float(10, facts.connection as f64);
    w.words(12, [facts.plan, id.len() as u32]);
    w.words(14, tag.memo);
    w.words(17, [facts.status, facts.grpc_status.unwrap_or(NONE), facts.retry_after_s.unwrap_or(NONE), age_us, 0]);
    w.text(id);
    w.pad();
    ring.publish(size);
    true
}

/// What a `Late` says.
#[derive(Clone, Copy, Debug)]
pub struct LateFacts {
    /// Attempts made so far.
    pub attempts: u32,
    /// Backend of the running attempt.
    pub backend: u32,
    /// As given with the last decision.
    pub tag: Tag,
    /// Microseconds since the decision of the running attempt.
    pub took_us: u32,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// Plan, as given.
    pub plan: u32,
}

/// Writes a `Late`; false when the ring has no room now.
pub fn write_late(ring: &mut Ring, exchange: Key, facts: &LateFacts) -> bool {
    let Some(mut w) = Writer::start(ring, LATE_BYTES, LATE, exchange, LATE_BYTES) else { return false };
    w.words(4, [facts.attempts, facts.backend, facts.tag.route]);
    w.words(7, facts.tag.memo);
    w.words(10, [facts.took_us, facts.age_us, facts.plan, 0]);
    ring.publish(LATE_BYTES);
    true
}
