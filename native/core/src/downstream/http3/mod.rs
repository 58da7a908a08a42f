//! HTTP/3 over QUIC: what a client's connection speaks, in the terms of the room.

mod requests;

use crate::base::chunk::Chunk;
use crate::base::counters::Closed;
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::http::error::h3 as code;
use crate::http::h3::{self, FRAME_HEAD_BYTES, PeerStreams};
use crate::quic::transport::{Quic, Transport};
use requests::Requests;

/// Our control stream: the server's first unidirectional one (RFC 9000 §2.1).
const CONTROL_STREAM: u64 = 3;

/// A stream ID that no request reaches: "everything so far and what is on its way will be served"
/// (RFC 9114 §5.2).
const GOAWAY_NOTICE: u64 = (1 << 62) - 4;

/// Ended request streams that a drain asks quiche about: more are never unacknowledged at once.
const RECENT_REQUESTS: u64 = 1024;

/// Why reading a request stream stopped.
pub(crate) enum Stopped {
    /// For now there is nothing more.
    Empty,
    /// Client reset it with this code.
    Reset(u64),
    /// quiche knows no such stream any more.
    Gone,
}

/// Why a stream takes no bytes.
pub(crate) enum Unwritten {
    /// It takes no more now.
    Blocked,
    /// The client wants no more (STOP_SENDING), or the stream is gone.
    Refused,
}

/// A client's HTTP/3.
pub struct Http3 {
    /// The QUIC connection below.
    pub transport: Transport,
    /// The client's unidirectional streams.
    peer_streams: PeerStreams,
    /// Request streams: which have begun, which are still to come.
    requests: Requests,
    /// What waits for the control stream.
    control: Vec<u8>,
    /// STOP_SENDING frames that have been seen to.
    stops: u64,
    /// Finished request streams whose last bytes may be on their way; kept only while draining.
    finishing: Vec<u64>,
}

impl Http3 {
    /// HTTP/3 on a connection whose handshake is still to come.
    pub fn new(transport: Transport) -> Http3 {
        Http3 {
            transport,
            peer_streams: PeerStreams::default(),
            requests: Requests::default(),
            control: Vec::new(),
            stops: 0,
            finishing: Vec::new(),
        }
    }

    /// The handshake is done: SETTINGS are sent.
    pub fn open(&mut self, max_head_bytes: usize) {
        h3::write_control_preface(max_head_bytes, &mut self.control);
        self.write_control();
    }

    /// Sends what waits for the control stream; the rest goes when the stream is writable again.
    fn write_control(&mut self) {
        while !self.control.is_empty() {
            match self.transport.quic.stream_send(CONTROL_STREAM, &self.control, false) {
                Ok(sent) => drop(self.control.drain(..sent)),
                Err(_) => return,
            }
        }
    }

    /// Closes with a code of HTTP/3. Closing twice is no error worth telling: the first reason
    /// stands.
    pub fn close(&mut self, code: u64, reason: &[u8]) {
        let _ = self.transport.quic.close(true, code, reason);
    }

    // ---- what the streams have to say

    /// Lists streams that can be read, requests and others.
    pub fn list_readable(&mut self, streams: &mut Vec<u64>) {
        streams.extend(std::iter::from_fn(|| self.transport.quic.stream_readable_next()));
    }

    /// Lists streams that take bytes. quiche lists every stream that could: of interest only while
    /// one of them did not, which `is_any_blocked` says of responses.
    pub fn list_writable(&mut self, is_any_blocked: bool, streams: &mut Vec<u64>) {
        if is_any_blocked || !self.control.is_empty() {
            streams.extend(std::iter::from_fn(|| self.transport.quic.stream_writable_next()));
        }
    }

    /// Whether a stream carries a request.
    pub fn is_request(stream: u64) -> bool {
        stream & 3 == 0
    }

    /// Reads one of the client's own streams. A fault closes the connection, which then has
    /// something to send: false.
    pub fn read_own(&mut self, stream: u64, scratch: &mut [u8]) -> bool {
        let fault = loop {
            match self.transport.quic.stream_recv(stream, scratch) {
                Ok((count, is_end)) => {
                    if let Err(code) = self.peer_streams.take(stream, &scratch[..count], is_end) {
                        break Some(code);
                    }
                    if is_end {
                        break None;
                    }
                }
                Err(quiche::Error::StreamReset(_)) => break self.peer_streams.end(stream).err(),
                Err(_) => break None,
            }
        };
        if let Some(code) = fault {
            self.close(code, b"");
        }
        fault.is_none()
    }

    /// A stream of our own takes bytes.
    pub fn write_own(&mut self) {
        self.write_control();
    }

    /// Counts streams that the client has opened and that have not begun, because others came first
    /// or because their first byte is missing. True where some are waited for.
    pub fn notice_gaps(&mut self, now: Nanos) -> bool {
        self.requests.pass_over(self.transport.quic.peer_streams_opened_bidi(), now);
        self.requests.has_gaps()
    }

    /// Whether streams are waited for that have not begun.
    pub fn has_gaps(&self) -> bool {
        self.requests.has_gaps()
    }

    /// Refuses request streams whose first byte has not come since `before`, though they were
    /// opened. Returns how many.
    pub fn give_up_gaps(&mut self, before: Nanos) -> u64 {
        let Http3 { requests, transport, .. } = self;
        let mut refused = 0;
        requests.give_up(before, |stream| {
            let is_known = is_known(&mut transport.quic, stream);
            if is_known {
                end_stream(&mut transport.quic, stream, code::REQUEST_REJECTED);
                refused += 1;
            }
            is_known
        });
        refused
    }

    /// Lists exchanges whose response the client wants no more, with its code. False where none can
    /// be.
    ///
    /// quiche lists a stopped stream as writable, unless it has listed it before and nothing was
    /// written since: while an exchange waits for its backend the stop would go unseen. Its count
    /// of stops tells that there is one to look for.
    pub fn list_stopped(&mut self, exchanges: &NumberMap<Key>, stopped: &mut Vec<(Key, u64)>) -> bool {
        let stops = self.transport.quic.stats().stopped_stream_count_remote;
        if stops == self.stops {
            return false;
        }
        self.stops = stops;
        for (stream, exchange) in exchanges {
            match self.transport.quic.stream_capacity(*stream) {
                Err(quiche::Error::StreamStopped(code)) => stopped.push((*exchange, code)),
                // Stopped, and its request has been read to the end: quiche has forgotten it with
                // the last byte.
                Err(quiche::Error::InvalidStreamState(_)) => stopped.push((*exchange, code::REQUEST_CANCELLED)),
                _ => {}
            }
        }
        true
    }

    // ---- one request's stream

    /// A request stream without an exchange has something to say. False where its exchange has
    /// ended: then what still comes is dropped.
    pub fn begin(&mut self, stream: u64, now: Nanos) -> bool {
        if !self.requests.begin(stream, now) {
            self.stop_reading(stream);
            return false;
        }
        if self.stops > 0 {
            // The stop of this stream may have come before its first byte: have them looked through
            // again.
            self.stops = u64::MAX;
        }
        true
    }

    /// Reads from a stream. The flag says that nothing follows.
    pub(crate) fn receive(&mut self, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        self.transport.quic.stream_recv(stream, out).map_err(|error| match error {
            quiche::Error::Done => Stopped::Empty,
            quiche::Error::StreamReset(code) => Stopped::Reset(code),
            _ => Stopped::Gone,
        })
    }

    /// The code of a reset, which quiche tells to a reader alone.
    pub fn reset_of(&mut self, stream: u64) -> Option<u64> {
        match self.transport.quic.stream_recv(stream, &mut []) {
            Err(quiche::Error::StreamReset(code)) => Some(code),
            _ => None,
        }
    }

    /// Nothing more is read of a request (RFC 9114 §4.1). A stream that is gone already needs no
    /// stop.
    pub fn stop_reading(&mut self, stream: u64) {
        let _ = self.transport.quic.stream_shutdown(stream, quiche::Shutdown::Read, code::NO_ERROR);
    }

    /// Ends both directions of a request stream. quiche forgets a stream, and lets the client open
    /// another for it, only when both have ended.
    pub fn refuse(&mut self, stream: u64, code: u64) {
        end_stream(&mut self.transport.quic, stream, code);
    }

    /// Bytes of a request that its window lets come.
    pub fn window(&self, stream: u64) -> u64 {
        self.transport.quic.stream_recv_window(stream).unwrap_or(0)
    }

    /// Whether the client lets a frame with a body come to this stream: what keeps it then is the
    /// connection.
    pub fn has_credit(&self, stream: u64) -> bool {
        self.transport.quic.stream_credit(stream).is_some_and(|credit| credit > FRAME_HEAD_BYTES)
    }

    /// Bytes the client has acknowledged in the connection's life.
    pub fn acknowledged(&self) -> u64 {
        self.transport.quic.stats().acked_bytes
    }

    /// Writes bytes as far as the stream takes them, without a word on why it takes no more; how
    /// many.
    pub fn send(&mut self, stream: u64, bytes: &[u8], is_end: bool) -> usize {
        self.transport.quic.stream_send(stream, bytes, is_end).unwrap_or(0)
    }

    /// Gives a chunk to the stream, which keeps it as it is; how much it took, and the rest.
    pub(crate) fn send_chunk(&mut self, stream: u64, chunk: Chunk, is_end: bool) -> Result<(usize, Option<Chunk>), Unwritten> {
        self.transport.quic.stream_send_zc(stream, chunk, is_end).map_err(|error| match error {
            // quiche says the same of a stream that it has forgotten.
            quiche::Error::Done if !is_known(&mut self.transport.quic, stream) => Unwritten::Refused,
            error => refused(error),
        })
    }

    /// Writes the head of a frame that is known to fit.
    pub(crate) fn send_head(&mut self, stream: u64, head: &[u8]) -> Result<(), Unwritten> {
        self.transport.quic.stream_send(stream, head, false).map(drop).map_err(refused)
    }

    /// Room for a frame's body behind its head. Where there is none the stream is listed as
    /// writable once there is.
    pub(crate) fn room(&mut self, stream: u64) -> Result<usize, Unwritten> {
        let room = self.transport.quic.stream_capacity(stream).map_err(refused)?;
        if room <= FRAME_HEAD_BYTES {
            self.transport.quic.stream_writable(stream, FRAME_HEAD_BYTES + 1).map_err(refused)?;
            return Err(Unwritten::Blocked);
        }
        Ok(room - FRAME_HEAD_BYTES)
    }

    // ---- the end

    /// Who closed the connection.
    pub fn closed_by(&self) -> Closed {
        let quic = &self.transport.quic;
        if quic.is_timed_out() {
            return Closed::Idle;
        }
        match (quic.peer_error(), quic.local_error()) {
            (None, Some(error)) if error.is_app && error.error_code == code::NO_ERROR => Closed::Local,
            (None, Some(_)) => Closed::Protocol,
            _ => Closed::Peer,
        }
    }

    /// Tells the client that the end is near (RFC 9114 §5.2).
    pub fn notify_drain(&mut self) {
        h3::write_goaway(GOAWAY_NOTICE, &mut self.control);
        self.write_control();
    }

    /// Names the first request stream that is not served, and returns it.
    pub fn finish_drain(&mut self) -> u64 {
        let next = self.requests.next();
        // Exchanges that ended before the drain began: their last bytes may be on their way too.
        let oldest = next.saturating_sub(4 * RECENT_REQUESTS);
        let quic = &mut self.transport.quic;
        self.finishing = (oldest..next).step_by(4).filter(|stream| is_known(quic, *stream)).collect();
        h3::write_goaway(next, &mut self.control);
        self.write_control();
        next
    }

    /// An exchange has ended while the connection drains.
    pub fn note_end(&mut self, stream: u64) {
        self.finishing.push(stream);
    }

    /// Whether all that was said has arrived, and no request is on its way that is to be served.
    pub fn is_drained(&mut self) -> bool {
        // A stream below the GOAWAY whose beginning was lost is still to be served.
        if self.requests.has_gaps() {
            return false;
        }
        let quic = &mut self.transport.quic;
        self.finishing.retain(|stream| is_known(quic, *stream));
        self.finishing.is_empty()
    }
}

fn refused(error: quiche::Error) -> Unwritten {
    if error == quiche::Error::Done { Unwritten::Blocked } else { Unwritten::Refused }
}

fn end_stream(quic: &mut Quic, stream: u64, code: u64) {
    // One that has ended already, or is gone, needs no end.
    let _ = quic.stream_shutdown(stream, quiche::Shutdown::Read, code);
    let _ = quic.stream_shutdown(stream, quiche::Shutdown::Write, code);
}

/// quiche forgets a stream when its last byte is acknowledged.
pub fn is_known(quic: &mut Quic, stream: u64) -> bool {
    !matches!(quic.stream_capacity(stream), Err(quiche::Error::InvalidStreamState(_)))
}
