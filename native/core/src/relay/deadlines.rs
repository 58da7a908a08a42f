//! Timers of the relay.

use super::wait::Alarms;
use crate::base::timers::{Armed, NEVER, Nanos};

/// Deadlines of exchanges are looked at so often, and when one is known to come before that, though
/// not more often than the smaller interval. More seldom where there are many exchanges to look at.
pub(super) const SWEEP_INTERVAL: Nanos = 20_000_000;
pub(super) const MIN_SWEEP_INTERVAL: Nanos = 1_000_000;
/// So many exchanges make the intervals twice as long.
pub(super) const SWEEP_EXCHANGES: u64 = 4096;

/// Timer owners of the relay, above all slab keys.
pub const SWEEP_TIMER: u64 = u64::MAX;
/// See [`SWEEP_TIMER`].
pub const ALARM_TIMER: u64 = u64::MAX - 3;

/// When the relay has to be called.
pub(super) struct Deadlines {
    pub sweep: Armed,
    pub alarms: Alarms,
    /// Nothing has to be looked at before, as far as is known.
    pub next: Nanos,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines { sweep: Armed::default(), alarms: Alarms::default(), next: NEVER }
    }
}
