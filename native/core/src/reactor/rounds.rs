//! Progress of a round over all connections. A turn does a few, so that a large number of
//! connections blocks nobody.

use crate::base::timers::{Armed, NEVER, Nanos, Timers};

/// Timer owner of the next round.
pub(super) const ROUND_TIMER: u64 = u64::MAX - 4;

/// Interval at which certificates and revocation lists are checked for expiry.
const INTERVAL: Nanos = 4_000_000_000;

/// The current round, and when the next is due.
#[derive(Default)]
pub(super) struct Rounds {
    /// Slab index of the next connection; none between rounds.
    place: Option<u32>,
    /// When the next round is due.
    due_at: Nanos,
    /// When connections are cut whose listener has left its address.
    pub cut_at: Nanos,
    armed: Armed,
}

impl Rounds {
    /// Begins a round, from the start if one is in progress.
    pub fn begin(&mut self) {
        self.place = Some(0);
    }

    /// Begins a round that finds connections whose listeners are gone.
    pub fn retire(&mut self, cut_at: Nanos) {
        self.cut_at = cut_at;
        self.begin();
    }

    /// Begins a round if one is due.
    pub fn begin_if_due(&mut self, now: Nanos) {
        if self.place.is_none() && self.due_at <= now {
            self.begin();
        }
    }

    /// Next index of `places`; none if no round is in progress, or it just ended.
    pub fn next(&mut self, places: u32, now: Nanos) -> Option<u32> {
        let place = self.place?;
        if place < places {
            self.place = Some(place + 1);
            return Some(place);
        }
        (self.place, self.due_at) = (None, now + INTERVAL);
        None
    }

    /// Whether a round is in progress.
    pub fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// Arms the timer of the next round, if there will be something to check.
    pub fn arm(&mut self, timers: &mut Timers, is_wanted: bool, now: Nanos) {
        timers.arm(&mut self.armed, if is_wanted { self.due_at.max(now) } else { NEVER }, ROUND_TIMER);
    }

    /// Handles the timer: its only purpose was to cause a turn.
    pub fn note_timer(&mut self, due: Nanos) {
        Timers::is_current(&mut self.armed, due);
    }
}
