//! The state of a session, and what the pool asks of it.

use std::rc::Rc;

use super::input::Input;
use super::permits::Permits;
use super::protocol::Protocol;
use super::timing::Timing;
use super::wire::Wire;
use crate::base::reason::Reason;
use crate::base::timers::Nanos;
use crate::http::fields::Fields;
use crate::upstream::config::BackendConfig;
use crate::upstream::h2::write_goaway;
use crate::upstream::io::{Io, Work};
use crate::upstream::sink::{AttemptId, Fault, Sink};
use crate::upstream::stats::{Stat, Stats};

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The kernel connects.
    Connecting,
    /// TLS shakes hands.
    Handshaking,
    /// Streams may be carried.
    Open,
    /// Over; the reason is that of attempts that waited for it.
    Closed(Reason),
}

/// What a session borrows for a call.
pub struct Turn<'a> {
    /// Shared buffers.
    pub work: &'a mut Work,
    /// Counters.
    pub stats: &'a mut Stats,
    /// Now.
    pub now: Nanos,
}

/// The session.
pub struct Session {
    /// What it was made for; a later snapshot does not change it.
    pub config: Rc<BackendConfig>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Permits of its attempts.
    pub permits: Permits,
    /// Its times.
    pub timing: Timing,
    /// Takes no more streams: too old, broken, or not wanted by the pool any more.
    pub is_draining: bool,
    /// Takes no more streams until it is known whether another session can replace it.
    pub is_paused: bool,
    /// Attempts started on it.
    pub started: u64,
    /// What ended it, and a detail; empty when the end was in order.
    pub fault: (&'static str, &'static str),
    pub(super) phase: Phase,
    pub(super) wire: Wire,
    pub(super) input: Input,
    /// The address in use, as an index of the configured ones.
    pub(super) address: usize,
    /// Anything was read of what the backend sent.
    pub(super) was_heard: bool,
}

impl Session {
    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether it is not usable yet.
    pub fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Handshaking)
    }

    /// Whether it goes on taking streams, and so counts against the backend's limit.
    pub fn is_lasting(&self) -> bool {
        !self.is_draining && !self.is_paused && !self.is_closed() && !self.protocol.is_closing()
    }

    /// Whether another attempt may start on it.
    pub fn has_room(&self) -> bool {
        self.phase == Phase::Open && self.is_lasting() && self.open_streams() + self.permits.reserved() < self.protocol.capacity()
    }

    /// Attempts it can be expected to take once it is open.
    pub fn expected_room(&self) -> u32 {
        self.protocol.capacity().saturating_sub(self.permits.reserved())
    }

    /// Streams open.
    pub fn open_streams(&self) -> u32 {
        self.protocol.open_streams()
    }

    /// Whether no stream is open or reserved.
    pub fn is_unused(&self) -> bool {
        self.open_streams() == 0 && self.permits.reserved() == 0
    }

    /// Whether its last stream has ended.
    pub fn is_spent(&self) -> bool {
        self.phase == Phase::Open && !self.is_lasting() && !self.is_paused && self.is_unused()
    }

    /// Whether nothing has run on it for so long.
    pub fn is_idle_for(&self, time: Nanos, now: Nanos) -> bool {
        now.saturating_sub(self.timing.idle_since()) >= time
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.wire.out.len()
    }

    /// Takes streams again: nothing can replace it.
    pub fn resume(&mut self) {
        self.is_paused = false;
        self.protocol.clear_streak();
    }

    /// Starts an attempt that has a stream reserved.
    pub fn start(&mut self, turn: &mut Turn<'_>, key: AttemptId, head: &Fields, has_body: bool) -> Result<(u32, u32), Fault> {
        let reason = match self.phase {
            Phase::Open => None,
            Phase::Closed(reason) => Some(reason),
            _ => Some(Reason::ConnectFailed),
        };
        if let Some(reason) = reason {
            self.permits.release(key);
            return Err(Fault::unsent(reason));
        }
        let Some(permit) = self.permits.take(key) else { return Err(Fault::unsent(Reason::BackendClosed)) };
        let (protocol, mut io) = self.lend(turn);
        let stream = match protocol.start(&mut io, (key, permit), head, has_body) {
            Ok(stream) => stream,
            Err(fault) => {
                self.permits.released.push(permit);
                return Err(fault);
            }
        };
        turn.stats[Stat::StreamsStarted] += 1;
        turn.stats[Stat::SessionsReused] += u64::from(self.started > 0);
        self.started += 1;
        self.timing.start();
        Ok(stream)
    }

    /// Whether a flush would do anything: write, or go on reading for a relay that has room again.
    pub fn has_work(&self) -> bool {
        let wants_read = || self.protocol.wants_read() != self.wire.is_reading();
        self.phase == Phase::Open && (self.wire.has_output() || wants_read() || self.is_spent())
    }

    /// Ends the session: every stream fails for `reason`.
    pub fn close<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        if self.is_closed() {
            return;
        }
        let gauge = if self.phase == Phase::Open { Stat::SessionsOpen } else { Stat::SessionsConnecting };
        turn.stats[gauge] -= 1;
        self.phase = Phase::Closed(reason);
        let (protocol, mut io) = self.lend(turn);
        protocol.fail_all(&mut io, sink, reason, h2_code);
        self.input.give_back(&mut turn.work.blocks);
        self.recount(turn.stats);
    }

    /// Ends the session in order: GOAWAY and close_notify, as far as the kernel takes them at once.
    pub fn shut_down<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        if self.phase == Phase::Open {
            if let Protocol::H2(_) = &self.protocol {
                write_goaway(&mut self.wire.out, h2_code);
            }
            self.wire.write(turn.stats);
            self.wire.transport.close();
        }
        self.close(turn, sink, reason, h2_code);
    }

    /// The protocol, and what it is lent for a call.
    pub fn lend<'a>(&'a mut self, turn: &'a mut Turn<'_>) -> (&'a mut Protocol, Io<'a>) {
        let io = Io { out: &mut self.wire.out, work: turn.work, stats: turn.stats, released: &mut self.permits.released, now: turn.now };
        (&mut self.protocol, io)
    }

    /// Recounts what waits for the backend.
    pub(super) fn recount(&mut self, stats: &mut Stats) {
        self.wire.recount(self.is_closed(), stats);
    }
}
