//! The phases of a turn.

use super::parts::{Reactor, TOKEN_INBOX, TOKEN_SESSIONS, TOKEN_TIMER};
use super::timers::SESSION_TIMER;
use super::{arrivals, endpoint, ends, listen, look, metrics, timers, transmit};
use crate::base::budget::Pressure;
use crate::base::counters::Id;
use crate::base::panics::plant;
use crate::base::timers::Nanos;
use crate::relay::{self, decide, settle};

/// Calls of the lane in one turn. More than one is needed only if the ring was too small.
const TURN_LANE_CALLS: usize = 8;

/// Rounds of flushing sessions and settling the results in one turn.
const TURN_FLUSHES: usize = 4;

/// How a call of the lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneCall {
    /// It returned.
    Done,
    /// It threw or was cut off; its successor gets what it did not decide.
    Failed,
}

/// Runs one turn. Returns false if nothing was ready.
pub fn turn(reactor: &mut Reactor, lane: &mut impl FnMut() -> LaneCall) -> bool {
    let events = reactor.poll.wait(0);
    if events == 0 {
        return false;
    }
    let began = begin(reactor);
    reactor.arrivals.datagrams = 0;
    take_events(reactor, events, began);
    plant::here("turn");
    arrivals::process_arrivals(reactor);
    settle::settle(&mut reactor.relay, &mut reactor.upstreams);
    for _ in 0..TURN_LANE_CALLS {
        if !reactor.relay.lane.is_due() || !call_lane(reactor, lane) {
            break;
        }
    }
    finish(reactor, began);
    true
}

pub fn begin(reactor: &mut Reactor) -> Nanos {
    let began = reactor.relay.begin_turn();
    reactor.upstreams.set_tight(reactor.relay.held.pressure >= Pressure::High);
    began
}

/// Calls the lane, for phases 6 to 9. Returns false if it failed.
pub fn call_lane(reactor: &mut Reactor, lane: &mut impl FnMut() -> LaneCall) -> bool {
    let offered = reactor.relay.lane.begin_call() as u64;
    let before = reactor.relay.turn.clock.now();
    let result = lane();
    reactor.relay.turn.tick();
    reactor.counters.observe(Id::LaneDuration, (reactor.relay.turn.now - before) / 1_000);
    if offered > 0 {
        reactor.counters.observe(Id::LaneRecords, offered);
    }
    take_decisions(reactor);
    settle::settle(&mut reactor.relay, &mut reactor.upstreams);
    if result == LaneCall::Failed {
        reactor.counters.add(Id::LaneFailures, 1);
        return false;
    }
    relay::lane::end_call(&mut reactor.relay);
    true
}

pub fn take_decisions(reactor: &mut Reactor) {
    reactor.decisions.take(|key, decision| {
        reactor.relay.guarded(key, (), |relay| decide::decide(relay, &mut reactor.upstreams, key, decision));
    });
}

pub fn take_events(reactor: &mut Reactor, events: usize, now: Nanos) {
    for place in 0..events {
        let (token, readiness) = reactor.poll.event(place);
        match token {
            TOKEN_TIMER => reactor.timers.acknowledge(),
            TOKEN_INBOX => endpoint::receive_handed(reactor),
            TOKEN_SESSIONS.. => {
                reactor.upstreams.on_ready(token, readiness, now, &mut reactor.relay);
                settle::settle(&mut reactor.relay, &mut reactor.upstreams);
            }
            listener => {
                if readiness.is_writable && reactor.listeners[listener as usize].output.is_blocked {
                    transmit::flush_socket(reactor, listener as usize);
                }
                if readiness.is_readable {
                    endpoint::receive(reactor, listener as usize);
                }
            }
        }
    }
    timers::take_timers(reactor, now);
}

pub fn finish(reactor: &mut Reactor, began: Nanos) {
    reactor.relay.relieve(&mut reactor.upstreams);
    // Flushing may start attempts that waited, and what they write must be flushed too.
    for _ in 0..TURN_FLUSHES {
        reactor.upstreams.flush(reactor.relay.turn.now, &mut reactor.relay);
        settle::settle(&mut reactor.relay, &mut reactor.upstreams);
        if !reactor.upstreams.is_dirty() {
            break;
        }
    }
    look::follow(reactor);
    ends::end_condemned(reactor);
    if reactor.upstreams.wants_others_connections() {
        reactor.switchboard.ask_for_places();
    }
    transmit::transmit(reactor);
    if reactor.listeners.closing > 0 {
        listen::close_done(reactor);
    }
    reactor.relay.held.settle(&reactor.upstreams.stats, &reactor.counters);
    reactor.relay.arm_timers(&mut reactor.timers);
    let sessions = reactor.upstreams.next_timer();
    reactor.timers.arm(&mut reactor.session_timer, sessions, SESSION_TIMER);
    look::arm(reactor);
    ask_for_turn(reactor);
    let now = reactor.relay.turn.clock.now();
    reactor.timers.set(now);
    metrics::count_turn(reactor, now - began);
}

/// Asks for another turn if work is left, after others on the thread have run.
pub fn ask_for_turn(reactor: &Reactor) {
    if reactor.relay.connections.is_dirty() || reactor.rounds.is_under_way() || reactor.relay.lane.is_due() || reactor.upstreams.is_dirty()
    {
        reactor.switchboard.wake();
    }
}
