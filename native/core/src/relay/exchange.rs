//! One exchange: a request and its response, from the first byte of the client's stream to the completion record.

use super::complete::micros;
use super::plan::Plan;
use crate::base::chunk::Chunk;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos};
use crate::http::check::RequestFacts;
use crate::http::fields::Fields;
use crate::http::h3::FrameHead;
use crate::record::inward::{Forward, GivenValues, MAX_VALUES, NO_PLAN, Tag};
use crate::record::outward::{FailureFacts, RequestId};
use crate::upstream::StreamRef;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request head is not complete.
    Decode,
    /// The lane has to decide: about the head, or about a failed attempt.
    Decide,
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

/// What the next bytes of the request stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The head of a frame.
    Frame,
    /// A field section, so many bytes missing.
    Section(u64),
    /// Body.
    Data(u64),
    /// A frame nobody knows.
    Skip(u64),
}

/// The request's side of an exchange.
#[derive(Debug)]
pub struct Incoming {
    /// What comes next.
    pub expect: Expect,
    /// Collects a frame's head.
    pub frame: FrameHead,
    /// Collects a field section that came in pieces.
    pub section: Vec<u8>,
    /// Whether the head section is complete.
    pub has_head: bool,
    /// Whether trailers came.
    pub has_trailers: bool,
    /// Bytes after the head that are kept, those that came along with it first.
    pub early: Vec<u8>,
    /// How many of them were used.
    pub early_used: usize,
    /// Bytes were taken that are not kept.
    pub is_direct: bool,
    /// The stream's end came together with the early bytes.
    pub is_early_end: bool,
    /// Everything was taken and passed on.
    pub is_done: bool,
    /// The backend takes no more for now.
    pub is_blocked: bool,
    /// Body bytes taken.
    pub body_bytes: u64,
}

/// The response's side of an exchange.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Frames as they go on the wire, before the body.
    pub framed: Chunk,
    /// Body bytes without frames.
    pub body: VecDeque<Chunk>,
    /// Bytes of `body`.
    pub body_len: usize,
    /// Frames after the body: trailers.
    pub tail: Vec<u8>,
    /// The stream takes no more for now.
    pub is_blocked: bool,
    /// Nothing more will be added.
    pub is_complete: bool,
    /// The stream took everything and its end.
    pub is_done: bool,
    /// Body bytes the stream took.
    pub body_bytes: u64,
}

/// When things happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// First byte of the stream.
    pub began: Nanos,
    /// Head decoded.
    pub head: Nanos,
    /// Decision taken, of the last attempt.
    pub decided: Nanos,
    /// Stream opened, of the last attempt.
    pub opened: Nanos,
    /// Request sent.
    pub sent: Nanos,
    /// Response head came.
    pub answered: Nanos,
    /// Last byte either way.
    pub moved: Nanos,
}

/// Room for early bytes that an exchange keeps for the next.
const EARLY_KEPT: usize = 2 * 1024;

impl Incoming {
    fn restart(&mut self) {
        self.expect = Expect::Frame;
        self.frame = FrameHead::default();
        self.section.clear();
        self.early.clear();
        self.early.shrink_to(EARLY_KEPT);
        self.early_used = 0;
        self.is_direct = false;
        (self.has_head, self.has_trailers) = (false, false);
        (self.is_early_end, self.is_done, self.is_blocked) = (false, false, false);
        self.body_bytes = 0;
    }
}

impl Outgoing {
    /// Forgets what was held, keeps the buffers.
    pub fn restart(&mut self) {
        self.framed = Chunk::default();
        self.body.clear();
        self.body_len = 0;
        self.tail.clear();
        (self.is_blocked, self.is_complete, self.is_done) = (false, false, false);
        self.body_bytes = 0;
    }
}

/// No decision yet.
const NOT_FORWARDED: Forward = Forward {
    plan: NO_PLAN,
    backend: u32::MAX,
    tag: Tag::NONE,
    flags: 0,
    connect_timeout_ms: 0,
    head_timeout_ms: 0,
    idle_timeout_ms: 0,
    exchange_timeout_ms: 0,
    attempt_timeout_ms: 0,
    hedge_delay_ms: 0,
    max_body_bytes: None,
    replay_bytes: 0,
};

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
    /// Request id.
    pub request_id: RequestId,
    /// What the lane gave with its last decision.
    pub tag: Tag,
    /// What the lane decided last.
    pub forward: Forward,
    /// What the lane's `Forward`s brought for the edits of their plans: `${value_0}` and so on.
    pub values: [Vec<u8>; MAX_VALUES],
    /// Edits, of the generation it began with.
    pub plan: Option<Rc<Plan>>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether the attempt counts in the backend's in-flight number.
    pub is_in_flight: bool,
    /// Stream of the attempt.
    pub upstream: Option<StreamRef>,
    /// Whether the session had served before.
    pub was_reused: bool,
    /// Response head was given to the client.
    pub is_committed: bool,
    /// Status for the client.
    pub status: u16,
    /// Status of the backend.
    pub backend_status: u16,
    /// Why it went as it did.
    pub reason: Reason,
    /// Flags of the completion that ended it.
    pub ended_by: u32,
    /// What the lane still has to be told.
    pub offer: Option<Offer>,
    /// Whether an earlier lane heard of it and did not decide.
    pub is_offered_again: bool,
    /// gRPC status of the backend's response.
    pub grpc_status: Option<u32>,
    /// Seconds that a backend which answered 429 or 503 asked to be left alone.
    pub retry_after_s: Option<u32>,
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
            facts: RequestFacts::default(),
            incoming: Incoming {
                expect: Expect::Frame,
                frame: FrameHead::default(),
                section: Vec::new(),
                has_head: false,
                has_trailers: false,
                early: Vec::new(),
                early_used: 0,
                is_direct: false,
                is_early_end: false,
                is_done: false,
                is_blocked: false,
                body_bytes: 0,
            },
            outgoing: Outgoing::default(),
            times: Times::default(),
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            request_id: RequestId::new(b"-").expect("a fit id"),
            tag: Tag::NONE,
            forward: NOT_FORWARDED,
            values: Default::default(),
            plan: None,
            attempts: 0,
            is_in_flight: false,
            upstream: None,
            was_reused: false,
            is_committed: false,
            status: 0,
            backend_status: 0,
            reason: Reason::None,
            ended_by: 0,
            offer: None,
            is_offered_again: false,
            grpc_status: None,
            retry_after_s: None,
            started_ms: 0.0,
        }
    }

    /// Begins anew on a stream, keeping buffers: only what an earlier life may have left behind is reset.
    pub fn begin(&mut self, key: Key, connection: Key, stream: u64, now: Nanos) {
        (self.key, self.connection, self.stream) = (key, connection, stream);
        self.phase = Phase::Decode;
        self.request.clear();
        self.facts = RequestFacts::default();
        self.incoming.restart();
        self.outgoing.restart();
        self.times = Times { began: now, moved: now, ..Times::default() };
        self.tag = Tag::NONE;
        self.forward = NOT_FORWARDED;
        self.values.iter_mut().for_each(Vec::clear);
        self.plan = None;
        self.attempts = 0;
        self.is_in_flight = false;
        self.upstream = None;
        self.was_reused = false;
        self.is_committed = false;
        (self.status, self.backend_status) = (0, 0);
        self.reason = Reason::None;
        self.ended_by = 0;
        self.offer = None;
        self.is_offered_again = false;
        (self.grpc_status, self.retry_after_s) = (None, None);
    }

    /// Microseconds since the head was decoded.
    pub fn age_us(&self, now: Nanos) -> u32 {
        micros(self.times.head, now)
    }

    /// Milliseconds until the exchange's own deadline; none when it has no such.
    pub fn remaining_ms(&self, now: Nanos) -> Option<u64> {
        let whole = self.forward.exchange_timeout_ms as Nanos * 1_000_000;
        (whole > 0).then(|| (self.times.head + whole).saturating_sub(now) / 1_000_000)
    }

    /// Keeps the values a `Forward` brought.
    pub fn take_values(&mut self, given: GivenValues<'_>) {
        for (kept, value) in self.values.iter_mut().zip(given.iter()) {
            if let Some(value) = value {
                kept.clear();
                kept.extend_from_slice(value);
            }
        }
    }

    /// Whether the request can be sent to another backend: all that was taken of its body is still here.
    pub fn is_replayable(&self) -> bool {
        self.incoming.is_whole()
    }

    /// When something has to happen, and what it means if it did not.
    pub fn deadline(&self, decode_timeout: Nanos) -> (Nanos, Reason) {
        let ms = |since: Nanos, timeout_ms: u32| since + timeout_ms as Nanos * 1_000_000;
        let own = match self.phase {
            Phase::Decode => (self.times.began + decode_timeout, Reason::ClientSlow),
            Phase::Decide => (NEVER, Reason::None),
            Phase::Open => (ms(self.times.decided, self.forward.connect_timeout_ms), Reason::ConnectTimeout),
            Phase::Relay | Phase::Answer => {
                let idle = (ms(self.times.moved, self.forward.idle_timeout_ms.max(1_000)), self.who_is_idle());
                let is_waiting = self.phase == Phase::Relay && self.incoming.is_done && !self.is_committed;
                let head = if is_waiting { ms(self.times.sent, self.forward.head_timeout_ms) } else { NEVER };
                if head <= idle.0 { (head, Reason::HeadTimeout) } else { idle }
            }
        };
        if self.forward.exchange_timeout_ms == 0 || self.phase == Phase::Decode {
            return own;
        }
        let whole = ms(self.times.head, self.forward.exchange_timeout_ms);
        if whole <= own.0 { (whole, Reason::ExchangeTimeout) } else { own }
    }

    /// Whose silence it is: the client's while its buffer waits or its body is missing, else the backend's.
    fn who_is_idle(&self) -> Reason {
        let is_client = !self.outgoing.framed.is_empty() || self.outgoing.body_len > 0 || self.phase == Phase::Answer;
        let is_upload = !self.incoming.is_done && !self.incoming.is_blocked && !self.is_committed;
        if is_client || is_upload { Reason::ClientSlow } else { Reason::IdleTimeout }
    }
}
