//! HEADERS and CONTINUATION: a field block is collected, decoded and becomes an interim head, the head or the trailers of a response.

use super::frame::{FrameHead, flag};
use super::guard::EMPTY_WEIGHT;
use super::{H2, MALFORMED};
use crate::base::reason::Reason;
use crate::http::challenge::remove_of_connection;
use crate::http::check::{ResponseFacts, check_response, check_trailers, has_no_length, leave_one_length};
use crate::http::error::h2 as code;
use crate::http::section::DecodeError;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::Sink;
use crate::upstream::stats::Stat;

/// Frames a field block may be continued in.
const MAX_CONTINUATIONS: u32 = 64;

/// Interim responses a stream may get.
const MAX_INFORMATIONAL: u8 = 32;

/// What a decoded section is to its stream.
enum Meaning {
    Informational(u16),
    Head(ResponseFacts),
    Trailers,
    Refused(Reason),
}

impl H2 {
    /// HEADERS with all their payload.
    pub(super) fn on_headers<S: Sink + ?Sized>(
        &mut self,
        io: &mut Io<'_>,
        sink: &mut S,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), Broken> {
        if self.is_idle(head.stream) {
            return broken(code::PROTOCOL_ERROR, "HEADERS on a stream that was never opened");
        }
        let Some(block) = unpad(head, payload) else { return broken(code::PROTOCOL_ERROR, "HEADERS that do not fit their padding") };
        let is_end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.on_block(io, sink, head.stream, is_end, block);
        }
        self.section.id = head.stream;
        self.section.is_end = is_end;
        self.section.frames = 0;
        self.section.bytes.clear();
        self.section.bytes.extend_from_slice(block);
        Ok(())
    }

    /// CONTINUATION of the open block.
    pub(super) fn on_continuation<S: Sink + ?Sized>(
        &mut self,
        io: &mut Io<'_>,
        sink: &mut S,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<(), Broken> {
        self.section.frames += 1;
        self.section.bytes.extend_from_slice(payload);
        // A block may be somewhat longer than the section it makes when it carries table updates, but not without end (CVE-2024-27316 and its siblings).
        let is_flood = payload.is_empty() && !self.guard.spend(EMPTY_WEIGHT, io.now);
        if is_flood || self.section.frames > MAX_CONTINUATIONS || self.section.bytes.len() > 2 * self.limits.max_size + 16_384 {
            return broken(code::ENHANCE_YOUR_CALM, "endless CONTINUATION");
        }
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.section.bytes);
        let id = std::mem::take(&mut self.section.id);
        let is_end = self.section.is_end;
        let result = self.on_block(io, sink, id, is_end, &bytes);
        self.section.bytes = bytes;
        result
    }

    /// A whole field block. It is decoded whatever becomes of it, because the table must not fall behind.
    fn on_block<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, id: u32, is_end: bool, block: &[u8]) -> Result<(), Broken> {
        io.work.fields.clear();
        let decoded = self.decoder.decode(block, &mut io.work.fields, self.limits);
        if decoded == Err(DecodeError::Malformed) {
            return broken(code::COMPRESSION_ERROR, "a field block that cannot be decoded");
        }
        let Some(slot) = self.streams.find(id) else {
            if self.streams.has_ended(id) {
                return broken(code::STREAM_CLOSED, "HEADERS after the end of their stream");
            }
            if !self.guard.spend(EMPTY_WEIGHT, io.now) {
                return broken(code::ENHANCE_YOUR_CALM, "flood of stray HEADERS");
            }
            return Ok(());
        };
        if self.streams.at(slot).is_recv_ended {
            self.fail_stream(io, sink, slot, code::STREAM_CLOSED, Reason::BackendProtocolError);
            return Ok(());
        }
        let meaning = match decoded {
            Ok(()) => self.understand(io, slot, is_end),
            Err(_) => Meaning::Refused(Reason::BackendHeadTooLarge),
        };
        let stream = self.streams.at(slot);
        let key = stream.key;
        stream.is_recv_ended = is_end && !matches!(meaning, Meaning::Refused(_));
        self.recount(io.stats, slot);
        match meaning {
            Meaning::Informational(status) => sink.on_informational(key, status, &io.work.fields),
            Meaning::Head(facts) => sink.on_head(key, facts.status, &io.work.fields, facts, is_end),
            Meaning::Trailers => sink.on_trailers(key, &io.work.fields),
            Meaning::Refused(reason) => {
                let h2_code = if reason == Reason::BackendHeadTooLarge { code::CANCEL } else { MALFORMED };
                self.fail_stream(io, sink, slot, h2_code, reason);
                return Ok(());
            }
        }
        if is_end && self.streams.at(slot).is_send_ended {
            self.finish(io, slot);
        }
        Ok(())
    }

    fn understand(&mut self, io: &mut Io<'_>, slot: u32, is_end: bool) -> Meaning {
        let fields = &mut io.work.fields;
        let stream = self.streams.at(slot);
        if stream.has_head {
            if !is_end || check_trailers(fields).is_err() {
                return Meaning::Refused(Reason::BackendProtocolError);
            }
            let is_short = stream.remaining > 0 && !stream.is_bodiless;
            return if is_short { Meaning::Refused(Reason::ResponseLengthMismatch) } else { Meaning::Trailers };
        }
        let Ok(mut facts) = check_response(fields) else { return Meaning::Refused(Reason::BackendProtocolError) };
        if facts.has_spare_length {
            leave_one_length(fields, !has_no_length(facts.status));
        }
        if facts.is_interim {
            stream.informational += 1;
            let is_wrong = is_end || stream.informational > MAX_INFORMATIONAL;
            return if is_wrong { Meaning::Refused(Reason::BackendProtocolError) } else { Meaning::Informational(facts.status) };
        }
        stream.has_head = true;
        // Many clients share the session: whoever took this up would do it for all of them.
        if matches!(facts.status, 401 | 407) && remove_of_connection(fields) {
            facts.asks_for_connection = true;
            io.stats[Stat::ChallengesRemoved] += 1;
        }
        self.streak.end();
        stream.is_bodiless |= matches!(facts.status, 204 | 304);
        stream.remaining = facts.content_length.map_or(-1, |len| len.min(i64::MAX as u64) as i64);
        if is_end && stream.remaining > 0 && !stream.is_bodiless {
            return Meaning::Refused(Reason::ResponseLengthMismatch);
        }
        Meaning::Head(facts)
    }
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
