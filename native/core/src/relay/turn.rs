//! The clocks of a turn.

use crate::base::timers::{Clock, Nanos};
use crate::http::date::Date;
use std::time::{SystemTime, UNIX_EPOCH};

/// Current time, read a few times a turn.
pub struct Turn {
    /// Monotonic clock.
    pub clock: Clock,
    /// Monotonic time of the turn.
    pub now: Nanos,
    /// Wall clock of the turn, in milliseconds since the epoch.
    pub now_ms: f64,
    /// Cached text of a `date` field.
    pub(super) date: Date,
}

impl Turn {
    /// Starts the first turn.
    pub fn new(clock: Clock) -> Turn {
        Turn { clock, now: clock.now(), now_ms: 0.0, date: Date::default() }
    }

    /// Reads the monotonic clock.
    pub fn tick(&mut self) -> Nanos {
        self.now = self.clock.now();
        self.now
    }

    /// Begins a turn: reads both clocks.
    pub fn begin(&mut self) -> Nanos {
        self.now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_micros() as f64 / 1e3);
        self.tick()
    }
}
