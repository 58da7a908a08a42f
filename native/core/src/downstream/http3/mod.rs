//! HTTP/3 over QUIC: what a client's connection speaks, in the terms of the room.

mod cause;
mod read;
pub mod reader;
mod requests;
mod stream;

use crate::base::counters::Closed;
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::downstream::cause::Cause;
use crate::downstream::terms::{Left, Tunnel};
use crate::http::error::h3 as code;
use crate::http::h3::{self, PeerStreams};
use crate::quic::transport::Transport;
use cause::{cause_of, code_of};
use requests::Requests;
pub use stream::Stream;

/// Our control stream: the server's first unidirectional one (RFC 9000 §2.1).
const CONTROL_STREAM: u64 = 3;

/// A stream ID that no request reaches: "everything so far and what is on its way will be served"
/// (RFC 9114 §5.2).
const GOAWAY_NOTICE: u64 = (1 << 62) - 4;

/// Ended request streams that a drain asks quiche about: more are never unacknowledged at once.
const RECENT_REQUESTS: u64 = 1024;

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
    pub fn close(&mut self, cause: Cause, reason: &[u8]) {
        let _ = self.transport.quic.close(true, code_of(cause), reason);
    }

    /// Whether streams become tunnels: none does.
    pub fn carries(&self, tunnel: Tunnel) -> bool {
        match tunnel {
            Tunnel::Connect => false,
        }
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
    pub fn is_request(&self, stream: u64) -> bool {
        stream & 3 == 0
    }

    /// Reads one of the client's own streams. A fault is to close the connection.
    pub fn read_own(&mut self, stream: u64, scratch: &mut [u8]) -> Result<(), Cause> {
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
        fault.map_or(Ok(()), |code| Err(Cause::Code(code)))
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

    /// Refuses request streams whose first byte has not come since `before`, though they were
    /// opened. How many, and whether others are still waited for.
    pub fn give_up_gaps(&mut self, before: Nanos) -> (u64, bool) {
        let Http3 { requests, transport, .. } = self;
        let mut refused = 0;
        requests.give_up(before, |id| {
            let mut stream = Stream { quic: &mut transport.quic, id };
            let is_known = stream.is_known();
            if is_known {
                stream.reset(Cause::Rejected);
                refused += 1;
            }
            is_known
        });
        (refused, requests.has_gaps())
    }

    /// Lists exchanges whose response the client wants no more. False where none can be.
    ///
    /// quiche lists a stopped stream as writable, unless it has listed it before and nothing was
    /// written since: while an exchange waits for its backend the stop would go unseen. Its count
    /// of stops tells that there is one to look for.
    pub fn list_stopped(&mut self, exchanges: &NumberMap<Key>, stopped: &mut Vec<(Key, Left)>) -> bool {
        let stops = self.transport.quic.stats().stopped_stream_count_remote;
        if stops == self.stops {
            return false;
        }
        self.stops = stops;
        for (stream, exchange) in exchanges {
            match self.transport.quic.stream_capacity(*stream) {
                Err(quiche::Error::StreamStopped(code)) => stopped.push((*exchange, Left::Reset(cause_of(code)))),
                // Stopped, and its request has been read to the end: quiche has forgotten it with
                // the last byte.
                Err(quiche::Error::InvalidStreamState(_)) => stopped.push((*exchange, Left::Reset(Cause::Cancelled))),
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
            self.stream(stream).stop_reading();
            return false;
        }
        if self.stops > 0 {
            // The stop of this stream may have come before its first byte: have them looked through
            // again.
            self.stops = u64::MAX;
        }
        true
    }

    /// One request's stream.
    pub fn stream(&mut self, id: u64) -> Stream<'_> {
        Stream { quic: &mut self.transport.quic, id }
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
        self.finishing = (oldest..next).step_by(4).filter(|id| Stream { quic, id: *id }.is_known()).collect();
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
        self.finishing.retain(|id| Stream { quic, id: *id }.is_known());
        self.finishing.is_empty()
    }
}
