//! The way out: heads, bodies, trailers, resets and window updates, straight into the session's out buffer.

use super::frame::{self, FrameHead, HEAD_BYTES, MAX_PAYLOAD_BYTES, flag, kind};
use super::{H2, Stream};
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::http::fields::{Fields, Known};
use crate::upstream::io::Io;
use crate::upstream::outbox::Outbox;
use crate::upstream::pool::places::Holder;
use crate::upstream::sink::{Fault, Key};
use crate::upstream::stats::Stat;

impl H2 {
    /// Opens a stream with a request head, for an attempt and on whose place; returns its slot and identifier.
    pub fn start(&mut self, io: &mut Io<'_>, (key, holder): (Key, Holder), head: &Fields, has_body: bool) -> Result<(u32, u32), Fault> {
        if self.is_going_away() {
            return Err(Fault::unsent(Reason::BackendGoaway));
        }
        let id = self.next_id;
        self.next_id += 2;
        let head_offset = io.out.offset();
        let block = &mut io.work.scratch;
        block.clear();
        self.encoder.encode(head, block);
        frame::write_block(io.out, id, block, !has_body, MAX_PAYLOAD_BYTES);
        io.stats[Stat::StreamsOpen] += 1;
        let window = self.first_window();
        let slot = self.streams.insert(Stream {
            id,
            key,
            holder,
            send_window: self.peer_initial_window,
            recv_window: i64::from(window),
            window,
            remaining: -1,
            head_offset,
            is_send_ended: !has_body,
            is_bodiless: head.known(Known::Method) == Some(b"HEAD"),
            was_reused: id != 1,
            ..Stream::default()
        });
        self.recount(io.stats, slot);
        Ok((slot, id))
    }

    /// Body bytes the stream may write now. When there is no room the sink is told later.
    pub fn body_room(&mut self, out: &Outbox, slot: u32, id: u32) -> usize {
        let session = self.send_window;
        let Some(stream) = self.streams.named(slot, id).filter(|stream| !stream.is_send_ended) else { return 0 };
        let window = stream.send_window.min(session).max(0) as usize;
        let room = window.min(out.body_room());
        if room == 0 {
            self.streams.block(slot);
        }
        room
    }

    /// Writes one DATA frame that `fill` puts the payload into; it says how many bytes those are and whether they are the last.
    pub fn write_body(&mut self, io: &mut Io<'_>, slot: u32, id: u32, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        let room = self.body_room(io.out, slot, id).min(MAX_PAYLOAD_BYTES);
        let Some(stream) = self.streams.named(slot, id).filter(|stream| !stream.is_send_ended) else { return 0 };
        let frame = io.out.reserve(HEAD_BYTES + room);
        let (len, is_end) = fill(&mut frame[HEAD_BYTES..]);
        if len == 0 && !is_end {
            return 0;
        }
        let flags = if is_end { flag::END_STREAM } else { 0 };
        frame[..HEAD_BYTES].copy_from_slice(&FrameHead { len, kind: kind::DATA, flags, stream: id }.bytes());
        io.out.commit(HEAD_BYTES + len);
        stream.send_window -= len as i64;
        self.send_window -= len as i64;
        if is_end {
            self.end_send(io, slot);
        }
        len
    }

    /// Ends the request with a trailer section.
    pub fn write_trailers(&mut self, io: &mut Io<'_>, slot: u32, id: u32, fields: &Fields) {
        if self.streams.named(slot, id).is_none_or(|stream| stream.is_send_ended) {
            return;
        }
        let block = &mut io.work.scratch;
        block.clear();
        self.encoder.encode(fields, block);
        frame::write_block(io.out, id, block, true, MAX_PAYLOAD_BYTES);
        self.end_send(io, slot);
    }

    fn end_send(&mut self, io: &mut Io<'_>, slot: u32) {
        self.streams.unblock(slot);
        let stream = self.streams.at(slot);
        stream.is_send_ended = true;
        if stream.is_recv_ended {
            self.finish(io, slot);
        }
    }

    /// The sink passed bytes on.
    pub fn credit(&mut self, io: &mut Io<'_>, slot: u32, id: u32, bytes: usize) {
        let Some(stream) = self.streams.named(slot, id) else { return };
        let bytes = stream.held.min(bytes.min(u32::MAX as usize) as u32);
        stream.held -= bytes;
        stream.uncredited += bytes;
        self.update_stream(io, slot);
    }

    /// Gives a stream's window back in portions of half a window, as long as anything can still come. One whose client takes the bytes grows.
    pub(super) fn update_stream(&mut self, io: &mut Io<'_>, slot: u32) {
        let stream = self.streams.at(slot);
        if stream.uncredited >= stream.window.div_ceil(2) && !stream.is_recv_ended {
            let window = stream.next_window(self.max_stream_window, io.work.is_tight);
            let more = (stream.uncredited + window).saturating_sub(stream.window);
            if more > 0 {
                frame::write_window(io.out, stream.id, more);
                stream.recv_window += i64::from(more);
            }
            (stream.window, stream.uncredited) = (window, 0);
        }
        self.recount(io.stats, slot);
    }

    /// The relay gives the stream up.
    pub fn reset(&mut self, io: &mut Io<'_>, slot: u32, id: u32, h2_code: u32) {
        if self.streams.named(slot, id).is_none() {
            return;
        }
        let stream = self.finish(io, slot);
        // A client that stops its own upload after a complete response has nothing to complain about, but has to end its side.
        let h2_code = if stream.is_recv_ended && h2_code == code::NO_ERROR { code::CANCEL } else { h2_code };
        frame::write_reset(io.out, id, h2_code);
        io.stats[Stat::ResetsOut] += 1;
    }
}
