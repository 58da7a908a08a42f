//! The reactor of a shard: sockets, connections, sessions and exchanges, driven turn by turn.
//!
//! A turn receives batches, runs QUIC and HTTP, calls the lane once with all new heads, carries out
//! its decisions, writes to backends, and flushes each touched connection once. It never blocks:
//! the caller waits for [`Reactor::fd`] to become readable.
//!
//! Each file may use only those to its left: listener · switchboard · rounds · parts · ends ·
//! transmit · look · arrivals · timers · endpoint · listen · metrics · turn · describe · mod.

mod arrivals;
mod describe;
mod endpoint;
mod ends;
mod listen;
pub mod listener;
mod look;
mod metrics;
mod parts;
mod rounds;
pub mod switchboard;
mod timers;
mod transmit;
mod turn;

use crate::base::counters::{Closed, Counters, Handshake, Id};
use crate::base::panics::{self, Owner};
use crate::base::timers::Nanos;
use crate::downstream::cause::Cause;
use crate::http::reserved::Reserved;
use crate::plan::Plan;
use crate::quic::receive::Receiver;
use crate::relay::{self, Telling, end, settle, start_over};
use crate::upstream::BackendConfig;
use listener::ListenerOptions;
use parts::{Arrivals, Flushing};
pub use parts::{Reactor, ReactorOptions};
use rounds::Rounds;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
pub use turn::LaneCall;

/// Turns in a row before the event loop runs: what became ready during a turn is often a backend's
/// answer.
const TURNS: usize = 4;

/// What a reactor obeys until the next one.
pub struct Snapshot {
    /// Backends.
    pub backends: Vec<BackendConfig>,
    /// Fields that no client may send.
    pub reserved: Reserved,
    /// Who is told of client certificates.
    pub telling: Telling,
}

impl Reactor {
    /// Readable when a turn is due.
    pub fn fd(&self) -> RawFd {
        self.poll.fd()
    }

    /// Start of the memory that is shared with the lane; it lives as long as the reactor.
    pub fn region(&self) -> *mut u8 {
        self.relay.lane.region()
    }

    /// Its counters, for any thread.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Applies a new snapshot. Exchanges in progress keep the plan that they began with.
    pub fn apply(&mut self, snapshot: Snapshot) {
        self.upstreams.apply(snapshot.backends);
        self.relay.rules.reserved = snapshot.reserved;
        self.relay.rules.telling = snapshot.telling;
    }

    /// Adds plans under their numbers. Exchanges in progress keep the plan that they began with.
    pub fn learn_plans(&mut self, plans: impl IntoIterator<Item = (u32, Plan)>) {
        for (number, plan) in plans {
            let number = number as usize;
            if number >= self.relay.rules.plans.len() {
                self.relay.rules.plans.resize_with(number + 1, Rc::default);
            }
            self.relay.rules.plans[number] = Rc::new(plan);
        }
    }

    /// Sets the limits of open exchanges, and of answers a second to first datagrams that make no
    /// connection. Open exchanges stay.
    pub fn set_limits(&mut self, max_exchanges: usize, stateless_replies: u32) {
        self.relay.rules.max_exchanges = max_exchanges;
        self.admission.stateless_replies.set(stateless_replies);
    }

    /// Drains: tells every client, and accepts no new connection.
    pub fn drain(&mut self) {
        self.relay.turn.tick();
        self.relay.rules.is_draining = true;
        look::begin(self);
    }

    /// Ends every exchange, with a completion for as long as a lane reads, and every connection.
    /// What cannot be sent at once is lost.
    pub fn close(&mut self) {
        let began = self.relay.begin_turn();
        for key in self.relay.exchanges.keys() {
            self.relay.guarded(key, (), |relay| end::cut(relay, &mut self.upstreams, key));
        }
        settle::settle(&mut self.relay, &mut self.upstreams);
        turn::finish(self, began);
        for key in self.relay.connections.keys() {
            if panics::guard(|| self.relay.connections.close(key, Cause::Done)).is_err() {
                ends::end_panicked(self, key);
            }
        }
        ends::end_condemned(self);
        transmit::transmit(self);
    }

    /// Starts over after a panic in state of the whole shard, which is unknown from then on. Drops
    /// every session and every connection, and tells the clients if possible. Kept are sockets,
    /// keys of connection IDs, the ports to other shards, the ring and the counters. The worker
    /// must be replaced: backends and plans come with its successor.
    pub fn start_over(&mut self) {
        self.relay.turn.tick();
        self.relay.note_panic(Owner::Shard);
        for key in self.relay.connections.keys() {
            let _ = panics::guard_shard(|| ends::say_farewell(self, key));
        }
        for (_, connection) in self.relay.connections.iter() {
            match connection.is_open {
                _ if connection.end.is_counted => {}
                true => self.counters.add_to(Id::ConnectionsClosed, Closed::Panic as usize, 1),
                false => self.counters.add_to(Id::Handshakes, Handshake::Failed as usize, 1),
            }
        }
        for place in self.listeners.places() {
            let _ = panics::guard_shard(|| self.listeners[place].output.sender.flush());
            self.listeners[place].start_over();
            // A failure here would mean a closed descriptor, which cannot be: the listener owns it.
            let _ = self.poll.modify(self.listeners[place].fd(), place as u64, false);
        }
        listen::close_done(self);
        self.upstreams.start_over();
        start_over::start_over(&mut self.relay);
        self.timers.clear();
        self.session_timer = Default::default();
        self.ids.clear();
        self.arrivals = Arrivals { receiver: Some(Receiver::default()), datagrams: 0 };
        self.flushing = Flushing::default();
        self.rounds = Rounds::default();
        self.switchboard.wake();
    }

    /// Offers undecided exchanges to a new lane.
    pub fn take_over(&mut self) {
        self.relay.turn.tick();
        relay::lane::offer_again(&mut self.relay);
    }

    /// Carries out the decisions that the lane has written since its last call, and flushes the
    /// results. New offers follow at once, in the next turn.
    pub fn kick(&mut self) {
        let began = turn::begin(self);
        turn::take_decisions(self);
        settle::settle(&mut self.relay, &mut self.upstreams);
        turn::finish(self, began);
    }

    /// Runs turns until nothing is ready, up to [`TURNS`]. `lane` reads the ring's records and
    /// writes its decisions. It is called when heads wait, or completions have waited long enough.
    pub fn turns(&mut self, mut lane: impl FnMut() -> LaneCall) {
        for _ in 0..TURNS {
            if !self.turn(&mut lane) {
                break;
            }
        }
    }

    /// One turn; false when nothing was ready.
    pub fn turn(&mut self, mut lane: impl FnMut() -> LaneCall) -> bool {
        turn::turn(self, &mut lane)
    }

    /// Listens exactly where `options` say, with their settings. Connections to addresses that were
    /// left have `drain` to end. On failure nothing has changed, and the caller still owns the
    /// sockets.
    pub fn listen(&mut self, options: &mut Vec<ListenerOptions>, drain: Nanos) -> io::Result<()> {
        listen::listen(self, options, drain)
    }
}
