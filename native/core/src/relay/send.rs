//! Phase 11, send: the request's head as the plan edits it, and its body as client and backend
//! allow.
//!
//! Body bytes are copied once, from the client's stream buffer into the session's output. Nothing
//! is read until the backend has room, so the client's stream window fills and the client stops.

use super::values::values_of;
use super::{Relay, answer, complete, end, withdraw};
use crate::base::counters::{Counters, Id, TrailerDropped};
use crate::base::panics;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::downstream::cause::Cause;
use crate::downstream::protocol::Protocol;
use crate::downstream::terms::{Left, Next, Stopped};
use crate::exchange::Exchange;
use crate::exchange::attempt::Attempt;
use crate::http::check;
use crate::http::error::h2;
use crate::http::fields::{Fields, Known};
use crate::http::reserved::Reserved;
use crate::http::section::FieldLimits;
use crate::record::layout::COMPLETED_BY_CLIENT;
use crate::upstream::{StreamRef, Upstreams};

/// Phase 11: sends as much of the request as client and backend allow.
pub(super) fn send(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    loop {
        let Some(exchange) = relay.exchanges.get_mut(key).filter(|exchange| exchange.state().is_relayed()) else { return };
        let Some(stream) = exchange.attempt.upstream.filter(|_| !exchange.incoming.is_done) else { return };
        let connection_key = exchange.connection;
        let Some(connection) = relay.connections.get_mut(connection_key) else { return };
        let limits = relay.rules.limits[connection.accepted.listener as usize].fields;
        let before = exchange.incoming.body_bytes;
        let rules = BodyRules { limits, reserved: &relay.rules.reserved, counters: &relay.counters };
        let step = send_step(exchange, &mut connection.protocol, upstreams, stream, &rules);
        if exchange.incoming.body_bytes != before {
            exchange.times.moved = relay.turn.now;
        }
        match step {
            Step::Again => continue,
            Step::Blocked => {
                exchange.incoming.is_blocked = true;
                break;
            }
            Step::Empty => {
                exchange.incoming.is_blocked = false;
                break;
            }
            Step::Done => {
                exchange.incoming.is_done = true;
                exchange.attempt.sent = relay.turn.now;
                if exchange.outgoing.is_done {
                    exchange.attempt.upstream = None;
                    return complete::complete(relay, key, Reason::None);
                }
                let deadline = exchange.attempt.sent_deadline(true).0;
                relay.deadlines.expect(deadline);
                break;
            }
            Step::Fault(reason) => return request_failed(relay, upstreams, key, reason),
            Step::Panicked => return relay.connections.condemn([connection_key]),
            Step::Close(cause) => return relay.connections.close(connection_key, cause),
            Step::Left(left) => return end::client_left(relay, upstreams, key, left),
        }
    }
    recount(relay, key);
    // Reading may have made room for the client (MAX_STREAM_DATA).
    if let Some(exchange) = relay.exchanges.get(key) {
        relay.connections.mark(exchange.connection);
    }
}

/// Handles a request that turns out invalid while its body arrives.
pub(super) fn request_failed(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, reason: Reason) {
    withdraw::all(relay, upstreams, key, h2::CANCEL);
    let is_committed = relay.exchanges.get(key).is_some_and(|exchange| exchange.state().is_committed());
    if is_committed {
        complete::reset_client(relay, key, Cause::Malformed, reason, COMPLETED_BY_CLIENT);
    } else {
        answer::reason(relay, key, reason);
    }
}

/// Recomputes how much of a request body may still arrive and how much is kept.
pub(super) fn recount(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key).filter(|exchange| !exchange.incoming.is_bodiless()) else { return };
    if let Some(connection) = relay.connections.get_mut(exchange.connection) {
        exchange.recount_request(connection);
    }
}

/// Limits and rules for trailers.
struct BodyRules<'a> {
    limits: FieldLimits,
    reserved: &'a Reserved,
    counters: &'a Counters,
}

/// Result of one step of sending.
enum Step {
    Again,
    Blocked,
    Empty,
    Done,
    Fault(Reason),
    Close(Cause),
    Left(Left),
    Panicked,
}

fn send_step(
    exchange: &mut Exchange,
    protocol: &mut Protocol,
    upstreams: &mut Upstreams,
    stream: StreamRef,
    rules: &BodyRules<'_>,
) -> Step {
    match protocol.stream(exchange.stream).next(&mut exchange.incoming, rules.limits) {
        Next::Body(announced) => send_data(exchange, protocol, upstreams, stream, announced),
        Next::Trailers(trailers, is_end) => send_trailers(exchange, upstreams, stream, trailers, is_end, rules),
        Next::End => end_of_request(exchange, upstreams, stream),
        Next::Empty => Step::Empty,
        Next::TooLarge => Step::Fault(Reason::RequestHeadTooLarge),
        Next::Fault(cause) => Step::Close(cause),
        Next::Left(left) => Step::Left(left),
    }
}

/// Copies body bytes from the client's stream into the session's output.
fn send_data(exchange: &mut Exchange, protocol: &mut Protocol, upstreams: &mut Upstreams, stream: StreamRef, announced: u64) -> Step {
    let (id, expected, limit) = (exchange.stream, exchange.request.facts.content_length, exchange.attempt.forward.max_body_bytes);
    if exchange.request.facts.is_trace {
        return Step::Fault(Reason::RequestMalformed);
    }
    let incoming = &mut exchange.incoming;
    // Checks the announced length: an HTTP/1.1 session has no room beyond content-length, so
    // waiting for room would never end.
    if expected.is_some_and(|expected| incoming.body_bytes.saturating_add(announced) > expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    if upstreams.body_room(stream) == 0 {
        return Step::Blocked;
    }
    let mut result = Step::Again;
    upstreams.write_body(stream, |room| {
        let Ok(read) = panics::guard(|| protocol.stream(id).read_body(incoming, room)) else {
            // The session may go on; the panic was in the client's connection.
            result = Step::Panicked;
            return (0, false);
        };
        match read {
            Ok(body) => {
                let total = incoming.body_bytes + body.count as u64;
                if limit.is_some_and(|limit| total > limit) {
                    result = Step::Fault(Reason::RequestBodyTooLarge);
                    return (0, false);
                }
                if body.is_end && expected.is_some_and(|expected| total != expected) {
                    result = Step::Fault(Reason::RequestLengthMismatch);
                    return (0, false);
                }
                incoming.body_bytes = total;
                if let Some(cause) = body.fault {
                    result = Step::Close(cause);
                    return (body.count, false);
                }
                if body.is_end {
                    result = Step::Done;
                }
                (body.count, body.is_end)
            }
            Err(Stopped::Empty) => {
                result = Step::Empty;
                (0, false)
            }
            Err(Stopped::Left(left)) => {
                result = Step::Left(left);
                (0, false)
            }
        }
    });
    result
}

/// Sends trailers without reserved names and with the plan's edits.
fn send_trailers(
    exchange: &Exchange,
    upstreams: &mut Upstreams,
    stream: StreamRef,
    mut trailers: Fields,
    is_end: bool,
    rules: &BodyRules<'_>,
) -> Step {
    let BodyRules { reserved, counters, .. } = *rules;
    if check::check_trailers(&trailers).is_err() {
        return Step::Fault(Reason::RequestMalformed);
    }
    if exchange.request.facts.content_length.is_some_and(|expected| exchange.incoming.body_bytes != expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    counters.add(Id::ReservedFieldsRemoved, reserved.strip(&mut trailers));
    if let Some(plan) = &exchange.attempt.plan {
        let Some(stripped) = plan.strip_request_trailers(&mut trailers) else { return Step::Fault(Reason::RequestMalformed) };
        counters.add_to(Id::TrailerFieldsDropped, TrailerDropped::RequestEdit as usize, stripped.edited);
        counters.add_to(Id::TrailerFieldsDropped, TrailerDropped::Underscore as usize, stripped.underscores);
    }
    if trailers.is_empty() {
        upstreams.write_body(stream, |_| (0, true));
    } else {
        upstreams.write_trailers(stream, &trailers);
    }
    if is_end { end_of_request(exchange, upstreams, stream) } else { Step::Again }
}

/// Ends the request.
fn end_of_request(exchange: &Exchange, upstreams: &mut Upstreams, stream: StreamRef) -> Step {
    if exchange.request.facts.content_length.is_some_and(|expected| exchange.incoming.body_bytes != expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    if !exchange.incoming.has_trailers {
        upstreams.write_body(stream, |_| (0, true));
    }
    Step::Done
}

/// The request head for the backend: edits applied, and the authority in its pseudo-header field.
/// Host is dropped because `:authority` says the same.
pub(super) fn compose_head(exchange: &Exchange, attempt: &Attempt, now: Nanos, head: &mut Fields, text: &mut Vec<u8>) {
    let request = &exchange.request.head;
    let values = values_of(exchange, attempt, now);
    let edits = attempt.plan.as_ref().map(|plan| &plan.request);
    if request.known(Known::Authority).is_none() {
        let host = request.known(Known::Host).unwrap_or_default();
        let is_edited = edits.is_some_and(|edits| edits.pseudo(Known::Authority, host, &values, text));
        head.push_known(Known::Authority, b":authority", if is_edited { text } else { host });
    }
    let path = request.known(Known::Path);
    let mut emit = |known: Known, name: &[u8], value: &[u8]| match known {
        Known::Host => {}
        // No edit changed the path.
        Known::Path if !values.kept_path.is_empty() && path == Some(value) => head.push_known(known, name, values.kept_path),
        _ => head.push_known(known, name, value),
    };
    match edits {
        Some(edits) => edits.apply(request, &values, text, emit),
        None => request.iter().for_each(|field| emit(field.known, field.name, field.value)),
    }
}
