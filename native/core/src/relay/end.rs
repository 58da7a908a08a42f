//! Ends exchanges before their response is complete.

use super::{Relay, complete, withdraw};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::downstream::terms::Left;
use crate::http::error::h2;
use crate::record::layout;
use crate::upstream::Upstreams;

/// Ends an exchange without a response: resets both directions of the client's stream.
pub(super) fn abort(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, cause: Cause, reason: Reason, ended_by: u32) {
    withdraw::all(relay, upstreams, key, h2::CANCEL);
    complete::reset_client(relay, key, cause, reason, ended_by);
}

/// Ends an exchange because the process ends. If no backend has seen the request, the client learns
/// that it may retry elsewhere (RFC 9114 §4.1.1).
pub(crate) fn cut(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(exchange) = relay.exchanges.get(key) else { return };
    let is_unseen = exchange.attempts.made == 0 && !exchange.state().is_answer();
    let cause = if is_unseen { Cause::Rejected } else { Cause::Internal };
    abort(relay, upstreams, key, cause, Reason::Shutdown, 0);
}

/// Ends all exchanges of a connection that is dropped for a fault of the edge.
pub(crate) fn fail_all(relay: &mut Relay, upstreams: &mut Upstreams, connection: Key) {
    let Some(state) = relay.connections.get(connection) else { return };
    let exchanges: Vec<Key> = state.exchanges.values().copied().collect();
    for key in exchanges {
        withdraw::all(relay, upstreams, key, h2::INTERNAL_ERROR);
        complete::complete(relay, key, Reason::InternalError);
    }
}

/// Ends an exchange whose sessions are dropped as well.
pub(super) fn abandon(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if let Some(mut hedge) = exchange.take_out(exchange.hedge_name()) {
        hedge.count_out(&relay.table);
    }
    exchange.drop_hold();
    exchange.attempt.upstream = None;
    // If this panics, the steps below are skipped.
    exchange.attempt.count_out(&relay.table);
    complete::complete(relay, key, Reason::InternalError);
}

/// Ends an exchange whose client is gone or has reset its stream.
pub(crate) fn client_left(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, left: Left) {
    let (cause, reason) = match left {
        Left::Reset(cause) => (cause, Reason::ClientReset),
        Left::Gone => (Cause::Cancelled, Reason::ClientGone),
    };
    withdraw::all(relay, upstreams, key, cause.to_h2());
    if reason == Reason::ClientReset {
        // The client may have reset only its own direction (RFC 9114 §4.1.1); end the other too.
        return complete::reset_client(relay, key, Cause::Cancelled, reason, layout::COMPLETED_BY_CLIENT);
    }
    if let Some(exchange) = relay.exchanges.get_mut(key) {
        exchange.outcome.ended_by = layout::COMPLETED_BY_CLIENT;
    }
    complete::complete(relay, key, reason);
}
