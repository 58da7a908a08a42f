//! Phases 13 to 15 on the response's side: what a backend answers becomes frames on the client's stream.
//!
//! A small response is staged, head and body together, and written with its end in one call. A large body goes as chunks of the block it was read into: quiche
//! keeps them as they are, so the proxy copies no byte of it. What the stream does not take is held, at most the upstream stream's window, because only
//! bytes that the stream took are credited to the backend.

use super::attempt::key_of;
use super::exchange::{Exchange, Phase};
use super::hold::{Answer, grpc_status};
use super::outgoing::{self, Written};
use super::plan::{Edits, Values};
use super::send::values_of;
use super::{Note, Relay};
use crate::base::reason::Reason;
use crate::base::slab::{self};
use crate::http::check::ResponseFacts;
use crate::http::error::{h2, h3};
use crate::http::fields::{Fields, Known};
use crate::http::h3::{write_data_head, write_headers};
use crate::http::qpack;
use crate::record::outward;
use crate::upstream::{BodyPart, Fault, Key, SessionRef, Sink};

/// A staged response grows to this; larger parts go as chunks.
const STAGE_BYTES: usize = 8 * 1024;

impl Relay {
    // ---- answers of our own

    /// Answers without a backend. Fields must be lower-case; content-length is added here.
    pub(super) fn answer(&mut self, key: slab::Key, status: u16, reason: Reason, fields: &Fields, body: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.phase = Phase::Answer;
        exchange.status = status;
        exchange.reason = reason;
        exchange.is_committed = true;
        let mut frames = Vec::with_capacity(256 + body.len());
        let length = body.len().to_string();
        let values = values_of(exchange, &exchange.attempt, self.now);
        let edits = exchange.attempt.plan.as_ref().map(|plan| &plan.response);
        write_headers(&mut frames, |out| {
            write_status(status, out);
            write_fields(fields, edits, &values, &mut self.text, out);
            qpack::encode_known(Known::ContentLength, b"content-length", length.as_bytes(), out);
        });
        if !exchange.facts.is_head && !body.is_empty() {
            write_data_head(body.len(), &mut frames);
            frames.extend_from_slice(body);
            exchange.outgoing.body_bytes = body.len() as u64;
        }
        // An interim response may not have left yet.
        exchange.outgoing.add_framed(&frames);
        exchange.outgoing.is_complete = true;
        self.write_response(key);
    }

    // ---- writing

    /// Writes what is staged.
    pub(super) fn flush_stage(&mut self) {
        let Some(key) = self.stage_owner.take() else { return };
        let stage = std::mem::take(&mut self.stage);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.times.moved = self.now;
            let is_end = exchange.outgoing.is_complete && exchange.outgoing.body_len == 0 && exchange.outgoing.tail.is_empty();
            let stream = exchange.stream;
            let connection = self.connections.get_mut(exchange.connection);
            let sent = match connection {
                // What is still held goes first.
                Some(connection) if exchange.outgoing.framed.is_empty() => connection.quic.stream_send(stream, &stage, is_end).unwrap_or(0),
                _ => 0,
            };
            if sent == stage.len() {
                exchange.outgoing.is_done = is_end;
            } else {
                // Refusals come up again when this is written, and are dealt with there.
                exchange.outgoing.add_framed(&stage[sent..]);
            }
            self.stage = stage;
            self.stage.clear();
            return self.write_response(key);
        }
        self.stage = stage;
        self.stage.clear();
    }

    /// Writes what is held for a client's stream, as far as it takes it, and ends the exchange when all is said.
    fn write_response(&mut self, key: slab::Key) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.hold.is_none()) else { return };
        let Some(connection) = self.connections.get_mut(exchange.connection) else { return };
        let connection_key = exchange.connection;
        let held = exchange.outgoing.body_len;
        let written = outgoing::write(&mut exchange.outgoing, &mut connection.quic, exchange.stream);
        let taken = held - exchange.outgoing.body_len;
        let is_blocked = matches!(written, Written::Blocked);
        if is_blocked != exchange.outgoing.is_blocked {
            exchange.outgoing.is_blocked = is_blocked;
            connection.blocked = if is_blocked { connection.blocked + 1 } else { connection.blocked - 1 };
        }
        if taken > 0 {
            exchange.times.moved = self.now;
            if let Some(stream) = exchange.attempt.upstream {
                self.notes.push(Note::Credit(stream, taken));
            }
        }
        match written {
            Written::All if exchange.outgoing.is_done => self.response_is_done(key),
            Written::All | Written::Blocked => {}
            Written::Refused => {
                let _ = connection.quic.stream_shutdown(exchange.stream, quiche::Shutdown::Read, h3::REQUEST_CANCELLED);
                self.client_refused(key);
            }
        }
        self.mark(connection_key);
    }

    /// The client wants no more of the response.
    fn client_refused(&mut self, key: slab::Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.ended_by = outward::ENDED_BY_CLIENT;
        if let Some(stream) = exchange.attempt.upstream.take() {
            self.notes.push(Note::Reset(stream, h2::CANCEL));
        }
        let opening = (exchange.phase == Phase::Open).then(|| (exchange.attempt.forward.backend, exchange.name()));
        self.notes.extend(opening.map(|(backend, name)| Note::CancelWait(backend, name)));
        // An interim response may be refused while two attempts run.
        let name = exchange.name();
        self.win(name);
        self.complete(key, Reason::ClientReset);
    }

    /// The client's stream has the whole response.
    fn response_is_done(&mut self, key: slab::Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !exchange.incoming.is_done {
            if exchange.phase == Phase::Relay && exchange.attempt.upstream.is_some() {
                // The backend answered early and still takes the body: let it.
                return;
            }
            // RFC 9114 §4.1: the rest of the request is not needed.
            if let Some(connection) = self.connections.get_mut(exchange.connection) {
                let _ = connection.quic.stream_shutdown(exchange.stream, quiche::Shutdown::Read, h3::NO_ERROR);
            }
        }
        exchange.attempt.upstream = None;
        self.complete(key, Reason::None);
    }

    /// A client's stream takes bytes again.
    pub fn on_response_writable(&mut self, connection: slab::Key, stream: u64) {
        let Some(key) = self.connections.get(connection).and_then(|state| state.exchanges.get(&stream)).copied() else { return };
        let Some(Exchange { outgoing, .. }) = self.exchanges.get(key).map(|exchange| &**exchange) else { return };
        if !outgoing.is_done && (!outgoing.framed.is_empty() || outgoing.body_len > 0 || outgoing.is_complete) {
            self.write_response(key);
        }
    }

    /// Puts a head on the stage, which is the exchange's from now on.
    fn stage_head(&mut self, key: slab::Key, fields: &Fields) {
        self.take_stage(key);
        let mut stage = std::mem::take(&mut self.stage);
        self.write_head(key, fields, &mut stage);
        self.stage = stage;
    }

    /// Puts the head of a held response on the stage and writes what there is of it.
    pub(super) fn stage_held(&mut self, key: slab::Key) {
        self.take_stage(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        self.stage.extend_from_slice(&exchange.outgoing.held_head);
        exchange.outgoing.held_head.clear();
        self.flush_stage();
    }

    fn take_stage(&mut self, key: slab::Key) {
        if self.stage_owner != Some(key) {
            self.flush_stage();
            self.stage_owner = Some(key);
        }
    }

    /// Makes frames of a held response's head, to be staged when it goes on.
    pub(super) fn write_held_head(&mut self, key: slab::Key, fields: &Fields) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let mut frames = std::mem::take(&mut exchange.outgoing.held_head);
        frames.clear();
        self.write_head(key, fields, &mut frames);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.outgoing.held_head = frames;
        }
    }

    /// The frame of a backend's head, as the plan edits it.
    fn write_head(&mut self, key: slab::Key, fields: &Fields, frames: &mut Vec<u8>) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let values = values_of(exchange, &exchange.attempt, self.now);
        let edits = exchange.attempt.plan.as_ref().map(|plan| &plan.response);
        write_headers(frames, |out| {
            qpack::encode_prefix(out);
            write_fields(fields, edits, &values, &mut self.text, out);
        });
    }

    /// The exchange whose response a session brings: under way, or held; none when the attempt has lost or failed.
    fn answered(&mut self, name: Key) -> Option<&mut Box<Exchange>> {
        let exchange = self.exchanges.get_mut(key_of(name))?;
        let is_open = exchange.phase == Phase::Relay || exchange.hold.is_some();
        (is_open && exchange.name() == name).then_some(exchange)
    }
}

impl Sink for Relay {
    fn on_informational(&mut self, name: Key, _status: u16, fields: &Fields) {
        // The hedge's, should there be one, would be a stranger's beside the attempt's own.
        let Some(exchange) = self.answered(name) else { return };
        if exchange.is_committed || exchange.hold.is_some() {
            return;
        }
        self.stage_head(key_of(name), fields);
        self.flush_stage();
    }

    fn on_head(&mut self, name: Key, status: u16, fields: &Fields, _facts: ResponseFacts, end: bool) {
        let now = self.now;
        let key = key_of(name);
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| matches!(exchange.phase, Phase::Open | Phase::Relay)) else {
            return;
        };
        let is_race = exchange.hedge.is_some();
        let Some(attempt) = exchange.attempt_named(name) else { return };
        attempt.answered = now;
        let answer = Answer::of(status, fields, end || attempt.holds_grpc());
        let is_held = attempt.holds(&answer);
        if is_race && is_held {
            return self.failed_beside(name, Reason::ResponseStatus, 0, Some(answer));
        }
        if is_race {
            self.win(name);
        }
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.backend_status = status;
        (exchange.grpc_status, exchange.retry_after_s) = (answer.grpc_status, answer.retry_after_s);
        if end {
            end_of_response(exchange);
        }
        if is_held {
            return self.hold(key, answer, fields);
        }
        exchange.is_committed = true;
        exchange.status = status;
        exchange.reason = Reason::None;
        exchange.ended_by = 0;
        exchange.incoming.keep(0);
        self.stage_head(key, fields);
    }

    fn on_data(&mut self, name: Key, data: BodyPart<'_>, end: bool) -> usize {
        let key = key_of(name);
        let is_staged = self.stage_owner == Some(key);
        let stage_len = self.stage.len();
        let Some(exchange) = self.answered(name) else { return data.len() };
        if end {
            end_of_response(exchange);
        }
        if is_staged && stage_len + data.len() <= STAGE_BYTES && !exchange.outgoing.has_bytes() {
            exchange.outgoing.body_bytes += data.len() as u64;
            if !data.is_empty() {
                write_data_head(data.len(), &mut self.stage);
                self.stage.extend_from_slice(data.bytes());
            }
            return data.len();
        }
        exchange.outgoing.body_len += data.len();
        if !data.is_empty() {
            exchange.outgoing.body.push_back(data.into_chunk());
        }
        self.write_on(key);
        0
    }

    fn on_end(&mut self, name: Key) {
        let Some(exchange) = self.answered(name) else { return };
        end_of_response(exchange);
        self.write_on(key_of(name));
    }

    fn on_trailers(&mut self, name: Key, fields: &Fields) {
        let key = key_of(name);
        if self.stage_owner == Some(key) {
            self.flush_stage();
        }
        let Some(exchange) = self.answered(name) else { return };
        exchange.grpc_status = grpc_status(fields).or(exchange.grpc_status);
        write_headers(&mut exchange.outgoing.tail, |out| qpack::encode(fields, out));
        end_of_response(exchange);
        self.write_response(key);
    }

    fn on_failed(&mut self, name: Key, fault: Fault) {
        self.flush_stage();
        let Some(exchange) = self.exchanges.get_mut(key_of(name)) else { return };
        if matches!(exchange.phase, Phase::Open | Phase::Relay) {
            return self.attempt_failed(name, fault);
        }
        if let Some(hold) = exchange.hold.as_mut() {
            hold.fault = Some(fault);
            exchange.attempt.upstream = None;
            exchange.attempt.count_out(&self.table);
        }
    }

    fn on_window(&mut self, name: Key) {
        self.note_send(key_of(name));
    }

    fn on_opened(&mut self, name: Key, session: SessionRef) {
        let note = if self.is_opening(name) { Note::Start(name, session) } else { Note::Release(session) };
        self.notes.push(note);
    }

    fn on_upload_stopped(&mut self, name: Key) {
        let Some(exchange) = self.answered(name) else { return };
        exchange.attempt.upstream = None;
        if let Some(hold) = exchange.hold.as_mut() {
            hold.is_upload_stopped = true;
            return;
        }
        let is_done = exchange.outgoing.is_done;
        self.stop_upload(key_of(name));
        if is_done {
            self.complete(key_of(name), Reason::None);
        }
    }
}

impl Relay {
    /// Writes what was added to a response.
    fn write_on(&mut self, key: slab::Key) {
        if self.stage_owner == Some(key) {
            self.flush_stage();
        } else {
            self.write_response(key);
        }
    }
}

/// The backend said everything. Its stream is gone unless the request is still on its way.
fn end_of_response(exchange: &mut Exchange) {
    exchange.outgoing.is_complete = true;
    if exchange.incoming.is_done {
        exchange.attempt.upstream = None;
    }
}

fn write_status(status: u16, out: &mut Vec<u8>) {
    let digits = [b'0' + (status / 100 % 10) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
    qpack::encode_prefix(out);
    qpack::encode_known(Known::Status, b":status", &digits, out);
}

fn write_fields(fields: &Fields, edits: Option<&Edits>, values: &Values<'_>, text: &mut Vec<u8>, out: &mut Vec<u8>) {
    match edits {
        Some(edits) => edits.apply(fields, values, text, |known, name, value| qpack::encode_known(known, name, value, out)),
        None => fields.iter().for_each(|field| qpack::encode_known(field.known, field.name, field.value, out)),
    }
}
