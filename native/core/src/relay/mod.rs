//! The relay: exchanges between clients' streams and backends' streams. Phases 5 and 10 to 16 of a
//! request's life.
//!
//! [`Relay`] holds what exchanges share, grouped by owner. A step that needs several owners is a
//! free function of its module. Imports run one way, from later groups to earlier ones:
//!
//! 1. state: `turn`, `held`, `rules`, `deadlines`, `notes`, `scratch`;
//! 2. `lane` tells the lane of exchanges, `withdraw` takes attempts back from backends, `complete`
//!    ends an exchange with its record;
//! 3. `write` passes a response on, `answer` makes one that says why, `trace` answers TRACE, `end`
//!    ends exchanges before their response does, `fail` says what becomes of a failed attempt;
//! 4. `hold` keeps a response for the lane, `response` takes what sessions bring, `send` gives a
//!    backend the request, `open` opens a stream for it, `hedge` lets two attempts run, `wait` asks
//!    the lane again later;
//! 5. `settle` does what sessions left to do, `decide` carries out decisions, `decode` reads heads,
//!    `streams` handles a connection's streams, `deadline` ends what takes too long, `relief` the
//!    slowest exchanges when memory is full, `start_over` everything.
//!
//! Sessions to backends are not part of the relay: the reactor owns them and passes them in,
//! because they call the relay while they read. During such a call the relay writes a note of what
//! it wants from them.

mod answer;
mod complete;
mod deadline;
mod deadlines;
pub(crate) mod decide;
mod decode;
pub(crate) mod end;
mod fail;
mod hedge;
mod held;
mod hold;
pub(crate) mod lane;
mod notes;
mod open;
mod relief;
mod response;
mod rules;
mod scratch;
mod send;
pub(crate) mod settle;
pub(crate) mod start_over;
pub mod streams;
#[cfg(test)]
mod tests;
mod trace;
mod turn;
mod values;
mod wait;
mod withdraw;
mod write;

use crate::base::budget::Account;
use crate::base::counters::{Counters, Id};
use crate::base::panics::{self, Owner};
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
pub use crate::base::table::BackendTable;
use crate::base::timers::{Clock, Nanos};
use crate::downstream::connections::Connections;
use crate::exchange::Exchange;
pub use crate::exchange::floor::Floor;
use crate::lane::Lane;
use deadlines::Deadlines;
pub use deadlines::{ALARM_TIMER, SWEEP_TIMER};
pub use held::Held;
use notes::Notes;
pub use rules::{ListenerLimits, Rules, Telling};
use scratch::{Scratch, Stage};
use std::sync::Arc;
pub use turn::Turn;

/// The relay of one shard.
pub struct Relay {
    /// Clients' connections.
    pub connections: Connections,
    /// Exchanges.
    pub exchanges: Slab<Box<Exchange>>,
    /// Rings to the lane and back.
    pub lane: Lane,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Bytes held for peers.
    pub held: Held,
    /// Clocks of the turn.
    pub turn: Turn,
    /// Settings from the configuration.
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
    /// Returns a relay without exchanges.
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

    /// Runs a step of an exchange. If it panics, returns `fallback` and marks the connection of the
    /// exchange to be ended.
    pub fn guarded<T>(&mut self, key: Key, fallback: T, run: impl FnOnce(&mut Relay) -> T) -> T {
        panics::guard(|| run(self)).unwrap_or_else(|_| {
            self.condemn(key);
            fallback
        })
    }

    /// Counts and logs a panic.
    pub fn note_panic(&self, owner: Owner) {
        self.counters.add_to(Id::Panics, owner as usize, 1);
        panics::report(self.shard, owner);
    }

    /// Marks the connection of an exchange to be ended. After a panic the exchange may be missing
    /// from either table.
    fn condemn(&mut self, key: Key) {
        let known = self.exchanges.get(key).map(|exchange| exchange.connection);
        let found = known.or_else(|| self.connections.find(key));
        self.connections.condemn(found);
    }

    /// Begins a turn.
    pub fn begin_turn(&mut self) -> Nanos {
        self.held.pressure = self.held.account.pressure();
        self.turn.begin()
    }
}
