//! Handles timers that are due.

use super::parts::Reactor;
use super::rounds::ROUND_TIMER;
use super::{ends, transmit};
use crate::base::panics;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos, Timers};
use crate::downstream::cause::Cause;
use crate::downstream::terms::Close;
use crate::lane;
use crate::relay::{ALARM_TIMER, SWEEP_TIMER, end, settle};

/// Timer owner of the sessions.
pub(super) const SESSION_TIMER: u64 = u64::MAX - 2;

/// Connection timers that a turn handles; each may produce packets.
const TURN_CONNECTIONS: usize = 64;

/// Handles due timers, up to [`TURN_CONNECTIONS`] of connections; the next turn follows at once.
pub fn take_timers(reactor: &mut Reactor, now: Nanos) {
    let mut connections = 0;
    while connections < TURN_CONNECTIONS
        && let Some((due, owner)) = reactor.timers.pop_due(now)
    {
        match owner {
            SWEEP_TIMER | ALARM_TIMER => reactor.relay.on_timer(&mut reactor.upstreams, owner, due),
            lane::TIMER => reactor.relay.lane.on_timer(due),
            SESSION_TIMER => {
                if Timers::is_current(&mut reactor.session_timer, due) {
                    reactor.upstreams.on_timer(now, &mut reactor.relay);
                    settle::settle(&mut reactor.relay, &mut reactor.upstreams);
                }
            }
            ROUND_TIMER => reactor.rounds.note_timer(due),
            connection => {
                connections += 1;
                on_connection_timer(reactor, Key::unpack(connection), due);
            }
        }
    }
}

/// Handles a connection's timer.
fn on_connection_timer(reactor: &mut Reactor, key: Key, due: Nanos) {
    if panics::guard(|| take_connection_timer(reactor, key, due)).is_err() {
        ends::end_panicked(reactor, key);
    }
}

fn take_connection_timer(reactor: &mut Reactor, key: Key, due: Nanos) {
    let now = reactor.relay.turn.now;
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    if !Timers::is_current(&mut connection.listed.armed, due) {
        return;
    }
    let handshake_timeout = reactor.listeners[connection.accepted.socket as usize].handshake_timeout();
    if connection.deadline(&reactor.relay.turn.clock, handshake_timeout) > now {
        return ends::arm(reactor, key);
    }
    connection.advance(now, &reactor.relay.turn.clock, handshake_timeout);
    if connection.end.cut_at <= now {
        cut_retired(reactor, key);
    }
    reactor.relay.connections.mark(key);
}

/// Cuts a connection whose drain deadline has passed.
fn cut_retired(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    connection.end.cut_at = NEVER;
    if !connection.is_open {
        connection.protocol.close(Close::Unopened);
        return;
    }
    let exchanges: Vec<Key> = connection.exchanges.values().copied().collect();
    for exchange in exchanges {
        reactor.relay.guarded(exchange, (), |relay| end::cut(relay, &mut reactor.upstreams, exchange));
    }
    // Send what ends its streams before the close, which says less.
    reactor.relay.connections.mark(key);
    transmit::transmit_one(reactor, key);
    reactor.relay.connections.close(key, Cause::Done);
}
