//! One client's connection: quiche's state and HTTP/3's beside it. Requests of its streams are
//! exchanges of the relay.

use super::cid::Cid;
use super::clients::ClientPlace;
use super::count::ConnectionPlace;
use super::pace::Pace;
use super::requests::Requests;
use crate::base::budget::{Account, Entry, Side};
use crate::base::chunk::ChunkFactory;
use crate::base::counters::CertificateRefused;
use crate::base::slab::Key;
use crate::base::timers::{Armed, NEVER, Nanos};
use crate::http::error::h3 as h3_error;
use crate::http::h3::{self, PeerStreams};
use crate::tls::client_auth::Policies;
use crate::tls::connection::ConnectionTls;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection of quiche's over our chunks.
pub type Quic = quiche::Connection<ChunkFactory>;

/// Our control stream: the server's first unidirectional one (RFC 9000 §2.1).
const CONTROL_STREAM: u64 = 3;

/// A stream ID that no request reaches: "everything so far and what is on its way will be served"
/// (RFC 9114 §5.2).
const GOAWAY_NOTICE: u64 = (1 << 62) - 4;

/// How long an acknowledgement may wait for a response to carry it; well below the max_ack_delay of
/// 25 ms that quiche announces.
const ACKNOWLEDGE_DELAY: Nanos = 5_000_000;

/// A client's own idle timeout makes us ask no more often than this whether it is still there.
const MIN_KEEP_ALIVE: Nanos = 500_000_000;

/// After so many timeouts without an acknowledgement the size of packets is questioned.
const SILENT_TIMEOUTS: u32 = 3;

/// Time that is left for what has begun when a client's certificate does not pass any more.
const CONDEMNED_GRACE: Nanos = 5_000_000_000;

/// What the client is told then.
const CONDEMNED_REASON: &[u8] = b"the client certificate does not pass any more";

/// Ended request streams that a drain asks quiche about: more are never unacknowledged at once.
const RECENT_REQUESTS: u64 = 1024;

/// How far a connection's drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Not draining.
    No,
    /// The notice was sent; requests under way are still accepted until then.
    Noticed {
        /// When the final GOAWAY goes out.
        until: Nanos,
    },
    /// The final GOAWAY named this stream; it and later ones are rejected. It must reach the client
    /// before the close, which would tell it less.
    Final {
        /// First stream that is not served.
        stream: u64,
        /// When the connection may close; [`NEVER`] once that time has come.
        until: Nanos,
    },
}

/// Multiplies; keys are stream and connection IDs, which nobody chooses to collide usefully within
/// one connection's limits.
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(*byte as u64);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Maps numbers.
pub type NumberMap<T> = HashMap<u64, T, BuildHasherDefault<NumberHasher>>;

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
    /// Our first connection ID.
    pub cid: Cid,
    /// Connection ID its first packet chose for us.
    pub initial_dcid: Vec<u8>,
    /// Its place among the listener's connections.
    pub place: ConnectionPlace,
}

/// A client's connection.
pub struct Connection {
    /// QUIC.
    pub quic: Quic,
    /// Unique in the process.
    pub number: u64,
    /// Listener it came to.
    pub listener: u32,
    /// Place of the socket it sends by.
    pub socket: u32,
    /// Its listener is no more, or has left its address: it drains.
    pub is_retired: bool,
    /// What is left of it then is cut.
    pub cut_at: Nanos,
    /// Client's address, changed only after the new one is validated.
    pub peer: SocketAddr,
    /// Entry in the timers.
    pub armed: Armed,
    /// Whether it stands in the list of connections to flush.
    pub is_dirty: bool,
    /// Whether it stands in the list of connections that wait for their socket's room.
    pub is_held_up: bool,
    /// Whether its end was counted.
    pub is_counted: bool,
    /// Whether packets came since its streams were last looked at.
    pub has_arrivals: bool,
    /// Whether there is more to send than an acknowledgement.
    pub has_output: bool,
    /// Datagrams that came since the last flush.
    pub unanswered: u32,
    /// Timeouts of quiche's in a row without an acknowledgement between them, and bytes
    /// acknowledged before.
    silent_timeouts: u32,
    acknowledged: u64,
    /// Packets the last flush made.
    pub flushed: usize,
    /// When a held acknowledgement has to leave; 0 when none is held.
    pub acknowledge_at: Nanos,
    /// Whether HTTP/3 has begun.
    pub is_open: bool,
    /// The client's unidirectional streams.
    pub peer_streams: PeerStreams,
    /// Exchanges by request stream.
    pub exchanges: NumberMap<Key>,
    /// Bytes that the windows of requests under way let come.
    pub promised: u64,
    /// Bytes of requests that are kept beside quiche.
    pub kept: u64,
    /// Bytes held of requests, as counted.
    pub held_in: Entry,
    /// Bytes held of responses, as counted.
    pub held_out: Entry,
    /// Responses of which the client's streams take no more for now.
    pub blocked: usize,
    /// Request streams: which have begun, which are still to come.
    pub requests: Requests,
    /// Whether it stands in the list of connections whose missing streams are waited for.
    pub is_gapped: bool,
    /// Our connection IDs it may use.
    pub cids: Vec<Cid>,
    /// Connection ID its first packet chose for us.
    pub initial_dcid: Vec<u8>,
    /// When it was accepted.
    pub accepted_at: Nanos,
    /// No packet leaves before this (pacing).
    pub release_at: Nanos,
    /// Whether its path needs pacing.
    pub pace: Pace,
    /// When a client that has requests open is asked again whether it is still there.
    pub keep_alive_at: Nanos,
    keep_alive: Nanos,
    /// Drain.
    pub drain: Drain,
    /// Finished request streams whose last bytes may be on their way; kept only while draining.
    pub finishing: Vec<u64>,
    /// STOP_SENDING frames that have been seen to.
    pub stops: u64,
    /// Smoothed round-trip time at the last flush, microseconds.
    pub rtt_us: u64,
    /// When it is closed whatever is under way; [`NEVER`] while nothing is wrong with its client.
    ends_at: Nanos,
    /// What its handshake has come to.
    pub tls: ConnectionTls,
    control: Vec<u8>,
    /// Its place among the connections of its client, from the end of the handshake to its own.
    pub client: ClientPlace,
    _place: ConnectionPlace,
}

impl Connection {
    /// Wraps an accepted connection.
    pub fn new(quic: Quic, accepted: Accepted, now: Nanos) -> Connection {
        let Accepted { number, listener, socket, peer, cid, initial_dcid, place } = accepted;
        Connection {
            quic,
            number,
            listener,
            socket,
            is_retired: false,
            cut_at: NEVER,
            peer,
            armed: Armed::default(),
            is_dirty: false,
            is_held_up: false,
            is_counted: false,
            has_arrivals: false,
            has_output: false,
            unanswered: 0,
            silent_timeouts: 0,
            acknowledged: 0,
            flushed: 0,
            acknowledge_at: 0,
            is_open: false,
            peer_streams: PeerStreams::default(),
            exchanges: NumberMap::default(),
            promised: 0,
            kept: 0,
            held_in: Entry::default(),
            held_out: Entry::default(),
            blocked: 0,
            requests: Requests::default(),
            is_gapped: false,
            cids: vec![cid],
            initial_dcid,
            accepted_at: now,
            release_at: 0,
            pace: Pace::default(),
            keep_alive_at: 0,
            keep_alive: 0,
            drain: Drain::No,
            finishing: Vec::new(),
            stops: 0,
            rtt_us: 0,
            ends_at: NEVER,
            tls: ConnectionTls::default(),
            control: Vec::new(),
            client: ClientPlace::default(),
            _place: place,
        }
    }

    /// Begins HTTP/3 once the handshake is done: TLS facts are noted, SETTINGS sent.
    pub fn open(&mut self, max_head_bytes: usize, keep_alive: Nanos) {
        self.is_open = true;
        // The shorter idle timeout holds (RFC 9000 §10.1), and the client's may be that.
        let theirs = self.quic.peer_transport_params().map_or(0, |params| params.max_idle_timeout).saturating_mul(1_000_000);
        self.keep_alive = if theirs > 0 { keep_alive.min((theirs / 2).max(MIN_KEEP_ALIVE)) } else { keep_alive };
        let ssl: &mut boring::ssl::SslRef = self.quic.as_mut();
        self.tls = ConnectionTls::of(ssl);
        h3::write_control_preface(max_head_bytes, &mut self.control);
        self.write_control();
    }

    /// Holds the client's certificate against what is wanted now; `now` in seconds since 1970. One
    /// that is on its way out is left to that.
    pub fn recheck(&mut self, policies: &Arc<Policies>, now: i64) -> Result<(), CertificateRefused> {
        if !self.is_open || self.ends_at != NEVER || self.is_ending() {
            return Ok(());
        }
        let ssl: &mut boring::ssl::SslRef = self.quic.as_mut();
        self.tls.recheck(policies, ssl, now)
    }

    /// Its client may not go on: what has begun may end within a few seconds, and nothing new
    /// begins.
    pub fn condemn(&mut self, now: Nanos) {
        self.ends_at = now + CONDEMNED_GRACE;
        if !matches!(self.drain, Drain::Final { .. }) {
            self.finish_drain(now);
        }
    }

    /// Closes it where its time is over.
    pub fn advance_end(&mut self, now: Nanos) {
        if self.ends_at <= now {
            self.close(h3_error::NO_ERROR);
        }
    }

    /// The first request in a while begins: the client is kept from now on.
    pub fn begin_keep_alive(&mut self, now: Nanos) {
        self.keep_alive_at = now + self.keep_alive;
    }

    /// When [`Connection::advance_keep_alive`] is to be called.
    pub fn keep_alive_deadline(&self) -> Nanos {
        if self.keep_alive == 0 || self.exchanges.is_empty() { NEVER } else { self.keep_alive_at }
    }

    /// Asks the client for an acknowledgement when it is time: a PING, unless something that has to
    /// be acknowledged is sent anyway. One that is gone is not kept by it: only the first such
    /// packet since it was last heard renews the idle timer (RFC 9000 §10.1).
    pub fn advance_keep_alive(&mut self, now: Nanos) {
        if self.keep_alive_deadline() <= now {
            self.keep_alive_at = now + self.keep_alive;
            // It fails only where no path is left, and then nothing can be asked.
            let _ = self.quic.send_ack_eliciting();
        }
    }

    /// Whether one side has closed it.
    pub fn is_ending(&self) -> bool {
        self.quic.is_draining() || self.quic.local_error().is_some()
    }

    /// Whether anything waits for a stream to take more.
    pub fn is_blocked(&self) -> bool {
        self.blocked > 0 || !self.control.is_empty()
    }

    /// Whether the flush of this turn may wait, because it would carry an acknowledgement alone and
    /// a response will soon carry it for nothing.
    ///
    /// Only for one or two datagrams (RFC 9000 §13.2.2), only while a request is being answered,
    /// and only when the last flush was so small that the congestion window cannot have held
    /// anything back.
    pub fn may_wait(&mut self, now: Nanos) -> bool {
        let is_alone = self.is_open && !self.has_output && self.unanswered <= 2 && self.flushed <= 4 && !self.exchanges.is_empty();
        if !is_alone || self.quic.is_draining() || self.acknowledge_at != 0 && self.acknowledge_at <= now {
            return false;
        }
        if self.acknowledge_at == 0 {
            self.acknowledge_at = now + ACKNOWLEDGE_DELAY;
        }
        true
    }

    /// Sends what waits for the control stream; the rest goes when the stream is writable again.
    pub fn write_control(&mut self) {
        while !self.control.is_empty() {
            match self.quic.stream_send(CONTROL_STREAM, &self.control, false) {
                Ok(sent) => drop(self.control.drain(..sent)),
                Err(_) => return,
            }
        }
    }

    /// Closes with an HTTP/3 error code.
    pub fn close(&mut self, code: u64) {
        let reason = if self.ends_at == NEVER { &b""[..] } else { CONDEMNED_REASON };
        // Closing twice is no error worth telling: the first reason stands.
        let _ = self.quic.close(true, code, reason);
    }

    /// Ends both directions of a request stream. quiche forgets a stream, and lets the client open
    /// another for it, only when both have ended.
    pub fn refuse(&mut self, stream: u64, code: u64) {
        end_stream(&mut self.quic, stream, code);
    }

    /// Refuses request streams whose first byte has not come since `before`, though they were
    /// opened. Returns how many.
    pub fn give_up_gaps(&mut self, before: Nanos) -> u64 {
        let Connection { requests, quic, .. } = self;
        let mut refused = 0;
        requests.give_up(before, |stream| {
            let is_known = is_known(quic, stream);
            if is_known {
                end_stream(quic, stream, h3_error::REQUEST_REJECTED);
                refused += 1;
            }
            is_known
        });
        refused
    }

    /// Tells the client that the end is near; requests under way are accepted for about a round
    /// trip more.
    pub fn notify_drain(&mut self, now: Nanos) {
        if self.drain != Drain::No || !self.is_open {
            return;
        }
        self.drain = Drain::Noticed { until: now + self.drain_grace() };
        h3::write_goaway(GOAWAY_NOTICE, &mut self.control);
        self.write_control();
    }

    /// Time for a frame to arrive and what crossed it to come.
    fn drain_grace(&self) -> Nanos {
        (3 * self.rtt_us * 1_000).clamp(20_000_000, 1_000_000_000)
    }

    /// A drain goes on: the final GOAWAY, then the close.
    pub fn advance_drain(&mut self, now: Nanos) {
        match self.drain {
            Drain::Noticed { until } if until <= now => self.finish_drain(now),
            Drain::Final { stream, until } if until <= now => self.drain = Drain::Final { stream, until: NEVER },
            _ => {}
        }
    }

    /// When [`Connection::advance_drain`] is to be called.
    pub fn drain_deadline(&self) -> Nanos {
        match self.drain {
            Drain::No => NEVER,
            Drain::Noticed { until } | Drain::Final { until, .. } => until,
        }
        .min(if self.is_ending() { NEVER } else { self.ends_at })
    }

    fn finish_drain(&mut self, now: Nanos) {
        self.drain = Drain::Final { stream: self.requests.next(), until: now + self.drain_grace() };
        // Exchanges that ended before the drain began: their last bytes may be on their way too.
        let oldest = self.requests.next().saturating_sub(4 * RECENT_REQUESTS);
        self.finishing = (oldest..self.requests.next()).step_by(4).filter(|stream| is_known(&mut self.quic, *stream)).collect();
        h3::write_goaway(self.requests.next(), &mut self.control);
        self.write_control();
    }

    /// Whether a draining connection has nothing left to carry.
    pub fn is_drained(&mut self) -> bool {
        // A stream below the GOAWAY whose beginning was lost is still to be served.
        if !matches!(self.drain, Drain::Final { until: NEVER, .. }) || !self.exchanges.is_empty() || self.requests.has_gaps() {
            return false;
        }
        let quic = &mut self.quic;
        self.finishing.retain(|stream| is_known(quic, *stream));
        self.finishing.is_empty()
    }

    /// Counts anew what is held for the client: of requests what came and what may come, whichever
    /// is more; of responses what it has not acknowledged.
    pub fn recount(&mut self, account: &mut Account) {
        let (received, sending) = self.quic.held_bytes();
        account.enter(Side::Downstream, &mut self.held_in, received.max(self.promised.min(self.quic.recv_window())) + self.kept);
        account.enter(Side::Downstream, &mut self.held_out, sending);
    }

    /// The connection is forgotten, and with it what is held for its client.
    pub fn forget(&mut self, account: &mut Account) {
        self.client = ClientPlace::default();
        account.enter(Side::Downstream, &mut self.held_in, 0);
        account.enter(Side::Downstream, &mut self.held_out, 0);
    }

    /// A timer of quiche's came due.
    pub fn time_out(&mut self) {
        self.quic.on_timeout();
        let acknowledged = self.quic.stats().acked_bytes;
        self.silent_timeouts = if self.acknowledged == acknowledged { self.silent_timeouts + 1 } else { 1 };
        self.acknowledged = acknowledged;
        // The path may carry less than it did: what is too long vanishes without a word (RFC 8899
        // §4.3). What the client sends is no sign, it asks again too.
        if self.silent_timeouts == SILENT_TIMEOUTS {
            self.quic.revalidate_pmtu();
        }
    }

    /// Asks quiche for the round-trip times and losses of the active path: once a flush, because
    /// the answer is a copy of all it knows of the path.
    pub fn measure(&mut self, now: Nanos) {
        let Some(path) = self.quic.path_stats().find(|path| path.active) else { return self.rtt_us = 0 };
        self.rtt_us = path.rtt.as_micros() as u64;
        let least = path.min_rtt.unwrap_or(path.rtt);
        self.pace.look(now, path.rtt.as_nanos() as Nanos, least.as_nanos() as Nanos, path.lost);
    }
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
