//! Phases 13 to 15, the client's half: writes heads and bodies to a client's stream.
//!
//! A small response is staged, head and body together, and written with its end in one call. What
//! the stream does not take is held. That is at most the upstream stream's window, because a
//! backend gets credit only for bytes that the stream took.

use super::notes::Note;
use super::values::values_of;
use super::{Relay, complete, withdraw};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::downstream::terms::Unwritten;
use crate::downstream::wire::FieldLines;
use crate::exchange::attempt::key_of;
use crate::exchange::{Exchange, State};
use crate::http::check::has_no_length;
use crate::http::error::h2;
use crate::http::fields::{Fields, Known};
use crate::plan::{Edits, Values};
use crate::record::layout;
use crate::upstream;

// ---- the edge's own answers

/// Answers without a backend. Fields must be lower-case; content-length is added here.
pub(super) fn answer(relay: &mut Relay, key: Key, status: u16, reason: Reason, fields: &Fields, body: &[u8]) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.enter(State::Answer);
    exchange.outcome.status = status;
    exchange.outcome.reason = reason;
    let mut frames = Vec::with_capacity(256 + body.len());
    let length = body.len().to_string();
    let values = values_of(exchange, &exchange.attempt, relay.turn.now);
    let edits = exchange.attempt.plan.as_ref().map(|plan| &plan.response);
    let date = relay.turn.date.at(relay.turn.now_ms);
    // In a 304, content-length would describe the response that is not sent.
    let has_length = !has_no_length(status) && status != 304;
    let encoding = exchange.outgoing.encoding;
    encoding.head(&mut frames, |lines| {
        write_status(status, lines);
        write_fields(fields, edits, &values, &mut relay.scratch.text, Some(date), lines);
        if has_length {
            lines.push(Known::ContentLength, b"content-length", length.as_bytes());
        }
    });
    if has_length && !exchange.request.facts.is_head && !body.is_empty() {
        encoding.body(body, &mut frames);
        exchange.outgoing.body_bytes = body.len() as u64;
    }
    // An interim response may still be waiting.
    exchange.outgoing.add_framed(&frames);
    exchange.outgoing.is_complete = true;
    write_response(relay, key);
}

// ---- writing

/// Writes the staged frames.
pub(super) fn flush_stage(relay: &mut Relay) {
    let Some(key) = relay.stage.owner.take() else { return };
    // This may run on behalf of another exchange, so a panic must count against the owner.
    relay.guarded(key, (), |relay| write_stage(relay, key));
}

fn write_stage(relay: &mut Relay, key: Key) {
    let stage = std::mem::take(&mut relay.stage.bytes);
    if let Some(exchange) = relay.exchanges.get_mut(key) {
        exchange.times.moved = relay.turn.now;
        let is_end = exchange.outgoing.is_complete && exchange.outgoing.body_len == 0 && exchange.outgoing.tail.is_empty();
        let stream = exchange.stream;
        let connection = relay.connections.get_mut(exchange.connection);
        let sent = match connection {
            // Held bytes go first.
            Some(connection) if exchange.outgoing.framed.is_empty() => connection.protocol.stream(stream).write_encoded(&stage, is_end),
            _ => 0,
        };
        exchange.outgoing.taken += sent as u64;
        if sent == stage.len() {
            exchange.outgoing.is_done = is_end;
        } else {
            // A refusal shows up again when these bytes are written, and is handled there.
            exchange.outgoing.add_framed(&stage[sent..]);
        }
        relay.stage.bytes = stage;
        relay.stage.bytes.clear();
        return write_response(relay, key);
    }
    relay.stage.bytes = stage;
    relay.stage.bytes.clear();
}

/// Writes the held bytes as far as the client's stream takes them, and ends the exchange once the
/// response is complete.
pub(super) fn write_response(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if exchange.state().is_held() {
        return relay.held.recount(&mut exchange.outgoing);
    }
    let Some(connection) = relay.connections.get_mut(exchange.connection) else { return };
    let connection_key = exchange.connection;
    let (held, framed) = (exchange.outgoing.body_len, exchange.outgoing.framed.len());
    let written = connection.protocol.stream(exchange.stream).write(&mut exchange.outgoing);
    let taken = held - exchange.outgoing.body_len;
    let is_blocked = matches!(written, Err(Unwritten::Blocked));
    if is_blocked != exchange.outgoing.is_blocked {
        exchange.outgoing.is_blocked = is_blocked;
        let blocked = &mut connection.books.blocked;
        *blocked = if is_blocked { *blocked + 1 } else { *blocked - 1 };
    }
    if taken > 0 || exchange.outgoing.framed.len() < framed {
        exchange.times.moved = relay.turn.now;
    }
    relay.held.recount(&mut exchange.outgoing);
    if let (1.., Some(stream)) = (taken, exchange.attempt.upstream) {
        relay.notes.push(Note::Credit(stream, taken));
    }
    match written {
        Ok(()) if exchange.outgoing.is_done => response_is_done(relay, key),
        Ok(()) | Err(Unwritten::Blocked) => {}
        Err(Unwritten::Refused) => {
            connection.protocol.stream(exchange.stream).reset(Cause::Cancelled);
            client_refused(relay, key);
        }
    }
    relay.connections.mark(connection_key);
}

/// Handles a client that stopped the response.
fn client_refused(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.outcome.ended_by = layout::COMPLETED_BY_CLIENT;
    if let Some(stream) = exchange.attempt.upstream.take() {
        relay.notes.push(Note::Reset(stream, h2::CANCEL));
    }
    let opening = matches!(exchange.state(), State::Open(_)).then(|| (exchange.attempt.forward.backend, exchange.name()));
    relay.notes.extend(opening.map(|(backend, name)| Note::CancelWait(backend, name)));
    // The client may refuse an interim response while two attempts run.
    let name = exchange.name();
    withdraw::rival(relay, name);
    complete::complete(relay, key, Reason::ClientReset);
}

/// Handles a response that is fully written to the client's stream.
fn response_is_done(relay: &mut Relay, key: Key) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if !exchange.incoming.is_done {
        if exchange.state().is_relayed() && exchange.attempt.upstream.is_some() {
            // The backend answered early and still takes the body, so let it.
            return;
        }
        // RFC 9114 §4.1: the rest of the request is not needed.
        if let Some(connection) = relay.connections.get_mut(exchange.connection) {
            connection.protocol.stream(exchange.stream).stop_reading();
        }
    }
    exchange.attempt.upstream = None;
    complete::complete(relay, key, Reason::None);
}

/// Handles a client's stream that takes bytes again.
pub(super) fn on_writable(relay: &mut Relay, connection: Key, stream: u64) {
    let Some(key) = relay.connections.get(connection).and_then(|state| state.exchanges.get(&stream)).copied() else { return };
    let Some(Exchange { outgoing, .. }) = relay.exchanges.get(key).map(|exchange| &**exchange) else { return };
    if !outgoing.is_done && (!outgoing.framed.is_empty() || outgoing.body_len > 0 || outgoing.is_complete) {
        write_response(relay, key);
    }
}

/// Stages the head of an attempt's response; the stage is the exchange's from then on.
pub(super) fn stage_head(relay: &mut Relay, name: upstream::AttemptId, fields: &Fields) {
    take_stage(relay, key_of(name));
    let mut stage = std::mem::take(&mut relay.stage.bytes);
    write_head(relay, name, fields, &mut stage);
    relay.stage.bytes = stage;
}

/// Stages the head of a held response and writes what there is of it.
pub(super) fn stage_held(relay: &mut Relay, key: Key) {
    take_stage(relay, key);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    relay.stage.bytes.extend_from_slice(&exchange.outgoing.held_head);
    exchange.outgoing.held_head.clear();
    flush_stage(relay);
}

fn take_stage(relay: &mut Relay, key: Key) {
    if relay.stage.owner != Some(key) {
        flush_stage(relay);
        relay.stage.owner = Some(key);
    }
}

/// Encodes the head of a held response, to be staged when the lane passes it on.
pub(super) fn write_held_head(relay: &mut Relay, key: Key, fields: &Fields) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let mut frames = std::mem::take(&mut exchange.outgoing.held_head);
    frames.clear();
    let name = exchange.name();
    write_head(relay, name, fields, &mut frames);
    if let Some(exchange) = relay.exchanges.get_mut(key) {
        exchange.outgoing.held_head = frames;
    }
}

/// Encodes a backend's head with the edits of the attempt's plan.
fn write_head(relay: &mut Relay, name: upstream::AttemptId, fields: &Fields, frames: &mut Vec<u8>) {
    let Some(exchange) = relay.exchanges.get(key_of(name)) else { return };
    let Some(attempt) = exchange.attempt_named(name) else { return };
    let values = values_of(exchange, attempt, relay.turn.now);
    let edits = attempt.plan.as_ref().map(|plan| &plan.response);
    let is_interim = fields.known(Known::Status).is_some_and(|status| status.first() == Some(&b'1'));
    let date = if is_interim { None } else { Some(relay.turn.date.at(relay.turn.now_ms)) };
    exchange.outgoing.encoding.head(frames, |lines| write_fields(fields, edits, &values, &mut relay.scratch.text, date, lines));
}

/// Writes what was appended to a response.
pub(super) fn write_on(relay: &mut Relay, key: Key) {
    if relay.stage.owner == Some(key) {
        flush_stage(relay);
    } else {
        write_response(relay, key);
    }
}

fn write_status(status: u16, lines: &mut FieldLines<'_>) {
    let digits = [b'0' + (status / 100 % 10) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
    lines.push(Known::Status, b":status", &digits);
}

/// Writes field lines with the plan's edits, and a date if one is required and missing (RFC 9110
/// §6.6.1).
fn write_fields(
    fields: &Fields,
    edits: Option<&Edits>,
    values: &Values<'_>,
    text: &mut Vec<u8>,
    date: Option<&[u8]>,
    lines: &mut FieldLines<'_>,
) {
    let mut has_date = false;
    let mut write = |known: Known, name: &[u8], value: &[u8]| {
        has_date |= known == Known::Date;
        lines.push(known, name, value);
    };
    match edits {
        Some(edits) => edits.apply(fields, values, text, write),
        None => fields.iter().for_each(|field| write(field.known, field.name, field.value)),
    }
    if let Some(date) = date.filter(|_| !has_date) {
        lines.push(Known::Date, b"date", date);
    }
}
