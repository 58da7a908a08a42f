//! The reactor of a shard: sockets, connections, sessions and exchanges, driven turn by turn.
//!
//! A turn receives batches, runs QUIC and HTTP, calls the lane once with all heads that came, takes its decisions, writes to backends, and flushes each touched
//! connection once. It never waits: whoever drives it waits for [`Reactor::fd`] to become readable.

mod clients;
mod endpoint;
mod listen;
pub mod listener;
mod recheck;
pub mod switchboard;

use crate::base::budget::{Account, Budget, Pressure};
use crate::base::counters::{Closed, Counters, Handshake, Id};
use crate::base::panics::{self, Owner, plant};
use crate::base::poll::Poll;
use crate::base::rate::Rate;
use crate::base::slab::Key;
use crate::base::timers::{Nanos, Timers};
use crate::downstream::connection::Drain;
use crate::http::reserved::Reserved;
use crate::lane::{self, Decisions};
use crate::plan::Plan;
use crate::quic::cid::CidKey;
use crate::quic::ids::Ids;
use crate::quic::receive::Receiver;
use crate::relay;
use crate::relay::{ALARM_TIMER, BackendTable, Relay, Rules, SWEEP_TIMER, Telling, decide, end, settle, start_over};
use crate::upstream::{BackendConfig, Stat, Upstreams};
use listener::Listeners;
use recheck::{RECHECK_TIMER, Recheck};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use switchboard::{Inbox, Port};

/// Receive calls a socket gets in one turn.
const TURN_BATCHES: usize = 4;

/// Turns in a row before the event loop gets its own: what became ready during a turn is often a backend's answer.
const TURNS: usize = 4;

/// Calls of the lane in one turn: one, and more only while its ring was too small for what came.
const TURN_LANE_CALLS: usize = 8;

/// Rounds in which sessions are flushed and what comes of it is settled, a turn.
const TURN_FLUSHES: usize = 4;

/// Tokens of the poll: listeners count from zero, sessions have the upper half.
const TOKEN_TIMER: u64 = 1 << 20;
const TOKEN_INBOX: u64 = 1 << 21;
const TOKEN_SESSIONS: u64 = 1 << 63;

/// Timer owner of the sessions.
const SESSION_TIMER: u64 = u64::MAX - 2;

/// What a reactor is made from.
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
    /// Backends' shared slots.
    pub table: BackendTable,
    /// Ways to all shards, by number.
    pub ports: Vec<Port>,
    /// What others hand to this one.
    pub inbox: Inbox,
    /// Bytes held for peers, by all shards.
    pub budget: Arc<Budget>,
}

/// What a reactor obeys until the next one.
pub struct Snapshot {
    /// Backends.
    pub backends: Vec<BackendConfig>,
    /// Fields that no client may send.
    pub reserved: Reserved,
    /// Who is told of client certificates.
    pub telling: Telling,
}

/// How a call of the lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneCall {
    /// It returned.
    Done,
    /// It threw or was cut off; what it did not decide waits for its successor.
    Failed,
}

/// A shard's reactor.
pub struct Reactor {
    shard: u8,
    ids: Ids,
    listeners: Listeners,
    /// Sockets that are to be closed after their last connections.
    closing: usize,
    /// Connections and exchanges.
    pub relay: Relay,
    decisions: Decisions,
    upstreams: Upstreams,
    poll: Poll,
    timers: Timers,
    session_timer: crate::base::timers::Armed,
    ports: Vec<Port>,
    inbox: Inbox,
    receiver: Option<Receiver>,
    counters: Arc<Counters>,
    later: Vec<Key>,
    /// Empty between two flushes; lends its room to the list of what is to be flushed.
    flushing: Vec<Key>,
    stateless_replies: Rate,
    next_number: u64,
    turn_datagrams: u64,
    recheck: Recheck,
}

impl Reactor {
    /// Sets a reactor up; it does nothing until its first turn, and listens nowhere yet.
    pub fn new(options: ReactorOptions) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let timers = Timers::new()?;
        poll.add(timers.fd(), TOKEN_TIMER, false)?;
        poll.add(options.inbox.wake.fd(), TOKEN_INBOX, false)?;
        let counters = Arc::new(Counters::default());
        let upstreams = Upstreams::new(poll.fd(), TOKEN_SESSIONS, options.table);
        let account = Account::new(options.budget);
        let (lane, decisions) = lane::lane();
        let rules = Rules::new(options.max_exchanges);
        let relay = Relay::new(options.shard, options.table, rules, lane, account, counters.clone());
        Ok(Reactor {
            shard: options.shard,
            ids: Ids::new(options.cid_key, options.shard, options.generation, options.ports.len()),
            listeners: Listeners::default(),
            closing: 0,
            relay,
            decisions,
            upstreams,
            poll,
            timers,
            session_timer: Default::default(),
            ports: options.ports,
            inbox: options.inbox,
            receiver: Some(Receiver::default()),
            counters,
            later: Vec::new(),
            flushing: Vec::new(),
            stateless_replies: Rate::new(options.stateless_replies),
            next_number: options.shard as u64 + 1,
            turn_datagrams: 0,
            recheck: Recheck::default(),
        })
    }

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

    /// Obeys a new snapshot; exchanges under way keep the plan they began with.
    pub fn apply(&mut self, snapshot: Snapshot) {
        self.upstreams.apply(snapshot.backends);
        self.relay.rules.reserved = snapshot.reserved;
        self.relay.rules.telling = snapshot.telling;
    }

    /// Knows these plans by their numbers, besides those that it knows under others; exchanges
    /// under way keep the plan they began with.
    pub fn learn_plans(&mut self, plans: impl IntoIterator<Item = (u32, Plan)>) {
        for (number, plan) in plans {
            let number = number as usize;
            if number >= self.relay.rules.plans.len() {
                self.relay.rules.plans.resize_with(number + 1, Rc::default);
            }
            self.relay.rules.plans[number] = Rc::new(plan);
        }
    }

    /// Obeys other limits: exchanges open at once, and answers a second to first datagrams that
    /// make no connection. Those that are open already stay.
    pub fn set_limits(&mut self, max_exchanges: usize, stateless_replies: u32) {
        self.relay.rules.max_exchanges = max_exchanges;
        self.stateless_replies.set(stateless_replies);
    }

    /// Tells every client that the end is near and takes no new connection.
    pub fn drain(&mut self) {
        self.relay.turn.tick();
        self.relay.rules.is_draining = true;
        let now = self.relay.turn.now;
        for key in self.relay.connections.keys() {
            let told = panics::guard(|| {
                if let Some(connection) = self.relay.connections.get_mut(key) {
                    connection.notify_drain(now);
                }
                self.relay.connections.mark(key);
                self.arm(key);
            });
            if told.is_err() {
                self.end_panicked(key);
            }
        }
        self.transmit();
        self.ask_for_turn();
        self.timers.set(now);
    }

    /// Ends what is left: every exchange, with a completion that says so for as long as a lane reads, and every connection. What cannot be sent at once is lost.
    pub fn close(&mut self) {
        let began = self.relay.begin_turn();
        for key in self.relay.exchanges.keys() {
            self.relay.guarded(key, (), |relay| end::cut(relay, &mut self.upstreams, key));
        }
        settle::settle(&mut self.relay, &mut self.upstreams);
        self.finish_turn(began);
        for key in self.relay.connections.keys() {
            if panics::guard(|| self.relay.close_connection(key, crate::http::error::h3::NO_ERROR)).is_err() {
                self.end_panicked(key);
            }
        }
        self.end_condemned();
        self.transmit();
    }

    /// Begins anew after a panic in what belongs to the whole shard: nobody knows in which state it left it. Every connection is told, as far as that can be done, and given
    /// up, and so is every session. What stays is what lies apart: sockets, keys of connection IDs, the ways to other shards, the ring, the counters. The worker has to be
    /// replaced: backends and plans come with its successor.
    pub fn start_over(&mut self) {
        self.relay.turn.tick();
        self.relay.note_panic(Owner::Shard);
        for key in self.relay.connections.keys() {
            let _ = panics::guard_shard(|| self.say_farewell(key));
        }
        for (_, connection) in self.relay.connections.iter() {
            match connection.is_open {
                _ if connection.end.is_counted => {}
                true => self.counters.add_to(Id::ConnectionsClosed, Closed::Panic as usize, 1),
                false => self.counters.add_to(Id::Handshakes, Handshake::Failed as usize, 1),
            }
        }
        for place in self.listeners.places() {
            let _ = panics::guard_shard(|| self.listeners[place].sender.flush());
            self.listeners[place].start_over();
            // A failure here would mean a closed descriptor, which cannot be: the listener owns it.
            let _ = self.poll.modify(self.listeners[place].fd(), place as u64, false);
        }
        self.close_done();
        self.upstreams.start_over();
        start_over::start_over(&mut self.relay);
        self.timers.clear();
        self.session_timer = Default::default();
        self.ids.clear();
        self.receiver = Some(Receiver::default());
        (self.later, self.flushing) = (Vec::new(), Vec::new());
        self.turn_datagrams = 0;
        self.recheck = Recheck::default();
        self.inbox.wake.wake();
    }

    /// A new lane begins: what nobody decided is offered to it.
    pub fn take_over(&mut self) {
        self.relay.turn.tick();
        relay::lane::offer_again(&mut self.relay);
    }

    /// Takes the decisions that the lane has written since its last call, and flushes what comes of them. What they offer anew is offered in the next turn, at once.
    pub fn kick(&mut self) {
        let began = self.begin_turn();
        self.take_decisions();
        settle::settle(&mut self.relay, &mut self.upstreams);
        self.finish_turn(began);
    }

    /// Turns until nothing is ready, a few at most. `lane` reads the ring's records and writes its decisions; it is called when heads wait, or
    /// completions have waited long.
    pub fn turns(&mut self, mut lane: impl FnMut() -> LaneCall) {
        for _ in 0..TURNS {
            if !self.turn(&mut lane) {
                break;
            }
        }
    }

    fn begin_turn(&mut self) -> Nanos {
        let began = self.relay.begin_turn();
        self.upstreams.set_tight(self.relay.held.pressure >= Pressure::High);
        began
    }

    /// One turn; false when nothing was ready.
    pub fn turn(&mut self, mut lane: impl FnMut() -> LaneCall) -> bool {
        let events = self.poll.wait(0);
        if events == 0 {
            return false;
        }
        let began = self.begin_turn();
        self.turn_datagrams = 0;
        self.take_events(events, began);
        plant::here("turn");
        self.process_arrivals();
        settle::settle(&mut self.relay, &mut self.upstreams);
        for _ in 0..TURN_LANE_CALLS {
            if !self.relay.lane.is_due() {
                break;
            }
            if !self.call_lane(&mut lane) {
                break;
            }
        }
        self.finish_turn(began);
        true
    }

    /// Phases 6 to 9 happen inside. False when the lane failed.
    fn call_lane(&mut self, lane: &mut impl FnMut() -> LaneCall) -> bool {
        let offered = self.relay.lane.begin_call() as u64;
        let before = self.relay.turn.clock.now();
        let result = lane();
        self.relay.turn.tick();
        self.counters.observe(Id::LaneDuration, (self.relay.turn.now - before) / 1_000);
        if offered > 0 {
            self.counters.observe(Id::LaneRecords, offered);
        }
        self.take_decisions();
        settle::settle(&mut self.relay, &mut self.upstreams);
        if result == LaneCall::Failed {
            self.counters.add(Id::LaneFailures, 1);
            return false;
        }
        relay::lane::end_call(&mut self.relay);
        true
    }

    fn take_decisions(&mut self) {
        self.decisions.take(|key, decision| {
            self.relay.guarded(key, (), |relay| decide::decide(relay, &mut self.upstreams, key, decision));
        });
    }

    fn take_events(&mut self, events: usize, now: Nanos) {
        for place in 0..events {
            let (token, readiness) = self.poll.event(place);
            match token {
                TOKEN_TIMER => self.timers.acknowledge(),
                TOKEN_INBOX => self.receive_handed(),
                TOKEN_SESSIONS.. => {
                    self.upstreams.on_ready(token, readiness, now, &mut self.relay);
                    settle::settle(&mut self.relay, &mut self.upstreams);
                }
                listener => {
                    if readiness.is_writable && self.listeners[listener as usize].is_blocked {
                        self.flush_socket(listener as usize);
                    }
                    if readiness.is_readable {
                        self.receive(listener as usize);
                    }
                }
            }
        }
        self.take_timers(now);
    }

    fn take_timers(&mut self, now: Nanos) {
        while let Some((due, owner)) = self.timers.pop_due(now) {
            match owner {
                SWEEP_TIMER | ALARM_TIMER => self.relay.on_timer(&mut self.upstreams, owner, due),
                lane::TIMER => self.relay.lane.on_timer(due),
                SESSION_TIMER => {
                    if Timers::is_current(&mut self.session_timer, due) {
                        self.upstreams.on_timer(now, &mut self.relay);
                        settle::settle(&mut self.relay, &mut self.upstreams);
                    }
                }
                RECHECK_TIMER => self.recheck.note_timer(due),
                connection => self.on_connection_timer(Key::unpack(connection), due),
            }
        }
    }

    fn finish_turn(&mut self, began: Nanos) {
        self.relay.relieve(&mut self.upstreams);
        // Flushing may open what waited, and what that writes has to be flushed too.
        for _ in 0..TURN_FLUSHES {
            self.upstreams.flush(self.relay.turn.now, &mut self.relay);
            settle::settle(&mut self.relay, &mut self.upstreams);
            if !self.upstreams.is_dirty() {
                break;
            }
        }
        self.recheck_clients();
        self.end_condemned();
        if self.upstreams.wants_others_connections() {
            let others = self.ports.iter().enumerate().filter(|(shard, _)| *shard != self.shard as usize);
            others.for_each(|(_, port)| port.ask_for_places());
        }
        self.transmit();
        if self.closing > 0 {
            self.close_done();
        }
        self.relay.held.settle(&self.upstreams.stats, &self.counters);
        self.relay.arm_timers(&mut self.timers);
        let sessions = self.upstreams.next_timer();
        self.timers.arm(&mut self.session_timer, sessions, SESSION_TIMER);
        self.arm_recheck();
        self.ask_for_turn();
        let now = self.relay.turn.clock.now();
        self.timers.set(now);
        self.count_turn(now - began);
    }

    /// Work that is left over: come back at once, after the others had their turn.
    fn ask_for_turn(&self) {
        if self.relay.connections.is_dirty() || self.recheck.is_under_way() || self.relay.lane.is_due() || self.upstreams.is_dirty() {
            self.inbox.wake.wake();
        }
    }

    fn count_turn(&mut self, took: Nanos) {
        let counters = &self.counters;
        counters.add(Id::Turns, 1);
        counters.observe(Id::TurnDuration, took / 1_000);
        if self.turn_datagrams > 0 {
            counters.observe(Id::TurnDatagrams, self.turn_datagrams);
        }
        let sent = self.listeners.sent();
        counters.set(Id::SendCalls, 0, sent.calls);
        counters.set(Id::DatagramsSent, 0, sent.datagrams);
        counters.set(Id::SentBytes, 0, sent.bytes);
        counters.set(Id::SendErrors, 0, sent.errors);
        counters.set(Id::GsoFallbacks, 0, sent.gso_fallbacks);
        let stats = &self.upstreams.stats;
        for (cause, count) in stats.tls_failures.iter().enumerate() {
            counters.set(Id::TlsFailures, cause, *count);
        }
        let pairs = [
            (Id::SessionsOpen, 0, stats[Stat::SessionsOpen]),
            (Id::SessionsConnecting, 0, stats[Stat::SessionsConnecting]),
            (Id::StreamsOpen, 0, stats[Stat::StreamsOpen]),
            (Id::StreamsWaiting, 0, stats[Stat::Waiting]),
            (Id::Connects, 0, stats[Stat::ConnectsSucceeded]),
            (Id::Connects, 1, stats[Stat::ConnectsFailed]),
            (Id::Connects, 2, stats[Stat::ConnectsTimedOut]),
            (Id::Connects, 3, stats[Stat::ConnectsTlsFailed]),
            (Id::Connects, 4, stats[Stat::ConnectsWithoutDescriptor]),
            (Id::StreamsStarted, 0, stats[Stat::StreamsStarted]),
            (Id::SessionsReused, 0, stats[Stat::SessionsReused]),
            (Id::UpstreamBytesIn, 0, stats[Stat::BytesIn]),
            (Id::UpstreamBytesOut, 0, stats[Stat::BytesOut]),
            (Id::Goaways, 0, stats[Stat::GoawaysIn]),
            (Id::UpstreamResets, 0, stats[Stat::ResetsIn]),
            (Id::UpstreamResets, 1, stats[Stat::ResetsOut]),
            (Id::UpstreamProtocolErrors, 0, stats[Stat::ProtocolErrors]),
            (Id::UpstreamPingTimeouts, 0, stats[Stat::PingsTimedOut]),
            (Id::SessionsRenewed, 0, stats[Stat::SessionsRenewed]),
            (Id::SessionsBound, 0, stats[Stat::SessionsBound]),
            (Id::ConnectionAuth, 0, stats[Stat::Bound]),
            (Id::ConnectionAuth, 1, stats[Stat::BoundInExcess]),
            (Id::ConnectionAuth, 2, stats[Stat::BoundGivenUp]),
            (Id::ConnectionAuth, 3, stats[Stat::ChallengesRemoved]),
        ];
        pairs.into_iter().for_each(|(id, series, value)| counters.set(id, series, value));
    }

    /// Connections as JSON, at most `limit`, for the admin API.
    pub fn describe_connections(&self, limit: usize) -> String {
        let now = self.relay.turn.now;
        let rows: Vec<String> = self
            .relay
            .connections
            .iter()
            .take(limit)
            .map(|(_, connection)| {
                let transport = &connection.protocol.transport;
                let stats = transport.stats();
                format!(
                    concat!(
                        "{{\"connection\":{},\"shard\":{},\"listener\":{},\"peer\":\"{}\",\"age_seconds\":{:.3},\"rtt_seconds\":{:.6},",
                        "\"exchanges\":{},\"packets_received\":{},\"packets_sent\":{},\"packets_lost\":{},\"bytes_received\":{},",
                        "\"bytes_sent\":{},\"is_established\":{},\"is_draining\":{},\"client_connections\":{},\"client_certificate\":{}}}"
                    ),
                    connection.accepted.number,
                    self.shard,
                    connection.accepted.listener,
                    connection.peer,
                    now.saturating_sub(connection.accepted.at) as f64 / 1e9,
                    transport.rtt_us as f64 / 1e6,
                    connection.exchanges.len(),
                    stats.packets.0,
                    stats.packets.1,
                    stats.packets.2,
                    stats.bytes.0,
                    stats.bytes.1,
                    connection.is_open,
                    connection.end.drain != Drain::No,
                    connection.place.shared_by().map_or("null".to_owned(), |count| count.to_string()),
                    connection.tls.told.as_ref().map_or("null".to_owned(), |told| told.describe()),
                )
            })
            .collect();
        format!("[{}]", rows.join(","))
    }

    /// Milliseconds since the oldest exchange that is open began; none where there is none.
    pub fn oldest_exchange_ms(&self) -> Option<f64> {
        let began = self.relay.exchanges.iter().map(|(_, exchange)| exchange.times.began).min()?;
        Some(self.relay.turn.clock.now().saturating_sub(began) as f64 / 1e6)
    }

    /// Sessions as JSON, for the admin API.
    pub fn describe_sessions(&self) -> String {
        self.upstreams.describe(self.relay.turn.now)
    }
}
