//! The protocol of a session: HTTP/2 or HTTP/1.1 behind one set of verbs.

use std::cell::Cell;
use std::rc::Rc;

use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::fields::Fields;
use crate::upstream::client::{Client, Permit};
use crate::upstream::config::{BackendConfig, Scheme, SessionLimits};
use crate::upstream::h1::H1;
use crate::upstream::h2::H2;
use crate::upstream::io::{Broken, Io};
use crate::upstream::outbox::Outbox;
use crate::upstream::sink::{AttemptId, Fault, Sink};

/// What is spoken on the session.
pub enum Protocol {
    /// HTTP/2.
    H2(Box<H2>),
    /// HTTP/1.1.
    H1(Box<H1>),
}

impl Protocol {
    /// What a scheme speaks, unless ALPN chooses otherwise.
    pub fn expected(config: &BackendConfig, last_max_streams: Rc<Cell<u32>>) -> Protocol {
        match config.scheme {
            Scheme::Http => Protocol::http1(&config.limits),
            Scheme::H2c | Scheme::Https => Protocol::H2(Box::new(H2::new(&config.limits, last_max_streams))),
        }
    }

    /// HTTP/1.1 on a connection that has carried nothing.
    pub fn http1(limits: &SessionLimits) -> Protocol {
        Protocol::H1(Box::new(H1::new(limits)))
    }

    /// Name for the admin API.
    pub fn name(&self) -> &'static str {
        match self {
            Protocol::H2(_) => "h2",
            Protocol::H1(_) => "http/1.1",
        }
    }

    /// The client that the connection is bound to.
    pub fn owner(&self) -> Option<Client> {
        match self {
            Protocol::H2(_) => None,
            Protocol::H1(h1) => h1.owner(),
        }
    }

    /// Whether a body could be sent now, as far as the session as a whole is concerned.
    pub fn has_credit(&self) -> bool {
        match self {
            Protocol::H2(h2) => h2.has_credit(),
            Protocol::H1(_) => true,
        }
    }

    /// Whether no more streams may start.
    pub fn is_closing(&self) -> bool {
        match self {
            Protocol::H2(h2) => h2.is_going_away(),
            Protocol::H1(h1) => h1.is_closing(),
        }
    }

    /// Whether the backend has reset stream after stream.
    pub fn is_failing(&self) -> bool {
        matches!(self, Protocol::H2(h2) if h2.is_failing())
    }

    /// Forgets the resets so far.
    pub fn clear_streak(&mut self) {
        if let Protocol::H2(h2) = self {
            h2.clear_streak();
        }
    }

    /// Streams open.
    pub fn open_streams(&self) -> u32 {
        match self {
            Protocol::H2(h2) => h2.open_streams(),
            Protocol::H1(h1) => h1.open_streams(),
        }
    }

    /// Streams that may be open at once.
    pub fn capacity(&self) -> u32 {
        match self {
            Protocol::H2(h2) => h2.capacity(),
            Protocol::H1(_) => 1,
        }
    }

    /// Whether bytes are to be read.
    pub fn wants_read(&self) -> bool {
        match self {
            Protocol::H2(_) => true,
            Protocol::H1(h1) => h1.wants_read(),
        }
    }

    /// Bytes that may be read at once.
    pub fn read_limit(&self) -> usize {
        match self {
            Protocol::H2(_) => usize::MAX,
            Protocol::H1(h1) => h1.read_limit(),
        }
    }

    /// Opens a stream with a request head, for an attempt and its permit; returns slot and
    /// identifier.
    pub fn start(&mut self, io: &mut Io<'_>, attempt: (AttemptId, Permit), head: &Fields, has_body: bool) -> Result<(u32, u32), Fault> {
        match self {
            Protocol::H2(h2) => h2.start(io, attempt, head, has_body),
            Protocol::H1(h1) => h1.start(io, attempt, head, has_body),
        }
    }

    /// Body bytes a stream may write now.
    pub fn body_room(&mut self, out: &Outbox, slot: u32, id: u32) -> usize {
        match self {
            Protocol::H2(h2) => h2.body_room(out, slot, id),
            Protocol::H1(h1) => h1.body_room(out, id),
        }
    }

    /// Writes body bytes that `fill` provides.
    pub fn write_body(&mut self, io: &mut Io<'_>, slot: u32, id: u32, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        match self {
            Protocol::H2(h2) => h2.write_body(io, slot, id, fill),
            Protocol::H1(h1) => h1.write_body(io, id, fill),
        }
    }

    /// Ends a request with trailers.
    pub fn write_trailers(&mut self, io: &mut Io<'_>, slot: u32, id: u32, fields: &Fields) {
        match self {
            Protocol::H2(h2) => h2.write_trailers(io, slot, id, fields),
            Protocol::H1(h1) => h1.write_trailers(io, id, fields),
        }
    }

    /// The sink consumed bytes that it held.
    pub fn credit(&mut self, io: &mut Io<'_>, slot: u32, id: u32, bytes: usize) {
        match self {
            Protocol::H2(h2) => h2.credit(io, slot, id, bytes),
            Protocol::H1(h1) => h1.credit(id, bytes),
        }
    }

    /// Resets a stream.
    pub fn reset(&mut self, io: &mut Io<'_>, slot: u32, id: u32, h2_code: u32) {
        match self {
            Protocol::H2(h2) => h2.reset(io, slot, id, h2_code),
            Protocol::H1(h1) => h1.reset(io, id),
        }
    }

    /// Parses a block from `at` on; returns the position of the first byte that needs more.
    pub fn receive<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, block: &Block, at: usize) -> Result<usize, Broken> {
        match self {
            Protocol::H2(h2) => h2.receive(io, sink, block, at),
            Protocol::H1(h1) => h1.receive(io, sink, block, at),
        }
    }

    /// The backend closed its side, by FIN or close_notify or not.
    pub fn on_end<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, is_orderly: bool) {
        if let Protocol::H1(h1) = self {
            h1.on_end(io, sink, is_orderly);
        }
    }

    /// Bytes were written to the socket.
    pub fn on_drained<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S) {
        match self {
            Protocol::H2(h2) => h2.on_drained(io.out, sink),
            Protocol::H1(h1) => h1.on_drained(io, sink),
        }
    }

    /// The connection is gone: every stream fails.
    pub fn fail_all<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        match self {
            Protocol::H2(h2) => h2.fail_all(io, sink, reason, h2_code),
            Protocol::H1(h1) => h1.fail(io, sink, reason),
        }
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        match self {
            Protocol::H2(h2) => h2.release(),
            Protocol::H1(h1) => h1.release(),
        }
    }
}
