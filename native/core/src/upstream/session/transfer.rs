//! Bytes in and out of an open session: a bounded number of reads a turn, one write a turn.

use super::{Phase, Protocol, Session, Turn};
use crate::base::chunk::Block;
use crate::base::poll::Readiness;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::tls::client::Failure;
use crate::upstream::io::Broken;
use crate::upstream::sink::Sink;
use crate::upstream::socket::{AHEAD_BYTES, Interest};
use crate::upstream::stats::Stat;
use crate::upstream::transport::Moved;

/// Bytes a session may read in a turn: four blocks.
const READ_BUDGET_BYTES: usize = 256 * 1024;

/// A block with less room is exchanged for another before the next read.
const MIN_READ_BYTES: usize = 8 * 1024;

/// Room asked of a fresh block beside what is carried over: a whole frame fits whatever was there before.
const FRESH_ROOM_BYTES: usize = 32 * 1024;

impl Session {
    /// The socket of an open session is ready.
    pub fn on_open_ready<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, readiness: Readiness, sink: &mut S) {
        if readiness.is_writable && self.interest.write {
            self.watch(Interest { write: false, ..self.interest });
        }
        if readiness.is_readable {
            self.receive(turn, sink);
        }
    }

    /// Once a turn: writes what waits; goes on reading where a relay has room again.
    pub fn flush<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        if self.phase != Phase::Open {
            return;
        }
        if self.wants_read() && !self.interest.read {
            // Decrypted bytes may wait where epoll does not see them.
            self.receive(turn, sink);
        }
        if !self.interest.write {
            self.write_out(turn);
        }
        if self.out.is_overfull() {
            let broken = Broken { code: code::ENHANCE_YOUR_CALM, because: "a peer that does not read" };
            return self.on_broken(turn, sink, broken);
        }
        self.watch(Interest { read: self.wants_read(), ..self.interest });
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.on_drained(io.out, sink),
            Protocol::H1(h1) => h1.on_drained(&mut io, sink),
        }
        self.recount(turn.stats);
        self.note_idle(turn.now);
    }

    /// Writes what the kernel takes. A broken connection takes nothing more, but a backend may have answered before it closed: reading goes on
    /// to the end, which then ends the session.
    pub(super) fn write_out(&mut self, turn: &mut Turn<'_>) {
        while !self.out.is_empty() && !self.is_write_broken {
            match self.transport.write(self.out.pending()) {
                Moved::Bytes(count) => {
                    self.out.consume(count);
                    turn.stats[Stat::BytesOut] += count as u64;
                }
                Moved::Blocked => {
                    return self.watch(Interest { write: true, ..self.interest });
                }
                Moved::End | Moved::Broken(_) => {
                    self.is_write_broken = true;
                    self.is_draining = true;
                    return;
                }
            }
        }
    }

    fn receive<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        self.read_at = turn.now;
        if self.transport.is_tls() && turn.work.ahead.is_none() {
            turn.work.ahead = Some(vec![0; AHEAD_BYTES].into_boxed_slice());
        }
        self.transport.begin_reading(READ_BUDGET_BYTES, &mut turn.work.ahead);
        while self.phase == Phase::Open && self.wants_read() && self.read_once(turn, sink) {}
        self.transport.end_reading(&mut turn.work.ahead);
        if self.block.as_ref().is_some_and(|block| block.filled() == self.parsed)
            && let Some(block) = self.block.take()
        {
            turn.work.blocks.give_back(block);
        }
        self.note_idle(turn.now);
    }

    /// One read and what follows from it; whether there may be more.
    fn read_once<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) -> bool {
        let mut block = self.borrow_block(turn);
        let limit = match &self.protocol {
            Protocol::H2(_) => usize::MAX,
            Protocol::H1(h1) => h1.read_limit(),
        };
        let spare = block.spare();
        let asked = spare.len().min(limit);
        let moved = self.transport.read(&mut spare[..asked]);
        if let Moved::Bytes(count) = moved {
            block.advance(count);
            self.was_heard = true;
            turn.stats[Stat::BytesIn] += count as u64;
            let at = self.parsed;
            let (protocol, mut io) = self.split(turn);
            let taken = match protocol {
                Protocol::H2(h2) => h2.receive(&mut io, sink, &block, at),
                Protocol::H1(h1) => h1.receive(&mut io, sink, &block, at),
            };
            self.block = Some(block);
            match taken {
                Ok(at) => self.parsed = at,
                Err(broken) => self.on_broken(turn, sink, broken),
            }
            // A short read of a plain socket has emptied it; TLS may hold more than the socket shows.
            return count == asked || self.transport.is_tls();
        }
        self.block = Some(block);
        match moved {
            Moved::End => self.on_end(turn, sink, true, Reason::BackendClosed),
            Moved::Broken(alert) => self.on_alert(turn, sink, alert),
            _ => {}
        }
        false
    }

    /// The block to read into next, with what is not parsed yet at its end.
    fn borrow_block(&mut self, turn: &mut Turn<'_>) -> Block {
        let old = match self.block.take() {
            Some(block) if block.room() >= MIN_READ_BYTES => return block,
            old => old,
        };
        let left = old.as_ref().map_or(0, |block| block.filled() - self.parsed);
        let mut block = turn.work.blocks.take(left + FRESH_ROOM_BYTES);
        let start = block.filled();
        if let Some(old) = old {
            block.spare()[..left].copy_from_slice(old.bytes(self.parsed, old.filled()));
            block.advance(left);
            turn.work.blocks.give_back(old);
        }
        self.parsed = start;
        block
    }

    /// The connection broke; `alert` is what TLS said, if anything. With TLS 1.3 the backend looks
    /// at our side of the handshake when we are through with it: what it says before anything else
    /// is about that.
    fn on_alert<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, alert: &'static str) {
        let mut reason = Reason::BackendClosed;
        if !alert.is_empty() {
            let failure = Failure::of_alert(alert);
            (self.because, self.detail) = (failure.reason.code(), failure.detail);
            if !self.was_heard || failure.reason == Reason::TlsCertificateRequired {
                reason = failure.reason;
                turn.stats.tls_failures[reason.of_tls().unwrap_or(0)] += 1;
            }
        }
        self.on_end(turn, sink, false, reason);
    }

    /// The peer ended its side, in order or not.
    fn on_end<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, is_orderly: bool, reason: Reason) {
        let (protocol, mut io) = self.split(turn);
        if let Protocol::H1(h1) = protocol {
            h1.on_end(&mut io, sink, is_orderly);
        }
        self.close(turn, sink, reason, 0);
    }

    fn on_broken<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, broken: Broken) {
        turn.stats[Stat::ProtocolErrors] += 1;
        self.because = broken.because;
        self.say_goodbye(turn, sink, Reason::BackendProtocolError, broken.code);
    }

    /// Changes what the socket is watched for, if that is a change.
    pub(super) fn watch(&mut self, interest: Interest) {
        if interest != self.interest {
            let _ = self.transport.watch(self.epoll, self.token, self.interest, interest);
            self.interest = interest;
        }
    }
}
