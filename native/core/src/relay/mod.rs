//! The relay: exchanges between clients' streams and backends' streams, phases 5 and 10 to 16 of a request's life.
//!
//! [`exchange`] is the state of one; [`request`] reads it from the client and sends it to a backend; [`response`] takes what the backend answers and writes it to the
//! client; this file has what both need: how an exchange begins, is offered to the lane, is decided, and ends. Sessions to backends are not in here: the
//! reactor owns them beside the relay and passes them in, because they call the relay while they read. What the relay wants of them during such a call it writes down as a
//! [`Note`].

pub mod exchange;
pub mod plan;
mod request;
mod response;
pub mod streams;

use crate::base::counters::{Counters, Id};
use crate::base::reason::{Reason, Retry};
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::timers::{Armed, Clock, NEVER, Nanos, Timers};
use crate::http::error::{h2, h3};
use crate::http::fields::Fields;
use crate::http::section::FieldLimits;
use crate::quic::connection::{Connection, Drain};
use crate::record::inward::{ASK_ON_FAILURE, Decision, Forward, NO_PLAN};
use crate::record::outward::{self, CompletionFacts, FailureFacts, HeadFacts, RequestId};
use crate::record::ring::Ring;
use crate::upstream::{Fault, Opened, SessionRef, StreamRef, Upstreams};
use exchange::{Exchange, Offer, Phase};
use plan::Plan;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// What is to be done with sessions once they have returned.
#[derive(Clone, Copy, Debug)]
enum Note {
    /// More of the request can be sent.
    Send(Key),
    /// A session has a place for the attempt.
    Start(Key, SessionRef),
    /// A reserved place is not wanted.
    Release(SessionRef),
    /// The stream is not wanted any more.
    Reset(StreamRef, u32),
    /// The client's stream took bytes that were held.
    Credit(StreamRef, usize),
}

/// A record the ring had no room for.
enum Held {
    Offer(Key),
    Completion(Box<(CompletionFacts, Fields)>),
}

/// Limits of a listener that the relay obeys.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Of request heads and trailers.
    pub fields: FieldLimits,
    /// Time for a request head to arrive.
    pub decode_timeout: Nanos,
}

/// Backends' shared slots; the relay writes the in-flight word.
#[derive(Clone, Copy)]
pub struct BackendTable {
    base: *const u8,
    slots: usize,
}

/// Bytes of a slot (`src/base/tables.ts`).
const SLOT_BYTES: usize = 64;

impl BackendTable {
    /// A table over shared memory that outlives the reactor.
    ///
    /// # Safety
    /// `base` must be valid for `bytes` bytes as long as the reactor lives, and aligned to 4.
    pub unsafe fn new(base: *const u8, bytes: usize) -> BackendTable {
        BackendTable { base, slots: bytes / SLOT_BYTES }
    }

    fn add_in_flight(&self, slot: u32, by: i32) {
        if (slot as usize) < self.slots {
            // SAFETY: inside the table, aligned; shared with other threads, hence atomic.
            let word = unsafe { &*self.base.add(slot as usize * SLOT_BYTES).cast::<AtomicI32>() };
            word.fetch_add(by, Relaxed);
        }
    }
}

/// Exchanges kept for reuse.
const POOL: usize = 512;
/// Completions ride with the next heads, or wait this long when all is quiet.
const COMPLETION_DELAY: Nanos = 50_000_000;
/// Deadlines of exchanges are looked at no more often than this, and more seldom where there are many exchanges to look at.
const SWEEP_INTERVAL: Nanos = 20_000_000;
/// So many exchanges make the interval twice as long.
const SWEEP_EXCHANGES: u64 = 4096;
/// Bytes of the scratch buffer into which a request stream's first bytes are read.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Timer owners of the relay, above all slab keys.
pub const SWEEP_TIMER: u64 = u64::MAX;
/// See [`SWEEP_TIMER`].
pub const COMPLETION_TIMER: u64 = u64::MAX - 1;

/// The relay of one shard.
pub struct Relay {
    /// Clients' connections.
    pub connections: Slab<Box<Connection>>,
    /// Exchanges.
    pub exchanges: Slab<Box<Exchange>>,
    /// Records.
    pub ring: Ring,
    /// Counters.
    pub counters: Arc<Counters>,
    /// The clock, read a few times a turn.
    pub clock: Clock,
    /// Time of the turn.
    pub now: Nanos,
    /// Wall clock of the turn, milliseconds since the epoch.
    pub now_ms: f64,
    /// Connections with something to send.
    pub dirty: Vec<Key>,
    /// Limits by listener.
    pub limits: Vec<ListenerLimits>,
    /// Compiled plans of the present snapshot.
    pub plans: Vec<Rc<Plan>>,
    /// New requests are rejected.
    pub is_draining: bool,
    /// Exchanges that may be open at once.
    pub max_exchanges: usize,
    /// Heads and failures the lane has not seen.
    pub offers: usize,
    sweep: Armed,
    completions: Armed,
    has_completions: bool,
    pool: Vec<Box<Exchange>>,
    notes: Vec<Note>,
    held: VecDeque<Held>,
    table: BackendTable,
    rng: Rng,
    stage: Vec<u8>,
    stage_owner: Option<Key>,
    scratch: Box<[u8]>,
    streams: Vec<u64>,
    head: Fields,
    text: Vec<u8>,
}

impl Relay {
    /// A relay without exchanges.
    pub fn new(table: BackendTable, limits: Vec<ListenerLimits>, max_exchanges: usize, counters: Arc<Counters>, clock: Clock) -> Relay {
        Relay {
            connections: Slab::default(),
            exchanges: Slab::default(),
            ring: Ring::default(),
            counters,
            clock,
            now: clock.now(),
            now_ms: 0.0,
            dirty: Vec::new(),
            limits,
            plans: Vec::new(),
            is_draining: false,
            max_exchanges,
            offers: 0,
            sweep: Armed::default(),
            completions: Armed::default(),
            has_completions: false,
            pool: Vec::new(),
            notes: Vec::new(),
            held: VecDeque::new(),
            table,
            rng: Rng::default(),
            stage: Vec::new(),
            stage_owner: None,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            streams: Vec::new(),
            head: Fields::new(),
            text: Vec::new(),
        }
    }

    /// Lists a connection to be flushed: it has something to say.
    pub fn mark(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.has_output = true;
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(key);
            }
        }
    }

    /// Lists a connection that packets came for: it has an acknowledgement to send at most, which may wait a little.
    pub fn touch(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(key);
        }
    }

    /// Does what was noted while sessions were calling. New notes may come of it.
    pub fn settle(&mut self, upstreams: &mut Upstreams) {
        self.flush_stage();
        while let Some(note) = self.notes.pop() {
            match note {
                Note::Send(key) => self.send(upstreams, key),
                Note::Start(key, session) => self.start(upstreams, key, session),
                Note::Release(session) => upstreams.release(session),
                Note::Reset(stream, code) => upstreams.reset(stream, code),
                Note::Credit(stream, bytes) => upstreams.credit(stream, bytes),
            }
        }
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) -> Nanos {
        self.now = self.clock.now();
        self.now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_micros() as f64 / 1e3);
        self.now
    }

    // ---- to the lane and back

    /// Offers an exchange to the lane, now or when the ring has room.
    fn offer(&mut self, key: Key, offer: Offer) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.phase = Phase::Decide;
        exchange.offer = Some(offer);
        self.offers += 1;
        if !self.held.is_empty() || !self.write_offer(key) {
            self.held.push_back(Held::Offer(key));
        }
    }

    fn write_offer(&mut self, key: Key) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return true };
        let connection = self.connections.get(exchange.connection);
        match exchange.offer {
            None => true,
            Some(Offer::Failure(facts)) => outward::write_attempt_failed(&mut self.ring, key, &facts, &exchange.request_id),
            Some(Offer::Head) => {
                let Some(connection) = connection else { return true };
                let mut flags = outward::ADDRESS_VALIDATED;
                flags |= if exchange.incoming.is_done { 0 } else { outward::HAS_BODY };
                flags |= if exchange.facts.content_length.is_some() { outward::HAS_LENGTH } else { 0 };
                flags |= if exchange.facts.is_idempotent { outward::IDEMPOTENT } else { 0 };
                flags |= if exchange.is_offered_again { outward::OFFERED_AGAIN } else { 0 };
                let facts = HeadFacts {
                    exchange: key,
                    listener: connection.listener,
                    flags,
                    peer: exchange.peer,
                    cipher: connection.tls.0,
                    group: connection.tls.1,
                    connection: connection.number,
                    content_length: exchange.facts.content_length,
                    request_id: exchange.request_id,
                };
                outward::write_head(&mut self.ring, &facts, &exchange.request)
            }
        }
    }

    /// Writes records that had no room before. Called when the lane has read.
    pub fn write_held(&mut self) {
        while let Some(held) = self.held.pop_front() {
            let is_written = match &held {
                Held::Offer(key) => self.write_offer(*key),
                Held::Completion(record) => outward::write_completion(&mut self.ring, &record.0, &record.1),
            };
            if !is_written {
                self.held.push_front(held);
                return;
            }
        }
    }

    /// Whether records wait for room.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the lane should be called: heads wait, or completions have waited long enough.
    pub fn is_lane_due(&self) -> bool {
        self.offers > 0
    }

    /// Whether completions wait for the lane.
    pub fn has_completions(&self) -> bool {
        self.has_completions
    }

    /// The lane was called.
    pub fn lane_was_called(&mut self) {
        self.offers = 0;
        self.has_completions = false;
    }

    /// A successor's lane knows nothing: offers again what is undecided. Completions in the ring were the dead lane's and are gone with it.
    pub fn offer_again(&mut self) {
        self.ring.reset();
        self.held.retain(|held| matches!(held, Held::Completion(_)));
        self.offers = 0;
        for key in self.exchanges.keys() {
            let exchange = self.exchanges.get_mut(key).expect("a key of the slab");
            if exchange.phase == Phase::Decide
                && let Some(offer) = exchange.offer
            {
                exchange.is_offered_again = true;
                self.offer(key, offer);
            }
        }
        self.write_held();
    }

    /// Takes one decision of the lane.
    pub fn decide(&mut self, upstreams: &mut Upstreams, key: Key, decision: Decision<'_>) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Decide) else { return };
        exchange.offer = None;
        exchange.times.decided = self.now;
        exchange.times.moved = self.now;
        match decision {
            Decision::Forward(forward) => self.forward(upstreams, key, forward),
            Decision::Respond(respond) => {
                exchange.forward.route = respond.route;
                if respond.plan != NO_PLAN {
                    exchange.plan = self.plans.get(respond.plan as usize).cloned();
                }
                let reason = Reason::from_number(respond.reason).unwrap_or(Reason::LaneFailed);
                let mut fields = std::mem::take(&mut self.head);
                fields.clear();
                respond.write_fields(&mut fields);
                self.answer(key, respond.status as u16, reason, &fields, respond.body());
                self.head = fields;
            }
            Decision::Reset { code, reason } => {
                let reason = Reason::from_number(reason).unwrap_or(Reason::LaneFailed);
                self.abort(upstreams, key, code as u64, reason, 0);
            }
        }
    }

    // ---- attempts

    fn forward(&mut self, upstreams: &mut Upstreams, key: Key, forward: Forward) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.forward = forward;
        exchange.plan = self.plans.get(forward.plan as usize).cloned();
        if forward.flags & crate::record::inward::KEEP_REQUEST_ID != 0 {
            keep_request_id(exchange);
        }
        if let (Some(length), Some(limit)) = (exchange.facts.content_length, forward.max_body_bytes)
            && length > limit
        {
            return self.answer_reason(key, Reason::RequestBodyTooLarge);
        }
        exchange.attempts += 1;
        exchange.phase = Phase::Open;
        exchange.is_in_flight = true;
        self.table.add_in_flight(forward.backend, 1);
        match upstreams.open(forward.backend, key.pack(), self.now) {
            Opened::Now(session) => self.start(upstreams, key, session),
            Opened::Waiting => {}
            Opened::Failed(fault) => self.attempt_failed(key, fault),
        }
    }

    /// Phase 11: a session has a place; the head goes out, and the body as far as it can.
    fn start(&mut self, upstreams: &mut Upstreams, key: Key, session: SessionRef) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Open) else {
            return upstreams.release(session);
        };
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        request::compose_head(exchange, &mut head, &mut self.text);
        let has_body = !exchange.incoming.is_done;
        exchange.was_reused = upstreams.is_reused(session);
        let started = upstreams.start(session, key.pack(), &head, has_body, self.now);
        self.head = head;
        match started {
            Ok(stream) => {
                exchange.phase = Phase::Relay;
                exchange.upstream = Some(stream);
                exchange.times.opened = self.now;
                exchange.times.sent = self.now;
                exchange.times.moved = self.now;
                if has_body {
                    self.send(upstreams, key);
                }
            }
            Err(fault) => self.attempt_failed(key, fault),
        }
    }

    /// An attempt is over without a response. The lane is asked whether to try again, if it wants to be and it could matter.
    fn attempt_failed(&mut self, key: Key, fault: Fault) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.upstream = None;
        if exchange.is_in_flight {
            exchange.is_in_flight = false;
            self.table.add_in_flight(exchange.forward.backend, -1);
        }
        exchange.was_reused = fault.was_reused;
        if exchange.is_committed {
            let code = crate::http::error::h2_to_h3(fault.h2_code);
            let code = if fault.h2_code == h2::NO_ERROR { h3::INTERNAL_ERROR } else { code };
            return self.reset_client(key, code, fault.reason, outward::ENDED_BY_BACKEND);
        }
        let is_unsent = fault.is_unsent;
        let is_retriable = match fault.reason.entry().retry {
            Retry::Never => false,
            Retry::IfUnsent | Retry::Safe => exchange.is_replayable() && (is_unsent || exchange.facts.is_idempotent),
        };
        exchange.ended_by = outward::ENDED_BY_BACKEND;
        if exchange.forward.flags & ASK_ON_FAILURE == 0 || !is_retriable && exchange.forward.route == u32::MAX {
            return self.answer_reason(key, fault.reason);
        }
        let mut flags = if is_unsent { outward::FAILED_UNSENT } else { 0 };
        flags |= if exchange.facts.is_idempotent { outward::FAILED_IDEMPOTENT } else { 0 };
        flags |= if exchange.is_replayable() { outward::FAILED_REPLAYABLE } else { 0 };
        let connection = self.connections.get(exchange.connection).map_or(0, |connection| connection.number);
        let facts = FailureFacts {
            attempts: exchange.attempts,
            backend: exchange.forward.backend,
            route: exchange.forward.route,
            reason: fault.reason as u32,
            flags,
            took_us: micros(exchange.times.decided, self.now),
            connection,
            plan: exchange.forward.plan,
        };
        exchange.reason = fault.reason;
        self.offer(key, Offer::Failure(facts));
    }

    // ---- ends

    /// Answers with a reason's status and the registry's small body.
    fn answer_reason(&mut self, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let status = reason.status().max(400);
        let id = String::from_utf8_lossy(exchange.request_id.as_bytes()).into_owned();
        let body = format!("{{\"error\":\"{}\",\"status\":{status},\"request_id\":\"{id}\"}}\n", reason.code());
        let mut fields = Fields::new();
        fields.push(b"content-type", b"application/json");
        fields.push(b"cache-control", b"no-store");
        fields.push(b"x-request-id", id.as_bytes());
        self.answer(key, status, reason, &fields, body.as_bytes());
    }

    /// Ends an exchange without a response: both of the client's directions are reset.
    fn abort(&mut self, upstreams: &mut Upstreams, key: Key, code: u64, reason: Reason, ended_by: u32) {
        self.cancel_attempt(upstreams, key, h2::CANCEL);
        self.reset_client(key, code, reason, ended_by);
    }

    fn reset_client(&mut self, key: Key, code: u64, reason: Reason, ended_by: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.ended_by = ended_by;
        let (connection, stream) = (exchange.connection, exchange.stream);
        if let Some(connection) = self.connections.get_mut(connection) {
            // A stream that is gone already needs no reset.
            let _ = connection.quic.stream_shutdown(stream, quiche::Shutdown::Read, code);
            let _ = connection.quic.stream_shutdown(stream, quiche::Shutdown::Write, code);
        }
        self.mark(connection);
        self.complete(key, reason);
    }

    /// Takes the attempt back from its backend.
    fn cancel_attempt(&mut self, upstreams: &mut Upstreams, key: Key, code: u32) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(stream) = exchange.upstream.take() {
            upstreams.reset(stream, code);
        } else if exchange.phase == Phase::Open {
            upstreams.cancel_wait(exchange.forward.backend, key.pack());
        }
    }

    /// The client is gone or has reset its stream.
    pub fn client_left(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason, code: u64) {
        self.cancel_attempt(upstreams, key, crate::http::error::h3_to_h2(code));
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.ended_by = outward::ENDED_BY_CLIENT;
        }
        self.complete(key, reason);
    }

    /// Phase 16, complete: always runs, once an exchange. The attempt must have been taken back.
    fn complete(&mut self, key: Key, reason: Reason) {
        let Some(mut exchange) = self.exchanges.remove(key) else { return };
        debug_assert!(exchange.upstream.is_none());
        if self.stage_owner == Some(key) {
            self.stage_owner = None;
            self.stage.clear();
        }
        if exchange.is_in_flight {
            self.table.add_in_flight(exchange.forward.backend, -1);
        }
        if exchange.offer.is_some() {
            self.offers = self.offers.saturating_sub(1);
        }
        let mut facts = self.completion_facts(&exchange, reason);
        if let Some(connection) = self.connections.get_mut(exchange.connection) {
            connection.exchanges.remove(&exchange.stream);
            if connection.drain != Drain::No {
                connection.finishing.push(exchange.stream);
            }
            facts.rtt_us = connection.rtt_us as u32;
            facts.connection = connection.number;
            facts.listener = connection.listener;
        }
        self.counters.add(Id::BodyBytesIn, facts.bytes_in);
        self.counters.add(Id::BodyBytesOut, facts.bytes_out);
        self.counters.set(Id::ExchangesOpen, 0, self.exchanges.len() as u64);
        self.has_completions = true;
        if !self.held.is_empty() || !outward::write_completion(&mut self.ring, &facts, &exchange.request) {
            let request = std::mem::take(&mut exchange.request);
            self.held.push_back(Held::Completion(Box::new((facts, request))));
        }
        if self.pool.len() < POOL {
            exchange.plan = None;
            exchange.outgoing.restart();
            self.pool.push(exchange);
        }
    }

    fn completion_facts(&self, exchange: &Exchange, reason: Reason) -> CompletionFacts {
        let reason = if reason == Reason::None { exchange.reason } else { reason };
        let times = &exchange.times;
        let opened = if exchange.attempts > 0 && times.opened > 0 { micros(times.decided, times.opened) } else { 0 };
        let has_stream = times.opened > 0;
        let mut flags = exchange.ended_by;
        flags |= if exchange.is_committed { outward::COMMITTED } else { 0 };
        flags |= if exchange.phase == Phase::Answer { outward::OWN_RESPONSE } else { 0 };
        flags |= if exchange.was_reused { outward::SESSION_REUSED } else { 0 };
        CompletionFacts {
            exchange: exchange.key,
            route: exchange.forward.route,
            backend: if exchange.attempts > 0 { exchange.forward.backend } else { u32::MAX },
            attempts: exchange.attempts,
            status: exchange.status as u32,
            reason: reason as u32,
            flags,
            listener: 0,
            peer: exchange.peer,
            phases_us: [
                if times.decided > 0 { micros(times.head, times.decided) } else { 0 },
                opened,
                if has_stream { micros(times.opened, times.sent) } else { 0 },
                if times.answered > 0 { micros(times.opened, times.answered) } else { 0 },
                micros(if times.head > 0 { times.head } else { times.began }, self.now),
            ],
            rtt_us: 0,
            bytes_in: exchange.incoming.body_bytes,
            bytes_out: exchange.outgoing.body_bytes,
            connection: 0,
            started_ms: exchange.started_ms,
            backend_status: exchange.backend_status as u32,
            request_id: exchange.request_id,
        }
    }

    // ---- time

    /// Enters the relay's own timers; called once a turn.
    pub fn arm_timers(&mut self, timers: &mut Timers) {
        if !self.exchanges.is_empty() {
            let interval = SWEEP_INTERVAL * (1 + self.exchanges.len() as u64 / SWEEP_EXCHANGES);
            timers.arm(&mut self.sweep, self.now + interval, SWEEP_TIMER);
        }
        if self.has_completions {
            timers.arm(&mut self.completions, self.now + COMPLETION_DELAY, COMPLETION_TIMER);
        }
    }

    /// A timer of the relay came due. True when the lane should be called for completions.
    pub fn on_timer(&mut self, upstreams: &mut Upstreams, owner: u64, due: Nanos) -> bool {
        if owner == COMPLETION_TIMER {
            return Timers::is_current(&mut self.completions, due) && self.has_completions;
        }
        if Timers::is_current(&mut self.sweep, due) {
            self.sweep(upstreams);
        }
        false
    }

    /// Ends what took too long.
    fn sweep(&mut self, upstreams: &mut Upstreams) {
        let now = self.now;
        let mut late = Vec::new();
        for (key, exchange) in self.exchanges.iter() {
            let listener = self.connections.get(exchange.connection).map_or(0, |connection| connection.listener as usize);
            let (deadline, reason) = exchange.deadline(self.limits.get(listener).map_or(NEVER / 2, |limits| limits.decode_timeout));
            if deadline <= now {
                late.push((key, reason));
            }
        }
        for (key, reason) in late {
            self.time_out(upstreams, key, reason);
        }
    }

    fn time_out(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (phase, is_committed) = (exchange.phase, exchange.is_committed);
        self.cancel_attempt(upstreams, key, h2::CANCEL);
        if is_committed || phase == Phase::Answer {
            let code = if reason == Reason::ClientSlow { h3::REQUEST_CANCELLED } else { h3::INTERNAL_ERROR };
            return self.reset_client(key, code, reason, 0);
        }
        match reason {
            Reason::ConnectTimeout | Reason::HeadTimeout => {
                self.attempt_failed(
                    key,
                    Fault { reason, is_unsent: reason == Reason::ConnectTimeout, h2_code: h2::CANCEL, was_reused: false },
                );
            }
            _ => self.answer_reason(key, reason),
        }
    }
}

/// Microseconds between two times, at most what 32 bits hold.
fn micros(from: Nanos, to: Nanos) -> u32 {
    (to.saturating_sub(from) / 1_000).min(u32::MAX as u64) as u32
}

/// Takes the client's own request id where the route trusts it: visible characters, 64 at most.
fn keep_request_id(exchange: &mut Exchange) {
    let Some(id) = exchange.request.known(crate::http::fields::Known::RequestId) else { return };
    if let Some(id) = RequestId::new(id) {
        exchange.request_id = id;
    }
}
