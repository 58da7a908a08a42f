//! Exchanges that end before their response does.

use super::{Relay, complete, withdraw};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::downstream::terms::Left;
use crate::http::error::h2;
use crate::record::layout;
use crate::upstream::Upstreams;

/// Ends an exchange without a response: both of the client's directions are reset.
pub(super) fn abort(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, cause: Cause, reason: Reason, ended_by: u32) {
    withdraw::all(relay, upstreams, key, h2::CANCEL);
    complete::reset_client(relay, key, cause, reason, ended_by);
}

/// The process ends before the exchange did. A client whose request no backend has seen is told
/// that it may send it again elsewhere (RFC 9114 §4.1.1).
pub(crate) fn cut(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(exchange) = relay.exchanges.get(key) else { return };
    let is_unseen = exchange.attempts.made == 0 && !exchange.state().is_answer();
    let cause = if is_unseen { Cause::Rejected } else { Cause::Internal };
    abort(relay, upstreams, key, cause, Reason::Shutdown, 0);
}

/// Ends all exchanges of a connection that is given up for a fault of ours.
pub(crate) fn fail_all(relay: &mut Relay, upstreams: &mut Upstreams, connection: Key) {
    let Some(state) = relay.connections.get(connection) else { return };
    let exchanges: Vec<Key> = state.exchanges.values().copied().collect();
    for key in exchanges {
        withdraw::all(relay, upstreams, key, h2::INTERNAL_ERROR);
        complete::complete(relay, key, Reason::InternalError);
    }
}

/// Ends an exchange whose attempts' sessions are given up too.
pub(super) fn abandon(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if let Some(mut hedge) = exchange.take_out(exchange.hedge_name()) {
        hedge.count_out(&relay.table);
    }
    exchange.drop_hold();
    exchange.attempt.upstream = None;
    // The rest comes to nothing if it panics.
    exchange.attempt.count_out(&relay.table);
    complete::complete(relay, key, Reason::InternalError);
}

/// The client is gone or has reset its stream.
pub(crate) fn client_left(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, left: Left) {
    let (cause, reason) = match left {
        Left::Reset(cause) => (cause, Reason::ClientReset),
        Left::Gone => (Cause::Cancelled, Reason::ClientGone),
    };
    withdraw::all(relay, upstreams, key, cause.to_h2());
    if reason == Reason::ClientReset {
        // It may have reset its own direction alone (RFC 9114 §4.1.1): ours ends too.
        return complete::reset_client(relay, key, Cause::Cancelled, reason, layout::COMPLETED_BY_CLIENT);
    }
    if let Some(exchange) = relay.exchanges.get_mut(key) {
        exchange.outcome.ended_by = layout::COMPLETED_BY_CLIENT;
    }
    complete::complete(relay, key, reason);
}
