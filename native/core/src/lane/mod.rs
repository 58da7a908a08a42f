//! The reactor's side of its lane: offers, reports and decisions.
//!
//! [`Lane`] writes records to the lane and queues those that find no room in the ring.
//! [`Decisions`] reads the other ring. Neither knows exchanges: records are filled through
//! [`Exchanges`] when they are written, so that one which has waited is still up to date.

mod backlog;
mod calls;
mod decisions;
mod takeover;
#[cfg(test)]
mod tests;

use crate::base::slab::Key;
use crate::base::timers::{Nanos, Timers};
use crate::http::fields::Fields;
use crate::record::inward::Tag;
use crate::record::outward::{self, CompletionFacts, FailureFacts, HeadFacts, LateFacts, RequestId};
use crate::record::ring::{self, Ring};
use backlog::{Backlog, Entry};
use calls::Calls;
pub use calls::TIMER;
pub use decisions::Decisions;

/// A failed attempt, as reported to the lane.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// What happened.
    pub facts: FailureFacts,
    /// Tag of the lane's last decision.
    pub tag: Tag,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// Request id.
    pub request_id: RequestId,
}

/// What the lane is asked about.
pub enum Offered<'a> {
    /// A request head.
    Head(HeadFacts<'a>, &'a Fields),
    /// A failed attempt.
    Failure(Failure),
}

/// Position of an offer in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

/// What a lane reads from exchanges.
pub trait Exchanges {
    /// What to offer; none if no decision is pending any more.
    fn offered(&self, key: Key) -> Option<Offered<'_>>;
    /// Notes that the offer was written.
    fn offer_written(&mut self, key: Key, place: Place);
    /// Which attempt is late; none if none is any more.
    fn late(&self, key: Key) -> Option<LateFacts>;
}

/// Returns a lane and its decisions, in a memory region of their own.
pub fn lane() -> (Lane, Decisions) {
    let (ring, decisions) = ring::rings();
    (Lane { ring, backlog: Backlog::default(), calls: Calls::default() }, Decisions::new(decisions))
}

/// Writes records to a lane, and knows when it has to be called for them.
pub struct Lane {
    ring: Ring,
    backlog: Backlog,
    calls: Calls,
}

impl Lane {
    /// Start of the memory that is shared with the lane.
    pub fn region(&self) -> *mut u8 {
        self.ring.region()
    }

    /// Offers an exchange, now or when the ring has room.
    pub fn offer(&mut self, key: Key, exchanges: &mut impl Exchanges) {
        self.calls.note_offer();
        if !self.backlog.is_empty() || !write_offer(&mut self.ring, key, exchanges) {
            self.backlog.push(Entry::Offer(key));
        }
    }

    /// Reports that an attempt is late.
    pub fn tell_late(&mut self, key: Key, exchanges: &impl Exchanges) {
        self.calls.note_offer();
        if !self.backlog.is_empty() || !write_late(&mut self.ring, key, exchanges) {
            self.backlog.push(Entry::Late(key));
        }
    }

    /// Reports a failed attempt beside which another still runs.
    pub fn tell_failure(&mut self, key: Key, failure: Failure) {
        self.calls.note_offer();
        if !self.backlog.is_empty() || !write_failure(&mut self.ring, key, &failure) {
            self.backlog.push(Entry::Failure(Box::new((key, failure))));
        }
    }

    /// Reports the end of an exchange. Takes the request head if the ring has no room for its text.
    pub fn complete(&mut self, facts: CompletionFacts, request: &mut Fields) {
        self.calls.note_completion();
        if !self.backlog.is_empty() || !outward::write_completion(&mut self.ring, &facts, request) {
            self.backlog.push(Entry::Completion(Box::new((facts, std::mem::take(request)))));
        }
    }

    /// Takes back an unread offer of an exchange that has ended.
    pub fn withdraw(&mut self, place: Place, key: Key) {
        outward::withdraw(&mut self.ring, place.0, key);
    }

    /// Writes queued records as far as the ring has room.
    pub fn write_backlog(&mut self, exchanges: &mut impl Exchanges) {
        while let Some(entry) = self.backlog.pop() {
            let is_written = match &entry {
                Entry::Offer(key) => write_offer(&mut self.ring, *key, exchanges),
                Entry::Late(key) => write_late(&mut self.ring, *key, exchanges),
                Entry::Failure(told) => write_failure(&mut self.ring, told.0, &told.1),
                Entry::Completion(told) => outward::write_completion(&mut self.ring, &told.0, &told.1),
                Entry::Record(record) => self.ring.write(record),
            };
            if !is_written {
                return self.backlog.put_back(entry);
            }
        }
    }

    /// Whether the lane should be called: an offer is pending, a record has waited long enough, or
    /// an exchange has ended and others wait for its place.
    pub fn is_due(&self) -> bool {
        self.calls.is_due(self.is_waited_for())
    }

    /// Whether the lane says that exchanges wait for a place.
    pub fn is_waited_for(&self) -> bool {
        self.ring.is_waited_for()
    }

    /// Begins a call. Returns the number of offers that the lane has not seen.
    pub fn begin_call(&mut self) -> usize {
        self.calls.begin()
    }

    /// Ends a call: writes queued records. The lane is due again if it left records or some still
    /// wait.
    pub fn end_call(&mut self, exchanges: &mut impl Exchanges) {
        self.write_backlog(exchanges);
        self.calls.set_overdue(self.ring.has_for_lane());
    }

    /// Arms the timer of completions; called once a turn.
    pub fn arm(&mut self, timers: &mut Timers, now: Nanos) {
        self.calls.arm(timers, now);
    }

    /// Handles the timer.
    pub fn on_timer(&mut self, due: Nanos) {
        self.calls.on_timer(due);
    }

    /// Starts over after every exchange was dropped with a completion. Records stay.
    pub fn start_over(&mut self) {
        self.calls.start_over();
    }
}

/// Returns false if the ring has no room.
fn write_offer(ring: &mut Ring, key: Key, exchanges: &mut impl Exchanges) -> bool {
    let is_written = match exchanges.offered(key) {
        None => return true,
        Some(Offered::Head(facts, request)) => outward::write_head(ring, &facts, request),
        Some(Offered::Failure(failure)) => write_failure(ring, key, &failure),
    };
    if is_written {
        exchanges.offer_written(key, Place(ring.last()));
    }
    is_written
}

/// Returns false if the ring has no room. An attempt that is no longer late needs none.
fn write_late(ring: &mut Ring, key: Key, exchanges: &impl Exchanges) -> bool {
    exchanges.late(key).is_none_or(|facts| outward::write_late(ring, key, &facts))
}

fn write_failure(ring: &mut Ring, key: Key, failure: &Failure) -> bool {
    outward::write_attempt_failed(ring, key, &failure.facts, failure.tag, failure.age_us, &failure.request_id)
}
