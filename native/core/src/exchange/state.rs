//! The states of an exchange. Data that is valid in one state only lives in that state.
//!
//! [`Exchange::enter`](super::Exchange::enter) makes every transition, and [`State::leads_to`]
//! lists the valid ones. An exchange may end in any state.

use super::attempt::Attempt;
use super::hold::Hold;
use crate::base::reason::Reason;
use crate::base::timers::Nanos;
use crate::lane::Place;
use crate::record::outward::FailureFacts;

/// State of an exchange.
#[derive(Debug, Default)]
pub enum State {
    /// The request head is not complete.
    #[default]
    Decode,
    /// The lane has to decide.
    Decide(Decide),
    /// The lane asked to be offered the exchange again later.
    Wait(Wait),
    /// An attempt waits for a session.
    Open(Pending),
    /// An attempt has a stream and sends the request. No final response head has been passed on.
    Request(Pending),
    /// The client has a backend's response head. The rest of the response is relayed, and the
    /// request for as long as the backend takes it.
    Response,
    /// The edge itself answers.
    Answer,
}

/// A decision that the lane owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decide {
    /// What was offered.
    pub offer: Offer,
    /// Position of the offer in the ring; none until the ring has room.
    pub written_at: Option<Place>,
    /// Whether the exchange was offered before and has waited since.
    pub has_waited: bool,
}

impl Decide {
    /// Returns a decision that has not been written to the ring yet.
    pub fn about(offer: Offer, has_waited: bool) -> Decide {
        Decide { offer, written_at: None, has_waited }
    }
}

/// What the lane is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The request head.
    Head,
    /// A failed attempt.
    Failure(FailureFacts),
    /// A response whose status counts as a failure. It is held until the lane decides.
    Held(FailureFacts, Hold),
}

impl Offer {
    /// The failed attempt; none if the head is offered.
    pub fn failure(&self) -> Option<FailureFacts> {
        match self {
            Offer::Head => None,
            Offer::Failure(facts) | Offer::Held(facts, _) => Some(*facts),
        }
    }
}

/// A wait that the lane asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it ends.
    pub until: Nanos,
    /// The failed attempt that preceded the wait; none if the head was offered.
    pub failure: Option<FailureFacts>,
    /// Reason to answer with if the exchange's deadline comes first.
    pub reason: Reason,
}

impl Wait {
    /// What to offer when the wait ends.
    pub fn offer(&self) -> Offer {
        self.failure.map_or(Offer::Head, Offer::Failure)
    }
}

/// Data of an attempt before the final response head.
#[derive(Debug, Default)]
pub struct Pending {
    /// When to report the attempt as late; none if the lane did not ask for that.
    pub late_at: Option<Nanos>,
    /// A second attempt beside the first. The first final response head decides between them.
    pub hedge: Option<Box<Attempt>>,
}

impl State {
    /// Whether `next` is a valid transition.
    pub fn leads_to(&self, next: &State) -> bool {
        match (self, next) {
            // The head is complete, or invalid.
            (State::Decode, State::Decide(next)) => next.offer == Offer::Head && !next.has_waited,
            (State::Decode, State::Answer) => true,
            // A new lane took over.
            (State::Decide(now), State::Decide(next)) => next.offer == now.offer && next.has_waited == now.has_waited,
            // The lane decided, or the exchange's deadline passed first.
            (State::Decide(now), State::Wait(next)) => next.failure == now.offer.failure(),
            (State::Decide(_), State::Open(_) | State::Answer) => true,
            (State::Decide(now), State::Response) => matches!(now.offer, Offer::Held(..)),
            // The wait ended, or the exchange's time ran out.
            (State::Wait(now), State::Decide(next)) => {
                next.has_waited && matches!((now.failure, next.offer), (None, Offer::Head) | (Some(_), Offer::Failure(_)))
            }
            (State::Wait(_), State::Answer) => true,
            // A session gave a stream, or the hedge replaces the first attempt.
            (State::Open(_), State::Request(_)) | (State::Open(_) | State::Request(_), State::Open(_)) => true,
            (State::Request(_), State::Request(_)) => true,
            // The attempt failed, or its response is held.
            (State::Open(_) | State::Request(_), State::Decide(next)) => next.offer != Offer::Head && !next.has_waited,
            (State::Open(_) | State::Request(_), State::Answer) => true,
            (State::Request(_), State::Response) => true,
            _ => false,
        }
    }

    /// The pending decision, if any.
    pub fn decide(&self) -> Option<&Decide> {
        if let State::Decide(decide) = self { Some(decide) } else { None }
    }

    /// Mutable version of [`State::decide`].
    pub fn decide_mut(&mut self) -> Option<&mut Decide> {
        if let State::Decide(decide) = self { Some(decide) } else { None }
    }

    /// Data of an attempt that has no final response head yet.
    pub fn pending(&self) -> Option<&Pending> {
        if let State::Open(pending) | State::Request(pending) = self { Some(pending) } else { None }
    }

    /// Mutable version of [`State::pending`].
    pub fn pending_mut(&mut self) -> Option<&mut Pending> {
        if let State::Open(pending) | State::Request(pending) = self { Some(pending) } else { None }
    }

    /// The attempt that runs beside the first, if any.
    pub fn hedge(&self) -> Option<&Attempt> {
        self.pending()?.hedge.as_deref()
    }

    /// Mutable version of [`State::hedge`].
    pub fn hedge_mut(&mut self) -> Option<&mut Attempt> {
        self.pending_mut()?.hedge.as_deref_mut()
    }

    /// The held response, if any, mutable.
    pub fn hold_mut(&mut self) -> Option<&mut Hold> {
        if let State::Decide(Decide { offer: Offer::Held(_, hold), .. }) = self { Some(hold) } else { None }
    }

    /// Whether a response is held.
    pub fn is_held(&self) -> bool {
        matches!(self, State::Decide(Decide { offer: Offer::Held(..), .. }))
    }

    /// Turns a held response into a failed attempt. Returns false if none is held.
    pub fn drop_hold(&mut self) -> bool {
        let State::Decide(decide) = self else { return false };
        let Offer::Held(facts, _) = decide.offer else { return false };
        decide.offer = Offer::Failure(facts);
        true
    }

    /// Whether the exchange is in [`State::Wait`].
    pub fn is_waiting(&self) -> bool {
        matches!(self, State::Wait(_))
    }

    /// Whether the edge itself answers.
    pub fn is_answer(&self) -> bool {
        matches!(self, State::Answer)
    }

    /// Whether bytes are relayed between the client's stream and a backend's.
    pub fn is_relayed(&self) -> bool {
        matches!(self, State::Request(_) | State::Response)
    }

    /// Whether an attempt, or its response, is in progress.
    pub fn is_under_way(&self) -> bool {
        matches!(self, State::Open(_) | State::Request(_) | State::Response)
    }

    /// Whether the client has a final response head.
    pub fn is_committed(&self) -> bool {
        matches!(self, State::Response | State::Answer)
    }

    /// When the exchange needs attention besides its deadline: a wait ends, or an attempt is late.
    pub fn alarm_at(&self) -> Option<Nanos> {
        match self {
            State::Wait(wait) => Some(wait.until),
            State::Open(pending) | State::Request(pending) => pending.late_at,
            _ => None,
        }
    }
}
