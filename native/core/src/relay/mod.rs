//! The relay: exchanges between clients' streams and backends' streams, phases 5 and 10 to 16 of a
//! request's life.
//!
//! [`Relay`] holds what exchanges share, by owner. A step that needs several owners is a function of
//! its part. Parts use each other one way:
//!
//! 1. what is kept: `turn`, `held`, `rules`, `deadlines`, `notes`, `scratch`;
//! 2. `lane` tells the lane of exchanges, `withdraw` takes attempts back from backends, `complete`
//!    ends an exchange with its record;
//! 3. `write` passes a response on, `answer` makes one that says why, `trace` answers TRACE, `end`
//!    ends exchanges before their response does, `fail` says what becomes of a failed attempt;
//! 4. `hold` keeps a response for the lane, `response` takes what sessions bring, `send` gives a
//!    backend the request, `open` opens a stream for it, `hedge` lets two attempts run, `wait` asks
//!    the lane again later;
//! 5. `settle` does what sessions left to do, `decide` carries out decisions, `decode` reads heads,
//!    `streams` sees to a connection's streams, `deadline` ends what takes too long, `relief` the
//!    slowest where too much is held, `start_over` everything.
//!
//! Sessions to backends are not in here: the reactor owns them beside the relay and passes them in,
//! because they call the relay while they read. What the relay wants of them during such a call it
//! writes down as a note.

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

    /// Runs something for an exchange. If it panics, the connection of the exchange is to be ended, and
    /// `fallback` is what came of it.
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

    /// Lists the connection of an exchange to be ended. The exchange may be gone from one of the
    /// books.
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
