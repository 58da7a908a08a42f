//! Timers of the relay.

use crate::base::slab::{Key, Slab};
use crate::base::timers::{Armed, NEVER, Nanos, Timers};
use crate::exchange::Exchange;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of exchanges are looked at so often, and when one is known to come before that, though
/// not more often than the smaller interval. More seldom where there are many exchanges to look at.
const SWEEP_INTERVAL: Nanos = 20_000_000;
const MIN_SWEEP_INTERVAL: Nanos = 1_000_000;
/// So many exchanges make the intervals twice as long.
const SWEEP_EXCHANGES: u64 = 4096;

/// Timer owners of the relay, above all slab keys.
pub const SWEEP_TIMER: u64 = u64::MAX;
/// See [`SWEEP_TIMER`].
pub const ALARM_TIMER: u64 = u64::MAX - 3;

/// When the relay has to be called.
pub(super) struct Deadlines {
    sweep: Armed,
    pub alarms: Alarms,
    /// Nothing has to be looked at before, as far as is known.
    next: Nanos,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines { sweep: Armed::default(), alarms: Alarms::default(), next: NEVER }
    }
}

impl Deadlines {
    /// A deadline that may come before the next sweep is made known. Those that move later, or
    /// whose exchange ends, need no word: a sweep more does no harm.
    pub fn expect(&mut self, deadline: Nanos) {
        self.next = self.next.min(deadline);
    }

    /// A sweep has found the earliest deadline.
    pub fn swept(&mut self, next: Nanos) {
        self.next = next;
    }

    /// Enters the time of the next sweep, which looks at so many exchanges.
    pub fn arm_sweep(&mut self, timers: &mut Timers, now: Nanos, exchanges: usize) {
        let load = 1 + exchanges as u64 / SWEEP_EXCHANGES;
        let (soonest, latest) = (now + MIN_SWEEP_INTERVAL * load, now + SWEEP_INTERVAL * load);
        timers.arm(&mut self.sweep, self.next.max(soonest).min(latest), SWEEP_TIMER);
    }

    /// Whether the sweep's timer that came due is the one that was meant.
    pub fn is_sweep(&mut self, due: Nanos) -> bool {
        Timers::is_current(&mut self.sweep, due)
    }
}

/// Times at which exchanges have to be looked at, precise to a millisecond. Entries are never taken
/// out early: one that its exchange does not know any more is stale and passed over.
#[derive(Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
    armed: Armed,
}

impl Alarms {
    /// Enters a time.
    pub fn push(&mut self, at: Nanos, key: Key) {
        self.heap.push(Reverse((at, key.pack())));
    }

    /// Takes out the next entry whose time has come.
    pub fn next_due(&mut self, now: Nanos, exchanges: &Slab<Box<Exchange>>) -> Option<Key> {
        let (_, key) = self.first(exchanges).filter(|(at, _)| *at <= now)?;
        self.heap.pop();
        Some(key)
    }

    /// Arms the one timer of all entries for the earliest.
    pub fn arm(&mut self, timers: &mut Timers, exchanges: &Slab<Box<Exchange>>) {
        if let Some((at, _)) = self.first(exchanges) {
            timers.arm(&mut self.armed, at, ALARM_TIMER);
        }
    }

    /// Whether the timer that came due is the one that was meant.
    pub fn is_current(&mut self, due: Nanos) -> bool {
        Timers::is_current(&mut self.armed, due)
    }

    /// The earliest entry that is not stale.
    fn first(&mut self, exchanges: &Slab<Box<Exchange>>) -> Option<(Nanos, Key)> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            let (at, key) = (*at, Key::unpack(*key));
            if exchanges.get(key).is_some_and(|exchange| exchange.state().alarm_at() == Some(at)) {
                return Some((at, key));
            }
            self.heap.pop();
        }
        None
    }
}
