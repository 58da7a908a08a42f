//! The times of a session, and when each of its timeouts is due.

use crate::base::timers::{NEVER, Nanos};
use crate::upstream::config::SessionLimits;

/// A session without streams frees its buffers after this.
const QUIET_NANOS: Nanos = 1_000_000_000;

/// When things happened.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The address being connected to is given up.
    pub connect_until: Nanos,
    /// The session became usable; before that, it began to connect.
    pub opened_at: Nanos,
    /// Bytes were last read.
    read_at: Nanos,
    /// The last stream ended.
    idle_since: Nanos,
    /// A stream was open at the last look.
    was_busy: bool,
    /// The last PING was sent.
    pinged_at: Nanos,
    /// The session takes no more streams.
    pub retire_at: Nanos,
}

impl Timing {
    /// Of a session that begins to connect.
    pub fn new(now: Nanos, patience_ms: u64, max_age_ms: u64) -> Timing {
        Timing {
            connect_until: after(now, patience_ms),
            opened_at: now,
            read_at: now,
            idle_since: now,
            was_busy: false,
            pinged_at: NEVER,
            retire_at: after(now, max_age_ms),
        }
    }

    /// Another address is tried.
    pub fn reconnect(&mut self, now: Nanos, patience_ms: u64) {
        self.connect_until = after(now, patience_ms);
    }

    /// The session became usable.
    pub fn open(&mut self, now: Nanos) {
        (self.opened_at, self.read_at, self.idle_since) = (now, now, now);
    }

    /// The socket was read.
    pub fn read(&mut self, now: Nanos) {
        self.read_at = now;
    }

    /// A stream started.
    pub fn start(&mut self) {
        self.was_busy = true;
    }

    /// Marks the moment at which the last stream ended. Later traffic, such as answers to PING,
    /// does not make a session busy.
    pub fn mark_idle(&mut self, open_streams: u32, now: Nanos) {
        if self.was_busy && open_streams == 0 {
            self.was_busy = false;
            self.idle_since = now;
        }
    }

    /// Since when no stream is open.
    pub fn idle_since(&self) -> Nanos {
        self.idle_since
    }

    /// When the idle timeout is due. A busy session can become idle now at the earliest.
    pub fn idle_at(&self, limits: &SessionLimits, is_unused: bool, now: Nanos) -> Nanos {
        after(if is_unused { self.idle_since } else { now }, limits.idle_timeout_ms)
    }

    /// When buffers are to be freed.
    pub fn quiet_at(&self, open_streams: u32, has_buffers: bool, now: Nanos) -> Nanos {
        match open_streams {
            0 if has_buffers => self.idle_since + QUIET_NANOS,
            0 => NEVER,
            _ => now + QUIET_NANOS,
        }
    }

    /// When the next PING is due, or the answer to the last one.
    pub fn ping_at(&self, limits: &SessionLimits, is_ping_open: bool) -> Nanos {
        if is_ping_open { after(self.pinged_at, limits.ping_timeout_ms.max(1)) } else { after(self.read_at, limits.ping_interval_ms) }
    }

    /// A PING is sent.
    pub fn ping(&mut self, now: Nanos) {
        self.pinged_at = now;
    }

    /// Extends the wait for an answer to PING when anything was read since; false when nothing was.
    pub fn extend_ping(&mut self) -> bool {
        let was_read = self.read_at > self.pinged_at;
        if was_read {
            self.pinged_at = self.read_at;
        }
        was_read
    }
}

/// A time after another; 0 ms means never.
fn after(start: Nanos, milliseconds: u64) -> Nanos {
    if milliseconds == 0 { NEVER } else { start.saturating_add(milliseconds.saturating_mul(1_000_000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn a_session_is_idle_from_the_end_of_its_last_stream_whatever_is_read_later() {
        let mut timing = Timing::new(0, 1_000, 0);
        timing.open(5 * MS);
        timing.start();
        timing.mark_idle(1, 10 * MS);
        timing.mark_idle(0, 20 * MS);
        timing.read(30 * MS);
        timing.mark_idle(0, 30 * MS);
        assert_eq!((timing.idle_since(), timing.retire_at), (20 * MS, NEVER));
    }

    #[test]
    fn anything_read_since_a_ping_extends_the_wait_for_its_answer_once() {
        let mut timing = Timing::new(0, 1_000, 0);
        timing.ping(10 * MS);
        assert!(!timing.extend_ping());
        timing.read(15 * MS);
        assert!(timing.extend_ping() && !timing.extend_ping());
    }
}
