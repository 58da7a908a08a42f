//! One exchange: a request and its response, from the first byte of the client's stream to the completion record.

pub mod attempt;
pub mod floor;
pub mod hold;

use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos, micros};
use crate::http::check::RequestFacts;
use crate::http::fields::Fields;
use crate::quic::connection::Connection;
use crate::record::inward::Tag;
use crate::record::outward::{FailureFacts, RequestId};
use crate::relay::incoming::Incoming;
use crate::relay::outgoing::Outgoing;
use crate::tls::told::Told;
use crate::upstream::{self, Client, Upstreams};
use attempt::{Attempt, OTHER};
use floor::Owed;
use hold::Hold;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request head is not complete.
    Decode,
    /// The lane has to decide: about the head, or about a failed attempt, whose response may be held.
    Decide,
    /// The lane wants to be asked again later.
    Wait,
    /// An attempt waits for a session.
    Open,
    /// An attempt has a stream; request and response are under way.
    Relay,
    /// The edge answers by itself.
    Answer,
}

/// What the lane is to be told.
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// The head.
    Head,
    /// A failed attempt.
    Failure(FailureFacts),
}

/// When things happened to the exchange; what happened to an attempt stands there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// First byte of the stream.
    pub began: Nanos,
    /// Head decoded.
    pub head: Nanos,
    /// Last byte either way.
    pub moved: Nanos,
}

/// How long a client may take nothing of an answer of the edge's own, which is small and needs a round trip or two.
const ANSWER_IDLE: Nanos = 30_000_000_000;

/// An exchange.
#[derive(Debug)]
pub struct Exchange {
    /// Its key.
    pub key: Key,
    /// Its connection.
    pub connection: Key,
    /// Its request stream.
    pub stream: u64,
    /// Where it stands.
    pub phase: Phase,
    /// Request head, checked.
    pub request: Fields,
    /// The path in the client's own spelling, where a backend may get that; empty where it differs in nothing from the canonical form.
    pub kept_path: Vec<u8>,
    /// Whether empty segments of it say nothing.
    pub are_slashes_merged: bool,
    /// What the head says.
    pub facts: RequestFacts,
    /// Request.
    pub incoming: Incoming,
    /// Response.
    pub outgoing: Outgoing,
    /// Times.
    pub times: Times,
    /// Client's address at the head.
    pub peer: SocketAddr,
    /// Who its client is, where it has shown a certificate.
    pub told: Option<Arc<Told>>,
    /// Network of the client that the lane named in the peer's place; 0 for none.
    pub network: u64,
    /// Request id.
    pub request_id: RequestId,
    /// What the lane gave with its last decision.
    pub tag: Tag,
    /// Milliseconds it may take from the head on, 0 for no limit.
    pub timeout_ms: u32,
    /// The attempt whose response the client gets, or the last one.
    pub attempt: Attempt,
    /// [`OTHER`] or 0, whichever names the attempt above.
    pub(crate) side: u64,
    /// An attempt that runs beside it. The first response head decides between them.
    pub hedge: Option<Box<Attempt>>,
    /// Whether there ever was one.
    pub is_hedged: bool,
    /// Backend of the attempt that lost, and the microseconds it had run.
    pub loser: Option<(u32, u32)>,
    /// Attempts made.
    pub attempts: u32,
    /// A response that waits for the lane.
    pub hold: Option<Hold>,
    /// Whether the response was held and passed on.
    pub was_held: bool,
    /// Whether the backend asked for NTLM or Negotiate.
    pub(crate) asked_for_connection: bool,
    /// What its client owes, as the sweep last saw it.
    pub(crate) owed: Option<Owed>,
    /// Whether the response is one of events, which come when they come.
    pub(crate) is_event_stream: bool,
    /// Response head was given to the client.
    pub is_committed: bool,
    /// Status for the client.
    pub status: u16,
    /// Status of the backend.
    pub backend_status: u16,
    /// gRPC status of the backend's response.
    pub grpc_status: Option<u32>,
    /// Seconds that a backend which answered 429 or 503 asked to be left alone.
    pub retry_after_s: Option<u32>,
    /// Why it went as it did.
    pub reason: Reason,
    /// Flags of the completion that ended it.
    pub ended_by: u32,
    /// What the lane still has to be told, or told again after waiting.
    pub offer: Option<Offer>,
    /// Where in the ring that was written; none while it waits for room.
    pub offer_at: Option<u32>,
    /// Whether an earlier lane heard of it and did not decide.
    pub is_offered_again: bool,
    /// Whether the present offer comes after a wait.
    pub has_waited: bool,
    /// When the wait is over or the attempt is late; 0 for neither.
    pub alarm_at: Nanos,
    /// Whether the lane was told that an attempt is late: it is told once.
    pub is_told_late: bool,
    /// Why it is answered if its deadline passes while it waits.
    pub wait_reason: Reason,
    /// Whether it ended while it waited.
    pub ended_waiting: bool,
    /// Wall clock at the head, milliseconds.
    pub started_ms: f64,
}

impl Exchange {
    /// An exchange that has not begun, to be reused with [`Exchange::begin`].
    pub fn idle() -> Exchange {
        let nobody = Key { index: u32::MAX, generation: u32::MAX };
        Exchange {
            key: nobody,
            connection: nobody,
            stream: 0,
            phase: Phase::Decode,
            request: Fields::new(),
            kept_path: Vec::new(),
            are_slashes_merged: false,
            facts: RequestFacts::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            times: Times::default(),
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            told: None,
            network: 0,
            request_id: RequestId::new(b"-").expect("a fit id"),
            tag: Tag::NONE,
            timeout_ms: 0,
            attempt: Attempt::default(),
            side: 0,
            hedge: None,
            is_hedged: false,
            loser: None,
            attempts: 0,
            hold: None,
            was_held: false,
            asked_for_connection: false,
            owed: None,
            is_event_stream: false,
            is_committed: false,
            status: 0,
            backend_status: 0,
            grpc_status: None,
            retry_after_s: None,
            reason: Reason::None,
            ended_by: 0,
            offer: None,
            offer_at: None,
            is_offered_again: false,
            has_waited: false,
            alarm_at: 0,
            is_told_late: false,
            wait_reason: Reason::None,
            ended_waiting: false,
            started_ms: 0.0,
        }
    }

    /// Begins anew on a stream, keeping buffers: only what an earlier life may have left behind is reset.
    pub fn begin(&mut self, key: Key, connection: Key, stream: u64, now: Nanos) {
        debug_assert!(key.pack() & OTHER == 0);
        (self.key, self.connection, self.stream) = (key, connection, stream);
        self.phase = Phase::Decode;
        self.request.clear();
        self.kept_path.clear();
        self.facts = RequestFacts::default();
        self.incoming.restart();
        self.outgoing.restart();
        self.times = Times { began: now, head: 0, moved: now };
        self.network = 0;
        self.tag = Tag::NONE;
        self.timeout_ms = 0;
        self.attempt.forget();
        self.side = 0;
        (self.hedge, self.is_hedged, self.loser) = (None, false, None);
        self.attempts = 0;
        (self.hold, self.was_held) = (None, false);
        self.asked_for_connection = false;
        (self.owed, self.is_event_stream) = (None, false);
        self.is_committed = false;
        (self.status, self.backend_status) = (0, 0);
        (self.grpc_status, self.retry_after_s) = (None, None);
        self.reason = Reason::None;
        self.ended_by = 0;
        self.offer = None;
        self.offer_at = None;
        (self.is_offered_again, self.has_waited) = (false, false);
        (self.alarm_at, self.is_told_late) = (0, false);
        (self.wait_reason, self.ended_waiting) = (Reason::None, false);
    }

    /// Name of the attempt for sessions.
    pub(crate) fn name(&self) -> upstream::Key {
        self.key.pack() | self.side
    }

    /// Name of the attempt that runs, or would run, beside it.
    pub(crate) fn hedge_name(&self) -> upstream::Key {
        self.key.pack() | self.side ^ OTHER
    }

    /// The attempt that a name stands for, if it runs; one that has lost or failed does not.
    pub(crate) fn attempt_named(&mut self, name: upstream::Key) -> Option<&mut Attempt> {
        if name & OTHER == self.side { Some(&mut self.attempt) } else { self.hedge.as_deref_mut() }
    }

    /// The same to look at.
    pub(crate) fn attempt_of(&self, name: upstream::Key) -> Option<&Attempt> {
        if name & OTHER == self.side { Some(&self.attempt) } else { self.hedge.as_deref() }
    }

    /// Makes the hedge the attempt and returns what was the attempt before.
    pub(crate) fn promote_hedge(&mut self) -> Option<Box<Attempt>> {
        let mut other = self.hedge.take()?;
        std::mem::swap(&mut self.attempt, &mut other);
        self.side ^= OTHER;
        self.phase = if self.attempt.upstream.is_some() { Phase::Relay } else { Phase::Open };
        Some(other)
    }

    /// Counts anew what of the request may still come, as far as window and content-length let it, and what is kept of it.
    pub(crate) fn recount_request(&mut self, connection: &mut Connection) {
        let (stream, incoming) = (self.stream, &mut self.incoming);
        let left = self.facts.content_length.map_or(u64::MAX, |length| length.saturating_sub(incoming.body_bytes));
        let is_over = incoming.is_done || incoming.is_early_end;
        let promised = if is_over { 0 } else { connection.quic.stream_recv_window(stream).unwrap_or(0).min(left) };
        let kept = incoming.early.len() as u64;
        connection.promised = connection.promised + promised - incoming.promised;
        connection.kept = connection.kept + kept - incoming.kept;
        (incoming.promised, incoming.kept) = (promised, kept);
    }

    /// Bytes held that are this exchange's alone.
    pub(crate) fn held(&self) -> u64 {
        self.outgoing.bytes() + self.incoming.promised + self.incoming.kept
    }

    /// Nothing more comes, and nothing is kept.
    pub(crate) fn forget_request(&mut self, connection: &mut Connection) {
        connection.promised -= std::mem::take(&mut self.incoming.promised);
        connection.kept -= std::mem::take(&mut self.incoming.kept);
    }

    /// Whether the request can be sent to another backend: all that was taken of its body is still here.
    pub fn is_replayable(&self) -> bool {
        self.incoming.is_whole()
    }

    /// Whether an attempt is under way, no response head is here, and the request has no body, so that a second attempt may run beside it.
    pub fn may_hedge(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Relay) && !self.is_committed && self.hedge.is_none() && self.incoming.is_bodiless()
    }

    /// On whose behalf it asks for a place at a backend.
    pub(crate) fn client(&self) -> Client {
        let network = if self.network == 0 { Client::network(self.peer) } else { self.network };
        Client { network, connection: self.connection.pack() }
    }

    /// Microseconds since the head was decoded.
    pub fn age_us(&self, now: Nanos) -> u32 {
        micros(self.times.head, now)
    }

    /// When the exchange's own time is over.
    pub(crate) fn end_at(&self) -> Nanos {
        match self.timeout_ms {
            0 => NEVER,
            timeout_ms => self.times.head + timeout_ms as Nanos * 1_000_000,
        }
    }

    /// Milliseconds until the exchange's own deadline; none when it has no such.
    pub fn remaining_ms(&self, now: Nanos) -> Option<u64> {
        (self.timeout_ms > 0).then(|| self.end_at().saturating_sub(now) / 1_000_000)
    }

    /// When something has to happen, and what it means if it did not.
    pub fn deadline(&self, decode_timeout: Nanos, upstreams: &Upstreams, now: Nanos) -> (Nanos, Reason) {
        let full = |slot| upstreams.full_time(slot, now);
        let own = match self.phase {
            Phase::Decode => return (self.times.began + decode_timeout, Reason::ClientSlow),
            Phase::Decide => (NEVER, Reason::None),
            Phase::Wait => return (self.end_at(), self.wait_reason),
            Phase::Open => self.attempt.head_deadline(false, full, now),
            Phase::Relay | Phase::Answer => {
                let idle = (self.times.moved + self.idle_timeout(), self.who_is_idle());
                let is_waiting = self.phase == Phase::Relay && !self.is_committed;
                let head = if is_waiting { self.attempt.head_deadline(self.incoming.is_done, full, now) } else { (NEVER, Reason::None) };
                if head.0 <= idle.0 { head } else { idle }
            }
        };
        // An answer that is given in the place of what came too late is not late itself.
        let whole = if self.phase == Phase::Answer { NEVER } else { self.end_at() };
        if whole <= own.0 && whole != NEVER { (whole, Reason::ExchangeTimeout) } else { own }
    }

    /// The same for the attempt that runs beside.
    pub fn hedge_deadline(&self, upstreams: &Upstreams, now: Nanos) -> (Nanos, Reason) {
        let full = |slot| upstreams.full_time(slot, now);
        self.hedge.as_ref().map_or((NEVER, Reason::None), |hedge| hedge.head_deadline(true, full, now))
    }

    /// An answer of the edge's own has a time of its own: the route's, if there is one, is about the backend.
    fn idle_timeout(&self) -> Nanos {
        if self.phase == Phase::Answer { ANSWER_IDLE } else { self.attempt.idle_timeout() }
    }

    /// Whose silence it is: the client's while its buffer waits or its body is missing, else the backend's.
    fn who_is_idle(&self) -> Reason {
        let is_client = self.outgoing.has_bytes() || self.phase == Phase::Answer;
        let is_upload = !self.incoming.is_done && !self.incoming.is_blocked && !self.is_committed;
        if is_client || is_upload { Reason::ClientSlow } else { Reason::IdleTimeout }
    }
}
