//! Timeouts of a session: to connect, to answer PING, to be used, and its age.

use super::protocol::Protocol;
use super::state::{Phase, Session, Turn};
use crate::base::reason::Reason;
use crate::base::timers::{NEVER, Nanos};
use crate::http::error::h2 as code;
use crate::upstream::sink::Sink;
use crate::upstream::stats::Stat;

impl Session {
    /// The earliest time at which something may be due. Traffic only moves the real times later, so
    /// this need not be asked again before it comes.
    pub fn deadline(&self, now: Nanos) -> Nanos {
        match self.phase {
            Phase::Connecting | Phase::Handshaking => self.timing.connect_until,
            Phase::Open => idle_at(self, now).min(ping_at(self)).min(retire_at(self)).min(quiet_at(self, now)),
            Phase::Closed(_) => NEVER,
        }
    }

    /// Does what is due.
    pub fn on_timer<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        let now = turn.now;
        if self.is_connecting() && now >= self.timing.connect_until {
            return self.on_connect_timeout(turn, sink);
        }
        if self.phase != Phase::Open {
            return;
        }
        if now >= self.timing.retire_at {
            self.is_draining = true;
        }
        let is_unused = self.is_unused();
        if self.is_spent() || is_unused && now >= idle_at(self, now) {
            return self.shut_down(turn, sink, Reason::BackendClosed, code::NO_ERROR);
        }
        if is_unused && now >= quiet_at(self, now) {
            self.wire.out.release();
            self.protocol.release();
        }
        if now >= ping_at(self) {
            ping(self, turn, sink);
        }
    }
}

fn idle_at(session: &Session, now: Nanos) -> Nanos {
    session.timing.idle_at(&session.config.limits, session.is_unused(), now)
}

fn quiet_at(session: &Session, now: Nanos) -> Nanos {
    let out = &session.wire.out;
    session.timing.quiet_at(session.open_streams(), out.capacity() > 0 && out.is_empty(), now)
}

fn retire_at(session: &Session) -> Nanos {
    if session.is_draining { NEVER } else { session.timing.retire_at }
}

fn ping_at(session: &Session) -> Nanos {
    match &session.protocol {
        Protocol::H2(h2) => session.timing.ping_at(&session.config.limits, h2.is_ping_open()),
        Protocol::H1(_) => NEVER,
    }
}

/// Sends PING, or ends the session when the last one was not answered in time. Anything that came
/// since is as good as an answer, as long as more keeps coming.
fn ping<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S) {
    let Protocol::H2(h2) = &mut session.protocol else { return };
    if !h2.is_ping_open() {
        h2.ping(&mut session.wire.out);
        session.timing.ping(turn.now);
    } else if !session.timing.extend_ping() {
        turn.stats[Stat::PingsTimedOut] += 1;
        session.fault.0 = "no answer to PING";
        session.shut_down(turn, sink, Reason::BackendClosed, code::NO_ERROR);
    }
}
