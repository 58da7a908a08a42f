//! Timers of the relay.

use crate::base::slab::{Key, Slab};
use crate::base::timers::{Armed, NEVER, Nanos, Timers};
use crate::exchange::Exchange;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The sweep runs at this interval, or earlier if a deadline is due, but never more often than
/// [`MIN_SWEEP_INTERVAL`]. Both grow with the number of exchanges.
const SWEEP_INTERVAL: Nanos = 20_000_000;
const MIN_SWEEP_INTERVAL: Nanos = 1_000_000;
/// Each multiple of this many exchanges lengthens the intervals by their own length.
const SWEEP_EXCHANGES: u64 = 4096;

/// Timer owner of the sweep. Timer owners of the relay are above all slab keys.
pub const SWEEP_TIMER: u64 = u64::MAX;
/// Timer owner of the alarms; see [`SWEEP_TIMER`].
pub const ALARM_TIMER: u64 = u64::MAX - 3;

/// When the relay has to be called next.
pub(super) struct Deadlines {
    sweep: Armed,
    pub alarms: Alarms,
    /// Earliest deadline known; the sweep need not run before.
    next: Nanos,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines { sweep: Armed::default(), alarms: Alarms::default(), next: NEVER }
    }
}

impl Deadlines {
    /// Notes a deadline that may come before the next sweep. A deadline that moves later, or whose
    /// exchange ends, need not be reported: the extra sweep does no harm.
    pub fn expect(&mut self, deadline: Nanos) {
        self.next = self.next.min(deadline);
    }

    /// Sets the earliest deadline that a sweep found.
    pub fn swept(&mut self, next: Nanos) {
        self.next = next;
    }

    /// Arms the timer of the next sweep, which will check `exchanges` exchanges.
    pub fn arm_sweep(&mut self, timers: &mut Timers, now: Nanos, exchanges: usize) {
        let load = 1 + exchanges as u64 / SWEEP_EXCHANGES;
        let (soonest, latest) = (now + MIN_SWEEP_INTERVAL * load, now + SWEEP_INTERVAL * load);
        timers.arm(&mut self.sweep, self.next.max(soonest).min(latest), SWEEP_TIMER);
    }

    /// Whether a timer that came due is the sweep's current one, and not a stale one.
    pub fn is_sweep(&mut self, due: Nanos) -> bool {
        Timers::is_current(&mut self.sweep, due)
    }
}

/// Times at which exchanges need attention, with millisecond precision. Entries are never removed
/// early: a stale one is skipped when it comes up.
#[derive(Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
    armed: Armed,
}

impl Alarms {
    /// Adds a time for an exchange.
    pub fn push(&mut self, at: Nanos, key: Key) {
        self.heap.push(Reverse((at, key.pack())));
    }

    /// Removes the next entry that is due.
    pub fn next_due(&mut self, now: Nanos, exchanges: &Slab<Box<Exchange>>) -> Option<Key> {
        let (_, key) = self.first(exchanges).filter(|(at, _)| *at <= now)?;
        self.heap.pop();
        Some(key)
    }

    /// Arms the one timer for the earliest entry.
    pub fn arm(&mut self, timers: &mut Timers, exchanges: &Slab<Box<Exchange>>) {
        if let Some((at, _)) = self.first(exchanges) {
            timers.arm(&mut self.armed, at, ALARM_TIMER);
        }
    }

    /// Whether a timer that came due is the current one, and not a stale one.
    pub fn is_current(&mut self, due: Nanos) -> bool {
        Timers::is_current(&mut self.armed, due)
    }

    /// Drops stale entries and returns the earliest valid one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::reason::Reason;
    use crate::exchange::{Decide, Offer, State, Wait};
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;

    /// When the sweep runs if it is armed at one second.
    fn sweep_after(deadline: Option<Nanos>, exchanges: usize) -> Nanos {
        let (mut deadlines, mut timers) = (Deadlines::default(), Timers::new().expect("a timer"));
        deadline.into_iter().for_each(|after| deadlines.expect(1_000 * MS + after));
        deadlines.arm_sweep(&mut timers, 1_000 * MS, exchanges);
        let (due, owner) = timers.pop_due(Nanos::MAX).expect("an entry");
        assert!(owner == SWEEP_TIMER && deadlines.is_sweep(due) && !deadlines.is_sweep(due));
        due - 1_000 * MS
    }

    #[test]
    fn a_sweep_comes_every_20_ms_sooner_for_a_known_deadline_and_never_within_one() {
        assert_eq!(sweep_after(None, 1), 20 * MS);
        assert_eq!(sweep_after(Some(500 * MS), 1), 20 * MS);
        assert_eq!(sweep_after(Some(7 * MS), 1), 7 * MS);
        assert_eq!(sweep_after(Some(0), 1), MS);
    }

    #[test]
    fn the_more_exchanges_there_are_the_more_seldom_they_are_looked_at() {
        assert_eq!(sweep_after(None, 4_095), 20 * MS);
        assert_eq!(sweep_after(None, 4_096), 40 * MS);
        assert_eq!(sweep_after(Some(0), 3 * 4_096), 4 * MS);
    }

    #[test]
    fn a_sweep_forgets_the_deadlines_before_it() {
        let (mut deadlines, mut timers) = (Deadlines::default(), Timers::new().expect("a timer"));
        deadlines.expect(3 * MS);
        deadlines.swept(NEVER);
        deadlines.arm_sweep(&mut timers, 0, 1);
        assert_eq!(timers.pop_due(Nanos::MAX), Some((20 * MS, SWEEP_TIMER)));
    }

    fn wait_until(exchange: &mut Exchange, until: Nanos) {
        exchange.enter(State::Decide(Decide::about(Offer::Head, exchange.state().is_waiting())));
        exchange.enter(State::Wait(Wait { until, failure: None, reason: Reason::QueueTimeout }));
    }

    proptest! {
        #[test]
        fn alarms_come_once_in_order_and_not_for_who_does_not_wait_for_them(
            steps in prop::collection::vec((0..8usize, 0..100u64, any::<bool>()), 0..60),
        ) {
            let mut exchanges: Slab<Box<Exchange>> = Slab::default();
            let keys: Vec<Key> = (0..8).map(|_| exchanges.insert_with(|_| Box::new(Exchange::idle()))).collect();
            let (mut alarms, mut timers) = (Alarms::default(), Timers::new().expect("a timer"));
            for (place, until, is_ended) in steps {
                let Some(exchange) = exchanges.get_mut(keys[place]) else { continue };
                if is_ended && exchange.state().is_waiting() {
                    exchanges.remove(keys[place]);
                    continue;
                }
                wait_until(exchange, until * MS);
                alarms.push(until * MS, keys[place]);
            }
            let mut wanted: Vec<(Nanos, Key)> = exchanges.iter().filter_map(|(key, e)| Some((e.state().alarm_at()?, key))).collect();
            wanted.sort_by_key(|(at, key)| (*at, key.pack()));
            alarms.arm(&mut timers, &exchanges);
            prop_assert_eq!(timers.pop_due(Nanos::MAX), wanted.first().map(|(at, _)| (*at, ALARM_TIMER)));
            let mut seen = Vec::new();
            for now in (0..=100).map(|ms| ms * MS) {
                while let Some(key) = alarms.next_due(now, &exchanges) {
                    seen.push((now, key));
                    // The exchange was answered and no longer waits.
                    exchanges.get_mut(key).expect("one that waits").enter(State::Answer);
                }
            }
            prop_assert_eq!(seen, wanted);
        }
    }
}
