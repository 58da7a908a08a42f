//! `AttemptFailed` and `Late`: reports on an attempt before its exchange ends.

use super::RequestId;
use super::writer::{Text, round};
use crate::base::slab::Key;
use crate::record::inward::Tag;
use crate::record::layout::NONE;
use crate::record::ring::Ring;
use crate::record::words::{AttemptFailedWords, LateWords};

/// Contents of an `AttemptFailed`, besides tag, age and request id.
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
    /// Duration of the attempt in microseconds.
    pub took_us: u32,
    /// Number of the connection.
    pub connection: u64,
    /// Plan of the decision.
    pub plan: u32,
    /// Status of the response that counts as a failure; 0 if there was none.
    pub status: u32,
    /// gRPC status of that response.
    pub grpc_status: Option<u32>,
    /// Seconds of its Retry-After.
    pub retry_after_s: Option<u32>,
}

/// Writes an `AttemptFailed`. Returns false if the ring has no room.
pub fn write_attempt_failed(ring: &mut Ring, exchange: Key, facts: &FailureFacts, tag: Tag, age_us: u32, request_id: &RequestId) -> bool {
    let id = request_id.as_bytes();
    let words = AttemptFailedWords {
        exchange,
        attempts: facts.attempts,
        slot: facts.backend,
        tag: tag.route,
        reason: facts.reason,
        flags: facts.flags,
        duration_us: facts.took_us,
        connection: facts.connection as f64,
        plan: facts.plan,
        request_id_length: id.len() as u32,
        memo: tag.memo,
        status: facts.status,
        grpc_status: facts.grpc_status.unwrap_or(NONE),
        retry_after_s: facts.retry_after_s.unwrap_or(NONE),
        age_us,
    };
    let size = round(AttemptFailedWords::BYTES + id.len());
    let Some(text) = ring.reserve(size).and_then(|record| words.write(record)) else { return false };
    let mut text = Text(text);
    text.put(id);
    text.pad();
    ring.publish(size);
    true
}

/// Contents of a `Late`.
#[derive(Clone, Copy, Debug)]
pub struct LateFacts {
    /// Attempts made so far.
    pub attempts: u32,
    /// Backend of the running attempt.
    pub backend: u32,
    /// Tag of the last decision.
    pub tag: Tag,
    /// Microseconds since the decision of the running attempt.
    pub took_us: u32,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// Plan of the decision.
    pub plan: u32,
}

/// Writes a `Late`. Returns false if the ring has no room.
pub fn write_late(ring: &mut Ring, exchange: Key, facts: &LateFacts) -> bool {
    let words = LateWords {
        exchange,
        attempts: facts.attempts,
        slot: facts.backend,
        tag: facts.tag.route,
        memo: facts.tag.memo,
        duration_us: facts.took_us,
        age_us: facts.age_us,
        plan: facts.plan,
    };
    if ring.reserve(LateWords::BYTES).and_then(|record| words.write(record)).is_none() {
        return false;
    }
    ring.publish(LateWords::BYTES);
    true
}
