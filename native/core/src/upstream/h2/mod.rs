//! The HTTP/2 client of one session (RFC 9113): frames in, events out, and frames out, without a socket or a clock.
//!
//! Written for one purpose, carrying other people's exchanges: nothing is queued for a stream but in the session's out buffer, DATA is
//! handed on as it lies in the read block (even a frame that has not arrived whole), and no call allocates once the session is warm. Push is
//! refused and priorities are ignored. `receive` is the way in, `send` the way out; what both touch is here.

mod data;
mod frame;
mod guard;
mod receive;
mod section;
mod send;
mod streak;
mod stream;

use frame::setting;
use guard::Guard;
use streak::Streak;
use stream::{Stream, Streams};

use std::cell::Cell;
use std::rc::Rc;

use super::config::SessionLimits;
use super::io::Io;
use super::outbox::Outbox;
use super::sink::{Fault, Sink};
use super::stats::{Stat, Stats};
use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::http::hpack::{Decoder, Encoder};
use crate::http::section::FieldLimits;

/// Flow-control windows never grow beyond this (RFC 9113 §6.9.1).
const MAX_WINDOW: i64 = 0x7fff_ffff;

/// Both windows before anybody said otherwise (RFC 9113 §6.9.2).
const DEFAULT_WINDOW: i64 = 65_535;

/// Streams we take for granted before the peer's SETTINGS arrive: what RFC 9113 §6.5.2 advises every server to allow at least.
pub const ASSUMED_STREAMS: u32 = 100;

/// Header table of either direction.
const TABLE_BYTES: usize = 4096;

/// Identifiers left when a session stops taking streams; far more than can be open.
const IDS_KEPT: u32 = 1 << 20;

/// What of the current frame is still to come.
#[derive(Clone, Copy, Debug)]
enum Parse {
    /// A frame's head.
    Head,
    /// DATA of an open stream.
    Data { slot: u32, id: u32, left: usize, pad: usize, is_end: bool },
    /// Bytes nobody wants.
    Skip { left: usize },
}

/// A field block that is continued in further frames.
#[derive(Default)]
struct Section {
    /// Stream; 0 when no block is open.
    id: u32,
    is_end: bool,
    bytes: Vec<u8>,
    frames: u32,
}

/// One connection's protocol state.
pub struct H2 {
    encoder: Encoder,
    decoder: Decoder,
    streams: Streams,
    parse: Parse,
    section: Section,
    guard: Guard,
    streak: Streak,
    limits: FieldLimits,
    next_id: u32,
    max_streams: u32,
    peer_max_streams: u32,
    told_streams: Rc<Cell<u32>>,
    peer_initial_window: i64,
    send_window: i64,
    recv_window: i64,
    uncredited: u32,
    /// The largest windows of streams and session.
    max_stream_window: u32,
    max_session_window: u32,
    /// The session's window as it is now.
    session_window: u32,
    /// What the windows of all streams let come.
    promised: u64,
    /// What is counted as granted.
    granted: u64,
    is_settled: bool,
    is_going_away: bool,
    is_ping_open: bool,
}

impl H2 {
    /// A session that has said nothing yet; [`H2::begin`] is to be called once the transport is ready.
    pub fn new(limits: &SessionLimits, told_streams: Rc<Cell<u32>>) -> H2 {
        H2 {
            encoder: Encoder::new(TABLE_BYTES),
            decoder: Decoder::new(TABLE_BYTES),
            streams: Streams::default(),
            parse: Parse::Head,
            section: Section::default(),
            guard: Guard::default(),
            streak: Streak::default(),
            limits: limits.head(),
            next_id: 1,
            max_streams: limits.max_streams,
            peer_max_streams: told_streams.get(),
            told_streams,
            peer_initial_window: DEFAULT_WINDOW,
            send_window: DEFAULT_WINDOW,
            recv_window: DEFAULT_WINDOW,
            uncredited: 0,
            max_stream_window: limits.stream_window_bytes.clamp(1, MAX_WINDOW as u32),
            max_session_window: limits.session_window_bytes.clamp(DEFAULT_WINDOW as u32, MAX_WINDOW as u32),
            session_window: limits.session_window_bytes.clamp(DEFAULT_WINDOW as u32, SMALL_SHARED_WINDOW),
            promised: 0,
            granted: 0,
            is_settled: false,
            is_going_away: false,
            is_ping_open: false,
        }
    }

    /// Writes the preface, our SETTINGS and the session's window. Requests may follow at once (RFC 9113 §3.4).
    pub fn begin(&mut self, out: &mut Outbox) {
        out.push(frame::PREFACE);
        frame::write_settings(
            out,
            &[
                (setting::ENABLE_PUSH, 0),
                (setting::INITIAL_WINDOW_SIZE, self.first_window()),
                (setting::MAX_HEADER_LIST_SIZE, self.limits.max_size.min(u32::MAX as usize) as u32),
            ],
        );
        self.recv_window = i64::from(self.session_window);
        let more = self.session_window - DEFAULT_WINDOW as u32;
        if more > 0 {
            frame::write_window(out, 0, more);
        }
    }

    /// Window that streams begin with.
    fn first_window(&self) -> u32 {
        self.max_stream_window.min(SMALL_WINDOW)
    }

    /// Streams that may be open at once.
    pub fn capacity(&self) -> u32 {
        self.peer_max_streams.min(self.max_streams)
    }

    /// Whether a request's body can be written. The peer's window for the session is one for all streams: when it is used up and uploads wait, another would wait behind them.
    pub fn has_credit(&self) -> bool {
        self.send_window > 0 || !self.streams.has_blocked()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> u32 {
        self.streams.len() as u32
    }

    /// The peer said goodbye, or identifiers run out: no more streams here.
    pub fn is_going_away(&self) -> bool {
        self.is_going_away || self.next_id > MAX_WINDOW as u32 - IDS_KEPT
    }

    /// Whether the backend has reset stream after stream.
    pub fn is_sick(&self) -> bool {
        self.streak.is_sick()
    }

    /// Lets bygones be bygones.
    pub fn forgive(&mut self) {
        self.streak.end();
    }

    /// Asks for a sign of life.
    pub fn ping(&mut self, out: &mut Outbox) {
        self.is_ping_open = true;
        frame::write(out, frame::kind::PING, 0, 0, b"lychgate");
    }

    /// Whether a PING is unanswered.
    pub fn is_ping_open(&self) -> bool {
        self.is_ping_open
    }

    /// Says goodbye.
    pub fn say_goodbye(&mut self, out: &mut Outbox, code: u32) {
        frame::write_goaway(out, code);
    }

    /// The session is gone: every stream fails, those whose heads never left as unsent.
    pub fn fail_all<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        for slot in 0..self.streams.places() {
            let stream = *self.streams.at(slot);
            if stream.id == 0 {
                continue;
            }
            self.finish(io, slot);
            // Who does not take our side of the handshake reads nothing of what came after it.
            let is_unsent = reason.of_tls().is_some() || io.out.written() <= stream.head_offset;
            tell_end(sink, &stream, Fault { reason, is_unsent, h2_code, was_reused: stream.was_reused });
        }
    }

    /// Gives memory back; for sessions that have gone quiet.
    pub fn release(&mut self) {
        self.streams.release();
        if self.section.id == 0 {
            self.section.bytes = Vec::new();
        }
    }

    /// Takes a stream off the books.
    fn finish(&mut self, io: &mut Io<'_>, slot: u32) -> Stream {
        let stream = self.streams.remove(slot);
        io.stats[Stat::StreamsOpen] -= 1;
        io.freed.push(stream.holder);
        self.promised -= stream.promised;
        self.recount_session(io.stats);
        stream
    }

    /// Gives the session's window back for bytes that have arrived, in portions of half a window. Whether a client has taken them is a matter of their stream's window
    /// alone: were they held against the session, a few slow clients would stop the backend for everybody.
    fn credit_session(&mut self, io: &mut Io<'_>, bytes: u32) {
        self.uncredited += bytes;
        if self.uncredited >= self.session_window / 2 {
            // A session that is used is worth a larger window.
            let grown =
                if io.work.is_tight { self.session_window } else { self.session_window.saturating_mul(2).min(self.max_session_window) };
            let more = self.uncredited + (grown - self.session_window);
            frame::write_window(io.out, 0, more);
            self.recv_window += i64::from(more);
            (self.session_window, self.uncredited) = (grown, 0);
        }
        self.recount_session(io.stats);
    }

    /// Counts anew what a stream's window lets come.
    fn recount(&mut self, stats: &mut Stats, slot: u32) {
        let stream = self.streams.at(slot);
        let promised = stream.promise();
        self.promised = self.promised + promised - stream.promised;
        stream.promised = promised;
        self.recount_session(stats);
    }

    /// Counts anew what may come: as much as the windows of streams let, and no more than the session's.
    fn recount_session(&mut self, stats: &mut Stats) {
        let granted = self.promised.min(self.recv_window.max(0) as u64);
        stats[Stat::GrantedBytes] = stats[Stat::GrantedBytes] + granted - self.granted;
        self.granted = granted;
    }

    /// A stream error (RFC 9113 §5.4.2): resets the stream and tells the sink.
    fn fail_stream<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, slot: u32, h2_code: u32, reason: Reason) {
        let stream = self.finish(io, slot);
        frame::write_reset(io.out, stream.id, h2_code);
        io.stats[Stat::ResetsOut] += 1;
        tell_end(sink, &stream, Fault { reason, is_unsent: false, h2_code, was_reused: stream.was_reused });
    }

    /// Tells sinks that wait for room, now that there is some. Begins at a different stream each time, so that none starves.
    fn wake_blocked<S: Sink + ?Sized>(&mut self, out: &Outbox, sink: &mut S) {
        if !self.streams.has_blocked() || self.send_window <= 0 || out.body_room() < frame::MAX_PAYLOAD_BYTES {
            return;
        }
        let places = self.streams.places();
        let first = (self.next_id / 2 + out.written() as u32) % places;
        for step in 0..places {
            let slot = (first + step) % places;
            let stream = self.streams.at(slot);
            if stream.is_blocked && stream.send_window > 0 {
                let key = stream.key;
                self.streams.unblock(slot);
                sink.on_window(key);
            }
        }
    }

    /// The socket has taken bytes.
    pub fn on_drained<S: Sink + ?Sized>(&mut self, out: &Outbox, sink: &mut S) {
        self.wake_blocked(out, sink);
    }
}

/// The end of a stream that was not its regular end: if the response was complete, only the upload is cut short.
fn tell_end<S: Sink + ?Sized>(sink: &mut S, stream: &Stream, fault: Fault) {
    // A response whose content-length is satisfied is whole, even if the peer resets the stream without an error instead of ending it.
    let is_whole = stream.has_head && !stream.is_bodiless && stream.remaining == 0 && fault.reason == Reason::BackendReset;
    if !stream.is_recv_ended && is_whole && fault.h2_code == code::NO_ERROR {
        sink.on_end(stream.key);
        sink.on_upload_stopped(stream.key);
    } else if stream.is_recv_ended {
        sink.on_upload_stopped(stream.key);
    } else {
        sink.on_failed(stream.key, fault);
    }
}

/// Code for a reset of ours when a response is malformed (RFC 9113 §8.1.1).
const MALFORMED: u32 = code::PROTOCOL_ERROR;
