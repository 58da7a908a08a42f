//! Phase 5, decode: a request stream becomes a checked, canonical head.

use super::{Relay, answer, end, lane};
use crate::base::budget::Pressure;
use crate::base::counters::{Id, Rejected};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::http3::Stopped;
use crate::downstream::incoming::{Expect, take_section};
use crate::exchange::{ClientFacts, Decide, Exchange, Offer, State, Times};
use crate::http::check::{self, FaultKind};
use crate::http::error::h3;
use crate::http::fields::{Fields, Known};
use crate::http::h3::{RequestFrame, request_frame};
use crate::http::normal;
use crate::http::qpack;
use crate::http::section::{DecodeError, FieldLimits};
use crate::record::layout::COMPLETED_BY_CLIENT;
use crate::record::outward::RequestId;
use crate::upstream::Upstreams;

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

impl Relay {
    /// A request stream has bytes or an end.
    pub fn on_request_readable(&mut self, upstreams: &mut Upstreams, connection: Key, stream: u64) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        let key = match state.exchanges.get(&stream) {
            Some(key) => *key,
            // Bytes of a stream whose exchange has ended.
            None if !state.protocol.begin(stream, self.turn.now) => return,
            None => match self.begin(connection, stream) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(exchange) = self.exchanges.get(key) else { return };
        if matches!(exchange.state(), State::Decode) {
            self.decode(upstreams, key);
        } else if exchange.state().is_relayed() {
            self.send(upstreams, key);
            if self.exchanges.get(key).is_some_and(|exchange| exchange.incoming.is_blocked) {
                self.notice_reset(upstreams, key);
            }
        } else {
            self.notice_reset(upstreams, key);
        }
    }

    /// A new request stream begins an exchange, unless there is no place for it.
    pub(super) fn begin(&mut self, connection: Key, stream: u64) -> Option<Key> {
        let state = self.connections.get_mut(connection)?;
        let is_rejected = state.is_beyond_drain(stream);
        if is_rejected || self.exchanges.len() >= self.rules.max_exchanges {
            // The client may send it again elsewhere: nothing was done with it (RFC 9114 §4.1.1).
            state.protocol.refuse(stream, h3::REQUEST_REJECTED);
            let why = if is_rejected { Rejected::Draining } else { Rejected::Overloaded };
            self.counters.add_to(Id::RequestsRejected, why as usize, 1);
            self.connections.mark(connection);
            return None;
        }
        let mut exchange = self.pool.pop().unwrap_or_else(|| Box::new(Exchange::idle()));
        let client = ClientFacts { peer: state.peer, told: state.tls.told.clone(), network: 0, number: state.accepted.number };
        let id = RequestId::new(&self.rng.hex_id()).unwrap_or(exchange.request.id);
        let now = self.turn.now;
        let times = Times::begin(now, self.turn.now_ms);
        let key = self.exchanges.insert_with(|key| {
            exchange.begin(key, connection, stream, client, id, times);
            exchange
        });
        state.enter(stream, key, now);
        self.counters.add(Id::ExchangesStarted, 1);
        self.counters.set(Id::ExchangesOpen, 0, self.exchanges.len() as u64);
        Some(key)
    }

    /// Phase 5: reads until the head is complete.
    pub(super) fn decode(&mut self, upstreams: &mut Upstreams, key: Key) {
        let mut scratch = std::mem::take(&mut self.scratch.bytes);
        while let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| matches!(exchange.state(), State::Decode)) {
            let connection_key = exchange.connection;
            let Some(connection) = self.connections.get_mut(connection_key) else { break };
            let (count, is_end) = match exchange.incoming.read(&mut connection.protocol, exchange.stream, &mut scratch) {
                Ok(read) => read,
                Err(Stopped::Empty) => break,
                Err(Stopped::Reset(code)) => {
                    end::client_left(self, upstreams, key, Reason::ClientReset, code);
                    break;
                }
                Err(Stopped::Gone) => {
                    end::client_left(self, upstreams, key, Reason::ClientGone, h3::REQUEST_CANCELLED);
                    break;
                }
            };
            let limits = self.rules.limits[connection.accepted.listener as usize].fields;
            let mut input = &scratch[..count];
            match decode_head(exchange, &mut input, limits) {
                // A frame that the stream's end cuts short (RFC 9114 §7.1).
                Decoded::Partial if is_end && exchange.incoming.is_inside_frame() => self.close_connection(connection_key, h3::FRAME_ERROR),
                Decoded::Partial if is_end => {
                    end::abort(self, upstreams, key, h3::REQUEST_INCOMPLETE, Reason::ClientProtocolError, COMPLETED_BY_CLIENT);
                }
                Decoded::Partial => continue,
                Decoded::Head => {
                    exchange.incoming.early.extend_from_slice(input);
                    exchange.incoming.is_early_end = is_end;
                    exchange.incoming.is_done = is_end && input.is_empty();
                    self.head_is_complete(key);
                    self.recount_request(key);
                }
                Decoded::Refuse(reason) => {
                    self.note_head(key);
                    answer::reason(self, key, reason);
                }
                Decoded::Close(code) => self.close_connection(connection_key, code),
            }
            break;
        }
        self.scratch.bytes = scratch;
    }

    /// The head is decoded, or found wrong.
    pub(super) fn note_head(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.times.head = self.turn.now;
        exchange.times.moved = self.turn.now;
    }

    pub(super) fn head_is_complete(&mut self, key: Key) {
        self.note_head(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(connection) = self.connections.get_mut(exchange.connection) else { return };
        let rules = self.rules.limits[connection.accepted.listener as usize].normal;
        let judged = judge_head(exchange, rules, &mut self.scratch.text);
        // Before anything looks at the head: no rule can let through what it never sees.
        let removed = self.rules.reserved.strip(&mut exchange.request.head);
        if removed > 0 {
            self.counters.add(Id::ReservedFieldsRemoved, removed);
        }
        match judged {
            Ok(()) if !connection.tls.coverage.admits(authority(&exchange.request.head)) => answer::reason(self, key, Reason::Misdirected),
            Ok(()) if self.held.pressure == Pressure::Full => answer::reason(self, key, Reason::Overloaded),
            Ok(()) => lane::offer(self, key, Decide::about(Offer::Head, false)),
            Err(reason) => answer::reason(self, key, reason),
        }
    }

    /// Counts anew what of a request with a body may come and is kept.
    pub(super) fn recount_request(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| !exchange.incoming.is_bodiless()) else { return };
        if let Some(connection) = self.connections.get_mut(exchange.connection) {
            exchange.recount_request(connection);
        }
    }

    /// While nothing may be read, a reset must still be noticed.
    pub(super) fn notice_reset(&mut self, upstreams: &mut Upstreams, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(connection) = self.connections.get_mut(exchange.connection) else { return };
        if exchange.incoming.is_done {
            return;
        }
        if let Some(code) = connection.protocol.reset_of(exchange.stream) {
            end::client_left(self, upstreams, key, Reason::ClientReset, code);
        }
    }
}

/// Whom a request is for.
fn authority(request: &Fields) -> &[u8] {
    request.known(Known::Authority).or_else(|| request.known(Known::Host)).unwrap_or_default()
}

/// Makes the head canonical, where the listener wants it so, and checks it. What is malformed is called that, even where it also has no canonical form.
fn judge_head(exchange: &mut Exchange, rules: Option<normal::Rules>, text: &mut Vec<u8>) -> Result<(), Reason> {
    exchange.request.are_slashes_merged = rules.is_some_and(|rules| rules.are_slashes_merged);
    let is_canonical =
        rules.is_none_or(|rules| normal::head(&mut exchange.request.head, rules, text, &mut exchange.request.kept_path).is_ok());
    let facts = check::check_request(&exchange.request.head, false).map_err(|fault| match fault.kind {
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

/// Takes bytes of the head section; what follows it stays in `input`.
fn decode_head(exchange: &mut Exchange, input: &mut &[u8], limits: FieldLimits) -> Decoded {
    let Exchange { incoming, request, .. } = exchange;
    let request = &mut request.head;
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
                    Ok(()) => {
                        request.join_crumbs();
                        Decoded::Head
                    }
                    Err(DecodeError::TooLarge) => Decoded::Refuse(Reason::RequestHeadTooLarge),
                    Err(DecodeError::Malformed) => Decoded::Close(h3::QPACK_DECOMPRESSION_FAILED),
                };
            }
            Expect::Data(_) => return Decoded::Close(h3::FRAME_UNEXPECTED),
        }
    }
}
