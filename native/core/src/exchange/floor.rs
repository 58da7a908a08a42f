//! A floor under what a client takes and sends. One that moves a byte now and then is never silent:
//! the idle timeout does not end it, and what it keeps open costs a place at a backend.
//!
//! The floor counts while the client owes something: room for bytes that wait for its stream, or
//! the rest of its body while there is no response. The sweep looks; bytes that move cost an
//! addition. gRPC and event streams are left alone: they are slow by nature.

use super::{Exchange, Request, State};
use crate::base::timers::{NEVER, Nanos};
use crate::downstream::connection::Connection;
use crate::http::fields::Fields;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owed {
    debt: Debt,
    /// Its begin; [`NEVER`] for exchanges that are left alone.
    since: Nanos,
    /// Bytes moved before it.
    moved: u64,
    /// Bytes of the whole connection acknowledged before it.
    acknowledged: u64,
}

/// What the client of an exchange owes, as the sweep last saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWatch {
    owed: Option<Owed>,
    /// Whether the response is one of events, which come when they come.
    pub is_event_stream: bool,
}

impl RateWatch {
    /// Nothing is owed from before.
    pub fn forget(&mut self) {
        self.owed = None;
    }
}

/// Looks at what the client owes. True when it moved too little for a whole period.
pub fn is_below(exchange: &mut Exchange, floor: Floor, connection: &mut Connection, now: Nanos) -> bool {
    let Some((debt, moved)) = debt(exchange) else {
        exchange.watch.forget();
        return false;
    };
    let since = match exchange.watch.owed.filter(|owed| owed.debt == debt) {
        Some(owed) if now < owed.since.saturating_add(floor.period) => return false,
        Some(owed) if moved.saturating_sub(owed.moved) >= floor.bytes => now,
        Some(_) if is_held_up(exchange, floor, connection, now) == Some(true) => {
            exchange.times.moved = now;
            now
        }
        Some(_) => return true,
        None if is_slow_by_nature(exchange) => NEVER,
        None => now,
    };
    exchange.watch.owed = Some(Owed { debt, since, moved, acknowledged: connection.protocol.stats().acknowledged });
    false
}

/// What the client owes now, and how many such bytes have moved so far.
fn debt(exchange: &Exchange) -> Option<(Debt, u64)> {
    let Exchange { incoming, outgoing, .. } = exchange;
    let has_stream = matches!(exchange.state(), State::Request(_) | State::Response | State::Answer);
    if has_stream && outgoing.is_blocked && outgoing.has_bytes() {
        return Some((Debt::Room, outgoing.taken));
    }
    let is_upload = matches!(exchange.state(), State::Request(_)) && !incoming.is_done && !incoming.is_blocked;
    // Who asked to be told to go on may wait for that.
    let may_wait = exchange.request.facts.expects_continue && incoming.body_bytes == 0;
    (is_upload && !may_wait).then_some((Debt::Body, incoming.body_bytes))
}

fn is_slow_by_nature(exchange: &Exchange) -> bool {
    let Request { head, facts, .. } = &exchange.request;
    exchange.watch.is_event_stream || facts.is_connect || has_type(head, b"application/grpc")
}

/// Whether the stream is held up by others of its connection, not by the client: it lets this one
/// send, and takes the floor's worth for each stream that waits. None while it is too early to
/// tell.
pub fn is_held_up(exchange: &Exchange, floor: Floor, connection: &mut Connection, now: Nanos) -> Option<bool> {
    let Some(owed) = exchange.watch.owed.filter(|owed| owed.debt == Debt::Room && owed.since != NEVER) else { return Some(false) };
    if !connection.protocol.stream(exchange.stream).has_credit() {
        return Some(false);
    }
    let elapsed = (now - owed.since).min(floor.period);
    if elapsed < floor.period / EARLY {
        return None;
    }
    let due = floor.bytes as u128 * connection.books.blocked as u128 * elapsed as u128 / floor.period.max(1) as u128;
    Some((connection.protocol.stats().acknowledged - owed.acknowledged) as u128 >= due)
}

/// Whether a head has a media type that begins so.
pub(crate) fn has_type(fields: &Fields, start: &[u8]) -> bool {
    let value = fields.get(b"content-type").unwrap_or_default();
    value.get(..start.len()).is_some_and(|value| value.eq_ignore_ascii_case(start))
}
