//! A reactor's side of its lane: what it offers, what it tells, what comes back.
//!
//! [`Lane`] writes records towards the lane and keeps those that found no room in the ring, in order. [`Decisions`] reads
//! the ring the other way. Neither knows exchanges: what a record says of one is read through [`Exchanges`] at the
//! moment of writing, so that a record which has waited says how things are and not how they were.

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

/// The failure of an attempt, as the lane is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// What happened.
    pub facts: FailureFacts,
    /// As given with the last decision.
    pub tag: Tag,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// Request id.
    pub request_id: RequestId,
}

/// What the lane is to decide about.
pub enum Offered<'a> {
    /// A request head.
    Head(HeadFacts<'a>, &'a Fields),
    /// A failed attempt.
    Failure(Failure),
}

/// Where in the ring an offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

/// What a lane has to know of exchanges.
pub trait Exchanges {
    /// What is offered of one; none where nothing is to be decided any more.
    fn offered(&self, key: Key) -> Option<Offered<'_>>;
    /// The offer of one was written.
    fn offer_written(&mut self, key: Key, place: Place);
    /// What is late of one; none where nothing is any more.
    fn late(&self, key: Key) -> Option<LateFacts>;
}

/// A lane and its decisions, over a region of their own.
pub fn lane() -> (Lane, Decisions) {
    let (ring, decisions) = ring::rings();
    (Lane { ring, backlog: Backlog::default(), calls: Calls::default() }, Decisions::new(decisions))
}

/// Records towards a lane, and when it has to be called for them.
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

    /// Tells that an attempt is late.
    pub fn tell_late(&mut self, key: Key, exchanges: &impl Exchanges) {
        self.calls.note_offer();
        if !self.backlog.is_empty() || !write_late(&mut self.ring, key, exchanges) {
            self.backlog.push(Entry::Late(key));
        }
    }

    /// Tells of the failure of an attempt beside which another runs.
    pub fn tell_failure(&mut self, key: Key, failure: Failure) {
        self.calls.note_offer();
        if !self.backlog.is_empty() || !write_failure(&mut self.ring, key, &failure) {
            self.backlog.push(Entry::Failure(Box::new((key, failure))));
        }
    }

    /// Tells how an exchange ended. The request head is taken where the ring has no room for its text.
    pub fn complete(&mut self, facts: CompletionFacts, request: &mut Fields) {
        self.calls.note_completion();
        if !self.backlog.is_empty() || !outward::write_completion(&mut self.ring, &facts, request) {
            self.backlog.push(Entry::Completion(Box::new((facts, std::mem::take(request)))));
        }
    }

    /// Takes back an offer that the lane has not read: its exchange has ended.
    pub fn withdraw(&mut self, place: Place, key: Key) {
        outward::withdraw(&mut self.ring, place.0, key);
    }

    /// Writes what the ring had no room for before, as far as it has now.
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

    /// Whether the lane should be called: something is to be decided or has waited long, or an exchange has ended and
    /// its end may free a place for one that waits.
    pub fn is_due(&self) -> bool {
        self.calls.is_due(self.is_waited_for())
    }

    /// Whether the lane says that exchanges wait for a place which another's end may free.
    pub fn is_waited_for(&self) -> bool {
        self.ring.is_waited_for()
    }

    /// The lane is called now. Says how many offers it has not seen.
    pub fn begin_call(&mut self) -> usize {
        self.calls.begin()
    }

    /// The lane has returned: it gets what the ring had no room for, at once where it left records or records wait.
    pub fn end_call(&mut self, exchanges: &mut impl Exchanges) {
        self.write_backlog(exchanges);
        self.calls.set_overdue(self.ring.has_for_lane());
    }

    /// Enters the timer of completions; called once a turn.
    pub fn arm(&mut self, timers: &mut Timers, now: Nanos) {
        self.calls.arm(timers, now);
    }

    /// The timer came due.
    pub fn on_timer(&mut self, due: Nanos) {
        self.calls.on_timer(due);
    }

    /// Every exchange is given up, and has its completion. Records stay.
    pub fn start_over(&mut self) {
        self.calls.start_over();
    }
}

/// False when the ring has no room.
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

/// False when the ring has no room. What is not late any more needs none.
fn write_late(ring: &mut Ring, key: Key, exchanges: &impl Exchanges) -> bool {
    exchanges.late(key).is_none_or(|facts| outward::write_late(ring, key, &facts))
}

fn write_failure(ring: &mut Ring, key: Key, failure: &Failure) -> bool {
    outward::write_attempt_failed(ring, key, &failure.facts, failure.tag, failure.age_us, &failure.request_id)
}
