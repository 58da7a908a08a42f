//! HEADERS and CONTINUATION: a field block is collected, decoded, and becomes an interim head, the
//! head or the trailers of a response.

use super::connection::{H2, MALFORMED};
use super::frame::{FrameHead, flag};
use super::guard::EMPTY_WEIGHT;
use crate::base::reason::Reason;
use crate::http::challenge::remove_connection_challenges;
use crate::http::check::{ResponseFacts, check_response, check_trailers, has_no_length, keep_one_length};
use crate::http::error::h2 as code;
use crate::http::section::DecodeError;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::Sink;
use crate::upstream::stats::Stat;

/// What a decoded section is to its stream.
enum Meaning {
    Informational(u16),
    Head(ResponseFacts),
    Trailers,
    Refused(Reason),
}

/// HEADERS with all their payload.
pub fn on_headers<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    if h2.is_idle(head.stream) {
        return broken(code::PROTOCOL_ERROR, "HEADERS on a stream that was never opened");
    }
    let Some(fragment) = unpad(head, payload) else { return broken(code::PROTOCOL_ERROR, "HEADERS that do not fit their padding") };
    let is_end = head.has(flag::END_STREAM);
    if head.has(flag::END_HEADERS) {
        return on_block(h2, io, sink, head.stream, is_end, fragment);
    }
    h2.block.begin(head, is_end, fragment);
    Ok(())
}

/// CONTINUATION of the open block.
pub fn on_continuation<S: Sink + ?Sized>(
    h2: &mut H2,
    io: &mut Io<'_>,
    sink: &mut S,
    head: FrameHead,
    payload: &[u8],
) -> Result<(), Broken> {
    let is_bounded = h2.block.append(payload, h2.limits.max_size);
    let is_flood = payload.is_empty() && !h2.guard.spend(EMPTY_WEIGHT, io.now);
    if is_flood || !is_bounded {
        return broken(code::ENHANCE_YOUR_CALM, "endless CONTINUATION");
    }
    if !head.has(flag::END_HEADERS) {
        return Ok(());
    }
    let (id, is_end, bytes) = h2.block.take();
    let result = on_block(h2, io, sink, id, is_end, &bytes);
    h2.block.recycle(bytes);
    result
}

/// A whole field block. It is decoded whatever becomes of its stream, to keep the table in step.
fn on_block<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, id: u32, is_end: bool, block: &[u8]) -> Result<(), Broken> {
    io.work.fields.clear();
    let decoded = h2.decoder.decode(block, &mut io.work.fields, h2.limits);
    if decoded == Err(DecodeError::Malformed) {
        return broken(code::COMPRESSION_ERROR, "a field block that cannot be decoded");
    }
    let Some(slot) = h2.streams.find(id) else {
        if h2.streams.has_ended(id) {
            return broken(code::STREAM_CLOSED, "HEADERS after the end of their stream");
        }
        if !h2.guard.spend(EMPTY_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of stray HEADERS");
        }
        return Ok(());
    };
    if h2.streams.at(slot).is_recv_ended {
        h2.fail_stream(io, sink, slot, code::STREAM_CLOSED, Reason::BackendProtocolError);
        return Ok(());
    }
    let meaning = match decoded {
        Ok(()) => interpret(h2, io, slot, is_end),
        Err(_) => Meaning::Refused(Reason::BackendHeadTooLarge),
    };
    let stream = h2.streams.at(slot);
    let key = stream.key;
    stream.is_recv_ended = is_end && !matches!(meaning, Meaning::Refused(_));
    h2.recount(io.stats, slot);
    match meaning {
        Meaning::Informational(status) => sink.on_informational(key, status, &io.work.fields),
        Meaning::Head(facts) => sink.on_head(key, facts.status, &io.work.fields, facts, is_end),
        Meaning::Trailers => sink.on_trailers(key, &io.work.fields),
        Meaning::Refused(reason) => {
            let h2_code = if reason == Reason::BackendHeadTooLarge { code::CANCEL } else { MALFORMED };
            h2.fail_stream(io, sink, slot, h2_code, reason);
            return Ok(());
        }
    }
    if is_end && h2.streams.at(slot).is_send_ended {
        h2.finish(io, slot);
    }
    Ok(())
}

fn interpret(h2: &mut H2, io: &mut Io<'_>, slot: u32, is_end: bool) -> Meaning {
    let fields = &mut io.work.fields;
    let response = &mut h2.streams.at(slot).response;
    if response.has_head {
        if !is_end || check_trailers(fields).is_err() {
            return Meaning::Refused(Reason::BackendProtocolError);
        }
        return if response.is_short() { Meaning::Refused(Reason::ResponseLengthMismatch) } else { Meaning::Trailers };
    }
    let Ok(mut facts) = check_response(fields) else { return Meaning::Refused(Reason::BackendProtocolError) };
    if facts.has_spare_length {
        keep_one_length(fields, !has_no_length(facts.status));
    }
    if facts.is_interim {
        let is_allowed = response.receive_informational() && !is_end;
        return if is_allowed { Meaning::Informational(facts.status) } else { Meaning::Refused(Reason::BackendProtocolError) };
    }
    response.receive_head(facts.status, facts.content_length);
    // The session carries many clients: authentication of the connection would hold for all of
    // them.
    if matches!(facts.status, 401 | 407) && remove_connection_challenges(fields) {
        facts.has_connection_challenge = true;
        io.stats[Stat::ChallengesRemoved] += 1;
    }
    h2.streak.end();
    if is_end && response.is_short() {
        return Meaning::Refused(Reason::ResponseLengthMismatch);
    }
    Meaning::Head(facts)
}

/// The field block within HEADERS, without padding and priority.
fn unpad(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    let (mut start, mut end) = (0, payload.len());
    if head.has(flag::PADDED) {
        end = end.checked_sub(*payload.first()? as usize)?;
        start = 1;
    }
    if head.has(flag::PRIORITY) {
        start += 5;
    }
    payload.get(start..end)
}
