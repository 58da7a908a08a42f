//! The next deadline of an exchange, and the reason if it passes.

use super::{Exchange, State};
use crate::base::reason::Reason;
use crate::base::timers::{NEVER, Nanos};
use crate::upstream::FullTime;

/// How long a client may take nothing of an answer by the edge. Such answers are small and need one
/// or two round trips.
const ANSWER_IDLE: Nanos = 30_000_000_000;

/// No deadline.
const NONE: (Nanos, Reason) = (NEVER, Reason::None);

/// The deadline of an exchange. `full` says how long a backend's pool has been full.
pub fn of(exchange: &Exchange, decode_timeout: Nanos, full: impl FnOnce(u32) -> FullTime, now: Nanos) -> (Nanos, Reason) {
    let Exchange { times, attempt, .. } = exchange;
    let own = match exchange.state() {
        State::Decode => return (times.began + decode_timeout, Reason::ClientSlow),
        State::Decide(_) => NONE,
        State::Wait(wait) => return (times.end_at(), wait.reason),
        State::Open(_) => attempt.head_deadline(false, full, now),
        State::Request(_) => {
            let head = attempt.head_deadline(exchange.incoming.is_done, full, now);
            earlier(head, (times.moved + attempt.idle_timeout(), who_is_idle(exchange)))
        }
        State::Response => (times.moved + attempt.idle_timeout(), who_is_idle(exchange)),
        // An answer to a timeout must not time out at once, so it has a limit of its own. The
        // route's limit is about the backend.
        State::Answer => return (times.moved + ANSWER_IDLE, Reason::ClientSlow),
    };
    let end_at = times.end_at();
    if end_at <= own.0 && end_at != NEVER { (end_at, Reason::ExchangeTimeout) } else { own }
}

/// The same for the hedge.
pub fn of_hedge(exchange: &Exchange, full: impl FnOnce(u32) -> FullTime, now: Nanos) -> (Nanos, Reason) {
    exchange.state().hedge().map_or(NONE, |hedge| hedge.head_deadline(true, full, now))
}

fn earlier(first: (Nanos, Reason), second: (Nanos, Reason)) -> (Nanos, Reason) {
    if first.0 <= second.0 { first } else { second }
}

/// Who is idle: the client if its buffer is full or its body is missing, otherwise the backend.
fn who_is_idle(exchange: &Exchange) -> Reason {
    let incoming = &exchange.incoming;
    let is_upload = matches!(exchange.state(), State::Request(_)) && !incoming.is_done && !incoming.is_blocked;
    if exchange.outgoing.has_bytes() || is_upload { Reason::ClientSlow } else { Reason::IdleTimeout }
}
