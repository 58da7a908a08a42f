//! The minimum rate at which a client must send and receive. The idle timeout never ends a client
//! that moves a byte now and then, yet its exchange occupies a place at a backend.
//!
//! The rate counts while the client owes something: credit for waiting response bytes, or the rest
//! of its body before there is a response. The sweep checks it, so moving bytes costs one addition.
//! gRPC and event streams are exempt because they are slow by nature.

use super::{Exchange, Request, State};
use crate::base::timers::{NEVER, Nanos};
use crate::downstream::connection::Connection;
use crate::http::fields::Fields;

/// Minimum that a client must move while it owes something.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Bytes to move.
    pub bytes: u64,
    /// Period in which to move them.
    pub period: Nanos,
}

impl Floor {
    /// Returns a floor of `rate` bytes a second, measured over `period_ms`; none if `rate` is 0.
    pub fn new(rate: u64, period_ms: u64) -> Option<Floor> {
        (rate > 0).then(|| Floor { bytes: rate.saturating_mul(period_ms) / 1_000, period: period_ms.saturating_mul(1_000_000) })
    }
}

/// Acknowledgements arrive in bursts, so the first eighth of a period tells nothing.
const EARLY: Nanos = 8;

/// What a client owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debt {
    /// Credit or acknowledgements for the response.
    Room,
    /// The rest of its request body.
    Body,
}

/// A period in which a client owes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owed {
    debt: Debt,
    /// When it began; [`NEVER`] for exempt exchanges.
    since: Nanos,
    /// Bytes moved before that.
    moved: u64,
    /// Bytes acknowledged on the whole connection before that.
    acknowledged: u64,
}

/// What the client owed when the sweep last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWatch {
    owed: Option<Owed>,
    /// Whether the response is an event stream, which may be silent.
    pub is_event_stream: bool,
}

impl RateWatch {
    /// Forgets the current period.
    pub fn forget(&mut self) {
        self.owed = None;
    }
}

/// Checks what the client owes. Returns true if it moved too little for a whole period.
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

/// What the client owes now, and how many bytes of that kind have moved so far.
fn debt(exchange: &Exchange) -> Option<(Debt, u64)> {
    let Exchange { incoming, outgoing, .. } = exchange;
    let has_stream = matches!(exchange.state(), State::Request(_) | State::Response | State::Answer);
    if has_stream && outgoing.is_blocked && outgoing.has_bytes() {
        return Some((Debt::Room, outgoing.taken));
    }
    let is_upload = matches!(exchange.state(), State::Request(_)) && !incoming.is_done && !incoming.is_blocked;
    // A client that sent `Expect: 100-continue` may wait for the 100.
    let may_wait = exchange.request.facts.expects_continue && incoming.body_bytes == 0;
    (is_upload && !may_wait).then_some((Debt::Body, incoming.body_bytes))
}

fn is_slow_by_nature(exchange: &Exchange) -> bool {
    let Request { head, facts, .. } = &exchange.request;
    exchange.watch.is_event_stream || facts.is_connect || has_type(head, b"application/grpc")
}

/// Whether other streams of the connection hold this one up, not the client: the stream has credit,
/// and the connection moved the floor's worth for each waiting stream. None if it is too early to
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

/// Whether the media type of a head begins with `start`.
pub(crate) fn has_type(fields: &Fields, start: &[u8]) -> bool {
    let value = fields.get(b"content-type").unwrap_or_default();
    value.get(..start.len()).is_some_and(|value| value.eq_ignore_ascii_case(start))
}
