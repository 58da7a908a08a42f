//! One client's connection, whatever it speaks. Requests of its streams are exchanges of the relay.

use super::cause::Cause;
use super::protocol::Protocol;
use super::terms::Close;
use crate::base::budget::{Account, Entry, Side};
use crate::base::counters::CertificateRefused;
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use crate::base::timers::{Armed, Clock, NEVER, Nanos};
use crate::quic::clients::ClientPlace;
use crate::quic::count::ConnectionPlace;
use crate::quic::send::Sender;
use crate::quic::transport::{Life, Sent};
use crate::tls::client_auth::Policies;
use crate::tls::connection::ConnectionTls;
use std::net::SocketAddr;
use std::sync::Arc;

/// A client's own idle timeout makes us ask no more often than this whether it is still there.
const MIN_KEEP_ALIVE: Nanos = 500_000_000;

/// Time that is left for what has begun when a client's certificate does not pass any more.
const CONDEMNED_GRACE: Nanos = 5_000_000_000;

/// What the client is told then.
const CONDEMNED_REASON: &[u8] = b"the client certificate does not pass any more";

/// How far a connection's drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Not draining.
    No,
    /// The notice was sent; requests under way are still accepted until then.
    Noticed {
        /// When the last request is named.
        until: Nanos,
    },
    /// This stream and later ones are rejected. The client must hear of it before the close, which
    /// would tell it less.
    Final {
        /// First stream that is not served.
        stream: u64,
        /// When the connection may close; [`NEVER`] once that time has come.
        until: Nanos,
    },
}

/// What is known of a connection when it is accepted.
pub struct Accepted {
    /// Unique in the process.
    pub number: u64,
    /// Listener it came to.
    pub listener: u32,
    /// Place of the socket it came to.
    pub socket: u32,
    /// Client's address.
    pub peer: SocketAddr,
    /// When it came.
    pub at: Nanos,
    /// Its place among the listener's connections, kept as long as it lives.
    pub place: ConnectionPlace,
}

/// In which of the reactor's lists a connection stands.
#[derive(Default)]
pub struct Listed {
    /// Among those to flush.
    pub is_dirty: bool,
    /// Among those that wait for their socket's room.
    pub is_held_up: bool,
    /// Among those whose missing streams are waited for.
    pub is_gapped: bool,
    /// Entry in the timers.
    pub armed: Armed,
}

/// Bytes held for the client.
#[derive(Default)]
pub struct Books {
    /// Bytes that the windows of requests under way let come.
    pub promised: u64,
    /// Bytes of requests that are kept beside the streams.
    pub kept: u64,
    /// Bytes held of requests, as counted.
    held_in: Entry,
    /// Bytes held of responses, as counted.
    held_out: Entry,
    /// Responses of which the client's streams take no more for now.
    pub blocked: usize,
}

/// How the connection ends.
pub struct End {
    /// Drain.
    pub drain: Drain,
    /// Its listener is no more, or has left its address: it drains.
    pub is_retired: bool,
    /// What is left of it then is cut.
    pub cut_at: Nanos,
    /// When it is closed whatever is under way; [`NEVER`] while nothing is wrong with its client.
    closes_at: Nanos,
    /// Whether its end was counted.
    pub is_counted: bool,
}

/// When a client that has requests open is asked again whether it is still there.
#[derive(Default)]
struct KeepAlive {
    at: Nanos,
    /// How often; 0 for never.
    interval: Nanos,
}

/// A client's connection.
pub struct Connection {
    /// What was known when it came.
    pub accepted: Accepted,
    /// Client's address, changed only after the new one is validated.
    pub peer: SocketAddr,
    /// Its lists.
    pub listed: Listed,
    /// Whether the handshake is done and requests may come.
    pub is_open: bool,
    /// Whether bytes came since its streams were last looked at.
    pub has_arrivals: bool,
    /// Whether there is more to send than an acknowledgement.
    pub has_output: bool,
    /// Exchanges by request stream.
    pub exchanges: NumberMap<Key>,
    /// Bytes held for the client.
    pub books: Books,
    /// What its handshake has come to.
    pub tls: ConnectionTls,
    /// Its place among the connections of its client, from the end of the handshake to its own.
    pub place: ClientPlace,
    /// Its end.
    pub end: End,
    keep_alive: KeepAlive,
    /// What it speaks.
    pub protocol: Protocol,
}

impl Connection {
    /// Wraps an accepted connection.
    pub fn new(protocol: Protocol, accepted: Accepted) -> Connection {
        Connection {
            peer: accepted.peer,
            accepted,
            listed: Listed::default(),
            is_open: false,
            has_arrivals: false,
            has_output: false,
            exchanges: NumberMap::default(),
            books: Books::default(),
            tls: ConnectionTls::default(),
            place: ClientPlace::default(),
            end: End { drain: Drain::No, is_retired: false, cut_at: NEVER, closes_at: NEVER, is_counted: false },
            keep_alive: KeepAlive::default(),
            protocol,
        }
    }

    /// The handshake is done: what TLS says is noted, and requests may come.
    pub fn open(&mut self, max_head_bytes: usize, keep_alive: Nanos) {
        self.is_open = true;
        // The shorter idle timeout holds (RFC 9000 §10.1), and the client's may be that.
        let theirs = self.protocol.peer_idle_timeout();
        self.keep_alive.interval = if theirs > 0 { keep_alive.min((theirs / 2).max(MIN_KEEP_ALIVE)) } else { keep_alive };
        self.tls = self.protocol.ssl().map(ConnectionTls::of).unwrap_or_default();
        self.protocol.open(max_head_bytes);
    }

    /// Holds the client's certificate against what is wanted now; `now` in seconds since 1970. One
    /// that is on its way out is left to that.
    pub fn recheck(&mut self, policies: &Arc<Policies>, now: i64) -> Result<(), CertificateRefused> {
        if !self.is_open || self.end.closes_at != NEVER || self.is_ending() {
            return Ok(());
        }
        self.protocol.ssl().map_or(Ok(()), |ssl| self.tls.recheck(policies, ssl, now))
    }

    /// An exchange begins. With the first in a while the client is kept from now on.
    pub fn enter(&mut self, stream: u64, exchange: Key, now: Nanos) {
        if self.exchanges.is_empty() {
            self.keep_alive.at = now + self.keep_alive.interval;
        }
        self.exchanges.insert(stream, exchange);
    }

    /// An exchange has ended, whose response was blocked or not.
    pub fn leave(&mut self, stream: u64, was_blocked: bool) {
        self.exchanges.remove(&stream);
        self.books.blocked -= usize::from(was_blocked);
        if self.end.drain != Drain::No {
            self.protocol.note_end(stream);
        }
    }

    /// Its client may not go on: what has begun may end within a few seconds, and nothing new
    /// begins.
    pub fn condemn(&mut self, now: Nanos) {
        self.end.closes_at = now + CONDEMNED_GRACE;
        if !matches!(self.end.drain, Drain::Final { .. }) {
            self.finish_drain(now);
        }
    }

    /// Whether one side has closed it.
    pub fn is_ending(&self) -> bool {
        self.protocol.life() != Life::Open
    }

    /// Closes it.
    pub fn close(&mut self, cause: Cause) {
        let reason = if self.end.closes_at == NEVER { &b""[..] } else { CONDEMNED_REASON };
        self.protocol.close(Close::Http(cause, reason));
    }

    /// Tells the client that the end is near; requests under way are accepted for about a round
    /// trip more.
    pub fn notify_drain(&mut self, now: Nanos) {
        if self.end.drain == Drain::No && self.is_open {
            self.end.drain = Drain::Noticed { until: now + self.drain_grace() };
            self.protocol.notify_drain();
        }
    }

    /// Time for a word to arrive and what crossed it to come.
    fn drain_grace(&self) -> Nanos {
        (3 * self.protocol.rtt_us() * 1_000).clamp(20_000_000, 1_000_000_000)
    }

    fn finish_drain(&mut self, now: Nanos) {
        let stream = self.protocol.finish_drain();
        self.end.drain = Drain::Final { stream, until: now + self.drain_grace() };
    }

    /// Whether a draining connection takes no request on this stream.
    pub fn is_beyond_drain(&self, stream: u64) -> bool {
        matches!(self.end.drain, Drain::Final { stream: first, .. } if stream >= first)
    }

    /// Whether a draining connection has nothing left to carry.
    pub fn is_drained(&mut self) -> bool {
        matches!(self.end.drain, Drain::Final { until: NEVER, .. }) && self.exchanges.is_empty() && self.protocol.is_drained()
    }

    /// Whether the flush of this turn may wait, because it would carry an acknowledgement alone and
    /// a response will soon carry it for nothing: only while a request is being answered.
    pub fn may_wait(&mut self, now: Nanos) -> bool {
        self.is_open && !self.has_output && !self.exchanges.is_empty() && self.protocol.may_wait(now)
    }

    /// Sends what there is to send, as far as `sender` takes it.
    pub fn flush(&mut self, sender: &mut Sender, max_payload: usize, is_paced: bool, now: Nanos, clock: &Clock) -> Sent {
        self.has_output = false;
        self.protocol.flush(sender, max_payload, is_paced, now, clock)
    }

    /// When [`Connection::advance`] is to be called. A handshake that is still under way has as
    /// long as it may take.
    pub fn deadline(&self, clock: &Clock, handshake_timeout: Nanos) -> Nanos {
        let is_ending = self.is_ending();
        let mut deadline = self.protocol.deadline(clock).min(self.end.cut_at).min(self.keep_alive_deadline());
        if !self.is_open && !is_ending {
            deadline = deadline.min(self.accepted.at + handshake_timeout);
        }
        deadline.min(self.drain_deadline()).min(if is_ending { NEVER } else { self.end.closes_at })
    }

    fn drain_deadline(&self) -> Nanos {
        match self.end.drain {
            Drain::No => NEVER,
            Drain::Noticed { until } | Drain::Final { until, .. } => until,
        }
    }

    fn keep_alive_deadline(&self) -> Nanos {
        if self.keep_alive.interval == 0 || self.exchanges.is_empty() { NEVER } else { self.keep_alive.at }
    }

    /// Sees to what is due of timeouts, drain, end and signs of life.
    pub fn advance(&mut self, now: Nanos, clock: &Clock, handshake_timeout: Nanos) {
        self.protocol.take_timeout(now, clock);
        if !self.is_open && now >= self.accepted.at + handshake_timeout {
            self.protocol.close(Close::Unopened);
        }
        match self.end.drain {
            Drain::Noticed { until } if until <= now => self.finish_drain(now),
            Drain::Final { stream, until } if until <= now => self.end.drain = Drain::Final { stream, until: NEVER },
            _ => {}
        }
        if self.end.closes_at <= now {
            self.close(Cause::Done);
        }
        if self.keep_alive_deadline() <= now {
            self.keep_alive.at = now + self.keep_alive.interval;
            self.protocol.ask_for_sign();
        }
    }

    /// Measures the round trip, and counts anew what is held for the client: of requests what came
    /// and what may come, whichever is more; of responses what it has not acknowledged.
    pub fn recount(&mut self, now: Nanos, account: &mut Account) {
        let Books { promised, kept, held_in, held_out, .. } = &mut self.books;
        let (received, sending) = self.protocol.measure(now, *promised);
        account.enter(Side::Downstream, held_in, received + *kept);
        account.enter(Side::Downstream, held_out, sending);
    }

    /// The connection is forgotten, and with it what is held for its client.
    pub fn forget(&mut self, account: &mut Account) {
        self.place = ClientPlace::default();
        account.enter(Side::Downstream, &mut self.books.held_in, 0);
        account.enter(Side::Downstream, &mut self.books.held_out, 0);
    }
}
