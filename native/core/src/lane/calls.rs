//! When the lane has to be called.

use crate::base::timers::{Armed, Nanos, Timers};

/// Completions are read with the next heads, or after this delay when there are none.
const COMPLETION_DELAY: Nanos = 50_000_000;

/// Timer owner of the lane, above all slab keys.
pub const TIMER: u64 = u64::MAX - 1;

/// What the lane has not been called for yet.
#[derive(Default)]
pub(super) struct Calls {
    /// Heads, failures and late attempts that it has not seen.
    offers: usize,
    has_completions: bool,
    /// It left records in the ring, or completions have waited long enough.
    is_overdue: bool,
    completions: Armed,
}

impl Calls {
    pub fn note_offer(&mut self) {
        self.offers += 1;
    }

    pub fn note_completion(&mut self) {
        self.has_completions = true;
    }

    pub fn is_due(&self, is_waited_for: bool) -> bool {
        self.is_overdue || self.offers > 0 || self.has_completions && is_waited_for
    }

    pub fn set_overdue(&mut self, is_overdue: bool) {
        self.is_overdue = is_overdue;
    }

    /// Begins a call, which covers everything. Returns the number of offers.
    pub fn begin(&mut self) -> usize {
        (self.has_completions, self.is_overdue) = (false, false);
        std::mem::take(&mut self.offers)
    }

    pub fn arm(&mut self, timers: &mut Timers, now: Nanos) {
        if self.has_completions {
            timers.arm(&mut self.completions, now + COMPLETION_DELAY, TIMER);
        }
    }

    pub fn on_timer(&mut self, due: Nanos) {
        self.is_overdue |= Timers::is_current(&mut self.completions, due) && self.has_completions;
    }

    /// Begins again for a successor, which has seen no offer. Timers stay armed.
    pub fn begin_again(&mut self, has_records: bool) {
        self.has_completions |= has_records;
        self.offers = 0;
    }

    /// Drops all offers and keeps completions due. The timers are new.
    pub fn start_over(&mut self) {
        *self = Calls { has_completions: true, ..Calls::default() };
    }
}
