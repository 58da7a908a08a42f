//! The interface between exchanges and what a client speaks.
//!
//! Three views of a protocol, one for each who asks. [`Protocol`] is the connection: how it is
//! opened, flushed, kept, drained and closed. [`Arrivals`] is what has come: streams with something
//! to say. [`Stream`] is one request and its response, and all that an exchange needs of its
//! client.
//!
//! An exchange asks for the head until it is complete ([`Stream::read_head`]), then for what comes
//! next ([`Stream::next`]): body is announced, and read into the backend's own buffer as far as
//! that has room ([`Stream::read_body`]). What is not read stays with the client, by flow control.
//! A response is encoded where it is written ([`Encoding`](super::wire::Encoding)), put into
//! [`Outgoing`], and written as far as the stream takes it ([`Stream::write`]): interim heads,
//! head, body, trailers, end, in this order. A stream that was blocked is listed once it takes more
//! ([`Arrivals::list_writable`]). Either side ends a stream early: [`Stream::reset`], [`Left`].
//!
//! Dispatch is static: a match, which has one arm as long as one protocol is spoken. Protocols are
//! variants, and what they know of a stream stands in the exchange
//! ([`Wire`](super::wire::Wire)): there is no call through a table, no allocation, and a body is
//! copied once, from the transport's buffer into the session's.

use super::cause::Cause;
use super::http3::{self, Http3};
use super::incoming::Incoming;
#[cfg(test)]
use super::memory::{self, Memory};
use super::outgoing::Outgoing;
use super::terms::{Body, Close, Head, Left, Next, Stopped, Tunnel, Unwritten};
use super::wire::Encoding;
#[cfg(test)]
use super::wire::Wire;
use crate::base::counters::{Closed, Handshake};
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use crate::base::timers::{Clock, Nanos};
use crate::http::fields::Fields;
use crate::http::section::FieldLimits;
use crate::quic::send::Sender;
use crate::quic::stateless::CONNECTION_REFUSED;
use crate::quic::transport::{INTERNAL_ERROR, Life, PacketStats, Sent, Transport};
use boring::ssl::SslRef;

/// What a client speaks.
#[cfg_attr(test, expect(clippy::large_enum_variant, reason = "the memory's is for tests alone"))]
pub enum Protocol {
    /// HTTP/3 over QUIC.
    Http3(Http3),
    /// Nothing that leaves the process.
    #[cfg(test)]
    Memory(Memory),
}

/// One call of whichever protocol is spoken.
macro_rules! each {
    ($spoken:expr, $type:ident, $it:ident => $call:expr) => {
        match $spoken {
            $type::Http3($it) => $call,
            #[cfg(test)]
            $type::Memory($it) => $call,
        }
    };
}

/// One call of whichever transport is below.
macro_rules! below {
    ($spoken:expr, $it:ident => $call:expr) => {
        match $spoken {
            Protocol::Http3(Http3 { transport: $it, .. }) => $call,
            #[cfg(test)]
            Protocol::Memory(Memory { link: $it, .. }) => $call,
        }
    };
}

impl Protocol {
    /// The QUIC connection below, if there is one: datagrams are its alone.
    pub fn transport(&mut self) -> Option<&mut Transport> {
        match self {
            Protocol::Http3(http) => Some(&mut http.transport),
            #[cfg(test)]
            Protocol::Memory(_) => None,
        }
    }

    /// TLS below, if there is any.
    pub fn ssl(&mut self) -> Option<&mut SslRef> {
        match self {
            Protocol::Http3(http) => Some(http.transport.quic.as_mut()),
            #[cfg(test)]
            Protocol::Memory(_) => None,
        }
    }

    /// How the handshake ended; none while it is under way.
    pub fn handshake(&self) -> Option<Handshake> {
        below!(self, link => link.handshake())
    }

    /// The handshake is done: says what has to be said first.
    pub fn open(&mut self, max_head_bytes: usize) {
        each!(self, Protocol, http => http.open(max_head_bytes));
    }

    /// Whether it is over, or about to be.
    pub fn life(&self) -> Life {
        below!(self, link => link.life())
    }

    /// Who closed it.
    pub fn closed_by(&self) -> Closed {
        each!(self, Protocol, http => http.closed_by())
    }

    /// Closes it. Closing twice is no error: the first reason stands.
    pub fn close(&mut self, why: Close<'_>) {
        match why {
            Close::Http(cause, reason) => each!(self, Protocol, http => http.close(cause, reason)),
            Close::Unopened => below!(self, link => link.close(0)),
            Close::Refused => below!(self, link => link.close(CONNECTION_REFUSED)),
            Close::Failed => below!(self, link => link.close(INTERNAL_ERROR)),
        }
    }

    /// The client's idle timeout; 0 for none.
    pub fn peer_idle_timeout(&self) -> Nanos {
        below!(self, link => link.peer_idle_timeout())
    }

    /// Asks the client for a sign of life.
    pub fn ask_for_sign(&mut self) {
        below!(self, link => link.ask_for_sign());
    }

    /// Whether a flush that would say little may wait for a response, which says it for nothing.
    pub fn may_wait(&mut self, now: Nanos) -> bool {
        below!(self, link => link.may_wait(now))
    }

    /// Sends what there is to send.
    pub fn flush(&mut self, sender: &mut Sender, max_payload: usize, is_paced: bool, now: Nanos, clock: &Clock) -> Sent {
        below!(self, link => link.flush(sender, max_payload, is_paced, now, clock))
    }

    /// The socket is full: it waits for nothing else.
    pub fn wait_for_socket(&mut self) {
        below!(self, link => link.wait_for_socket());
    }

    /// When it has to be flushed, or [`Protocol::take_timeout`] is due.
    pub fn deadline(&self, clock: &Clock) -> Nanos {
        below!(self, link => link.deadline(clock))
    }

    /// Sees to a timer of the transport.
    pub fn take_timeout(&mut self, now: Nanos, clock: &Clock) {
        below!(self, link => link.take_timeout(now, clock));
    }

    /// Smoothed round-trip time as last measured, microseconds.
    pub fn rtt_us(&self) -> u64 {
        below!(self, link => link.rtt_us)
    }

    /// What was counted of it.
    pub fn stats(&self) -> PacketStats {
        below!(self, link => link.stats())
    }

    /// Measures the round trip, and what is held: bytes of requests, whose windows let `promised`
    /// come, and bytes of responses that the client has not acknowledged. Once a flush.
    pub fn measure(&mut self, now: Nanos, promised: u64) -> (u64, u64) {
        below!(self, link => link.measure(now, promised))
    }

    /// Tells the client that the end is near; requests that are on their way are served.
    pub fn notify_drain(&mut self) {
        each!(self, Protocol, http => http.notify_drain());
    }

    /// Names the first stream that is not served, and returns it.
    pub fn finish_drain(&mut self) -> u64 {
        each!(self, Protocol, http => http.finish_drain())
    }

    /// An exchange has ended while the connection drains.
    pub fn note_end(&mut self, stream: u64) {
        each!(self, Protocol, http => http.note_end(stream));
    }

    /// Whether all that was said has arrived, and no request is on its way that is to be served.
    pub fn is_drained(&mut self) -> bool {
        each!(self, Protocol, http => http.is_drained())
    }

    /// Whether streams may become tunnels of this kind.
    pub fn carries(&self, tunnel: Tunnel) -> bool {
        each!(self, Protocol, http => http.carries(tunnel))
    }

    /// An exchange begins on one of its streams.
    pub fn prepare(&self, incoming: &mut Incoming, outgoing: &mut Outgoing) {
        match self {
            Protocol::Http3(_) => {
                outgoing.encoding = Encoding::Http3;
                incoming.wire.begin_http3();
            }
            #[cfg(test)]
            Protocol::Memory(_) => (incoming.wire, outgoing.encoding) = (Wire::Memory, Encoding::Memory),
        }
    }

    /// What has come.
    pub fn arrivals(&mut self) -> Arrivals<'_> {
        match self {
            Protocol::Http3(http) => Arrivals::Http3(http),
            #[cfg(test)]
            Protocol::Memory(memory) => Arrivals::Memory(memory),
        }
    }

    /// One request's stream.
    pub fn stream(&mut self, id: u64) -> Stream<'_> {
        match self {
            Protocol::Http3(http) => Stream::Http3(http.stream(id)),
            #[cfg(test)]
            Protocol::Memory(memory) => Stream::Memory(memory.stream(id)),
        }
    }
}

/// What has come on a connection.
pub enum Arrivals<'a> {
    /// HTTP/3's.
    Http3(&'a mut Http3),
    /// The memory's.
    #[cfg(test)]
    Memory(&'a mut Memory),
}

impl Arrivals<'_> {
    /// Lists streams that can be read, requests and others. One that keeps bytes because its
    /// backend is slow is listed again.
    pub fn list_readable(self, streams: &mut Vec<u64>) {
        each!(self, Arrivals, http => http.list_readable(streams));
    }

    /// Lists streams that take bytes again; `is_any_blocked` says that responses wait for that.
    pub fn list_writable(self, is_any_blocked: bool, streams: &mut Vec<u64>) {
        each!(self, Arrivals, http => http.list_writable(is_any_blocked, streams));
    }

    /// Whether a stream carries a request.
    pub fn is_request(self, stream: u64) -> bool {
        each!(self, Arrivals, http => http.is_request(stream))
    }

    /// Reads a stream that is no request's. A fault is to close the connection.
    pub fn read_own(self, stream: u64, scratch: &mut [u8]) -> Result<(), Cause> {
        each!(self, Arrivals, http => http.read_own(stream, scratch))
    }

    /// A stream that is no request's takes bytes.
    pub fn write_own(self) {
        each!(self, Arrivals, http => http.write_own());
    }

    /// A request's stream without an exchange has something to say. False where its exchange has
    /// ended: then what still comes is dropped.
    pub fn begin(self, stream: u64, now: Nanos) -> bool {
        each!(self, Arrivals, http => http.begin(stream, now))
    }

    /// Lists exchanges that the client has left, and that nothing readable tells of. False where
    /// none can be.
    pub fn list_stopped(self, exchanges: &NumberMap<Key>, stopped: &mut Vec<(Key, Left)>) -> bool {
        each!(self, Arrivals, http => http.list_stopped(exchanges, stopped))
    }

    /// Counts streams that the client has opened and that have not begun. True where some are
    /// waited for.
    pub fn notice_gaps(self, now: Nanos) -> bool {
        each!(self, Arrivals, http => http.notice_gaps(now))
    }

    /// Refuses streams that have not begun since `before`. How many, and whether others are still
    /// waited for.
    pub fn give_up_gaps(self, before: Nanos) -> (u64, bool) {
        each!(self, Arrivals, http => http.give_up_gaps(before))
    }
}

/// One request and its response.
pub enum Stream<'a> {
    /// A stream of QUIC.
    Http3(http3::Stream<'a>),
    /// A stream in memory.
    #[cfg(test)]
    Memory(memory::Stream<'a>),
}

impl Stream<'_> {
    /// Reads until the head is complete; `scratch` is room to read into.
    pub fn read_head(mut self, incoming: &mut Incoming, head: &mut Fields, limits: FieldLimits, scratch: &mut [u8]) -> Head {
        each!(&mut self, Stream, stream => stream.read_head(incoming, head, limits, scratch))
    }

    /// What comes next after the head.
    pub fn next(mut self, incoming: &mut Incoming, limits: FieldLimits) -> Next {
        each!(&mut self, Stream, stream => stream.next(incoming, limits))
    }

    /// Reads body that [`Stream::next`] announced into a backend's room.
    pub fn read_body(mut self, incoming: &mut Incoming, room: &mut [u8]) -> Result<Body, Stopped> {
        each!(&mut self, Stream, stream => stream.read_body(incoming, room))
    }

    /// Why the client has reset the stream. Asked while nothing may be read.
    pub fn reset_by_client(mut self) -> Option<Cause> {
        each!(&mut self, Stream, stream => stream.reset_by_client())
    }

    /// Nothing more is read of the request: it is not needed.
    pub fn stop_reading(mut self) {
        each!(&mut self, Stream, stream => stream.stop_reading());
    }

    /// Ends both directions.
    pub fn reset(mut self, cause: Cause) {
        each!(&mut self, Stream, stream => stream.reset(cause));
    }

    /// Bytes of the request that may still come before more is allowed.
    pub fn window(self) -> u64 {
        each!(&self, Stream, stream => stream.window())
    }

    /// Whether the client lets body come to this stream: what keeps it then is the connection.
    pub fn has_credit(self) -> bool {
        each!(&self, Stream, stream => stream.has_credit())
    }

    /// Writes encoded bytes at once, and the end with them, as far as the stream takes them; how
    /// many. Why it takes no more, [`Stream::write`] says.
    pub fn write_encoded(mut self, bytes: &[u8], is_end: bool) -> usize {
        each!(&mut self, Stream, stream => stream.write_encoded(bytes, is_end))
    }

    /// Writes what is held, as far as the stream takes it. `Ok` when it has everything, and its end
    /// if there is one.
    pub fn write(mut self, outgoing: &mut Outgoing) -> Result<(), Unwritten> {
        each!(&mut self, Stream, stream => stream.write(outgoing))
    }
}
