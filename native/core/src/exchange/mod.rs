//! One exchange: a request and its response, from the first byte of the client's stream to the
//! completion record.
//!
//! `state` says where it stands and what is true only there, `attempt` and `attempts` what was
//! tried at backends, `hold` what a response says that may be kept for the lane, `deadline` when
//! something has to happen, `floor` what a client has to move.

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

/// Who asks.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// Address at the head.
    pub peer: SocketAddr,
    /// Who it is, where it has shown a certificate.
    pub told: Option<Arc<Told>>,
    /// Network that the lane named in the peer's place; 0 for none.
    pub network: u64,
    /// Number of the connection.
    pub number: u64,
}

impl ClientFacts {
    /// On whose behalf an exchange of a connection asks for a place at a backend.
    pub fn claimant(&self, connection: Key) -> Client {
        let network = if self.network == 0 { Client::network(self.peer) } else { self.network };
        Client { network, connection: connection.pack() }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    /// Its head, checked.
    pub head: Fields,
    /// The path in the client's own spelling, where a backend may get that; empty where it differs
    /// in nothing from the canonical form.
    pub kept_path: Vec<u8>,
    /// Whether empty segments of it say nothing.
    pub are_slashes_merged: bool,
    /// What the head says.
    pub facts: RequestFacts,
    /// Names the exchange in logs, towards backends and clients.
    pub id: RequestId,
}

impl Request {
    /// Takes the client's own request id, where it is fit: visible characters, 64 at most.
    fn keep_id(&mut self) {
        if let Some(id) = self.head.known(Known::RequestId).and_then(RequestId::new) {
            self.id = id;
        }
    }
}

/// When things happened to the exchange, and how long it may take; what happened to an attempt
/// stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// First byte of the stream.
    pub began: Nanos,
    /// Head decoded.
    pub head: Nanos,
    /// Last byte either way.
    pub moved: Nanos,
    /// Wall clock at the first byte, milliseconds.
    pub started_ms: f64,
    /// Milliseconds it may take from the head on, 0 for no limit.
    pub timeout_ms: u32,
}

impl Times {
    /// The first byte is here.
    pub fn begin(now: Nanos, now_ms: f64) -> Times {
        Times { began: now, head: 0, moved: now, started_ms: now_ms, timeout_ms: 0 }
    }

    /// Microseconds since the head was decoded.
    pub fn age_us(&self, now: Nanos) -> u32 {
        micros(self.head, now)
    }

    /// When the exchange's own time is over.
    pub fn end_at(&self) -> Nanos {
        match self.timeout_ms {
            0 => NEVER,
            timeout_ms => self.head + timeout_ms as Nanos * 1_000_000,
        }
    }

    /// Milliseconds until the exchange's own deadline; none when it has no such.
    pub fn remaining_ms(&self, now: Nanos) -> Option<u64> {
        (self.timeout_ms > 0).then(|| self.end_at().saturating_sub(now) / 1_000_000)
    }
}

/// What became of it, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status for the client, 0 while there is none.
    pub status: u16,
    /// What the backend's response says.
    pub backend: BackendStatus,
    /// Why it went as it did.
    pub reason: Reason,
    /// Flags of the completion that say who ended it.
    pub ended_by: u32,
    /// Whether it ended while it waited.
    pub ended_waiting: bool,
    /// Whether the backend asked for NTLM or Negotiate.
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
    /// Its key.
    pub key: Key,
    /// Its connection.
    pub connection: Key,
    /// Its request stream.
    pub stream: u64,
    /// Who asks.
    pub client: ClientFacts,
    /// What for.
    pub request: Request,
    /// The request on its way.
    pub incoming: Incoming,
    /// The response on its way.
    pub outgoing: Outgoing,
    /// Where it stands.
    state: State,
    /// The attempt whose response the client gets, or the last one.
    pub attempt: Attempt,
    /// What is to be known of all attempts.
    pub attempts: Attempts,
    /// What became of it.
    pub outcome: Outcome,
    /// Times.
    pub times: Times,
    /// What the lane gave with its last decision.
    pub tag: Tag,
    /// What its client owes.
    pub watch: RateWatch,
}

impl Exchange {
    /// An exchange that has not begun, to be reused with [`Exchange::begin`].
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

    /// Begins anew on a stream, keeping buffers.
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

    /// Lets go what an exchange that has ended must not keep from others, before it is begun anew.
    pub fn release(&mut self) {
        self.attempt.plan = None;
        self.client.told = None;
        self.outgoing.restart();
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Another state begins. What stood in the last is gone: a hedge must have been taken out
    /// before, a held response let go or passed on.
    pub fn enter(&mut self, next: State) {
        debug_assert!(self.state.leads_to(&next), "{:?} leads to no {next:?}", self.state);
        debug_assert!(self.state.hedge().is_none(), "{next:?} loses a hedge");
        self.state = next;
    }

    /// What the lane has to decide, to change.
    pub fn decide_mut(&mut self) -> Option<&mut Decide> {
        self.state.decide_mut()
    }

    /// What there is while no response head has been passed on, to change.
    pub fn pending_mut(&mut self) -> Option<&mut Pending> {
        self.state.pending_mut()
    }

    /// What became of a held response, to change.
    pub fn hold_mut(&mut self) -> Option<&mut Hold> {
        self.state.hold_mut()
    }

    /// Forgets a held response, of which the lane may still be told as of a failed attempt. False
    /// where there is none.
    pub fn drop_hold(&mut self) -> bool {
        let is_dropped = self.state.drop_hold();
        if is_dropped {
            self.outgoing.drop_held();
        }
        is_dropped
    }

    /// Counts anew what of the request may still come, as far as window and content-length let it,
    /// and what is kept of it.
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

    /// Bytes held that are this exchange's alone.
    pub(crate) fn held(&self) -> u64 {
        self.outgoing.bytes() + self.incoming.promised + self.incoming.kept
    }

    /// Nothing more comes, and nothing is kept.
    pub(crate) fn forget_request(&mut self, connection: &mut Connection) {
        connection.books.promised -= std::mem::take(&mut self.incoming.promised);
        connection.books.kept -= std::mem::take(&mut self.incoming.kept);
    }

    /// The backend said everything. Its stream is gone unless the request is still on its way.
    pub fn end_response(&mut self) {
        self.outgoing.is_complete = true;
        if self.incoming.is_done {
            self.attempt.upstream = None;
        }
    }
}
