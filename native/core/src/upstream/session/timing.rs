//! When a session has waited long enough: for a connection, a sign of life, a stream, or its old age.

use super::{Phase, Protocol, Session, Turn, after};
use crate::base::reason::Reason;
use crate::base::timers::{NEVER, Nanos};
use crate::http::error::h2 as code;
use crate::upstream::sink::Sink;
use crate::upstream::stats::Stat;

/// A session without streams gives its buffers back after this.
const QUIET_NANOS: Nanos = 1_000_000_000;

impl Session {
    /// The earliest time at which something may have to be done. Traffic moves the real times later, never earlier, so this need not be asked
    /// again before it comes.
    pub fn deadline(&self, now: Nanos) -> Nanos {
        match self.phase {
            Phase::Connecting | Phase::Handshaking => self.connect_until,
            Phase::Open => self.idle_at(now).min(self.ping_at()).min(self.retire_deadline()).min(self.quiet_at(now)),
            Phase::Closed(_) => NEVER,
        }
    }

    /// Does what is due.
    pub fn on_timer<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        let now = turn.now;
        if self.is_connecting() && now >= self.connect_until {
            return self.on_connect_timeout(turn, sink);
        }
        if self.phase != Phase::Open {
            return;
        }
        if now >= self.retire_at {
            self.is_draining = true;
        }
        let is_unused = self.open_streams() == 0 && self.reserved.is_empty();
        if self.is_spent() || is_unused && now >= self.idle_at(now) {
            return self.say_goodbye(turn, sink, Reason::BackendClosed, code::NO_ERROR);
        }
        if is_unused && now >= self.quiet_at(now) {
            self.release();
        }
        if now >= self.ping_at() {
            self.ping(turn, sink);
        }
    }

    /// Whether nothing has run on it for so long.
    pub fn is_idle_for(&self, time: Nanos, now: Nanos) -> bool {
        now.saturating_sub(self.idle_since) >= time
    }

    /// Since when nothing has run on it.
    pub fn idle_since(&self) -> Nanos {
        self.idle_since
    }

    /// A session that is busy now can at the earliest become idle now.
    fn idle_at(&self, now: Nanos) -> Nanos {
        let since = if self.open_streams() == 0 && self.reserved.is_empty() { self.idle_since } else { now };
        after(since, self.config.limits.idle_timeout_ms)
    }

    fn quiet_at(&self, now: Nanos) -> Nanos {
        let has_buffers = self.out.capacity() > 0 && self.out.is_empty();
        match self.open_streams() {
            0 if has_buffers => self.idle_since + QUIET_NANOS,
            0 => NEVER,
            _ => now + QUIET_NANOS,
        }
    }

    fn retire_deadline(&self) -> Nanos {
        if self.is_draining { NEVER } else { self.retire_at }
    }

    /// When the next question is due, or the answer to the last one.
    fn ping_at(&self) -> Nanos {
        let Protocol::H2(h2) = &self.protocol else { return NEVER };
        match h2.is_ping_open() {
            true => after(self.pinged_at, self.config.limits.ping_timeout_ms.max(1)),
            false => after(self.read_at, self.config.limits.ping_interval_ms),
        }
    }

    fn ping<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        let Protocol::H2(h2) = &mut self.protocol else { return };
        if h2.is_ping_open() {
            // Whatever came since is as good as an answer, as long as it keeps coming.
            if self.read_at > self.pinged_at {
                self.pinged_at = self.read_at;
                return;
            }
            turn.stats[Stat::PingsTimedOut] += 1;
            self.because = "no answer to PING";
            return self.say_goodbye(turn, sink, Reason::BackendClosed, code::NO_ERROR);
        }
        h2.ping(&mut self.out);
        self.pinged_at = turn.now;
    }

    fn release(&mut self) {
        self.out.release();
        match &mut self.protocol {
            Protocol::H2(h2) => h2.release(),
            Protocol::H1(h1) => h1.release(),
        }
    }
}
