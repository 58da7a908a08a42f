//! Phase 5, decode: turns a request stream into a checked, canonical head.

use super::{Relay, answer, end, lane, send};
use crate::base::budget::Pressure;
use crate::base::counters::{Id, Rejected};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::downstream::protocol::Protocol;
use crate::downstream::terms::{Head, Left, Tunnel};
use crate::exchange::{ClientFacts, Decide, Exchange, Offer, State, Times};
use crate::http::check::{self, FaultKind};
use crate::http::fields::{Fields, Known};
use crate::http::normal;
use crate::record::layout::COMPLETED_BY_CLIENT;
use crate::record::outward::RequestId;
use crate::upstream::Upstreams;

/// Handles a request stream that has bytes or an end.
pub(super) fn on_readable(relay: &mut Relay, upstreams: &mut Upstreams, connection: Key, stream: u64) {
    let Some(state) = relay.connections.get_mut(connection) else { return };
    let key = match state.exchanges.get(&stream) {
        Some(key) => *key,
        // The exchange of this stream has ended.
        None if !state.protocol.arrivals().begin(stream, relay.turn.now) => return,
        None => match begin(relay, connection, stream) {
            Some(key) => key,
            None => return,
        },
    };
    let Some(exchange) = relay.exchanges.get(key) else { return };
    if matches!(exchange.state(), State::Decode) {
        decode(relay, upstreams, key);
    } else if exchange.state().is_relayed() {
        send::send(relay, upstreams, key);
        if relay.exchanges.get(key).is_some_and(|exchange| exchange.incoming.is_blocked) {
            notice_reset(relay, upstreams, key);
        }
    } else {
        notice_reset(relay, upstreams, key);
    }
}

/// Begins an exchange on a new request stream, if there is room for one.
pub(super) fn begin(relay: &mut Relay, connection: Key, stream: u64) -> Option<Key> {
    let state = relay.connections.get_mut(connection)?;
    let is_rejected = state.is_beyond_drain(stream);
    if is_rejected || relay.exchanges.len() >= relay.rules.max_exchanges {
        // Nothing was processed, so the client may retry elsewhere (RFC 9114 §4.1.1).
        state.protocol.stream(stream).reset(Cause::Rejected);
        let why = if is_rejected { Rejected::Draining } else { Rejected::Overloaded };
        relay.counters.add_to(Id::RequestsRejected, why as usize, 1);
        relay.connections.mark(connection);
        return None;
    }
    let mut exchange = relay.pool.pop().unwrap_or_else(|| Box::new(Exchange::idle()));
    let client = ClientFacts { peer: state.peer, told: state.tls.told.clone(), network: 0, number: state.accepted.number };
    state.protocol.prepare(&mut exchange.incoming, &mut exchange.outgoing);
    let id = RequestId::new(&relay.rng.hex_id()).unwrap_or(exchange.request.id);
    let now = relay.turn.now;
    let times = Times::begin(now, relay.turn.now_ms);
    let key = relay.exchanges.insert_with(|key| {
        exchange.begin(key, connection, stream, client, id, times);
        exchange
    });
    state.enter(stream, key, now);
    relay.counters.add(Id::ExchangesStarted, 1);
    relay.counters.set(Id::ExchangesOpen, 0, relay.exchanges.len() as u64);
    Some(key)
}

/// Phase 5: reads until the head is complete.
pub(super) fn decode(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let connection_key = exchange.connection;
    let Some(connection) = relay.connections.get_mut(connection_key) else { return };
    let limits = relay.rules.limits[connection.accepted.listener as usize].fields;
    let Exchange { incoming, request, stream, .. } = &mut **exchange;
    match connection.protocol.stream(*stream).read_head(incoming, &mut request.head, limits, &mut relay.scratch.bytes) {
        Head::Partial => {}
        Head::Complete => {
            head_is_complete(relay, key);
            send::recount(relay, key);
        }
        Head::TooLarge => {
            note_head(relay, key);
            answer::reason(relay, key, Reason::RequestHeadTooLarge);
        }
        Head::Incomplete => end::abort(relay, upstreams, key, Cause::Incomplete, Reason::ClientProtocolError, COMPLETED_BY_CLIENT),
        Head::Fault(cause) => relay.connections.close(connection_key, cause),
        Head::Left(left) => end::client_left(relay, upstreams, key, left),
    }
}

/// Takes over a head that is decoded, or found invalid.
pub(super) fn note_head(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.times.head = relay.turn.now;
    exchange.times.moved = relay.turn.now;
}

pub(super) fn head_is_complete(relay: &mut Relay, key: Key) {
    note_head(relay, key);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(connection) = relay.connections.get_mut(exchange.connection) else { return };
    let rules = relay.rules.limits[connection.accepted.listener as usize].normal;
    let judged = judge_head(exchange, &connection.protocol, rules, &mut relay.scratch.text);
    // Removed before anything looks at the head, so that no rule can let these through.
    let removed = relay.rules.reserved.strip(&mut exchange.request.head);
    if removed > 0 {
        relay.counters.add(Id::ReservedFieldsRemoved, removed);
    }
    match judged {
        Ok(()) if !connection.tls.coverage.admits(authority(&exchange.request.head)) => answer::reason(relay, key, Reason::Misdirected),
        Ok(()) if relay.held.pressure == Pressure::Full => answer::reason(relay, key, Reason::Overloaded),
        Ok(()) => lane::offer(relay, key, Decide::about(Offer::Head, false)),
        Err(reason) => answer::reason(relay, key, reason),
    }
}

/// Notices a reset while nothing may be read.
pub(super) fn notice_reset(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(connection) = relay.connections.get_mut(exchange.connection) else { return };
    if exchange.incoming.is_done {
        return;
    }
    if let Some(cause) = connection.protocol.stream(exchange.stream).reset_by_client() {
        end::client_left(relay, upstreams, key, Left::Reset(cause));
    }
}

/// Authority of a request, from `:authority` or Host.
fn authority(request: &Fields) -> &[u8] {
    request.known(Known::Authority).or_else(|| request.known(Known::Host)).unwrap_or_default()
}

/// Makes the head canonical if the listener wants that, and checks it. A malformed head is reported
/// as malformed even if it has no canonical form either.
fn judge_head(exchange: &mut Exchange, protocol: &Protocol, rules: Option<normal::Rules>, text: &mut Vec<u8>) -> Result<(), Reason> {
    exchange.request.are_slashes_merged = rules.is_some_and(|rules| rules.are_slashes_merged);
    let is_canonical =
        rules.is_none_or(|rules| normal::head(&mut exchange.request.head, rules, text, &mut exchange.request.kept_path).is_ok());
    let facts = check::check_request(&exchange.request.head, protocol.carries(Tunnel::Connect)).map_err(|fault| match fault.kind {
        FaultKind::Malformed => Reason::RequestMalformed,
        FaultKind::ConnectNotSupported => Reason::ConnectNotSupported,
    })?;
    exchange.request.facts = facts;
    if facts.has_spare_length {
        check::keep_one_length(&mut exchange.request.head, true);
    }
    if facts.is_scheme_plain {
        check::set_https(&mut exchange.request.head);
    }
    if facts.is_trace && (facts.content_length.is_some_and(|length| length > 0) || exchange.incoming.has_early_body()) {
        return Err(Reason::RequestMalformed);
    }
    if let Some(max_forwards @ 1..) = facts.max_forwards {
        check::decrement_max_forwards(&mut exchange.request.head, max_forwards);
    }
    if !is_canonical {
        return Err(Reason::PathNotCanonical);
    }
    if facts.has_unknown_expectation {
        return Err(Reason::ExpectationFailed);
    }
    if exchange.incoming.is_done && facts.content_length.is_some_and(|length| length > 0) {
        return Err(Reason::RequestLengthMismatch);
    }
    Ok(())
}
