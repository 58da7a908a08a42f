//! Frames received: each is as RFC 9113 §6 has it, or ends the session.

use super::connection::{H2, Parse, report_end};
use super::data::{on_data, on_data_head};
use super::flow::MAX_WINDOW;
use super::frame::{self, FrameHead, HEAD_BYTES, MAX_PAYLOAD_BYTES, flag, kind, setting};
use super::guard::{EMPTY_WEIGHT, PING_WEIGHT, RESET_WEIGHT, SETTINGS_WEIGHT};
use super::section::{on_continuation, on_headers};
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::{Fault, Sink};
use crate::upstream::stats::Stat;

impl H2 {
    /// Parses a block from `at` on; returns the position of the first byte that needs more.
    pub fn receive<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, block: &Block, mut at: usize) -> Result<usize, Broken> {
        let filled = block.filled();
        loop {
            match self.parse {
                Parse::Data { left, .. } if left > 0 && at == filled => return Ok(at),
                Parse::Data { .. } => at += on_data(self, io, sink, block, at),
                Parse::Skip { left } => {
                    let count = left.min(filled - at);
                    at += count;
                    if count < left {
                        self.parse = Parse::Skip { left: left - count };
                        return Ok(at);
                    }
                    self.parse = Parse::Head;
                }
                Parse::Head => match on_frame(self, io, sink, block.bytes(at, filled))? {
                    0 => return Ok(at),
                    count => at += count,
                },
            }
        }
    }
}

/// One frame at the beginning of `bytes`: the head of DATA, all of others. Returns the bytes used;
/// 0 when more are needed.
fn on_frame<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, bytes: &[u8]) -> Result<usize, Broken> {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(0) };
    let head = FrameHead::read(head);
    if head.len > MAX_PAYLOAD_BYTES {
        return broken(code::FRAME_SIZE_ERROR, "a frame that is too large");
    }
    if !h2.peer.is_known && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
        return broken(code::PROTOCOL_ERROR, "a session that does not begin with SETTINGS");
    }
    if h2.block.stream().is_some_and(|stream| head.kind != kind::CONTINUATION || head.stream != stream) {
        return broken(code::PROTOCOL_ERROR, "a field block interrupted by another frame");
    }
    if head.kind == kind::DATA {
        return on_data_frame(h2, io, sink, head, &bytes[HEAD_BYTES..]);
    }
    let Some(payload) = bytes.get(HEAD_BYTES..HEAD_BYTES + head.len) else { return Ok(0) };
    match head.kind {
        kind::HEADERS => on_headers(h2, io, sink, head, payload)?,
        kind::CONTINUATION if h2.block.stream().is_some() => on_continuation(h2, io, sink, head, payload)?,
        kind::CONTINUATION => return broken(code::PROTOCOL_ERROR, "CONTINUATION of nothing"),
        kind::RST_STREAM => on_reset(h2, io, sink, head, payload)?,
        kind::SETTINGS => on_settings(h2, io, sink, head, payload)?,
        kind::PING => on_ping(h2, io, head, payload)?,
        kind::GOAWAY => on_goaway(h2, io, sink, head, payload)?,
        kind::WINDOW_UPDATE => on_window_update(h2, io, sink, head, payload)?,
        kind::PUSH_PROMISE => return broken(code::PROTOCOL_ERROR, "a push that was forbidden"),
        kind::PRIORITY => on_priority(h2, io, sink, head)?,
        _ => on_useless(h2, io)?,
    }
    Ok(HEAD_BYTES + head.len)
}

fn on_data_frame<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, rest: &[u8]) -> Result<usize, Broken> {
    let is_end = head.has(flag::END_STREAM);
    if !head.has(flag::PADDED) {
        on_data_head(h2, io, sink, head, (head.len, 0), is_end)?;
        return Ok(HEAD_BYTES);
    }
    if head.len == 0 {
        return broken(code::FRAME_SIZE_ERROR, "padded DATA without a padding length");
    }
    let Some(pad) = rest.first().map(|pad| *pad as usize) else { return Ok(0) };
    let Some(data) = (head.len - 1).checked_sub(pad) else {
        return broken(code::PROTOCOL_ERROR, "DATA that does not fit its padding");
    };
    on_data_head(h2, io, sink, head, (data, pad), is_end)?;
    Ok(HEAD_BYTES + 1)
}

fn on_reset<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    let Ok(bytes) = <[u8; 4]>::try_from(payload) else { return broken(code::FRAME_SIZE_ERROR, "RST_STREAM of a wrong size") };
    if h2.is_idle(head.stream) {
        return broken(code::PROTOCOL_ERROR, "RST_STREAM on a stream that was never opened");
    }
    let Some(slot) = h2.streams.find(head.stream) else {
        return if h2.guard.spend(RESET_WEIGHT, io.now) { Ok(()) } else { broken(code::ENHANCE_YOUR_CALM, "flood of RST_STREAM") };
    };
    let h2_code = u32::from_be_bytes(bytes);
    let stream = h2.finish(io, slot);
    io.stats[Stat::ResetsIn] += 1;
    let is_refused = h2_code == code::REFUSED_STREAM;
    if !stream.response.has_head && !is_refused {
        h2.streak.extend(stream.permit.client.connection);
    }
    let reason = if is_refused { Reason::BackendRefused } else { Reason::BackendReset };
    report_end(sink, &stream, Fault { reason, is_unsent: is_refused, h2_code, was_reused: stream.was_reused });
    Ok(())
}

fn on_settings<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    if head.stream != 0 {
        return broken(code::PROTOCOL_ERROR, "SETTINGS on a stream");
    }
    if !payload.len().is_multiple_of(6) || head.has(flag::ACK) && !payload.is_empty() {
        return broken(code::FRAME_SIZE_ERROR, "SETTINGS of a wrong size");
    }
    if h2.peer.is_known && !h2.guard.spend(SETTINGS_WEIGHT, io.now) {
        return broken(code::ENHANCE_YOUR_CALM, "flood of SETTINGS");
    }
    if head.has(flag::ACK) {
        return Ok(());
    }
    for entry in payload.chunks_exact(6) {
        let id = u16::from_be_bytes([entry[0], entry[1]]);
        on_setting(h2, id, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))?;
    }
    h2.peer.is_known = true;
    frame::write(io.out, kind::SETTINGS, flag::ACK, 0, &[]);
    h2.on_drained(io.out, sink);
    Ok(())
}

fn on_setting(h2: &mut H2, id: u16, value: u32) -> Result<(), Broken> {
    match id {
        setting::HEADER_TABLE_SIZE => h2.encoder.set_peer_max(value as usize),
        setting::ENABLE_PUSH if value != 0 => return broken(code::PROTOCOL_ERROR, "a server that allows push"),
        setting::MAX_CONCURRENT_STREAMS => {
            h2.peer.max_streams = value;
            h2.peer.last_max_streams.set(value.max(1));
        }
        setting::INITIAL_WINDOW_SIZE => return set_initial_window(h2, i64::from(value)),
        // We never send larger frames than the default, so only the value's range matters.
        setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
            return broken(code::PROTOCOL_ERROR, "a frame size that is not allowed");
        }
        _ => {}
    }
    Ok(())
}

/// Windows of open streams change by the difference (RFC 9113 §6.9.2).
fn set_initial_window(h2: &mut H2, value: i64) -> Result<(), Broken> {
    if value > MAX_WINDOW {
        return broken(code::FLOW_CONTROL_ERROR, "an initial window that is too large");
    }
    let difference = value - h2.peer.initial_window;
    h2.peer.initial_window = value;
    for slot in 0..h2.streams.slots() {
        let stream = h2.streams.at(slot);
        stream.send_window += difference;
        if stream.id != 0 && stream.send_window > MAX_WINDOW {
            return broken(code::FLOW_CONTROL_ERROR, "a window made too large by SETTINGS");
        }
    }
    Ok(())
}

fn on_ping(h2: &mut H2, io: &mut Io<'_>, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    if payload.len() != 8 {
        return broken(code::FRAME_SIZE_ERROR, "PING of a wrong size");
    }
    if head.stream != 0 {
        return broken(code::PROTOCOL_ERROR, "PING on a stream");
    }
    if !h2.guard.spend(PING_WEIGHT, io.now) {
        return broken(code::ENHANCE_YOUR_CALM, "flood of PING");
    }
    if head.has(flag::ACK) {
        h2.is_ping_open = false;
    } else {
        frame::write(io.out, kind::PING, flag::ACK, 0, payload);
    }
    Ok(())
}

fn on_goaway<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    let Some(bytes) = payload.first_chunk::<8>() else { return broken(code::FRAME_SIZE_ERROR, "GOAWAY of a wrong size") };
    if head.stream != 0 {
        return broken(code::PROTOCOL_ERROR, "GOAWAY on a stream");
    }
    if !h2.guard.spend(RESET_WEIGHT, io.now) {
        return broken(code::ENHANCE_YOUR_CALM, "flood of GOAWAY");
    }
    let last = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff;
    let h2_code = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    io.stats[Stat::GoawaysIn] += 1;
    h2.has_goaway = true;
    for slot in 0..h2.streams.slots() {
        let stream = *h2.streams.at(slot);
        if stream.id > last {
            h2.finish(io, slot);
            let fault = Fault { reason: Reason::BackendGoaway, is_unsent: true, h2_code, was_reused: stream.was_reused };
            report_end(sink, &stream, fault);
        }
    }
    Ok(())
}

fn on_window_update<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead, payload: &[u8]) -> Result<(), Broken> {
    let Ok(bytes) = <[u8; 4]>::try_from(payload) else { return broken(code::FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size") };
    let more = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
    if head.stream == 0 {
        h2.flow.send += more;
        return match more {
            0 => broken(code::PROTOCOL_ERROR, "an empty WINDOW_UPDATE"),
            _ if h2.flow.send > MAX_WINDOW => broken(code::FLOW_CONTROL_ERROR, "a session window that is too large"),
            _ => {
                h2.on_drained(io.out, sink);
                Ok(())
            }
        };
    }
    if h2.is_idle(head.stream) {
        return broken(code::PROTOCOL_ERROR, "WINDOW_UPDATE on a stream that was never opened");
    }
    let Some(slot) = h2.streams.find(head.stream) else { return Ok(()) };
    let stream = h2.streams.at(slot);
    stream.send_window += more;
    let h2_code = if more == 0 { code::PROTOCOL_ERROR } else { code::FLOW_CONTROL_ERROR };
    if more == 0 || stream.send_window > MAX_WINDOW {
        h2.fail_stream(io, sink, slot, h2_code, Reason::BackendProtocolError);
    } else if stream.is_blocked && stream.send_window > 0 && h2.flow.send > 0 && io.out.body_room() > 0 {
        let key = stream.key;
        h2.streams.unblock(slot);
        sink.on_window(key);
    }
    Ok(())
}

/// Priorities are ignored (RFC 9113 §5.3.2); their form is checked (§6.3).
fn on_priority<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, head: FrameHead) -> Result<(), Broken> {
    if head.stream == 0 {
        return broken(code::PROTOCOL_ERROR, "PRIORITY of the connection");
    }
    if head.len != 5
        && let Some(slot) = h2.streams.find(head.stream)
    {
        h2.fail_stream(io, sink, slot, code::FRAME_SIZE_ERROR, Reason::BackendProtocolError);
    }
    on_useless(h2, io)
}

/// Unknown frames are ignored (RFC 9113 §5.5), within bounds.
fn on_useless(h2: &mut H2, io: &Io<'_>) -> Result<(), Broken> {
    if h2.guard.spend(EMPTY_WEIGHT, io.now) { Ok(()) } else { broken(code::ENHANCE_YOUR_CALM, "flood of meaningless frames") }
}
