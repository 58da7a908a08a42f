//! The state of one HTTP/2 connection, and what frames in both directions need of it.

use std::cell::Cell;
use std::rc::Rc;

use super::block::FieldBlock;
use super::flow::{DEFAULT_WINDOW, Flow, MAX_WINDOW};
use super::frame::{self, setting};
use super::guard::Guard;
use super::streak::Streak;
use super::stream::{Stream, Streams};
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::http::hpack::{Decoder, Encoder};
use crate::http::section::FieldLimits;
use crate::upstream::config::SessionLimits;
use crate::upstream::io::Io;
use crate::upstream::outbox::Outbox;
use crate::upstream::sink::{Fault, Sink};
use crate::upstream::stats::{Stat, Stats};

/// Streams assumed before the peer's SETTINGS arrive: RFC 9113 §6.5.2 recommends no smaller limit.
pub const ASSUMED_STREAMS: u32 = 100;

/// Header table of either direction.
const TABLE_BYTES: usize = 4096;

/// Identifiers left when a session stops taking streams; far more than can be open.
const IDS_KEPT: u32 = 1 << 20;

/// What is expected next.
#[derive(Clone, Copy, Debug)]
pub enum Parse {
    /// A frame's head.
    Head,
    /// DATA of an open stream.
    Data { slot: u32, id: u32, left: usize, pad: usize, is_end: bool },
    /// Bytes to be dropped.
    Skip { left: usize },
}

/// The peer's settings, as far as we obey them.
pub struct PeerSettings {
    /// Streams the peer allows.
    pub max_streams: u32,
    /// Window our streams begin with.
    pub initial_window: i64,
    /// The first SETTINGS frame has come.
    pub is_known: bool,
    /// What the backend's next session assumes before its SETTINGS.
    pub last_max_streams: Rc<Cell<u32>>,
}

/// State of the connection.
pub struct H2 {
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) streams: Streams,
    pub(super) parse: Parse,
    pub(super) block: FieldBlock,
    pub(super) guard: Guard,
    pub(super) streak: Streak,
    pub(super) limits: FieldLimits,
    pub(super) flow: Flow,
    pub(super) peer: PeerSettings,
    pub(super) next_id: u32,
    pub(super) is_ping_open: bool,
    pub(super) has_goaway: bool,
    max_streams: u32,
}

impl H2 {
    /// A connection that has sent nothing; [`H2::begin`] is to be called once the transport is
    /// ready.
    pub fn new(limits: &SessionLimits, last_max_streams: Rc<Cell<u32>>) -> H2 {
        H2 {
            encoder: Encoder::new(TABLE_BYTES),
            decoder: Decoder::new(TABLE_BYTES),
            streams: Streams::default(),
            parse: Parse::Head,
            block: FieldBlock::default(),
            guard: Guard::default(),
            streak: Streak::default(),
            limits: limits.head(),
            flow: Flow::new(limits),
            peer: PeerSettings { max_streams: last_max_streams.get(), initial_window: DEFAULT_WINDOW, is_known: false, last_max_streams },
            next_id: 1,
            is_ping_open: false,
            has_goaway: false,
            max_streams: limits.max_streams,
        }
    }

    /// Writes the preface, SETTINGS and the session's window. Requests may follow at once (RFC 9113
    /// §3.4).
    pub fn begin(&mut self, out: &mut Outbox) {
        out.push(frame::PREFACE);
        frame::write_settings(
            out,
            &[
                (setting::ENABLE_PUSH, 0),
                (setting::INITIAL_WINDOW_SIZE, self.flow.first_stream_size()),
                (setting::MAX_HEADER_LIST_SIZE, self.limits.max_size.min(u32::MAX as usize) as u32),
            ],
        );
        let more = self.flow.open();
        if more > 0 {
            frame::write_window(out, 0, more);
        }
    }

    /// Streams that may be open at once.
    pub fn capacity(&self) -> u32 {
        self.peer.max_streams.min(self.max_streams)
    }

    /// Whether a request body could be sent. The peer's window for the session is one for all
    /// streams: when it is used up and uploads wait for it, another would wait behind them.
    pub fn has_credit(&self) -> bool {
        self.flow.send > 0 || !self.streams.has_blocked()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> u32 {
        self.streams.len() as u32
    }

    /// Whether no more streams may be opened: GOAWAY was received, or identifiers run out.
    pub fn is_going_away(&self) -> bool {
        self.has_goaway || self.next_id > MAX_WINDOW as u32 - IDS_KEPT
    }

    /// Whether the backend has reset stream after stream.
    pub fn is_failing(&self) -> bool {
        self.streak.is_failing()
    }

    /// Forgets the resets so far.
    pub fn clear_streak(&mut self) {
        self.streak.end();
    }

    /// Sends PING.
    pub fn ping(&mut self, out: &mut Outbox) {
        self.is_ping_open = true;
        frame::write(out, frame::kind::PING, 0, 0, b"lychgate");
    }

    /// Whether a PING is unanswered.
    pub fn is_ping_open(&self) -> bool {
        self.is_ping_open
    }

    /// The connection is gone: every stream fails, and as unsent where its head was never written.
    pub fn fail_all<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        for slot in 0..self.streams.slots() {
            let stream = *self.streams.at(slot);
            if stream.id == 0 {
                continue;
            }
            self.finish(io, slot);
            // A backend that refuses our side of the handshake has read nothing that came after it.
            let is_unsent = reason.of_tls().is_some() || io.out.written() <= stream.head_offset;
            report_end(sink, &stream, Fault { reason, is_unsent, h2_code, was_reused: stream.was_reused });
        }
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        self.streams.release();
        self.block.release();
    }

    /// Bytes were written to the socket: wakes sinks that wait for room, now that there is some.
    /// Starts with a different stream each time, so that none starves.
    pub fn on_drained<S: Sink + ?Sized>(&mut self, out: &Outbox, sink: &mut S) {
        if !self.streams.has_blocked() || self.flow.send <= 0 || out.body_room() < frame::MAX_PAYLOAD_BYTES {
            return;
        }
        let slots = self.streams.slots();
        let first = (self.next_id / 2 + out.written() as u32) % slots;
        for step in 0..slots {
            let slot = (first + step) % slots;
            let stream = self.streams.at(slot);
            if stream.is_blocked && stream.send_window > 0 {
                let key = stream.key;
                self.streams.unblock(slot);
                sink.on_window(key);
            }
        }
    }

    /// Whether no stream of this identifier was ever opened (RFC 9113 §5.1.1); true of the
    /// connection itself, of server-initiated streams, and of those we have not come to.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id & 1 == 0 || id >= self.next_id
    }

    /// Closes a stream.
    pub(super) fn finish(&mut self, io: &mut Io<'_>, slot: u32) -> Stream {
        let stream = self.streams.remove(slot);
        io.stats[Stat::StreamsOpen] -= 1;
        io.released.push(stream.permit);
        self.flow.recount(self.streams.promised(), io.stats);
        stream
    }

    /// A stream error (RFC 9113 §5.4.2): resets the stream and tells the sink.
    pub(super) fn fail_stream<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, slot: u32, h2_code: u32, reason: Reason) {
        let stream = self.finish(io, slot);
        frame::write_reset(io.out, stream.id, h2_code);
        io.stats[Stat::ResetsOut] += 1;
        report_end(sink, &stream, Fault { reason, is_unsent: false, h2_code, was_reused: stream.was_reused });
    }

    /// Recounts the bytes that may arrive, after a stream's window or its response changed.
    pub(super) fn recount(&mut self, stats: &mut Stats, slot: u32) {
        self.streams.recount(slot);
        self.flow.recount(self.streams.promised(), stats);
    }
}

/// Credits received bytes to the session's window.
pub(super) fn credit_session(h2: &mut H2, io: &mut Io<'_>, bytes: u32) {
    let more = h2.flow.credit(bytes, io.work.is_tight);
    if more > 0 {
        frame::write_window(io.out, 0, more);
    }
    h2.flow.recount(h2.streams.promised(), io.stats);
}

/// Reports the end of a stream other than by END_STREAM. When the response was complete, only the
/// upload is cut short.
pub(super) fn report_end<S: Sink + ?Sized>(sink: &mut S, stream: &Stream, fault: Fault) {
    // With all of content-length received the response is whole, even if the peer resets the stream
    // with NO_ERROR instead of ending it.
    let is_whole = stream.response.is_whole() && fault.reason == Reason::BackendReset;
    if !stream.is_recv_ended && is_whole && fault.h2_code == code::NO_ERROR {
        sink.on_end(stream.key);
        sink.on_upload_stopped(stream.key);
    } else if stream.is_recv_ended {
        sink.on_upload_stopped(stream.key);
    } else {
        sink.on_failed(stream.key, fault);
    }
}

/// Code of our reset for a malformed response (RFC 9113 §8.1.1).
pub(super) const MALFORMED: u32 = code::PROTOCOL_ERROR;
