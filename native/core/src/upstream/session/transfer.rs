//! Bytes in and out of an open session: a bounded number of reads a turn, one write a turn.

use super::state::{Phase, Session, Turn};
use crate::base::poll::Readiness;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::tls::client::Failure;
use crate::upstream::io::Broken;
use crate::upstream::sink::Sink;
use crate::upstream::socket::AHEAD_BYTES;
use crate::upstream::stats::Stat;
use crate::upstream::transport::Moved;

/// Bytes a session may read in a turn: four blocks.
const READ_BUDGET_BYTES: usize = 256 * 1024;

impl Session {
    /// The socket of an open session is ready.
    pub fn on_open_ready<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, readiness: Readiness, sink: &mut S) {
        if readiness.is_writable && self.wire.is_writing() {
            self.wire.watch_write(false);
        }
        if readiness.is_readable {
            receive(self, turn, sink);
        }
    }

    /// Once a turn: writes what waits; goes on reading where a relay has room again.
    pub fn flush<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        if self.phase != Phase::Open {
            return;
        }
        if self.protocol.wants_read() && !self.wire.is_reading() {
            // Decrypted bytes may wait where epoll does not see them.
            receive(self, turn, sink);
        }
        if !self.wire.is_writing() {
            self.wire.write(turn.stats);
            self.is_draining |= self.wire.is_write_broken();
        }
        if self.wire.out.is_overfull() {
            let broken = Broken { code: code::ENHANCE_YOUR_CALM, fault: "a peer that does not read" };
            return on_broken(self, turn, sink, broken);
        }
        self.wire.watch_read(self.protocol.wants_read());
        let (protocol, mut io) = self.lend(turn);
        protocol.on_drained(&mut io, sink);
        self.recount(turn.stats);
        self.timing.mark_idle(self.protocol.open_streams(), turn.now);
    }
}

fn receive<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S) {
    session.timing.read(turn.now);
    let transport = &mut session.wire.transport;
    if transport.is_tls() && turn.work.ahead.is_none() {
        turn.work.ahead = Some(vec![0; AHEAD_BYTES].into_boxed_slice());
    }
    transport.begin_reading(READ_BUDGET_BYTES, &mut turn.work.ahead);
    while session.phase == Phase::Open && session.protocol.wants_read() && read_once(session, turn, sink) {}
    session.wire.transport.end_reading(&mut turn.work.ahead);
    session.input.give_back_parsed(&mut turn.work.blocks);
    session.timing.mark_idle(session.protocol.open_streams(), turn.now);
}

/// One read and what follows from it; whether there may be more.
fn read_once<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S) -> bool {
    let mut block = session.input.take(&mut turn.work.blocks);
    let spare = block.spare();
    let asked = spare.len().min(session.protocol.read_limit());
    let moved = session.wire.transport.read(&mut spare[..asked]);
    if let Moved::Bytes(count) = moved {
        block.advance(count);
        session.was_heard = true;
        turn.stats[Stat::BytesIn] += count as u64;
        let at = session.input.parsed();
        let (protocol, mut io) = session.lend(turn);
        let received = protocol.receive(&mut io, sink, &block, at);
        session.input.put(block);
        match received {
            Ok(at) => session.input.parse_to(at),
            Err(broken) => on_broken(session, turn, sink, broken),
        }
        // A short read of a plain socket has emptied it; TLS may hold more than the socket shows.
        return count == asked || session.wire.transport.is_tls();
    }
    session.input.put(block);
    match moved {
        Moved::End => on_end(session, turn, sink, true, Reason::BackendClosed),
        Moved::Broken(alert) => on_alert(session, turn, sink, alert),
        _ => {}
    }
    false
}

/// The connection broke; `alert` names the TLS alert received, if any. With TLS 1.3 the backend
/// checks our certificate after our handshake is done: an alert before anything else is about that.
fn on_alert<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, alert: &'static str) {
    let mut reason = Reason::BackendClosed;
    if !alert.is_empty() {
        let failure = Failure::of_alert(alert);
        session.fault = (failure.reason.code(), failure.detail);
        if !session.was_heard || failure.reason == Reason::TlsCertificateRequired {
            reason = failure.reason;
            turn.stats.tls_failures[reason.of_tls().unwrap_or(0)] += 1;
        }
    }
    on_end(session, turn, sink, false, reason);
}

/// The peer ended its side, in order or not.
fn on_end<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, is_orderly: bool, reason: Reason) {
    let (protocol, mut io) = session.lend(turn);
    protocol.on_end(&mut io, sink, is_orderly);
    session.close(turn, sink, reason, 0);
}

fn on_broken<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, broken: Broken) {
    turn.stats[Stat::ProtocolErrors] += 1;
    session.fault.0 = broken.fault;
    session.shut_down(turn, sink, Reason::BackendProtocolError, broken.code);
}
