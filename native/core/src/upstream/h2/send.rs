//! Requests: heads, bodies and window updates, written straight into the session's out buffer.

use super::connection::H2;
use super::flow::RecvWindow;
use super::frame::{self, FrameHead, HEAD_BYTES, MAX_PAYLOAD_BYTES, flag, kind};
use super::stream::{Response, Stream};
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::http::fields::{Fields, Known};
use crate::upstream::client::Permit;
use crate::upstream::io::Io;
use crate::upstream::outbox::Outbox;
use crate::upstream::sink::{AttemptId, Fault};
use crate::upstream::stats::Stat;

impl H2 {
    /// Opens a stream with a request head, for an attempt and its permit; returns slot and
    /// identifier.
    pub fn start(
        &mut self,
        io: &mut Io<'_>,
        (key, permit): (AttemptId, Permit),
        head: &Fields,
        has_body: bool,
    ) -> Result<(u32, u32), Fault> {
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
        let slot = self.streams.insert(Stream {
            id,
            key,
            permit,
            head_offset,
            was_reused: id != 1,
            send_window: self.peer.initial_window,
            is_send_ended: !has_body,
            recv: RecvWindow::new(self.flow.first_stream_size()),
            response: Response::to(head.known(Known::Method) == Some(b"HEAD")),
            ..Stream::default()
        });
        self.recount(io.stats, slot);
        Ok((slot, id))
    }

    /// Body bytes the stream may write now. At 0 the sink's `on_window` follows.
    pub fn body_room(&mut self, out: &Outbox, slot: u32, id: u32) -> usize {
        let session = self.flow.send;
        let Some(stream) = self.streams.named(slot, id).filter(|stream| !stream.is_send_ended) else { return 0 };
        let window = stream.send_window.min(session).max(0) as usize;
        let room = window.min(out.body_room());
        if room == 0 {
            self.streams.block(slot);
        }
        room
    }

    /// Writes one DATA frame. `fill` writes the payload and returns its length and whether it is
    /// the last.
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
        self.flow.send -= len as i64;
        if is_end {
            end_send(self, io, slot);
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
        end_send(self, io, slot);
    }

    /// The sink consumed bytes that it held.
    pub fn credit(&mut self, io: &mut Io<'_>, slot: u32, id: u32, bytes: usize) {
        let Some(stream) = self.streams.named(slot, id) else { return };
        let bytes = stream.held.min(bytes.min(u32::MAX as usize) as u32);
        stream.held -= bytes;
        stream.recv.consume(bytes);
        update_window(self, io, slot);
    }

    /// Resets a stream.
    pub fn reset(&mut self, io: &mut Io<'_>, slot: u32, id: u32, h2_code: u32) {
        if self.streams.named(slot, id).is_none() {
            return;
        }
        let stream = self.finish(io, slot);
        // NO_ERROR is for servers (RFC 9113 §8.1): a client that stops its upload cancels.
        let h2_code = if stream.is_recv_ended && h2_code == code::NO_ERROR { code::CANCEL } else { h2_code };
        frame::write_reset(io.out, id, h2_code);
        io.stats[Stat::ResetsOut] += 1;
    }
}

/// Our side of the stream has ended.
fn end_send(h2: &mut H2, io: &mut Io<'_>, slot: u32) {
    h2.streams.unblock(slot);
    let stream = h2.streams.at(slot);
    stream.is_send_ended = true;
    if stream.is_recv_ended {
        h2.finish(io, slot);
    }
}

/// Sends WINDOW_UPDATE for a stream once half of its window was consumed, as long as anything can
/// still come. The window of a client that keeps up grows.
pub(super) fn update_window(h2: &mut H2, io: &mut Io<'_>, slot: u32) {
    let stream = h2.streams.at(slot);
    if stream.recv.is_due() && !stream.is_recv_ended {
        let size = stream.recv.next_size(h2.flow.max_stream_size(), io.work.is_tight);
        let more = stream.recv.update(size);
        if more > 0 {
            frame::write_window(io.out, stream.id, more);
        }
    }
    h2.recount(io.stats, slot);
}
