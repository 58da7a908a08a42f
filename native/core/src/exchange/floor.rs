//! A floor under what a client takes and sends. One that moves a byte now and then is never silent: the idle timeout does not end it, and what it keeps open costs a place at a backend.
//!
//! The floor counts while the client owes something: room for bytes that wait for its stream, or the rest of its body while there is no response. The sweep looks; bytes that move cost
//! an addition. gRPC and event streams are left alone: they are slow by nature.

use super::{Exchange, Phase};
use crate::base::timers::{NEVER, Nanos};
use crate::http::fields::Fields;
use crate::http::h3::FRAME_HEAD_BYTES;
use crate::quic::connection::Connection;

/// What a client has to move while it owes something.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// So many bytes.
    pub bytes: u64,
    /// In this time.
    pub period: Nanos,
}

impl Floor {
    /// A floor of so many bytes a second, measured over milliseconds; none for a rate of 0.
    pub fn new(rate: u64, period_ms: u64) -> Option<Floor> {
        (rate > 0).then(|| Floor { bytes: rate.saturating_mul(period_ms) / 1_000, period: period_ms.saturating_mul(1_000_000) })
    }
}

/// Before this part of a period nothing can be said of it: acknowledgements come in lumps.
const EARLY: Nanos = 8;

/// What a client owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debt {
    /// Credit or acknowledgements.
    Room,
    /// Bytes of its request.
    Body,
}

/// A period in which a client owes something.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    debt: Debt,
    /// Its begin; [`NEVER`] for exchanges that are left alone.
    since: Nanos,
    /// Bytes moved before it.
    moved: u64,
    /// Bytes of the whole connection acknowledged before it.
    acknowledged: u64,
}

impl Exchange {
    /// Looks at what the client owes. True when it moved too little for a whole period.
    pub(crate) fn is_below(&mut self, floor: Floor, connection: &Connection, now: Nanos) -> bool {
        let Some((debt, moved)) = self.debt() else {
            self.owed = None;
            return false;
        };
        let since = match self.owed.filter(|owed| owed.debt == debt) {
            Some(owed) if now < owed.since.saturating_add(floor.period) => return false,
            Some(owed) if moved.saturating_sub(owed.moved) >= floor.bytes => now,
            Some(_) if self.is_held_up(floor, connection, now) == Some(true) => {
                self.times.moved = now;
                now
            }
            Some(_) => return true,
            None if self.is_slow_by_nature() => NEVER,
            None => now,
        };
        self.owed = Some(Owed { debt, since, moved, acknowledged: connection.quic.stats().acked_bytes });
        false
    }

    /// What the client owes now, and how many such bytes have moved so far.
    fn debt(&self) -> Option<(Debt, u64)> {
        let has_stream = matches!(self.phase, Phase::Relay | Phase::Answer) && self.hold.is_none();
        if has_stream && self.outgoing.is_blocked && self.outgoing.has_bytes() {
            return Some((Debt::Room, self.outgoing.taken));
        }
        let incoming = &self.incoming;
        let is_upload = self.phase == Phase::Relay && !self.is_committed && !incoming.is_done && !incoming.is_blocked;
        // Who asked to be told to go on may wait for that.
        let may_wait = self.facts.expects_continue && incoming.body_bytes == 0;
        (is_upload && !may_wait).then_some((Debt::Body, incoming.body_bytes))
    }

    fn is_slow_by_nature(&self) -> bool {
        self.is_event_stream || self.facts.is_connect || has_type(&self.request, b"application/grpc")
    }

    /// Whether the stream is held up by others of its connection, not by the client: it lets this one send, and takes the floor's worth for each stream that waits. None while it is
    /// too early to tell.
    pub(crate) fn is_held_up(&self, floor: Floor, connection: &Connection, now: Nanos) -> Option<bool> {
        let Some(owed) = self.owed.filter(|owed| owed.debt == Debt::Room && owed.since != NEVER) else { return Some(false) };
        if connection.quic.stream_credit(self.stream).is_none_or(|credit| credit <= FRAME_HEAD_BYTES) {
            return Some(false);
        }
        let elapsed = (now - owed.since).min(floor.period);
        if elapsed < floor.period / EARLY {
            return None;
        }
        let due = floor.bytes as u128 * connection.blocked as u128 * elapsed as u128 / floor.period.max(1) as u128;
        Some((connection.quic.stats().acked_bytes - owed.acknowledged) as u128 >= due)
    }
}

/// Whether a head has a media type that begins so.
pub(crate) fn has_type(fields: &Fields, start: &[u8]) -> bool {
    let value = fields.get(b"content-type").unwrap_or_default();
    value.get(..start.len()).is_some_and(|value| value.eq_ignore_ascii_case(start))
}
