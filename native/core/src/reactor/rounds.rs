//! How far the look at all connections has come: a round goes over them a few a turn, so that many
//! of them hold nobody up.

use crate::base::timers::{Armed, NEVER, Nanos, Timers};

/// Timer owner of the next round.
pub(super) const ROUND_TIMER: u64 = u64::MAX - 4;

/// So often certificates and lists are looked at for having run out.
const INTERVAL: Nanos = 4_000_000_000;

/// The round that is under way, and the next.
#[derive(Default)]
pub(super) struct Rounds {
    /// Place of the next connection; none between two rounds.
    place: Option<u32>,
    /// When the next round begins by itself.
    due_at: Nanos,
    /// When what is left of a connection is cut whose listener has left its address.
    pub cut_at: Nanos,
    armed: Armed,
}

impl Rounds {
    /// Begins a round: what is under way begins anew.
    pub fn begin(&mut self) {
        self.place = Some(0);
    }

    /// Begins one that finds connections whose listeners are gone.
    pub fn retire(&mut self, cut_at: Nanos) {
        self.cut_at = cut_at;
        self.begin();
    }

    /// Begins one where it is time.
    pub fn begin_if_due(&mut self, now: Nanos) {
        if self.place.is_none() && self.due_at <= now {
            self.begin();
        }
    }

    /// The next of so many places; none where no round is under way, or it has come to its end.
    pub fn next(&mut self, places: u32, now: Nanos) -> Option<u32> {
        let place = self.place?;
        if place < places {
            self.place = Some(place + 1);
            return Some(place);
        }
        (self.place, self.due_at) = (None, now + INTERVAL);
        None
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// Enters the timer of the next round, where there will be something to look at.
    pub fn arm(&mut self, timers: &mut Timers, is_wanted: bool, now: Nanos) {
        timers.arm(&mut self.armed, if is_wanted { self.due_at.max(now) } else { NEVER }, ROUND_TIMER);
    }

    /// The turn that it made is all that was wanted of it.
    pub fn note_timer(&mut self, due: Nanos) {
        Timers::is_current(&mut self.armed, due);
    }
}
