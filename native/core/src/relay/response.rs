//! Phases 13 to 15 on the response's side: what a backend answers becomes frames on the client's stream.
//!
//! A small response is staged, head and body together, and written with its end in one call. A large body goes as chunks of the block it was read into: quiche
//! keeps them as they are, so the proxy copies no byte of it. What the stream does not take is held, at most the upstream stream's window, because only
//! bytes that the stream took are credited to the backend.

use super::exchange::{Exchange, Outgoing, Phase};
use super::plan::{Edits, Values};
use super::send::values_of;
use super::{Note, Relay};
use crate::base::chunk::Chunk;
use crate::base::reason::Reason;
use crate::base::slab::{self};
use crate::http::check::ResponseFacts;
use crate::http::error::h3;
use crate::http::fields::{Fields, Known};
use crate::http::h3::{FRAME_HEAD_BYTES, write_data_head, write_headers};
use crate::http::qpack;
use crate::quic::connection::Quic;
use crate::upstream::{BodyPart, Fault, Key, SessionRef, Sink};

/// A staged response grows to this; larger parts go as chunks.
const STAGE_BYTES: usize = 8 * 1024;

/// An end never goes alone: quiche forgets a stream once all its bytes are acknowledged, whether or not an end without bytes has arrived, and then does not send it
/// again. So it goes with an empty frame of a reserved type, which everybody has to ignore (RFC 9114 §7.2.8).
const LAST_FRAME: [u8; 2] = [0x21, 0];

/// How writing to a client's stream ended.
enum Written {
    /// The stream has everything, and its end if there is one.
    All,
    /// It takes no more now.
    Blocked,
    /// The client wants no more (STOP_SENDING), or the stream is gone.
    Refused,
}

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
        let values = values_of(exchange, self.now);
        let edits = exchange.plan.as_ref().map(|plan| &plan.response);
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
        exchange.outgoing.framed = Chunk::copy_of(&frames);
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
                exchange.outgoing.framed = Chunk::copy_of(&[exchange.outgoing.framed.as_ref(), &stage[sent..]].concat());
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
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(connection) = self.connections.get_mut(exchange.connection) else { return };
        let connection_key = exchange.connection;
        let held = exchange.outgoing.body_len;
        let written = write_outgoing(&mut exchange.outgoing, &mut connection.quic, exchange.stream);
        let taken = held - exchange.outgoing.body_len;
        let is_blocked = matches!(written, Written::Blocked);
        if is_blocked != exchange.outgoing.is_blocked {
            exchange.outgoing.is_blocked = is_blocked;
            connection.blocked = if is_blocked { connection.blocked + 1 } else { connection.blocked - 1 };
        }
        if taken > 0 {
            exchange.times.moved = self.now;
            if let Some(stream) = exchange.upstream {
                self.notes.push(Note::Credit(stream, taken));
            }
        }
        match written {
            Written::All if exchange.outgoing.is_done => self.response_is_done(key),
            Written::All | Written::Blocked => {}
            Written::Refused => {
                let code = crate::http::error::h2::CANCEL;
                if let Some(stream) = exchange.upstream.take() {
                    self.notes.push(Note::Reset(stream, code));
                }
                exchange.ended_by = crate::record::outward::ENDED_BY_CLIENT;
                let _ = connection.quic.stream_shutdown(exchange.stream, quiche::Shutdown::Read, h3::REQUEST_CANCELLED);
                self.complete(key, Reason::ClientReset);
            }
        }
        self.mark(connection_key);
    }

    /// The client's stream has the whole response.
    fn response_is_done(&mut self, key: slab::Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !exchange.incoming.is_done {
            if exchange.phase == Phase::Relay && exchange.upstream.is_some() {
                // The backend answered early and still takes the body: let it.
                return;
            }
            // RFC 9114 §4.1: the rest of the request is not needed.
            if let Some(connection) = self.connections.get_mut(exchange.connection) {
                let _ = connection.quic.stream_shutdown(exchange.stream, quiche::Shutdown::Read, h3::NO_ERROR);
            }
        }
        exchange.upstream = None;
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
        if self.stage_owner != Some(key) {
            self.flush_stage();
        }
        let Some(exchange) = self.exchanges.get(key) else { return };
        let values = values_of(exchange, self.now);
        let edits = exchange.plan.as_ref().map(|plan| &plan.response);
        let (stage, text) = (&mut self.stage, &mut self.text);
        write_headers(stage, |out| {
            qpack::encode_prefix(out);
            write_fields(fields, edits, &values, text, out);
        });
        self.stage_owner = Some(key);
    }

    fn relaying(&mut self, key: Key) -> Option<&mut Box<Exchange>> {
        self.exchanges.get_mut(slab::Key::unpack(key)).filter(|exchange| exchange.phase == Phase::Relay)
    }
}

impl Sink for Relay {
    fn on_informational(&mut self, key: Key, _status: u16, fields: &Fields) {
        let Some(exchange) = self.relaying(key) else { return };
        if exchange.is_committed {
            return;
        }
        self.stage_head(slab::Key::unpack(key), fields);
        self.flush_stage();
    }

    fn on_head(&mut self, key: Key, status: u16, fields: &Fields, _facts: ResponseFacts, end: bool) {
        let now = self.now;
        let Some(exchange) = self.relaying(key) else { return };
        exchange.is_committed = true;
        exchange.status = status;
        exchange.backend_status = status;
        exchange.times.answered = now;
        exchange.reason = Reason::None;
        exchange.ended_by = 0;
        if end {
            end_of_response(exchange);
        }
        self.stage_head(slab::Key::unpack(key), fields);
    }

    fn on_data(&mut self, key: Key, data: BodyPart<'_>, end: bool) -> usize {
        let packed = slab::Key::unpack(key);
        let is_staged = self.stage_owner == Some(packed);
        let stage_len = self.stage.len();
        let Some(exchange) = self.relaying(key) else { return data.len() };
        if end {
            end_of_response(exchange);
        }
        if is_staged && stage_len + data.len() <= STAGE_BYTES && exchange.outgoing.body_len == 0 && exchange.outgoing.framed.is_empty() {
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
        if is_staged {
            self.flush_stage();
        } else {
            self.write_response(packed);
        }
        0
    }

    fn on_end(&mut self, key: Key) {
        let packed = slab::Key::unpack(key);
        let Some(exchange) = self.relaying(key) else { return };
        end_of_response(exchange);
        if self.stage_owner == Some(packed) {
            self.flush_stage();
        } else {
            self.write_response(packed);
        }
    }

    fn on_trailers(&mut self, key: Key, fields: &Fields) {
        let packed = slab::Key::unpack(key);
        if self.stage_owner == Some(packed) {
            self.flush_stage();
        }
        let Some(exchange) = self.relaying(key) else { return };
        let mut tail = std::mem::take(&mut exchange.outgoing.tail);
        write_headers(&mut tail, |out| qpack::encode(fields, out));
        exchange.outgoing.tail = tail;
        end_of_response(exchange);
        self.write_response(packed);
    }

    fn on_failed(&mut self, key: Key, fault: Fault) {
        self.flush_stage();
        let packed = slab::Key::unpack(key);
        let Some(exchange) = self.exchanges.get(packed) else { return };
        if matches!(exchange.phase, Phase::Open | Phase::Relay) {
            self.attempt_failed(packed, fault);
        }
    }

    fn on_window(&mut self, key: Key) {
        self.note_send(slab::Key::unpack(key));
    }

    fn on_opened(&mut self, key: Key, session: SessionRef) {
        let packed = slab::Key::unpack(key);
        match self.exchanges.get(packed) {
            Some(exchange) if exchange.phase == Phase::Open => self.notes.push(Note::Start(packed, session)),
            _ => self.notes.push(Note::Release(session)),
        }
    }

    fn on_upload_stopped(&mut self, key: Key) {
        let Some(exchange) = self.relaying(key) else { return };
        exchange.upstream = None;
        exchange.incoming.is_done = true;
        let (connection, stream, is_done) = (exchange.connection, exchange.stream, exchange.outgoing.is_done);
        if let Some(connection) = self.connections.get_mut(connection) {
            let _ = connection.quic.stream_shutdown(stream, quiche::Shutdown::Read, h3::NO_ERROR);
        }
        self.mark(connection);
        if is_done {
            self.complete(slab::Key::unpack(key), Reason::None);
        }
    }
}

/// The backend said everything. Its stream is gone unless the request is still on its way.
fn end_of_response(exchange: &mut Exchange) {
    exchange.outgoing.is_complete = true;
    if exchange.incoming.is_done {
        exchange.upstream = None;
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

/// Writes frames, then body as DATA frames that fit what the stream takes, then trailers, then the end.
fn write_outgoing(outgoing: &mut Outgoing, quic: &mut Quic, stream: u64) -> Written {
    loop {
        if !outgoing.framed.is_empty() {
            let is_end = outgoing.is_complete && outgoing.body_len == 0 && outgoing.tail.is_empty();
            // A clone, because quiche keeps what it is given even when it takes nothing.
            match quic.stream_send_zc(stream, outgoing.framed.clone(), is_end) {
                Ok((_, None)) => {
                    outgoing.framed = Chunk::default();
                    outgoing.is_done = is_end;
                }
                Ok((_, Some(rest))) => {
                    outgoing.framed = rest;
                    return Written::Blocked;
                }
                Err(error) => return refused(error),
            }
        } else if outgoing.body_len > 0 {
            match write_body(outgoing, quic, stream) {
                Written::All => {}
                other => return other,
            }
        } else if !outgoing.tail.is_empty() {
            outgoing.framed = Chunk::copy_of(&outgoing.tail);
            outgoing.tail.clear();
        } else if outgoing.is_complete && !outgoing.is_done {
            outgoing.framed = Chunk::copy_of(&LAST_FRAME);
        } else {
            return Written::All;
        }
    }
}

/// One DATA frame: as much of the first chunk as fits, so that a frame is never torn.
fn write_body(outgoing: &mut Outgoing, quic: &mut Quic, stream: u64) -> Written {
    let room = match quic.stream_capacity(stream) {
        Ok(room) => room,
        Err(error) => return refused(error),
    };
    if room <= FRAME_HEAD_BYTES {
        // Asks to be told when a frame fits again.
        return match quic.stream_writable(stream, FRAME_HEAD_BYTES + 1) {
            Ok(_) => Written::Blocked,
            Err(error) => refused(error),
        };
    }
    let Some(mut chunk) = outgoing.body.pop_front() else { return Written::All };
    let fits = chunk.len().min(room - FRAME_HEAD_BYTES);
    if fits < chunk.len() {
        let rest = chunk.split_off(fits);
        outgoing.body.push_front(rest);
    }
    let is_end = outgoing.is_complete && fits == outgoing.body_len && outgoing.tail.is_empty();
    let mut head = Vec::with_capacity(FRAME_HEAD_BYTES);
    write_data_head(fits, &mut head);
    if let Err(error) = quic.stream_send(stream, &head, false) {
        outgoing.body.push_front(chunk);
        return refused(error);
    }
    match quic.stream_send_zc(stream, chunk, is_end) {
        Ok((sent, None)) => {
            outgoing.body_len -= sent;
            outgoing.body_bytes += sent as u64;
            outgoing.is_done = is_end;
            Written::All
        }
        // The capacity was asked for above; should quiche take less all the same, the frame's rest goes as it is.
        Ok((sent, Some(rest))) => {
            outgoing.body_len -= fits;
            outgoing.body_bytes += sent as u64;
            outgoing.framed = rest;
            Written::Blocked
        }
        Err(error) => refused(error),
    }
}

fn refused(error: quiche::Error) -> Written {
    if error == quiche::Error::Done { Written::Blocked } else { Written::Refused }
}
