//! Tells open connections that the edge drains, that their listener has left its address, or that
//! their client certificate is no longer accepted. Certificates are checked when the requirements
//! change, and periodically because certificates and revocation lists expire.
//!
//! Verifying one costs as much as in a handshake, and each connection that is told has something to
//! send. A turn therefore does a little; the next one continues.

use super::parts::Reactor;
use super::{ends, transmit};
use crate::base::panics;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::downstream::connection::Drain;
use std::time::{SystemTime, UNIX_EPOCH};

/// Time that a turn may spend on it.
const TURN_TIME: Nanos = 2_000_000;

/// Connections that a turn may tell something; each then has something to send.
const TURN_TOLD: usize = 32;

/// Seconds since 1970.
fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

/// Begins a round outside a turn, and tells the first connections at once.
pub fn begin(reactor: &mut Reactor) {
    reactor.rounds.begin();
    go_on(reactor);
    transmit::transmit(reactor);
    reactor.switchboard.wake();
    let now = reactor.relay.turn.now;
    reactor.timers.set(now);
}

/// Begins a round if requirements for clients have changed, or one is due.
pub fn follow(reactor: &mut Reactor) {
    let mut is_asking = false;
    for place in 0..reactor.listeners.room() {
        if !reactor.listeners.has(place) {
            continue;
        }
        let listener = &mut reactor.listeners[place];
        let version = listener.certificates.clients_version();
        is_asking |= version & 1 == 1;
        if listener.clients_version != version {
            listener.clients_version = version;
            reactor.rounds.begin();
        }
    }
    if is_asking && !reactor.relay.connections.is_empty() {
        reactor.rounds.begin_if_due(reactor.relay.turn.now);
    }
    go_on(reactor);
}

/// Continues the current round.
fn go_on(reactor: &mut Reactor) {
    if !reactor.rounds.is_under_way() {
        return;
    }
    let (unix_now, until) = (unix_now(), reactor.relay.turn.clock.now() + TURN_TIME);
    let mut told = 0;
    while told < TURN_TOLD && reactor.relay.turn.clock.now() < until {
        let Some(place) = reactor.rounds.next(reactor.relay.connections.slots(), reactor.relay.turn.now) else { break };
        if let Some(key) = reactor.relay.connections.key_at(place) {
            told += usize::from(look(reactor, key, unix_now));
        }
    }
}

/// Arms the timer of the next round.
pub fn arm(reactor: &mut Reactor) {
    let is_asking = reactor.listeners.iter().any(|listener| listener.clients_version & 1 == 1);
    let is_wanted = is_asking && !reactor.relay.connections.is_empty();
    reactor.rounds.arm(&mut reactor.timers, is_wanted, reactor.relay.turn.now);
}

/// Checks one connection against the present requirements for clients.
pub fn recheck(reactor: &mut Reactor, key: Key) {
    guarded(reactor, key, |reactor| does_not_pass(reactor, key, unix_now()));
}

/// Checks one connection. Returns true if it has something to send now.
fn look(reactor: &mut Reactor, key: Key, unix_now: i64) -> bool {
    guarded(reactor, key, |reactor| {
        let has_to_go = has_to_go(reactor, key);
        does_not_pass(reactor, key, unix_now) || has_to_go
    })
}

fn guarded(reactor: &mut Reactor, key: Key, look: impl FnOnce(&mut Reactor) -> bool) -> bool {
    let looked = panics::guard(|| {
        let is_told = look(reactor);
        if is_told {
            reactor.relay.connections.mark(key);
            ends::arm(reactor, key);
        }
        is_told
    });
    looked.unwrap_or_else(|_| {
        ends::end_panicked(reactor, key);
        true
    })
}

/// Whether a connection starts to drain: the edge drains, or its listener has left the address.
fn has_to_go(reactor: &mut Reactor, key: Key) -> bool {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return false };
    let listener = &reactor.listeners[connection.accepted.socket as usize];
    let has_left = listener.is_retiring || listener.number != connection.accepted.listener;
    let is_retired = has_left && !connection.end.is_retired;
    if is_retired {
        (connection.end.is_retired, connection.end.cut_at) = (true, reactor.rounds.cut_at);
    }
    let is_open = connection.is_open && connection.end.drain == Drain::No;
    if is_retired || reactor.relay.rules.is_draining {
        connection.notify_drain(reactor.relay.turn.now);
    }
    is_retired || is_open && reactor.relay.rules.is_draining
}

/// Whether a connection is ended because its client certificate is no longer accepted.
fn does_not_pass(reactor: &mut Reactor, key: Key, unix_now: i64) -> bool {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return false };
    let listener = &reactor.listeners[connection.accepted.socket as usize];
    // Another listener uses the socket now; the connection is draining already.
    if listener.number != connection.accepted.listener {
        return false;
    }
    let certificates = &listener.certificates;
    let Err(refused) = connection.recheck(&certificates.clients(), unix_now) else { return false };
    certificates.note_ended(refused);
    connection.condemn(reactor.relay.turn.now);
    true
}
