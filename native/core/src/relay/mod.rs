//! The relay: exchanges between clients' streams and backends' streams, phases 5 and 10 to 16 of a request's life.
//!
//! A file a part: [`exchange`] is the state of one, `attempt` that of one try at a backend, `incoming` and `outgoing` what it has of the client's stream. `decode` reads the
//! head, `lane` has it decided, `open` opens a stream at a backend, `send` gives it the request, `response` takes what comes back and `write` passes it on, `complete` ends
//! it. `trace` answers TRACE as its final recipient. `wait` asks the lane again later, `hold` keeps
//! a response for it, `hedge` lets two attempts run, `deadline` ends what takes too long, `floor`
//! what moves too little, `relief` the slowest where too much is held. Sessions to backends are not
//! in here: the reactor owns them beside the relay and passes them in, because they call the relay
//! while they read. What the relay wants of them during such a call it writes down as a [`Note`].

mod attempt;
mod complete;
mod deadline;
mod decode;
pub mod exchange;
mod floor;
mod hedge;
mod hold;
mod incoming;
mod lane;
mod open;
mod outgoing;
pub mod plan;
mod relief;
mod response;
mod send;
pub mod streams;
mod trace;
mod wait;
mod write;

use crate::base::budget::{Account, Entry, Pressure, Side};
use crate::base::counters::{Counters, Id};
use crate::base::panics::{self, Owner};
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
pub use crate::base::table::BackendTable;
use crate::base::timers::{Armed, Clock, NEVER, Nanos};
use crate::http::date::Date;
use crate::http::fields::Fields;
use crate::http::normal;
use crate::http::reserved::Reserved;
use crate::http::section::FieldLimits;
use crate::quic::connection::Connection;
use crate::record::inward::Tag;
use crate::record::outward::{CompletionFacts, FailureFacts, RequestId};
use crate::record::ring::Ring;
use crate::upstream::{self, SessionRef, Stat, StreamRef, Upstreams};
use exchange::Exchange;
pub use floor::Floor;
use plan::Plan;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wait::Alarms;

/// What is to be done with sessions once they have returned.
#[derive(Clone, Copy, Debug)]
enum Note {
    /// More of the request can be sent.
    Send(Key),
    /// A session has a place for the attempt.
    Start(upstream::Key, SessionRef),
    /// The attempt for a backend's slot wants no place any more.
    CancelWait(u32, upstream::Key),
    /// A reserved place is not wanted.
    Release(upstream::Key, SessionRef),
    /// The stream is not wanted any more.
    Reset(StreamRef, u32),
    /// The client's stream took bytes that were held.
    Credit(StreamRef, usize),
}

/// A record the ring had no room for.
enum Unwritten {
    Offer(Key),
    Late(Key),
    /// The failure of an attempt beside which another runs.
    Failure(Box<(Key, FailureFacts, Tag, u32, RequestId)>),
    Completion(Box<(CompletionFacts, Fields)>),
    /// What is told once and a lane had not read when it died, as it stood in the ring.
    Record(Box<[u8]>),
}

/// Limits of a listener that the relay obeys.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Of request heads and trailers.
    pub fields: FieldLimits,
    /// How heads are made canonical; none where they pass as they came.
    pub normal: Option<normal::Rules>,
    /// Time for a request head to arrive.
    pub decode_timeout: Nanos,
    /// What clients have to take and send; none for no such limit.
    pub floor: Option<Floor>,
}

/// Exchanges kept for reuse.
const POOL: usize = 512;
/// Who is told what client certificates say, beside backends. Nobody, unless the configuration
/// asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// The lane, with each head.
    pub is_lane_told: bool,
    /// The access log, with each completion.
    pub is_logged: bool,
}

/// Completions ride with the next heads, or wait this long when all is quiet.
const COMPLETION_DELAY: Nanos = 50_000_000;
/// Deadlines of exchanges are looked at so often, and when one is known to come before that, though not more often than the smaller interval. More seldom where there are
/// many exchanges to look at.
const SWEEP_INTERVAL: Nanos = 20_000_000;
const MIN_SWEEP_INTERVAL: Nanos = 1_000_000;
/// So many exchanges make the intervals twice as long.
const SWEEP_EXCHANGES: u64 = 4096;
/// Bytes of the scratch buffer into which a request stream's first bytes are read.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Timer owners of the relay, above all slab keys.
pub const SWEEP_TIMER: u64 = u64::MAX;
/// See [`SWEEP_TIMER`].
pub const COMPLETION_TIMER: u64 = u64::MAX - 1;
/// See [`SWEEP_TIMER`].
pub const ALARM_TIMER: u64 = u64::MAX - 3;

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
    /// Bytes held for peers.
    pub account: Account,
    /// How much of the process's budget was held when the turn began.
    pub pressure: Pressure,
    /// The clock, read a few times a turn.
    pub clock: Clock,
    /// Time of the turn.
    pub now: Nanos,
    /// Wall clock of the turn, milliseconds since the epoch.
    pub now_ms: f64,
    date: Date,
    /// Connections with something to send.
    pub dirty: Vec<Key>,
    /// Connections in whose exchanges something panicked, to be ended.
    pub condemned: Vec<Key>,
    /// Number of the shard.
    pub shard: u8,
    /// Limits by listener.
    pub limits: Vec<ListenerLimits>,
    /// Compiled plans by number, of the snapshots that decide.
    pub plans: Vec<Rc<Plan>>,
    /// Who is told of client certificates.
    pub telling: Telling,
    /// Fields that no client may send.
    pub reserved: Reserved,
    /// New requests are rejected.
    pub is_draining: bool,
    /// Exchanges that may be open at once.
    pub max_exchanges: usize,
    /// Heads and failures the lane has not seen.
    pub offers: usize,
    /// What backends may still send.
    granted: Entry,
    /// What waits for backends to read it.
    queued: Entry,
    /// Nobody is ended before, for want of room.
    relieve_at: Nanos,
    sweep: Armed,
    completions: Armed,
    has_completions: bool,
    #[expect(clippy::vec_box, reason = "the same boxes live in the slab: an exchange is not copied between them")]
    pool: Vec<Box<Exchange>>,
    notes: Vec<Note>,
    unwritten: VecDeque<Unwritten>,
    alarms: Alarms,
    /// Connections with request streams that were passed over.
    gapped: Vec<Key>,
    /// Nothing has to be looked at before, as far as is known.
    next_deadline: Nanos,
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
    pub fn new(
        table: BackendTable,
        limits: Vec<ListenerLimits>,
        max_exchanges: usize,
        account: Account,
        counters: Arc<Counters>,
        clock: Clock,
    ) -> Relay {
        Relay {
            connections: Slab::default(),
            exchanges: Slab::default(),
            ring: Ring::default(),
            counters,
            account,
            pressure: Pressure::None,
            granted: Entry::default(),
            relieve_at: 0,
            queued: Entry::default(),
            clock,
            now: clock.now(),
            now_ms: 0.0,
            date: Date::default(),
            dirty: Vec::new(),
            condemned: Vec::new(),
            shard: 0,
            limits,
            plans: Vec::new(),
            telling: Telling::default(),
            reserved: Reserved::default(),
            is_draining: false,
            max_exchanges,
            offers: 0,
            sweep: Armed::default(),
            completions: Armed::default(),
            has_completions: false,
            pool: Vec::new(),
            notes: Vec::new(),
            unwritten: VecDeque::new(),
            alarms: Alarms::default(),
            gapped: Vec::new(),
            next_deadline: NEVER,
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

    /// Gives up every exchange and every connection. What the lane has to be told of them stays, and so do its ring, and keys, which are never given twice.
    pub fn start_over(&mut self) {
        for key in self.exchanges.keys() {
            let _ = panics::guard_shard(|| self.abandon(key));
        }
        let limits = std::mem::take(&mut self.limits);
        let fresh = Relay::new(self.table, limits, self.max_exchanges, self.account.renewed(), self.counters.clone(), self.clock);
        let Relay { mut connections, mut exchanges, ring, unwritten, shard, is_draining, .. } = std::mem::replace(self, fresh);
        for exchange in exchanges.drain() {
            let _ = panics::guard_shard(|| drop(exchange));
        }
        for connection in connections.drain() {
            let _ = panics::guard_shard(|| drop(connection));
        }
        (self.connections, self.exchanges, self.ring, self.unwritten) = (connections, exchanges, ring, unwritten);
        (self.shard, self.is_draining) = (shard, is_draining);
        (self.has_completions, self.now) = (true, self.clock.now());
        self.counters.set(Id::ExchangesOpen, 0, 0);
        self.counters.set(Id::ConnectionsOpen, 0, 0);
    }

    /// Limits of a listener from now on, also for what is under way.
    pub fn set_limits(&mut self, listener: usize, limits: ListenerLimits) {
        if self.limits.len() <= listener {
            self.limits.resize(listener + 1, limits);
        }
        self.limits[listener] = limits;
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
                Note::Send(key) => self.guarded(key, (), |relay| relay.send(upstreams, key)),
                Note::Start(name, session) => self.guarded(attempt::key_of(name), (), |relay| relay.start(upstreams, name, session)),
                Note::CancelWait(slot, name) => upstreams.cancel_wait(slot, name),
                Note::Release(name, session) => upstreams.release(session, name),
                Note::Reset(stream, code) => upstreams.reset(stream, code),
                Note::Credit(stream, bytes) => upstreams.credit(stream, bytes),
            }
        }
    }

    /// A turn ends: the process learns what is held here.
    pub fn settle_account(&mut self, stats: &upstream::Stats) {
        let Relay { account, granted, queued, counters, .. } = self;
        account.enter(Side::Upstream, granted, stats[Stat::GrantedBytes]);
        account.enter(Side::Downstream, queued, stats[Stat::QueuedBytes]);
        account.settle();
        for side in [Side::Downstream, Side::Upstream] {
            counters.set(Id::HeldBytes, side as usize, account.of(side));
        }
    }

    /// Counts anew what is held of an exchange's response.
    pub(super) fn recount_response(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let bytes = exchange.outgoing.bytes();
        self.account.enter(Side::Upstream, &mut exchange.outgoing.held, bytes);
    }

    /// Runs something for an exchange. If it panics, the connection of the exchange is to be ended, and `fallback` is what came of it.
    pub fn guarded<T>(&mut self, key: Key, fallback: T, run: impl FnOnce(&mut Relay) -> T) -> T {
        panics::guard(|| run(self)).unwrap_or_else(|_| {
            self.condemn(key);
            fallback
        })
    }

    /// Counts a panic, and has it logged.
    pub fn note_panic(&self, owner: Owner) {
        self.counters.add_to(Id::Panics, owner as usize, 1);
        panics::report(self.shard, owner);
    }

    /// Lists the connection of an exchange to be ended. The exchange may be gone from one of the books.
    fn condemn(&mut self, key: Key) {
        let known = self.exchanges.get(key).map(|exchange| exchange.connection);
        let is_its = |connection: &Connection| connection.exchanges.values().any(|exchange| *exchange == key);
        let found = known.or_else(|| self.connections.iter().find(|(_, connection)| is_its(connection)).map(|(key, _)| key));
        self.condemned.extend(found);
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) -> Nanos {
        self.now = self.clock.now();
        self.pressure = self.account.pressure();
        self.now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_micros() as f64 / 1e3);
        self.now
    }
}
