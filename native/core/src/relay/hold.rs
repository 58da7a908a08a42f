//! Held responses: the lane either passes one on or drops it and tries another backend.
//!
//! Nothing of a held response reaches the client. Its head is encoded and ready. Body data that
//! arrives in the meantime is kept without giving the backend credit, so it is at most the stream's
//! window. The lane usually decides in the same turn.

use super::notes::Note;
use super::{Relay, answer, lane, write};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::exchange::hold::{BackendStatus, Hold};
use crate::exchange::{Decide, Offer, State};
use crate::http::fields::Fields;
use crate::record::inward::Tag;
use crate::record::layout;

/// Holds a response and asks the lane.
pub(super) fn begin(relay: &mut Relay, key: Key, status: BackendStatus, fields: &Fields) {
    write::write_held_head(relay, key, fields);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.outcome.reason = Reason::ResponseStatus;
    exchange.outcome.ended_by = layout::COMPLETED_BY_BACKEND;
    let facts = exchange.failure(&exchange.attempt, Reason::ResponseStatus, 0, status, relay.turn.now);
    lane::offer(relay, key, Decide::about(Offer::Held(facts, Hold::default()), false));
}

/// Passes the held response on as if it had never been held.
pub(super) fn commit(relay: &mut Relay, key: Key, tag: Tag, reason: Reason) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.tag = tag;
    let Some(Decide { offer: Offer::Held(_, hold), .. }) = exchange.state().decide().copied() else {
        return answer::reason(relay, key, Reason::LaneFailed);
    };
    if let Some(fault) = hold.fault {
        // The backend aborted the response and the client has seen nothing: say so.
        exchange.drop_hold();
        return answer::reason(relay, key, fault.reason);
    }
    exchange.enter(State::Response);
    exchange.outcome.status = exchange.outcome.backend.status;
    exchange.outcome.reason = reason;
    exchange.outcome.ended_by = 0;
    if hold.is_upload_stopped {
        stop_upload(relay, key);
    } else if !exchange.incoming.is_done {
        relay.notes.push(Note::Send(key));
    }
    write::stage_held(relay, key);
}

/// Stops the upload of a held response that is complete, as the backend asked.
pub(super) fn stop_upload(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.attempt.upstream = None;
    exchange.incoming.is_done = true;
    let (connection, stream) = (exchange.connection, exchange.stream);
    if let Some(connection) = relay.connections.get_mut(connection) {
        connection.protocol.stream(stream).stop_reading();
        exchange.recount_request(connection);
    }
    relay.connections.mark(connection);
}
