//! The parts of a reactor.

use super::listener::places::Listeners;
use super::rounds::Rounds;
use super::switchboard::{Inbox, Port, Switchboard};
use crate::base::budget::{Account, Budget};
use crate::base::counters::Counters;
use crate::base::poll::Poll;
use crate::base::rate::Rate;
use crate::base::slab::Key;
use crate::base::timers::{Armed, Timers};
use crate::lane::{self, Decisions};
use crate::quic::cid::CidKey;
use crate::quic::ids::Ids;
use crate::quic::receive::Receiver;
use crate::relay::{BackendTable, Relay, Rules};
use crate::upstream::Upstreams;
use std::io;
use std::sync::Arc;

/// Poll tokens: listeners count from zero, sessions have the upper half.
pub(super) const TOKEN_TIMER: u64 = 1 << 20;
pub(super) const TOKEN_INBOX: u64 = 1 << 21;
pub(super) const TOKEN_SESSIONS: u64 = 1 << 63;

/// Options of a new reactor.
pub struct ReactorOptions {
    /// Its number.
    pub shard: u8,
    /// Generation of the process, in connection IDs.
    pub generation: u8,
    /// Seals connection IDs.
    pub cid_key: CidKey,
    /// Exchanges open at once.
    pub max_exchanges: usize,
    /// Answers a second to first datagrams that make no connection.
    pub stateless_replies: u32,
    /// Slots that backends share with other shards.
    pub table: BackendTable,
    /// Ports to all shards, by number.
    pub ports: Vec<Port>,
    /// Receives what other shards hand over.
    pub inbox: Inbox,
    /// Budget of bytes held for peers, shared by all shards.
    pub budget: Arc<Budget>,
}

/// Receive state of a turn.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Taken out while datagrams are read from it.
    pub receiver: Option<Receiver>,
    /// Datagrams of this turn.
    pub datagrams: u64,
}

/// What new connections are given.
pub(super) struct Admission {
    /// Rate of answers to first datagrams that make no connection.
    pub stateless_replies: Rate,
    next_number: u64,
    step: u64,
}

impl Admission {
    /// Returns a number that no other connection of the process has.
    pub fn next_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += self.step;
        number
    }
}

/// Lists used by a flush.
#[derive(Default)]
pub(super) struct Flushing {
    /// Connections with more to send in the next turn.
    pub later: Vec<Key>,
    /// Empty between flushes; its allocation is reused for the list of connections to flush.
    pub now: Vec<Key>,
}

/// A shard's reactor.
pub struct Reactor {
    pub(super) ids: Ids,
    pub(super) listeners: Listeners,
    /// Connections and exchanges.
    pub relay: Relay,
    pub(super) decisions: Decisions,
    pub(super) upstreams: Upstreams,
    pub(super) poll: Poll,
    pub(super) timers: Timers,
    pub(super) session_timer: Armed,
    pub(super) switchboard: Switchboard,
    pub(super) arrivals: Arrivals,
    pub(super) admission: Admission,
    pub(super) flushing: Flushing,
    pub(super) rounds: Rounds,
    pub(super) counters: Arc<Counters>,
}

impl Reactor {
    /// Creates a reactor. It listens nowhere yet and does nothing before its first turn.
    pub fn new(options: ReactorOptions) -> io::Result<Reactor> {
        let ReactorOptions { shard, generation, cid_key, max_exchanges, stateless_replies, table, ports, inbox, budget } = options;
        let poll = Poll::new()?;
        let timers = Timers::new()?;
        poll.add(timers.fd(), TOKEN_TIMER, false)?;
        poll.add(inbox.wake.fd(), TOKEN_INBOX, false)?;
        let counters = Arc::new(Counters::default());
        let upstreams = Upstreams::new(poll.fd(), TOKEN_SESSIONS, table);
        let (lane, decisions) = lane::lane();
        let relay = Relay::new(shard, table, Rules::new(max_exchanges), lane, Account::new(budget), counters.clone());
        let step = ports.len().max(1) as u64;
        Ok(Reactor {
            ids: Ids::new(cid_key, shard, generation, ports.len()),
            listeners: Listeners::default(),
            relay,
            decisions,
            upstreams,
            poll,
            timers,
            session_timer: Armed::default(),
            switchboard: Switchboard { shard, ports, inbox },
            arrivals: Arrivals { receiver: Some(Receiver::default()), datagrams: 0 },
            admission: Admission { stateless_replies: Rate::new(stateless_replies), next_number: u64::from(shard) + 1, step },
            flushing: Flushing::default(),
            rounds: Rounds::default(),
            counters,
        })
    }
}
