//! The way in: bytes become frames, and frames are what RFC 9113 §6 says they are or the end of the session.

use super::frame::{self, FrameHead, HEAD_BYTES, MAX_PAYLOAD_BYTES, flag, kind, setting};
use super::guard::{EMPTY_WEIGHT, PING_WEIGHT, RESET_WEIGHT, SETTINGS_WEIGHT};
use super::{H2, MAX_WINDOW, Parse, tell_end};
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::{Fault, Sink};
use crate::upstream::stats::Stat;

impl H2 {
    /// Takes what a block holds from `at` on; returns the position of the first byte that waits for more.
    pub fn receive<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, block: &Block, mut at: usize) -> Result<usize, Broken> {
        let filled = block.filled();
        loop {
            match self.parse {
                Parse::Data { left, .. } if left > 0 && at == filled => return Ok(at),
                Parse::Data { .. } => at += self.on_data(io, sink, block, at),
                Parse::Skip { left } => {
                    let count = left.min(filled - at);
                    at += count;
                    if count < left {
                        self.parse = Parse::Skip { left: left - count };
                        return Ok(at);
                    }
                    self.parse = Parse::Head;
                }
                Parse::Head => match self.on_frame(io, sink, block.bytes(at, filled))? {
                    0 => return Ok(at),
                    count => at += count,
                },
            }
        }
    }

    /// One frame at the beginning of `bytes`: of DATA the head, of others all. Returns the bytes used; 0 when they do not suffice.
    fn on_frame<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, bytes: &[u8]) -> Result<usize, Broken> {
        let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(0) };
        let head = FrameHead::read(head);
        if head.len > MAX_PAYLOAD_BYTES {
            return broken(code::FRAME_SIZE_ERROR, "a frame that is too large");
        }
        if !self.is_settled && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return broken(code::PROTOCOL_ERROR, "a session that does not begin with SETTINGS");
        }
        if self.section.id != 0 && (head.kind != kind::CONTINUATION || head.stream != self.section.id) {
            return broken(code::PROTOCOL_ERROR, "a field block interrupted by another frame");
        }
        if head.kind == kind::DATA {
            return self.on_data_frame(io, sink, head, &bytes[HEAD_BYTES..]);
        }
        let Some(payload) = bytes.get(HEAD_BYTES..HEAD_BYTES + head.len) else { return Ok(0) };
        match head.kind {
            kind::HEADERS => self.on_headers(io, sink, head, payload)?,
            kind::CONTINUATION if self.section.id != 0 => self.on_continuation(io, sink, head, payload)?,
            kind::CONTINUATION => return broken(code::PROTOCOL_ERROR, "CONTINUATION of nothing"),
            kind::RST_STREAM => self.on_reset(io, sink, head, payload)?,
            kind::SETTINGS => self.on_settings(io, sink, head, payload)?,
            kind::PING => self.on_ping(io, head, payload)?,
            kind::GOAWAY => self.on_goaway(io, sink, head, payload)?,
            kind::WINDOW_UPDATE => self.on_window_update(io, sink, head, payload)?,
            kind::PUSH_PROMISE => return broken(code::PROTOCOL_ERROR, "a push that was forbidden"),
            kind::PRIORITY => self.on_priority(io, sink, head)?,
            _ => self.on_useless(io)?,
        }
        Ok(HEAD_BYTES + head.len)
    }

    /// Server-initiated identifiers and those we have not come to are idle (RFC 9113 §5.1.1); so is the connection itself.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id & 1 == 0 || id >= self.next_id
    }

    fn on_data_frame<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead, rest: &[u8]) -> Result<usize, Broken> {
        let is_end = head.has(flag::END_STREAM);
        if !head.has(flag::PADDED) {
            self.on_data_head(io, sink, head, head.len, 0, is_end)?;
            return Ok(HEAD_BYTES);
        }
        if head.len == 0 {
            return broken(code::FRAME_SIZE_ERROR, "padded DATA without a padding length");
        }
        let Some(pad) = rest.first().map(|pad| *pad as usize) else { return Ok(0) };
        let Some(data) = (head.len - 1).checked_sub(pad) else {
            return broken(code::PROTOCOL_ERROR, "DATA that does not fit its padding");
        };
        self.on_data_head(io, sink, head, data, pad, is_end)?;
        Ok(HEAD_BYTES + 1)
    }

    fn on_reset<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else { return broken(code::FRAME_SIZE_ERROR, "RST_STREAM of a wrong size") };
        if self.is_idle(head.stream) {
            return broken(code::PROTOCOL_ERROR, "RST_STREAM on a stream that was never opened");
        }
        let Some(slot) = self.streams.find(head.stream) else {
            return if self.guard.spend(RESET_WEIGHT, io.now) { Ok(()) } else { broken(code::ENHANCE_YOUR_CALM, "flood of RST_STREAM") };
        };
        let h2_code = u32::from_be_bytes(bytes);
        let stream = self.finish(io, slot);
        io.stats[Stat::ResetsIn] += 1;
        let is_refused = h2_code == code::REFUSED_STREAM;
        if !stream.has_head && !is_refused {
            self.streak.extend(stream.holder.client.connection);
        }
        let reason = if is_refused { Reason::BackendRefused } else { Reason::BackendReset };
        tell_end(sink, &stream, Fault { reason, is_unsent: is_refused, h2_code, was_reused: stream.was_reused });
        Ok(())
    }

    fn on_settings<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return broken(code::PROTOCOL_ERROR, "SETTINGS on a stream");
        }
        if !payload.len().is_multiple_of(6) || head.has(flag::ACK) && !payload.is_empty() {
            return broken(code::FRAME_SIZE_ERROR, "SETTINGS of a wrong size");
        }
        if self.is_settled && !self.guard.spend(SETTINGS_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of SETTINGS");
        }
        if head.has(flag::ACK) {
            return Ok(());
        }
        for entry in payload.chunks_exact(6) {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            self.on_setting(id, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))?;
        }
        self.is_settled = true;
        frame::write(io.out, kind::SETTINGS, flag::ACK, 0, &[]);
        self.wake_blocked(io.out, sink);
        Ok(())
    }

    fn on_setting(&mut self, id: u16, value: u32) -> Result<(), Broken> {
        match id {
            setting::HEADER_TABLE_SIZE => self.encoder.set_peer_max(value as usize),
            setting::ENABLE_PUSH if value != 0 => return broken(code::PROTOCOL_ERROR, "a server that allows push"),
            setting::MAX_CONCURRENT_STREAMS => {
                self.peer_max_streams = value;
                self.told_streams.set(value.max(1));
            }
            setting::INITIAL_WINDOW_SIZE => return self.set_initial_window(i64::from(value)),
            // Larger frames than every peer takes gain nothing here, so only the value's range matters.
            setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                return broken(code::PROTOCOL_ERROR, "a frame size that is not allowed");
            }
            _ => {}
        }
        Ok(())
    }

    /// Open streams move by the difference (RFC 9113 §6.9.2).
    fn set_initial_window(&mut self, value: i64) -> Result<(), Broken> {
        if value > MAX_WINDOW {
            return broken(code::FLOW_CONTROL_ERROR, "an initial window that is too large");
        }
        let difference = value - self.peer_initial_window;
        self.peer_initial_window = value;
        for slot in 0..self.streams.places() {
            let stream = self.streams.at(slot);
            stream.send_window += difference;
            if stream.id != 0 && stream.send_window > MAX_WINDOW {
                return broken(code::FLOW_CONTROL_ERROR, "a window made too large by SETTINGS");
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, io: &mut Io<'_>, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
        if payload.len() != 8 {
            return broken(code::FRAME_SIZE_ERROR, "PING of a wrong size");
        }
        if head.stream != 0 {
            return broken(code::PROTOCOL_ERROR, "PING on a stream");
        }
        if !self.guard.spend(PING_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of PING");
        }
        if head.has(flag::ACK) {
            self.is_ping_open = false;
        } else {
            frame::write(io.out, kind::PING, flag::ACK, 0, payload);
        }
        Ok(())
    }

    fn on_goaway<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
        let Some(bytes) = payload.first_chunk::<8>() else { return broken(code::FRAME_SIZE_ERROR, "GOAWAY of a wrong size") };
        if head.stream != 0 {
            return broken(code::PROTOCOL_ERROR, "GOAWAY on a stream");
        }
        if !self.guard.spend(RESET_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of GOAWAY");
        }
        let last = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff;
        let h2_code = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        io.stats[Stat::GoawaysIn] += 1;
        self.is_going_away = true;
        for slot in 0..self.streams.places() {
            let stream = *self.streams.at(slot);
            if stream.id > last {
                self.finish(io, slot);
                let fault = Fault { reason: Reason::BackendGoaway, is_unsent: true, h2_code, was_reused: stream.was_reused };
                tell_end(sink, &stream, fault);
            }
        }
        Ok(())
    }

    fn on_window_update<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else { return broken(code::FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size") };
        let more = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
        if head.stream == 0 {
            self.send_window += more;
            return match more {
                0 => broken(code::PROTOCOL_ERROR, "an empty WINDOW_UPDATE"),
                _ if self.send_window > MAX_WINDOW => broken(code::FLOW_CONTROL_ERROR, "a session window that is too large"),
                _ => {
                    self.wake_blocked(io.out, sink);
                    Ok(())
                }
            };
        }
        if self.is_idle(head.stream) {
            return broken(code::PROTOCOL_ERROR, "WINDOW_UPDATE on a stream that was never opened");
        }
        let Some(slot) = self.streams.find(head.stream) else { return Ok(()) };
        let stream = self.streams.at(slot);
        stream.send_window += more;
        let h2_code = if more == 0 { code::PROTOCOL_ERROR } else { code::FLOW_CONTROL_ERROR };
        if more == 0 || stream.send_window > MAX_WINDOW {
            self.fail_stream(io, sink, slot, h2_code, Reason::BackendProtocolError);
        } else if stream.is_blocked && stream.send_window > 0 && self.send_window > 0 && io.out.body_room() > 0 {
            let key = stream.key;
            self.streams.unblock(slot);
            sink.on_window(key);
        }
        Ok(())
    }

    /// Priorities are ignored (RFC 9113 §5.3.2), their form is not (§6.3).
    fn on_priority<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, head: FrameHead) -> Result<(), Broken> {
        if head.stream == 0 {
            return broken(code::PROTOCOL_ERROR, "PRIORITY of the connection");
        }
        if head.len != 5
            && let Some(slot) = self.streams.find(head.stream)
        {
            self.fail_stream(io, sink, slot, code::FRAME_SIZE_ERROR, Reason::BackendProtocolError);
        }
        self.on_useless(io)
    }

    /// Frames that mean nothing to us are taken, within bounds (RFC 9113 §5.5).
    fn on_useless(&mut self, io: &Io<'_>) -> Result<(), Broken> {
        if self.guard.spend(EMPTY_WEIGHT, io.now) { Ok(()) } else { broken(code::ENHANCE_YOUR_CALM, "flood of meaningless frames") }
    }
}
