//! Phase 11, send: the request's body goes on as client and backend allow, and its head as the plan edits it.
//!
//! Body bytes go from quiche's stream buffer straight into the session's output, one copy. Until a backend has room nothing is read, so the client's
//! stream window fills and stops it.

use super::{Relay, answer, complete, end, withdraw};
use crate::base::counters::{Counters, Id, TrailerDropped};
use crate::base::panics;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::downstream::http3::{Http3, Stopped};
use crate::downstream::incoming::{Expect, take_section};
use crate::exchange::Exchange;
use crate::exchange::attempt::Attempt;
use crate::http::check;
use crate::http::error::{h2, h3};
use crate::http::fields::{Fields, Known};
use crate::http::h3::{RequestFrame, request_frame};
use crate::http::qpack;
use crate::http::reserved::Reserved;
use crate::http::section::{DecodeError, FieldLimits};
use crate::plan::Values;
use crate::record::layout::COMPLETED_BY_CLIENT;
use crate::upstream::{StreamRef, Upstreams};

impl Relay {
    /// Phase 11: sends as much of the request as client and backend allow.
    pub(super) fn send(&mut self, upstreams: &mut Upstreams, key: Key) {
        loop {
            let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.state().is_relayed()) else { return };
            let Some(stream) = exchange.attempt.upstream.filter(|_| !exchange.incoming.is_done) else { return };
            let connection_key = exchange.connection;
            let Some(connection) = self.connections.get_mut(connection_key) else { return };
            let limits = self.rules.limits[connection.accepted.listener as usize].fields;
            let before = exchange.incoming.body_bytes;
            let rules = BodyRules { limits, reserved: &self.rules.reserved, counters: &self.counters };
            let step = send_step(exchange, &mut connection.protocol, upstreams, stream, &rules);
            if exchange.incoming.body_bytes != before {
                exchange.times.moved = self.turn.now;
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
                    exchange.attempt.sent = self.turn.now;
                    if exchange.outgoing.is_done {
                        exchange.attempt.upstream = None;
                        return complete::complete(self, key, Reason::None);
                    }
                    let deadline = exchange.attempt.sent_deadline(true).0;
                    self.deadlines.expect(deadline);
                    break;
                }
                Step::Fault(reason) => return self.request_failed(upstreams, key, reason),
                Step::Panicked => return self.connections.condemn([connection_key]),
                Step::Close(code) => return self.close_connection(connection_key, code),
                Step::Stopped(Stopped::Empty) => break,
                Step::Stopped(Stopped::Reset(code)) => return end::client_left(self, upstreams, key, Reason::ClientReset, code),
                Step::Stopped(Stopped::Gone) => return end::client_left(self, upstreams, key, Reason::ClientGone, h3::REQUEST_CANCELLED),
            }
        }
        self.recount_request(key);
        // Reading may have made room for the client (MAX_STREAM_DATA).
        if let Some(exchange) = self.exchanges.get(key) {
            self.connections.mark(exchange.connection);
        }
    }

    /// The request turned out wrong while its body came.
    pub(super) fn request_failed(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason) {
        withdraw::all(self, upstreams, key, h2::CANCEL);
        let is_committed = self.exchanges.get(key).is_some_and(|exchange| exchange.state().is_committed());
        if is_committed {
            complete::reset_client(self, key, h3::MESSAGE_ERROR, reason, COMPLETED_BY_CLIENT);
        } else {
            answer::reason(self, key, reason);
        }
    }

    /// Closes a connection for a fault of its client.
    pub fn close_connection(&mut self, connection: Key, code: u64) {
        if let Some(state) = self.connections.get_mut(connection) {
            state.close(code);
        }
        self.connections.mark(connection);
    }
}

/// What trailers are held against.
struct BodyRules<'a> {
    limits: FieldLimits,
    reserved: &'a Reserved,
    counters: &'a Counters,
}

/// What one step of sending came to.
enum Step {
    Again,
    Blocked,
    Empty,
    Done,
    Fault(Reason),
    Close(u64),
    Stopped(Stopped),
    Panicked,
}

fn send_step(exchange: &mut Exchange, http: &mut Http3, upstreams: &mut Upstreams, stream: StreamRef, rules: &BodyRules<'_>) -> Step {
    match exchange.incoming.expect {
        Expect::Data(left) if left > 0 => send_data(exchange, http, upstreams, stream, left),
        Expect::Data(_) | Expect::Skip(0) => {
            exchange.incoming.expect = Expect::Frame;
            Step::Again
        }
        Expect::Frame | Expect::Skip(_) | Expect::Section(_) => send_frame(exchange, http, upstreams, stream, rules),
    }
}

/// Body bytes straight from the client's stream into the session's output.
fn send_data(exchange: &mut Exchange, http: &mut Http3, upstreams: &mut Upstreams, stream: StreamRef, left: u64) -> Step {
    let (id, expected, limit) = (exchange.stream, exchange.request.facts.content_length, exchange.attempt.forward.max_body_bytes);
    if exchange.request.facts.is_trace {
        return Step::Fault(Reason::RequestMalformed);
    }
    let incoming = &mut exchange.incoming;
    // By what the frame announces: an HTTP/1.1 session has no room beyond the content-length, and would be waited for.
    if expected.is_some_and(|expected| incoming.body_bytes.saturating_add(left) > expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    if upstreams.body_room(stream) == 0 {
        return Step::Blocked;
    }
    let mut result = Step::Again;
    upstreams.write_body(stream, |room| {
        let want = room.len().min(left.min(usize::MAX as u64) as usize);
        let Ok(read) = panics::guard(|| incoming.read(http, id, &mut room[..want])) else {
            // The session may go on: what panicked is the client's connection.
            result = Step::Panicked;
            return (0, false);
        };
        match read {
            Ok((count, is_end)) => {
                let total = incoming.body_bytes + count as u64;
                let left = left - count as u64;
                if limit.is_some_and(|limit| total > limit) {
                    result = Step::Fault(Reason::RequestBodyTooLarge);
                    return (0, false);
                }
                if is_end && expected.is_some_and(|expected| total != expected) {
                    result = Step::Fault(Reason::RequestLengthMismatch);
                    return (0, false);
                }
                incoming.body_bytes = total;
                incoming.expect = if left == 0 { Expect::Frame } else { Expect::Data(left) };
                if is_end && left > 0 {
                    result = Step::Close(h3::FRAME_ERROR);
                    return (count, false);
                }
                if is_end {
                    result = Step::Done;
                }
                (count, is_end)
            }
            Err(Stopped::Empty) => {
                result = Step::Empty;
                (0, false)
            }
            Err(stopped) => {
                result = Step::Stopped(stopped);
                (0, false)
            }
        }
    });
    result
}

/// Heads of frames, trailers, and frames to skip: small reads of just the bytes that are missing.
fn send_frame(exchange: &mut Exchange, http: &mut Http3, upstreams: &mut Upstreams, stream: StreamRef, rules: &BodyRules<'_>) -> Step {
    let BodyRules { limits, reserved, counters } = *rules;
    let mut bytes = [0u8; 256];
    let incoming = &mut exchange.incoming;
    let want = match incoming.expect {
        Expect::Frame => incoming.frame.missing(),
        Expect::Skip(left) | Expect::Section(left) => left.min(bytes.len() as u64) as usize,
        Expect::Data(_) => 0,
    };
    let (count, is_end) = match incoming.read(http, exchange.stream, &mut bytes[..want]) {
        Ok(read) => read,
        Err(Stopped::Empty) => return Step::Empty,
        Err(stopped) => return Step::Stopped(stopped),
    };
    let mut input = &bytes[..count];
    match incoming.expect {
        Expect::Frame => {
            if let Some((kind, length)) = incoming.frame.take(&mut input) {
                incoming.expect = match request_frame(kind) {
                    Ok(RequestFrame::Unknown) => Expect::Skip(length),
                    // Nothing but unknown frames may follow trailers (RFC 9114 §4.1).
                    Ok(_) if incoming.has_trailers => return Step::Close(h3::FRAME_UNEXPECTED),
                    Ok(RequestFrame::Data) => Expect::Data(length),
                    Ok(RequestFrame::Headers) if length > limits.max_size as u64 => return Step::Fault(Reason::RequestHeadTooLarge),
                    Ok(RequestFrame::Headers) => Expect::Section(length),
                    Err(code) => return Step::Close(code),
                };
            }
        }
        Expect::Skip(left) => incoming.expect = if left == count as u64 { Expect::Frame } else { Expect::Skip(left - count as u64) },
        Expect::Section(left) => {
            if let Some(section) = take_section(&mut incoming.section, &mut incoming.expect, left, &mut input) {
                let mut trailers = Fields::new();
                let decoded = qpack::decode(section, &mut trailers, limits);
                incoming.section.clear();
                match decoded {
                    Ok(()) => {}
                    Err(DecodeError::TooLarge) => return Step::Fault(Reason::RequestHeadTooLarge),
                    Err(DecodeError::Malformed) => return Step::Close(h3::QPACK_DECOMPRESSION_FAILED),
                }
                if check::check_trailers(&trailers).is_err() {
                    return Step::Fault(Reason::RequestMalformed);
                }
                if exchange.request.facts.content_length.is_some_and(|expected| incoming.body_bytes != expected) {
                    return Step::Fault(Reason::RequestLengthMismatch);
                }
                incoming.has_trailers = true;
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
            }
        }
        Expect::Data(_) => {}
    }
    if !is_end {
        return if count == 0 { Step::Empty } else { Step::Again };
    }
    end_of_request(exchange, upstreams, stream)
}

/// The client's stream ended between frames, or inside one.
fn end_of_request(exchange: &mut Exchange, upstreams: &mut Upstreams, stream: StreamRef) -> Step {
    let incoming = &mut exchange.incoming;
    if incoming.is_inside_frame() {
        return Step::Close(h3::FRAME_ERROR);
    }
    if exchange.request.facts.content_length.is_some_and(|expected| incoming.body_bytes != expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    if !incoming.has_trailers {
        upstreams.write_body(stream, |_| (0, true));
    }
    Step::Done
}

/// The request head as the backend gets it: edits applied, authority in its pseudo-header field. Host says nothing that `:authority` does not.
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
        // No edit concerned it.
        Known::Path if !values.kept_path.is_empty() && path == Some(value) => head.push_known(known, name, values.kept_path),
        _ => head.push_known(known, name, value),
    };
    match edits {
        Some(edits) => edits.apply(request, &values, text, emit),
        None => request.iter().for_each(|field| emit(field.known, field.name, field.value)),
    }
}

/// What the variables of an attempt's plan stand for.
pub(super) fn values_of<'a>(exchange: &'a Exchange, attempt: &'a Attempt, now: Nanos) -> Values<'a> {
    Values {
        peer: exchange.client.peer,
        request: &exchange.request.head,
        kept_path: if attempt.plan.as_ref().is_some_and(|plan| plan.is_path_canonical) { &[] } else { &exchange.request.kept_path },
        are_slashes_merged: exchange.request.are_slashes_merged,
        request_id: exchange.request.id.as_bytes(),
        remaining_ms: exchange.times.remaining_ms(now),
        told: exchange.client.told.as_deref(),
        given: attempt.values.each_ref().map(Vec::as_slice),
    }
}
