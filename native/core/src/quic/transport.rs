//! One client's QUIC connection, whatever is spoken on its streams.

use super::cid::Cid;
use super::pace::Pace;
use super::send::{Flushed, Sender};
use crate::base::chunk::ChunkFactory;
use crate::base::counters::Handshake;
use crate::base::timers::{Clock, NEVER, Nanos};
use quiche::{ConnectionId, RecvInfo};
use std::net::SocketAddr;

/// A connection of quiche's over our chunks.
pub type Quic = quiche::Connection<ChunkFactory>;

/// How long an acknowledgement may wait for a response to carry it; well below the max_ack_delay of
/// 25 ms that quiche announces.
const ACKNOWLEDGE_DELAY: Nanos = 5_000_000;

/// After so many timeouts without an acknowledgement the size of packets is questioned.
const SILENT_TIMEOUTS: u32 = 3;

/// Packets whose release lies nearer than this leave at once: timers are no finer.
const PACING_SLACK: Nanos = 1_000_000;

/// A connection flushes at most this many bytes a turn, so that one download does not hold up the
/// others.
const TURN_BYTES: usize = 256 * 1024;

/// INTERNAL_ERROR (RFC 9000 §20.1).
pub const INTERNAL_ERROR: u64 = 0x1;

/// How a flush of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has nothing more to send now.
    All,
    /// It has more to send in the next turn.
    Part,
    /// The socket takes no more.
    Blocked,
}

/// Whether a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is not.
    Open,
    /// One side has closed it.
    Ending,
    /// Nothing of it is left to be sent or waited for.
    Closed,
}

/// What was counted of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketStats {
    /// Packets received, sent, lost.
    pub packets: (usize, usize, usize),
    /// Bytes received and sent.
    pub bytes: (u64, u64),
    /// Bytes of streams the client has acknowledged.
    pub acknowledged: u64,
}

/// A QUIC connection: quiche's state, and when its packets leave.
pub struct Transport {
    /// quiche's state.
    pub quic: Quic,
    /// Our connection IDs the client may use.
    pub ids: Vec<Cid>,
    /// Connection ID the client's first packet chose for us.
    pub initial_id: Vec<u8>,
    /// Datagrams that came since the last flush.
    unanswered: u32,
    /// Packets the last flush made.
    flushed: usize,
    /// When a held acknowledgement has to leave; 0 when none is held.
    acknowledge_at: Nanos,
    /// No packet leaves before this (pacing).
    release_at: Nanos,
    /// Whether its path needs pacing.
    pace: Pace,
    /// Timeouts of quiche's in a row without an acknowledgement between them, and bytes
    /// acknowledged before.
    silent_timeouts: (u32, u64),
    /// Smoothed round-trip time at the last flush, microseconds.
    pub rtt_us: u64,
}

impl Transport {
    /// Accepts a connection whose first packet came from `from` to `to`. None where quiche takes it
    /// not.
    pub fn accept(id: Cid, initial_id: Vec<u8>, from: SocketAddr, to: SocketAddr, config: &mut quiche::Config) -> Option<Transport> {
        let bytes = id.to_be_bytes();
        let quic = quiche::accept_with_buf_factory(&ConnectionId::from_ref(&bytes), None, to, from, config).ok()?;
        Some(Transport {
            quic,
            ids: vec![id],
            initial_id,
            unanswered: 0,
            flushed: 0,
            acknowledge_at: 0,
            release_at: 0,
            pace: Pace::default(),
            silent_timeouts: (0, 0),
            rtt_us: 0,
        })
    }

    /// Takes a datagram; false where it cannot be read. A fault that closes the connection is told
    /// by quiche itself when it is flushed.
    pub fn receive(&mut self, datagram: &mut [u8], from: SocketAddr, to: SocketAddr) -> bool {
        self.unanswered += 1;
        matches!(self.quic.recv(datagram, RecvInfo { from, to }), Ok(_) | Err(quiche::Error::Done))
    }

    /// How the handshake ended; none while it is under way.
    pub fn handshake(&self) -> Option<Handshake> {
        let how = if self.quic.is_resumed() { Handshake::Resumed } else { Handshake::Completed };
        self.quic.is_established().then_some(how)
    }

    /// Whether it is over.
    pub fn life(&self) -> Life {
        match () {
            () if self.quic.is_closed() => Life::Closed,
            () if self.quic.is_draining() || self.quic.local_error().is_some() => Life::Ending,
            () => Life::Open,
        }
    }

    /// Closes it with an error code of QUIC's own. Closing twice is no error worth telling: the
    /// first reason stands.
    pub fn close(&mut self, code: u64) {
        let _ = self.quic.close(false, code, b"");
    }

    /// Asks the client for an acknowledgement: a PING, unless something that has to be acknowledged
    /// is sent anyway. One that is gone is not kept by it: only the first such packet since it was
    /// last heard renews the idle timer (RFC 9000 §10.1).
    pub fn ask_for_sign(&mut self) {
        // It fails only where no path is left, and then nothing can be asked.
        let _ = self.quic.send_ack_eliciting();
    }

    /// The client's idle timeout; 0 for none.
    pub fn peer_idle_timeout(&self) -> Nanos {
        self.quic.peer_transport_params().map_or(0, |params| params.max_idle_timeout).saturating_mul(1_000_000)
    }

    /// Whether a flush that would carry an acknowledgement alone may wait for a response, which
    /// carries it for nothing.
    ///
    /// Only for one or two datagrams (RFC 9000 §13.2.2), and only when the last flush was so small
    /// that the congestion window cannot have held anything back.
    pub fn may_wait(&mut self, now: Nanos) -> bool {
        let is_alone = self.unanswered <= 2 && self.flushed <= 4;
        if !is_alone || self.quic.is_draining() || self.acknowledge_at != 0 && self.acknowledge_at <= now {
            return false;
        }
        if self.acknowledge_at == 0 {
            self.acknowledge_at = now + ACKNOWLEDGE_DELAY;
        }
        true
    }

    /// It waits for its socket, and for no time meanwhile: one that has come already would come
    /// again at once.
    pub fn wait_for_socket(&mut self) {
        (self.release_at, self.acknowledge_at) = (0, 0);
    }

    /// When it has to be flushed, or a timer of quiche's is due.
    pub fn deadline(&self, clock: &Clock) -> Nanos {
        let mut deadline = self.quic.timeout_instant().map_or(NEVER, |at| clock.nanos(at));
        for at in [self.release_at, self.acknowledge_at] {
            if at > 0 {
                deadline = deadline.min(at);
            }
        }
        deadline
    }

    /// Sees to a timer of quiche's that came due.
    pub fn take_timeout(&mut self, now: Nanos, clock: &Clock) {
        if self.quic.timeout_instant().is_none_or(|at| clock.nanos(at) > now) {
            return;
        }
        self.quic.on_timeout();
        let acknowledged = self.quic.stats().acked_bytes;
        let (count, before) = self.silent_timeouts;
        self.silent_timeouts = (if before == acknowledged { count + 1 } else { 1 }, acknowledged);
        // The path may carry less than it did: what is too long vanishes without a word (RFC 8899
        // §4.3). What the client sends is no sign, it asks again too.
        if self.silent_timeouts.0 == SILENT_TIMEOUTS {
            self.quic.revalidate_pmtu();
        }
    }

    /// Measures the path; bytes held of what came and may come, where the windows of streams let
    /// `promised` come, and of what is not acknowledged.
    pub fn measure(&mut self, now: Nanos, promised: u64) -> (u64, u64) {
        // Once a flush, because the answer is a copy of all that quiche knows of the path.
        let active = self.quic.path_stats().find(|path| path.active);
        if let Some(path) = active {
            self.rtt_us = path.rtt.as_micros() as u64;
            let least = path.min_rtt.unwrap_or(path.rtt);
            self.pace.look(now, path.rtt.as_nanos() as Nanos, least.as_nanos() as Nanos, path.lost);
        } else {
            self.rtt_us = 0;
        }
        let (received, sending) = self.quic.held_bytes();
        (received.max(promised.min(self.quic.recv_window())), sending)
    }

    /// What was counted of it.
    pub fn stats(&self) -> PacketStats {
        let stats = self.quic.stats();
        PacketStats {
            packets: (stats.recv, stats.sent, stats.lost),
            bytes: (stats.recv_bytes, stats.sent_bytes),
            acknowledged: stats.acked_bytes,
        }
    }

    /// Makes packets of everything that may be sent now. Packets of one size form a message. They
    /// are spread where `is_paced` allows it and the path needs it.
    pub fn flush(&mut self, sender: &mut Sender, max_payload: usize, is_paced: bool, now: Nanos, clock: &Clock) -> Sent {
        let paced_at = (is_paced && self.pace.is_due(now)).then_some(now);
        let mut budget = TURN_BYTES;
        self.release_at = 0;
        self.acknowledge_at = 0;
        self.unanswered = 0;
        self.flushed = 0;
        loop {
            if !sender.has_room() && sender.flush() == Flushed::Blocked {
                return Sent::Blocked;
            }
            let max_payload = max_payload.min(self.quic.max_send_udp_payload_size());
            let burst = sender.burst(max_payload);
            let (mut length, mut segment, mut packets) = (0, 0, 0);
            let mut addresses = None;
            let mut stray = None;
            let end = loop {
                let room = if packets == 0 { max_payload } else { segment };
                let spare = sender.spare();
                match self.quic.send(&mut spare[length..length + room]) {
                    Ok((written, info)) => {
                        if packets == 0 {
                            segment = written;
                            addresses = Some((info.from, info.to));
                        }
                        packets += 1;
                        // A path of its own gets a message of its own.
                        if addresses != Some((info.from, info.to)) {
                            stray = Some((written, info));
                            break None;
                        }
                        length += written;
                        if let Some(now) = paced_at {
                            let release = clock.nanos(info.at);
                            if release > now + PACING_SLACK {
                                self.release_at = release;
                                break Some(Sent::All);
                            }
                        }
                        // A small first packet would make all that follow it small.
                        let is_small = packets == 1 && written < max_payload / 4 * 3;
                        if is_small || written < segment || packets >= burst {
                            break None;
                        }
                    }
                    // In less than a full packet's room quiche may find nothing that fits: ask
                    // again with more.
                    Err(quiche::Error::Done) if packets > 0 && segment < max_payload => break None,
                    Err(quiche::Error::Done) => break Some(Sent::All),
                    // Told to the client in the next turn, once.
                    Err(_) => match self.quic.close(false, INTERNAL_ERROR, b"") {
                        Ok(()) => break Some(Sent::Part),
                        Err(_) => break Some(Sent::All),
                    },
                }
            };
            self.flushed += packets;
            if let (1.., Some((from, to))) = (length, addresses) {
                sender.push(length, segment, from, to);
            }
            if let Some((written, info)) = stray {
                sender.push(written, written, info.from, info.to);
            }
            match end {
                Some(end) => return end,
                None if length >= budget => return Sent::Part,
                None => budget -= length,
            }
        }
    }
}
