//! One exchange: a request and its response, from the first byte of the client's stream to the
//! completion record.
//!
//! `state` is the state machine, with the data of each state. `attempt` and `attempts` track the
//! tries at backends. `hold` describes a backend response that is held for the lane. `deadline`
//! computes the next deadline. `floor` enforces a client's minimum transfer rate.

pub mod attempt;
mod attempts;
pub mod deadline;
pub mod floor;
pub mod hold;
mod state;
#[cfg(test)]
mod tests;

use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos, micros};
use crate::downstream::connection::Connection;
use crate::downstream::incoming::Incoming;
use crate::downstream::outgoing::Outgoing;
use crate::http::check::RequestFacts;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::outward::RequestId;
use crate::tls::told::Told;
use crate::upstream::Client;
use attempt::{Attempt, OTHER};
use attempts::Attempts;
use floor::RateWatch;
use hold::{BackendStatus, Hold};
pub use state::{Decide, Offer, Pending, State, Wait};
use std::net::SocketAddr;
use std::sync::Arc;

/// The client of an exchange.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Peer address when the head arrived.
    pub peer: SocketAddr,
    /// Identity from the client certificate, if it presented one.
    pub told: Option<Arc<Told>>,
    /// Network that the lane set in place of the peer's; 0 for none.
    pub network: u64,
    /// Connection number.
    pub number: u64,
}

impl ClientFacts {
    /// Returns the client on whose behalf an exchange queues for a permit.
    pub fn claimant(&self, connection: Key) -> Client {
        let network = if self.network == 0 { Client::network(self.peer) } else { self.network };
        Client { network, connection: connection.pack() }
    }
}

/// The client's request.
#[derive(Debug)]
pub struct Request {
    /// Request head, already checked.
    pub head: Fields,
    /// Path as the client spelled it, if the backend may see that; empty if it equals the canonical
    /// path.
    pub kept_path: Vec<u8>,
    /// Whether empty path segments are merged.
    pub are_slashes_merged: bool,
    /// Facts derived from the head.
    pub facts: RequestFacts,
    /// Request id, shown in logs, to backends and to clients.
    pub id: RequestId,
}

impl Request {
    /// Adopts the client's own request id if it is valid: at most 64 visible characters.
    fn keep_id(&mut self) {
        if let Some(id) = self.head.known(Known::RequestId).and_then(RequestId::new) {
            self.id = id;
        }
    }
}

/// Timestamps of the exchange, and its time limit. Those of an attempt are in [`Attempt`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// First byte of the stream.
    pub began: Nanos,
    /// Head decoded.
    pub head: Nanos,
    /// Last byte in either direction.
    pub moved: Nanos,
    /// Wall clock at the first byte, in milliseconds.
    pub started_ms: f64,
    /// Time limit in milliseconds, counted from the head; 0 for none.
    pub timeout_ms: u32,
}

impl Times {
    /// Starts the clock at the first byte.
    pub fn begin(now: Nanos, now_ms: f64) -> Times {
        Times { began: now, head: 0, moved: now, started_ms: now_ms, timeout_ms: 0 }
    }

    /// Microseconds since the head was decoded.
    pub fn age_us(&self, now: Nanos) -> u32 {
        micros(self.head, now)
    }

    /// When the exchange's own time limit expires.
    pub fn end_at(&self) -> Nanos {
        match self.timeout_ms {
            0 => NEVER,
            timeout_ms => self.head + timeout_ms as Nanos * 1_000_000,
        }
    }

    /// Milliseconds left of the exchange's own time limit; none if it has none.
    pub fn remaining_ms(&self, now: Nanos) -> Option<u64> {
        (self.timeout_ms > 0).then(|| self.end_at().saturating_sub(now) / 1_000_000)
    }
}

/// What has become of the exchange so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status sent to the client; 0 until there is one.
    pub status: u16,
    /// What the backend's response said.
    pub backend: BackendStatus,
    /// Reason for the outcome.
    pub reason: Reason,
    /// Completion flags that say who ended the exchange.
    pub ended_by: u32,
    /// Whether it ended in [`State::Wait`].
    pub ended_waiting: bool,
    /// Whether the backend asked for NTLM or Negotiate, which authenticate a connection.
    pub asked_for_connection: bool,
}

impl Default for Outcome {
    fn default() -> Outcome {
        Outcome {
            status: 0,
            backend: BackendStatus::default(),
            reason: Reason::None,
            ended_by: 0,
            ended_waiting: false,
            asked_for_connection: false,
        }
    }
}

/// An exchange.
#[derive(Debug)]
pub struct Exchange {
    /// Slab key of the exchange.
    pub key: Key,
    /// Slab key of its connection.
    pub connection: Key,
    /// Request stream.
    pub stream: u64,
    /// The client.
    pub client: ClientFacts,
    /// The client's request.
    pub request: Request,
    /// Request body, on its way to the backend.
    pub incoming: Incoming,
    /// Response, on its way to the client.
    pub outgoing: Outgoing,
    /// Current state.
    state: State,
    /// The attempt whose response the client gets, or the last one.
    pub attempt: Attempt,
    /// What all attempts have in common.
    pub attempts: Attempts,
    /// What has become of it so far.
    pub outcome: Outcome,
    /// Timestamps.
    pub times: Times,
    /// Tag of the lane's last decision.
    pub tag: Tag,
    /// Watches the client's transfer rate.
    pub watch: RateWatch,
}

impl Exchange {
    /// Returns an exchange that has not begun; [`Exchange::begin`] starts it.
    pub fn idle() -> Exchange {
        let nobody = Key { index: u32::MAX, generation: u32::MAX };
        let id = RequestId::new(b"-").expect("a fit id");
        Exchange {
            key: nobody,
            connection: nobody,
            stream: 0,
            client: ClientFacts { peer: SocketAddr::from(([0, 0, 0, 0], 0)), told: None, network: 0, number: 0 },
            request: Request { head: Fields::new(), kept_path: Vec::new(), are_slashes_merged: false, facts: RequestFacts::default(), id },
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            state: State::Decode,
            attempt: Attempt::default(),
            attempts: Attempts::default(),
            outcome: Outcome::default(),
            times: Times::default(),
            tag: Tag::NONE,
            watch: RateWatch::default(),
        }
    }

    /// Starts the exchange on a stream. Buffers keep their allocations.
    pub fn begin(&mut self, key: Key, connection: Key, stream: u64, client: ClientFacts, id: RequestId, times: Times) {
        debug_assert!(key.pack() & OTHER == 0);
        (self.key, self.connection, self.stream) = (key, connection, stream);
        (self.client, self.times) = (client, times);
        self.request.head.clear();
        self.request.kept_path.clear();
        (self.request.are_slashes_merged, self.request.facts, self.request.id) = (false, RequestFacts::default(), id);
        self.incoming.restart();
        self.outgoing.restart();
        self.state = State::Decode;
        self.attempt.forget();
        self.attempts = Attempts::default();
        self.outcome = Outcome::default();
        self.tag = Tag::NONE;
        self.watch = RateWatch::default();
    }

    /// Drops what is shared with others once the exchange has ended, long before it is reused.
    pub fn release(&mut self) {
        self.attempt.plan = None;
        self.client.told = None;
        self.outgoing.restart();
    }

    /// The current state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Enters another state and drops the data of the last. The caller must first take out a hedge,
    /// and pass on or drop a held response.
    pub fn enter(&mut self, next: State) {
        debug_assert!(self.state.leads_to(&next), "{:?} leads to no {next:?}", self.state);
        debug_assert!(self.state.hedge().is_none(), "{next:?} loses a hedge");
        self.state = next;
    }

    /// The pending decision, mutable.
    pub fn decide_mut(&mut self) -> Option<&mut Decide> {
        self.state.decide_mut()
    }

    /// Data of an attempt without a final response head, mutable.
    pub fn pending_mut(&mut self) -> Option<&mut Pending> {
        self.state.pending_mut()
    }

    /// The held response, mutable.
    pub fn hold_mut(&mut self) -> Option<&mut Hold> {
        self.state.hold_mut()
    }

    /// Drops a held response; the lane may still hear of it as a failed attempt. Returns false if
    /// none is held.
    pub fn drop_hold(&mut self) -> bool {
        let is_dropped = self.state.drop_hold();
        if is_dropped {
            self.outgoing.drop_held();
        }
        is_dropped
    }

    /// Recomputes how much of the request body may still arrive, bounded by window and
    /// content-length, and how much of it is kept.
    pub(crate) fn recount_request(&mut self, connection: &mut Connection) {
        let (stream, incoming) = (self.stream, &mut self.incoming);
        let left = self.request.facts.content_length.map_or(u64::MAX, |length| length.saturating_sub(incoming.body_bytes));
        let is_over = incoming.is_done || incoming.is_early_end;
        let promised = if is_over { 0 } else { connection.protocol.stream(stream).window().min(left) };
        let kept = incoming.early.len() as u64;
        connection.books.promised = connection.books.promised + promised - incoming.promised;
        connection.books.kept = connection.books.kept + kept - incoming.kept;
        (incoming.promised, incoming.kept) = (promised, kept);
    }

    /// Bytes held for this exchange alone.
    pub(crate) fn held(&self) -> u64 {
        self.outgoing.bytes() + self.incoming.promised + self.incoming.kept
    }

    /// Expects no more of the request and stops counting what was kept.
    pub(crate) fn forget_request(&mut self, connection: &mut Connection) {
        connection.books.promised -= std::mem::take(&mut self.incoming.promised);
        connection.books.kept -= std::mem::take(&mut self.incoming.kept);
    }

    /// Marks the response complete. Releases the backend's stream unless the request is still being
    /// sent.
    pub fn end_response(&mut self) {
        self.outgoing.is_complete = true;
        if self.incoming.is_done {
            self.attempt.upstream = None;
        }
    }
}
