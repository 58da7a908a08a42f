//! Open connections are held against what clients must prove when that changes, and now and then
//! because certificates and revocation lists run out.
//!
//! A verification takes as long as a handshake's. A turn spends little on them; what is left waits
//! for the next one.

use super::Reactor;
use crate::base::panics;
use crate::base::slab::Key;
use crate::base::timers::{Armed, NEVER, Nanos, Timers};
use std::time::{SystemTime, UNIX_EPOCH};

/// Timer owner of the look at what has run out.
pub(super) const RECHECK_TIMER: u64 = u64::MAX - 4;

/// Time a turn spends on it.
const TURN_TIME: Nanos = 2_000_000;

/// Connections that a turn ends: each has something to send.
const TURN_ENDS: usize = 32;

/// So often certificates and lists are looked at for having run out.
const INTERVAL: Nanos = 4_000_000_000;

/// How far the look at the connections has come.
#[derive(Default)]
pub(super) struct Recheck {
    /// Place of the next connection; none between two rounds.
    place: Option<u32>,
    /// When the next round begins.
    due_at: Nanos,
    armed: Armed,
}

impl Recheck {
    pub fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// The turn that it made is all that was wanted of it.
    pub fn note_timer(&mut self, due: Nanos) {
        Timers::is_current(&mut self.armed, due);
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

impl Reactor {
    /// Goes on with the round that is under way, or begins one where it is time.
    pub(super) fn recheck_clients(&mut self) {
        let mut is_asking = false;
        for place in 0..self.listeners.room() {
            if !self.listeners.has(place) {
                continue;
            }
            let listener = &mut self.listeners[place];
            let version = listener.certificates.clients_version();
            is_asking |= version & 1 == 1;
            if listener.clients_version != version {
                listener.clients_version = version;
                self.recheck.place = Some(0);
            }
        }
        if is_asking && self.recheck.place.is_none() && self.recheck.due_at <= self.relay.turn.now && !self.relay.connections.is_empty() {
            self.recheck.place = Some(0);
        }
        let Some(mut place) = self.recheck.place else { return };
        let (now, until) = (unix_now(), self.relay.turn.clock.now() + TURN_TIME);
        let mut ends = 0;
        while place < self.relay.connections.slots() && ends < TURN_ENDS && self.relay.turn.clock.now() < until {
            if let Some(key) = self.relay.connections.key_at(place) {
                ends += usize::from(self.recheck_one(key, now));
            }
            place += 1;
        }
        let is_done = place >= self.relay.connections.slots();
        self.recheck.place = (!is_done).then_some(place);
        if is_done {
            self.recheck.due_at = self.relay.turn.now + INTERVAL;
        }
    }

    /// When the next round is due, where there will be something to look at.
    pub(super) fn arm_recheck(&mut self) {
        let is_asking = self.listeners.iter().any(|listener| listener.clients_version & 1 == 1);
        let due = if is_asking && !self.relay.connections.is_empty() { self.recheck.due_at.max(self.relay.turn.now) } else { NEVER };
        self.timers.arm(&mut self.recheck.armed, due, RECHECK_TIMER);
    }

    /// Holds one connection against what is wanted now; true when that ends it.
    pub(super) fn recheck_one(&mut self, key: Key, now: i64) -> bool {
        let judged = panics::guard(|| {
            let Some(connection) = self.relay.connections.get_mut(key) else { return false };
            let listener = &self.listeners[connection.accepted.socket as usize];
            // The socket has become another listener's; the connection is on its way out.
            if listener.number != connection.accepted.listener {
                return false;
            }
            let certificates = &listener.certificates;
            let Err(refusal) = connection.recheck(&certificates.clients(), now) else { return false };
            certificates.note_ended(refusal);
            connection.condemn(self.relay.turn.now);
            self.relay.connections.mark(key);
            self.arm(key);
            true
        });
        judged.unwrap_or_else(|_| {
            self.end_panicked(key);
            true
        })
    }
}
