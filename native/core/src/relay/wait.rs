//! Waiting: the lane wants to be asked about an exchange again later, or now after all. And the alarms for that, precise to a millisecond.

use super::Relay;
use super::deadlines::ALARM_TIMER;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{Armed, Nanos, Timers};
use crate::exchange::{Decide, State, Wait};
use crate::record::inward::Tag;
use crate::upstream::Upstreams;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Times at which exchanges have to be looked at. Entries are never taken out early: one that its exchange does not know any more is stale and passed over.
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

    /// The earliest entry.
    fn first(&self) -> Option<(Nanos, Key)> {
        self.heap.peek().map(|Reverse((at, key))| (*at, Key::unpack(*key)))
    }
}

impl Relay {
    /// The lane wants the exchange offered again, as what it was offered now.
    pub(super) fn wait(&mut self, upstreams: &mut Upstreams, key: Key, tag: Tag, wait_ms: u32, reason: Reason) {
        self.let_go(upstreams, key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(decide) = exchange.state().decide() else { return };
        let wait = Wait { until: self.turn.now + wait_ms as Nanos * 1_000_000, failure: decide.offer.failure(), reason };
        exchange.tag = tag;
        exchange.enter(State::Wait(wait));
        let end_at = exchange.times.end_at();
        self.deadlines.alarms.push(wait.until, key);
        self.expect(end_at);
    }

    /// Offers an exchange again that waits; passes over any other.
    pub(super) fn wake(&mut self, key: Key) {
        if let Some(State::Wait(wait)) = self.exchanges.get(key).map(|exchange| exchange.state()) {
            self.offer(key, Decide::about(wait.offer(), true));
        }
    }

    /// Sees to the alarms whose time has come.
    pub(super) fn take_alarms(&mut self) {
        while let Some((at, key)) = self.deadlines.alarms.first()
            && (at <= self.turn.now || self.is_stale(at, key))
        {
            self.deadlines.alarms.heap.pop();
            if self.is_stale(at, key) {
                continue;
            }
            if self.exchanges.get(key).is_some_and(|exchange| exchange.state().is_waiting()) {
                self.wake(key);
            } else {
                self.is_late(key);
            }
        }
    }

    /// Arms the one timer of all alarms for the earliest that is not stale.
    pub(super) fn arm_alarms(&mut self, timers: &mut Timers) {
        while let Some((at, key)) = self.deadlines.alarms.first() {
            if !self.is_stale(at, key) {
                return timers.arm(&mut self.deadlines.alarms.armed, at, ALARM_TIMER);
            }
            self.deadlines.alarms.heap.pop();
        }
    }

    /// The timer came due.
    pub(super) fn on_alarm_timer(&mut self, due: Nanos) {
        if Timers::is_current(&mut self.deadlines.alarms.armed, due) {
            self.take_alarms();
        }
    }

    fn is_stale(&self, at: Nanos, key: Key) -> bool {
        self.exchanges.get(key).is_none_or(|exchange| exchange.state().alarm_at() != Some(at))
    }
}
