//! The relay: exchanges between clients' streams and backends' streams, phases 5 and 10 to 16 of a request's life.
//!
//! A file a part: [`exchange`] is the state of one, `attempt` that of one try at a backend, `incoming` and `outgoing` what it has of the client's stream. `decode` reads the
//! head, `lane` has it decided, `open` opens a stream at a backend, `send` gives it the request, `response` takes what comes back and `write` passes it on, `complete` ends
//! it. `trace` answers TRACE as its final recipient. `wait` asks the lane again later, `hold` keeps
//! a response for it, `hedge` lets two attempts run, `deadline` ends what takes too long, `floor`
//! what moves too little, `relief` the slowest where too much is held. Sessions to backends are not
//! in here: the reactor owns them beside the relay and passes them in, because they call the relay
//! while they read. What the relay wants of them during such a call it writes down as a [`Note`].

mod answer;
mod complete;
mod deadline;
mod deadlines;
mod decide;
mod decode;
mod fail;
mod hedge;
mod held;
mod hold;
mod lane;
mod notes;
mod open;
mod relief;
mod response;
mod rules;
mod scratch;
mod send;
pub mod streams;
mod trace;
mod turn;
mod wait;
mod withdraw;
mod write;

use crate::base::budget::{Account, Side};
use crate::base::counters::{Counters, Id};
use crate::base::panics::{self, Owner};
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
pub use crate::base::table::BackendTable;
use crate::base::timers::{Clock, Nanos};
use crate::downstream::connections::Connections;
use crate::exchange::Exchange;
use crate::exchange::attempt::key_of;
pub use crate::exchange::floor::Floor;
use crate::lane::Lane;
use crate::upstream::Upstreams;
use deadlines::Deadlines;
pub use deadlines::{ALARM_TIMER, SWEEP_TIMER};
pub use held::Held;
use notes::{Note, Notes};
pub use rules::{ListenerLimits, Rules, Telling};
use scratch::{Scratch, Stage};
use std::sync::Arc;
pub use turn::Turn;

/// Exchanges kept for reuse.
const POOL: usize = 512;

/// The relay of one shard.
pub struct Relay {
    /// Clients' connections.
    pub connections: Connections,
    /// Exchanges.
    pub exchanges: Slab<Box<Exchange>>,
    /// Records, to the lane and back.
    pub lane: Lane,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Bytes held for peers.
    pub held: Held,
    /// What time it is.
    pub turn: Turn,
    /// What the configuration says.
    pub rules: Rules,
    /// Number of the shard.
    pub shard: u8,
    deadlines: Deadlines,
    #[expect(clippy::vec_box, reason = "the same boxes live in the slab: an exchange is not copied between them")]
    pool: Vec<Box<Exchange>>,
    notes: Notes,
    table: BackendTable,
    rng: Rng,
    stage: Stage,
    scratch: Scratch,
}

impl Relay {
    /// A relay without exchanges.
    pub fn new(shard: u8, table: BackendTable, rules: Rules, lane: Lane, account: Account, counters: Arc<Counters>) -> Relay {
        Relay {
            connections: Connections::default(),
            exchanges: Slab::default(),
            lane,
            counters,
            held: Held::new(account),
            turn: Turn::new(Clock::default()),
            rules,
            shard,
            deadlines: Deadlines::default(),
            pool: Vec::new(),
            notes: Notes::default(),
            table,
            rng: Rng::default(),
            stage: Stage::default(),
            scratch: Scratch::default(),
        }
    }

    /// Gives up every exchange and every connection. What the lane has to be told of them stays, and so do its ring,
    /// and keys, which are never given twice.
    pub fn start_over(&mut self) {
        for key in self.exchanges.keys() {
            let _ = panics::guard_shard(|| self.abandon(key));
        }
        let Relay { connections, exchanges, lane, held, turn, rules, .. } = self;
        for exchange in exchanges.drain() {
            let _ = panics::guard_shard(|| drop(exchange));
        }
        for connection in connections.start_over() {
            let _ = panics::guard_shard(|| drop(connection));
        }
        lane.start_over();
        rules.start_over();
        *held = Held::new(held.account.renewed());
        *turn = Turn::new(turn.clock);
        (self.deadlines, self.notes, self.pool) = (Deadlines::default(), Notes::default(), Vec::new());
        (self.rng, self.stage, self.scratch) = (Rng::default(), Stage::default(), Scratch::default());
        self.counters.set(Id::ExchangesOpen, 0, 0);
        self.counters.set(Id::ConnectionsOpen, 0, 0);
    }

    /// Does what was noted while sessions were calling. New notes may come of it.
    pub fn settle(&mut self, upstreams: &mut Upstreams) {
        self.flush_stage();
        while let Some(note) = self.notes.pop() {
            match note {
                Note::Send(key) => self.guarded(key, (), |relay| relay.send(upstreams, key)),
                Note::Start(name, session) => self.guarded(key_of(name), (), |relay| open::start(relay, upstreams, name, session)),
                Note::CancelWait(slot, name) => upstreams.cancel_wait(slot, name),
                Note::Release(name, session) => upstreams.release(session, name),
                Note::Reset(stream, code) => upstreams.reset(stream, code),
                Note::Credit(stream, bytes) => upstreams.credit(stream, bytes),
            }
        }
    }

    /// Counts anew what is held of an exchange's response.
    pub(super) fn recount_response(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let bytes = exchange.outgoing.bytes();
        self.held.account.enter(Side::Upstream, &mut exchange.outgoing.held, bytes);
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
        let found = known.or_else(|| self.connections.find(key));
        self.connections.condemn(found);
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) -> Nanos {
        self.held.pressure = self.held.account.pressure();
        self.turn.begin()
    }
}
