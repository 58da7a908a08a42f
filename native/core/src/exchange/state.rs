//! The states of an exchange. What is true only at times stands in the state in which it is true.
//!
//! [`Exchange::enter`](super::Exchange::enter) is the one door between states; [`State::leads_to`]
//! says which may follow which. An exchange may end in any state.

use super::attempt::Attempt;
use super::hold::Hold;
use crate::base::reason::Reason;
use crate::base::timers::Nanos;
use crate::lane::Place;
use crate::record::outward::FailureFacts;

/// Where an exchange stands.
#[derive(Debug, Default)]
pub enum State {
    /// The request head is not complete.
    #[default]
    Decode,
    /// The lane has to decide.
    Decide(Decide),
    /// The lane wants to be asked again later.
    Wait(Wait),
    /// An attempt waits for a session.
    Open(Pending),
    /// An attempt has a stream. The request is under way, and no response head has come of it that
    /// was passed on.
    Request(Pending),
    /// The client has a backend's response head. The rest of the response is under way, and of the
    /// request as much as the backend still takes.
    Response,
    /// The edge answers by itself.
    Answer,
}

/// What the lane decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decide {
    /// What it is told.
    pub offer: Offer,
    /// Where in the ring that was written; none while it waits for room.
    pub written_at: Option<Place>,
    /// Whether it was offered before, and waited.
    pub has_waited: bool,
}

impl Decide {
    /// Not written yet.
    pub fn about(offer: Offer, has_waited: bool) -> Decide {
        Decide { offer, written_at: None, has_waited }
    }
}

/// What the lane is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The head.
    Head,
    /// A failed attempt.
    Failure(FailureFacts),
    /// A response for which its attempt counts as failed; it is kept until the lane has decided.
    Held(FailureFacts, Hold),
}

impl Offer {
    /// The failed attempt; none for a head.
    pub fn failure(&self) -> Option<FailureFacts> {
        match self {
            Offer::Head => None,
            Offer::Failure(facts) | Offer::Held(facts, _) => Some(*facts),
        }
    }
}

/// A pause that the lane wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it is over.
    pub until: Nanos,
    /// The failed attempt after which it waits; none when it waits with its head.
    pub failure: Option<FailureFacts>,
    /// Why it is answered if its deadline passes before.
    pub reason: Reason,
}

impl Wait {
    /// What the lane is told when the wait is over.
    pub fn offer(&self) -> Offer {
        self.failure.map_or(Offer::Head, Offer::Failure)
    }
}

/// What is true while no response head has been passed on.
#[derive(Debug, Default)]
pub struct Pending {
    /// When the attempt is late, and the lane is told; none if it does not want to know.
    pub late_at: Option<Nanos>,
    /// An attempt that runs beside the first. The first response head decides between them.
    pub hedge: Option<Box<Attempt>>,
}

impl State {
    /// Whether a state may follow.
    pub fn leads_to(&self, next: &State) -> bool {
        match (self, next) {
            // The head is complete, or wrong.
            (State::Decode, State::Decide(next)) => next.offer == Offer::Head && !next.has_waited,
            (State::Decode, State::Answer) => true,
            // The lane changed.
            (State::Decide(now), State::Decide(next)) => next.offer == now.offer && next.has_waited == now.has_waited,
            // The lane decided, or the exchange's time was over before.
            (State::Decide(now), State::Wait(next)) => next.failure == now.offer.failure(),
            (State::Decide(_), State::Open(_) | State::Answer) => true,
            (State::Decide(now), State::Response) => matches!(now.offer, Offer::Held(..)),
            // The wait is over, or the exchange's time.
            (State::Wait(now), State::Decide(next)) => {
                next.has_waited && matches!((now.failure, next.offer), (None, Offer::Head) | (Some(_), Offer::Failure(_)))
            }
            (State::Wait(_), State::Answer) => true,
            // A session has a place. Or another attempt takes the place of the first.
            (State::Open(_), State::Request(_)) | (State::Open(_) | State::Request(_), State::Open(_)) => true,
            (State::Request(_), State::Request(_)) => true,
            // The attempt failed, or its response is held.
            (State::Open(_) | State::Request(_), State::Decide(next)) => next.offer != Offer::Head && !next.has_waited,
            (State::Open(_) | State::Request(_), State::Answer) => true,
            (State::Request(_), State::Response) => true,
            _ => false,
        }
    }

    /// What the lane has to decide.
    pub fn decide(&self) -> Option<&Decide> {
        if let State::Decide(decide) = self { Some(decide) } else { None }
    }

    /// The same to change.
    pub fn decide_mut(&mut self) -> Option<&mut Decide> {
        if let State::Decide(decide) = self { Some(decide) } else { None }
    }

    /// What there is while an attempt is under way and has no response.
    pub fn pending(&self) -> Option<&Pending> {
        if let State::Open(pending) | State::Request(pending) = self { Some(pending) } else { None }
    }

    /// The same to change.
    pub fn pending_mut(&mut self) -> Option<&mut Pending> {
        if let State::Open(pending) | State::Request(pending) = self { Some(pending) } else { None }
    }

    /// The attempt that runs beside the first.
    pub fn hedge(&self) -> Option<&Attempt> {
        self.pending()?.hedge.as_deref()
    }

    /// The same to change.
    pub fn hedge_mut(&mut self) -> Option<&mut Attempt> {
        self.pending_mut()?.hedge.as_deref_mut()
    }

    /// What became of the held response, where there is one.
    pub fn hold_mut(&mut self) -> Option<&mut Hold> {
        if let State::Decide(Decide { offer: Offer::Held(_, hold), .. }) = self { Some(hold) } else { None }
    }

    /// Whether a response is held.
    pub fn is_held(&self) -> bool {
        matches!(self, State::Decide(Decide { offer: Offer::Held(..), .. }))
    }

    /// Makes of a held response a failed attempt. False where there is none.
    pub fn drop_hold(&mut self) -> bool {
        let State::Decide(decide) = self else { return false };
        let Offer::Held(facts, _) = decide.offer else { return false };
        decide.offer = Offer::Failure(facts);
        true
    }

    /// Whether it waits for the lane's word to go on.
    pub fn is_waiting(&self) -> bool {
        matches!(self, State::Wait(_))
    }

    /// Whether the edge answers by itself.
    pub fn is_answer(&self) -> bool {
        matches!(self, State::Answer)
    }

    /// Whether the exchange is relayed between a client's stream and a backend's.
    pub fn is_relayed(&self) -> bool {
        matches!(self, State::Request(_) | State::Response)
    }

    /// Whether an attempt is under way, or its response.
    pub fn is_under_way(&self) -> bool {
        matches!(self, State::Open(_) | State::Request(_) | State::Response)
    }

    /// Whether the client has a final response head.
    pub fn is_committed(&self) -> bool {
        matches!(self, State::Response | State::Answer)
    }

    /// When the exchange has to be looked at, beside its deadlines.
    pub fn alarm_at(&self) -> Option<Nanos> {
        match self {
            State::Wait(wait) => Some(wait.until),
            State::Open(pending) | State::Request(pending) => pending.late_at,
            _ => None,
        }
    }
}
