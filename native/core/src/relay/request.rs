//! Phases 5 and 11 on the request's side: decode a request stream into a checked head, and send its body as the backend takes it.
//!
//! Body bytes go from quiche's stream buffer straight into the session's output, one copy. Until a backend has room nothing is read, so the client's
//! stream window fills and stops it.

use super::exchange::{Exchange, Expect, Incoming, Offer, Phase};
use super::plan::Values;
use super::{Note, Relay};
use crate::base::counters::{Id, Rejected};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::http::check::{self, FaultKind};
use crate::http::error::{h2, h3};
use crate::http::fields::{Fields, Known};
use crate::http::h3::{RequestFrame, request_frame};
use crate::http::qpack;
use crate::http::section::{DecodeError, FieldLimits};
use crate::quic::connection::{Drain, Quic};
use crate::record::outward::{ENDED_BY_CLIENT, RequestId};
use crate::upstream::{StreamRef, Upstreams};

/// What became of the head's bytes.
enum Decoded {
    /// More are needed.
    Partial,
    /// `request` holds a head.
    Head,
    /// The exchange is to be refused.
    Refuse(Reason),
    /// The connection is to be closed with this code.
    Close(u64),
}

/// Why reading a request stream stopped.
enum Stopped {
    /// For now there is nothing more.
    Empty,
    /// Client reset it with this code.
    Reset(u64),
    /// quiche knows no such stream any more.
    Gone,
}

impl Incoming {
    /// Whether part of a frame has come and the rest is missing.
    fn is_inside_frame(&self) -> bool {
        !matches!(self.expect, Expect::Frame | Expect::Data(0) | Expect::Skip(0)) || !self.frame.is_empty()
    }

    /// Body bytes from what came with the head, then from the stream. The flag says that nothing follows.
    fn read(&mut self, quic: &mut Quic, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        let early = &self.early[self.early_used..];
        if !early.is_empty() || self.is_early_end {
            let count = early.len().min(out.len());
            out[..count].copy_from_slice(&early[..count]);
            self.early_used += count;
            return Ok((count, self.is_early_end && self.early_used == self.early.len()));
        }
        match quic.stream_recv(stream, out) {
            Ok(read) => Ok(read),
            Err(quiche::Error::Done) => Err(Stopped::Empty),
            Err(quiche::Error::StreamReset(code)) => Err(Stopped::Reset(code)),
            Err(_) => Err(Stopped::Gone),
        }
    }
}

impl Relay {
    /// A request stream has bytes or an end.
    pub fn on_request_readable(&mut self, upstreams: &mut Upstreams, connection: Key, stream: u64) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        let key = match state.exchanges.get(&stream) {
            Some(key) => *key,
            // Bytes of a stream whose exchange has ended: quiche drops them, its reading side was shut down.
            None if stream < state.next_request => {
                let _ = state.quic.stream_shutdown(stream, quiche::Shutdown::Read, h3::NO_ERROR);
                return;
            }
            None => match self.begin(connection, stream) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(exchange) = self.exchanges.get(key) else { return };
        if exchange.phase == Phase::Decode {
            self.decode(upstreams, key);
        } else if exchange.phase == Phase::Relay {
            self.send(upstreams, key);
            if self.exchanges.get(key).is_some_and(|exchange| exchange.incoming.is_blocked) {
                self.notice_reset(upstreams, key);
            }
        } else {
            self.notice_reset(upstreams, key);
        }
    }

    /// A new request stream begins an exchange, unless there is no place for it.
    fn begin(&mut self, connection: Key, stream: u64) -> Option<Key> {
        let state = self.connections.get_mut(connection)?;
        // Streams may begin out of order; those below that were never seen still count as new.
        state.next_request = state.next_request.max(stream + 4);
        let is_rejected = match state.drain {
            Drain::Final { stream: first, .. } => stream >= first,
            _ => false,
        };
        if is_rejected || self.exchanges.len() >= self.max_exchanges {
            // The client may send it again elsewhere: nothing was done with it (RFC 9114 §4.1.1).
            let _ = state.quic.stream_shutdown(stream, quiche::Shutdown::Read, h3::REQUEST_REJECTED);
            let _ = state.quic.stream_shutdown(stream, quiche::Shutdown::Write, h3::REQUEST_REJECTED);
            let why = if is_rejected { Rejected::Draining } else { Rejected::Overloaded };
            self.counters.add_to(Id::RequestsRejected, why as usize, 1);
            self.mark(connection);
            return None;
        }
        let mut exchange = self.pool.pop().unwrap_or_else(|| Box::new(Exchange::idle()));
        let now = self.now;
        exchange.peer = state.peer;
        exchange.started_ms = self.now_ms;
        exchange.request_id = RequestId::new(&self.rng.hex_id()).unwrap_or(exchange.request_id);
        let key = self.exchanges.insert_with(|key| {
            exchange.begin(key, connection, stream, now);
            exchange
        });
        state.exchanges.insert(stream, key);
        self.counters.add(Id::ExchangesStarted, 1);
        self.counters.set(Id::ExchangesOpen, 0, self.exchanges.len() as u64);
        Some(key)
    }

    /// Phase 5: reads until the head is complete.
    fn decode(&mut self, upstreams: &mut Upstreams, key: Key) {
        let mut scratch = std::mem::take(&mut self.scratch);
        loop {
            let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Decode) else { break };
            let connection_key = exchange.connection;
            let Some(connection) = self.connections.get_mut(connection_key) else { break };
            let (count, is_end) = match exchange.incoming.read(&mut connection.quic, exchange.stream, &mut scratch) {
                Ok(read) => read,
                Err(Stopped::Empty) => break,
                Err(Stopped::Reset(code)) => {
                    self.client_left(upstreams, key, Reason::ClientReset, code);
                    break;
                }
                Err(Stopped::Gone) => {
                    self.client_left(upstreams, key, Reason::ClientGone, h3::REQUEST_CANCELLED);
                    break;
                }
            };
            let limits = self.limits[connection.listener as usize].fields;
            let mut input = &scratch[..count];
            match decode_head(exchange, &mut input, limits) {
                // A frame that the stream's end cuts short (RFC 9114 §7.1).
                Decoded::Partial if is_end && exchange.incoming.is_inside_frame() => self.close_connection(connection_key, h3::FRAME_ERROR),
                Decoded::Partial if is_end => {
                    self.abort(upstreams, key, h3::REQUEST_INCOMPLETE, Reason::ClientProtocolError, ENDED_BY_CLIENT);
                }
                Decoded::Partial => continue,
                Decoded::Head => {
                    exchange.incoming.early.extend_from_slice(input);
                    exchange.incoming.is_early_end = is_end;
                    exchange.incoming.is_done = is_end && input.is_empty();
                    self.head_is_complete(key);
                }
                Decoded::Refuse(reason) => {
                    self.note_head(key);
                    self.answer_reason(key, reason);
                }
                Decoded::Close(code) => self.close_connection(connection_key, code),
            }
            break;
        }
        self.scratch = scratch;
    }

    /// The head is decoded, or found wrong.
    fn note_head(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.times.head = self.now;
        exchange.times.moved = self.now;
    }

    fn head_is_complete(&mut self, key: Key) {
        self.note_head(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        match check::check_request(&exchange.request, false) {
            Ok(facts) => {
                exchange.facts = facts;
                if facts.has_unknown_expectation {
                    return self.answer_reason(key, Reason::ExpectationFailed);
                }
                if exchange.incoming.is_done && facts.content_length.is_some_and(|length| length > 0) {
                    return self.answer_reason(key, Reason::RequestLengthMismatch);
                }
                self.offer(key, Offer::Head);
            }
            Err(fault) => {
                let reason = match fault.kind {
                    FaultKind::Malformed => Reason::RequestMalformed,
                    FaultKind::ConnectNotSupported => Reason::ConnectNotSupported,
                };
                self.answer_reason(key, reason);
            }
        }
    }

    /// While nothing may be read, a reset must still be noticed: quiche tells it only to a reader.
    fn notice_reset(&mut self, upstreams: &mut Upstreams, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(connection) = self.connections.get_mut(exchange.connection) else { return };
        if exchange.incoming.is_done {
            return;
        }
        if let Err(quiche::Error::StreamReset(code)) = connection.quic.stream_recv(exchange.stream, &mut []) {
            self.client_left(upstreams, key, Reason::ClientReset, code);
        }
    }

    /// Phase 11: sends as much of the request as client and backend allow.
    pub(super) fn send(&mut self, upstreams: &mut Upstreams, key: Key) {
        loop {
            let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Relay) else { return };
            let Some(stream) = exchange.upstream.filter(|_| !exchange.incoming.is_done) else { return };
            let connection_key = exchange.connection;
            let Some(connection) = self.connections.get_mut(connection_key) else { return };
            let limits = self.limits[connection.listener as usize].fields;
            let before = exchange.incoming.body_bytes;
            let step = send_step(exchange, &mut connection.quic, upstreams, stream, limits);
            if exchange.incoming.body_bytes != before {
                exchange.times.moved = self.now;
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
                    exchange.times.sent = self.now;
                    if exchange.outgoing.is_done {
                        exchange.upstream = None;
                        return self.complete(key, Reason::None);
                    }
                    break;
                }
                Step::Fault(reason) => return self.request_failed(upstreams, key, reason),
                Step::Close(code) => return self.close_connection(connection_key, code),
                Step::Stopped(Stopped::Empty) => break,
                Step::Stopped(Stopped::Reset(code)) => return self.client_left(upstreams, key, Reason::ClientReset, code),
                Step::Stopped(Stopped::Gone) => return self.client_left(upstreams, key, Reason::ClientGone, h3::REQUEST_CANCELLED),
            }
        }
        // Reading may have made room for the client (MAX_STREAM_DATA).
        if let Some(exchange) = self.exchanges.get(key) {
            self.mark(exchange.connection);
        }
    }

    /// The request turned out wrong while its body came.
    fn request_failed(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason) {
        self.cancel_attempt(upstreams, key, h2::CANCEL);
        let is_committed = self.exchanges.get(key).is_some_and(|exchange| exchange.is_committed);
        if is_committed {
            self.reset_client(key, h3::MESSAGE_ERROR, reason, ENDED_BY_CLIENT);
        } else {
            self.answer_reason(key, reason);
        }
    }

    /// Closes a connection for a fault of its client.
    pub fn close_connection(&mut self, connection: Key, code: u64) {
        if let Some(state) = self.connections.get_mut(connection) {
            state.close(code);
        }
        self.mark(connection);
    }

    /// A backend has room for more of the body.
    pub(super) fn note_send(&mut self, key: Key) {
        self.notes.push(Note::Send(key));
    }
}

/// Takes bytes of the head section; what follows it stays in `input`.
fn decode_head(exchange: &mut Exchange, input: &mut &[u8], limits: FieldLimits) -> Decoded {
    let Exchange { incoming, request, .. } = exchange;
    loop {
        match incoming.expect {
            Expect::Frame => {
                let Some((kind, length)) = incoming.frame.take(input) else { return Decoded::Partial };
                incoming.expect = match request_frame(kind) {
                    Ok(RequestFrame::Headers) if length > limits.max_size as u64 => return Decoded::Refuse(Reason::RequestHeadTooLarge),
                    Ok(RequestFrame::Headers) => Expect::Section(length),
                    Ok(RequestFrame::Unknown) => Expect::Skip(length),
                    // A body without a head (RFC 9114 §4.1).
                    Ok(RequestFrame::Data) => return Decoded::Close(h3::FRAME_UNEXPECTED),
                    Err(code) => return Decoded::Close(code),
                };
            }
            Expect::Skip(left) => {
                let count = left.min(input.len() as u64);
                *input = &input[count as usize..];
                if count < left {
                    incoming.expect = Expect::Skip(left - count);
                    return Decoded::Partial;
                }
                incoming.expect = Expect::Frame;
            }
            Expect::Section(left) => {
                let Some(section) = take_section(&mut incoming.section, &mut incoming.expect, left, input) else { return Decoded::Partial };
                incoming.has_head = true;
                let result = qpack::decode(section, request, limits);
                incoming.section.clear();
                return match result {
                    Ok(()) => Decoded::Head,
                    Err(DecodeError::TooLarge) => Decoded::Refuse(Reason::RequestHeadTooLarge),
                    Err(DecodeError::Malformed) => Decoded::Close(h3::QPACK_DECOMPRESSION_FAILED),
                };
            }
            Expect::Data(_) => return Decoded::Close(h3::FRAME_UNEXPECTED),
        }
    }
}

/// A whole field section, in place where it came in one piece, collected otherwise.
fn take_section<'a, 'i: 'a>(collected: &'a mut Vec<u8>, expect: &mut Expect, left: u64, input: &mut &'i [u8]) -> Option<&'a [u8]> {
    let count = left.min(input.len() as u64) as usize;
    let (piece, rest) = input.split_at(count);
    *input = rest;
    if (count as u64) < left {
        collected.extend_from_slice(piece);
        *expect = Expect::Section(left - count as u64);
        return None;
    }
    *expect = Expect::Frame;
    if collected.is_empty() {
        return Some(piece);
    }
    collected.extend_from_slice(piece);
    Some(collected)
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
}

fn send_step(exchange: &mut Exchange, quic: &mut Quic, upstreams: &mut Upstreams, stream: StreamRef, limits: FieldLimits) -> Step {
    match exchange.incoming.expect {
        Expect::Data(left) if left > 0 => send_data(exchange, quic, upstreams, stream, left),
        Expect::Data(_) | Expect::Skip(0) => {
            exchange.incoming.expect = Expect::Frame;
            Step::Again
        }
        Expect::Frame | Expect::Skip(_) | Expect::Section(_) => send_frame(exchange, quic, upstreams, stream, limits),
    }
}

/// Body bytes straight from the client's stream into the session's output.
fn send_data(exchange: &mut Exchange, quic: &mut Quic, upstreams: &mut Upstreams, stream: StreamRef, left: u64) -> Step {
    if upstreams.body_room(stream) == 0 {
        return Step::Blocked;
    }
    let (id, expected, limit) = (exchange.stream, exchange.facts.content_length, exchange.forward.max_body_bytes);
    let incoming = &mut exchange.incoming;
    let mut result = Step::Again;
    upstreams.write_body(stream, |room| {
        let want = room.len().min(left.min(usize::MAX as u64) as usize);
        match incoming.read(quic, id, &mut room[..want]) {
            Ok((count, is_end)) => {
                let total = incoming.body_bytes + count as u64;
                let left = left - count as u64;
                if limit.is_some_and(|limit| total > limit) {
                    result = Step::Fault(Reason::RequestBodyTooLarge);
                    return (0, false);
                }
                if expected.is_some_and(|expected| total > expected || is_end && total != expected) {
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
fn send_frame(exchange: &mut Exchange, quic: &mut Quic, upstreams: &mut Upstreams, stream: StreamRef, limits: FieldLimits) -> Step {
    let mut bytes = [0u8; 256];
    let incoming = &mut exchange.incoming;
    let want = match incoming.expect {
        Expect::Frame => incoming.frame.missing(),
        Expect::Skip(left) | Expect::Section(left) => left.min(bytes.len() as u64) as usize,
        Expect::Data(_) => 0,
    };
    let (count, is_end) = match incoming.read(quic, exchange.stream, &mut bytes[..want]) {
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
                if exchange.facts.content_length.is_some_and(|expected| incoming.body_bytes != expected) {
                    return Step::Fault(Reason::RequestLengthMismatch);
                }
                incoming.has_trailers = true;
                upstreams.write_trailers(stream, &trailers);
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
    if exchange.facts.content_length.is_some_and(|expected| incoming.body_bytes != expected) {
        return Step::Fault(Reason::RequestLengthMismatch);
    }
    if !incoming.has_trailers {
        upstreams.write_body(stream, |_| (0, true));
    }
    Step::Done
}

/// The request head as the backend gets it: edits applied, authority in its pseudo-header field.
pub(super) fn compose_head(exchange: &Exchange, head: &mut Fields, text: &mut Vec<u8>) {
    let request = &exchange.request;
    let authority = request.known(Known::Authority);
    let host = request.known(Known::Host).unwrap_or(b"");
    let values = Values {
        peer: exchange.peer,
        scheme: request.known(Known::Scheme).unwrap_or(b"https"),
        authority: authority.unwrap_or(host),
        request_id: exchange.request_id.as_bytes(),
    };
    let mut emit = |known: Known, name: &[u8], value: &[u8]| match known {
        // Host says nothing that `:authority` does not.
        Known::Host => {}
        Known::Method if authority.is_none() => {
            head.push_known(known, name, value);
            head.push_known(Known::Authority, b":authority", host);
        }
        _ => head.push_known(known, name, value),
    };
    match &exchange.plan {
        Some(plan) => plan.request.apply(request, values, text, &mut emit),
        None => request.iter().for_each(|field| emit(field.known, field.name, field.value)),
    }
}
