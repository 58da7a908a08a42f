//! Ends of connections, and their timer entries.

use super::parts::Reactor;
use crate::base::counters::{Closed, Handshake, Id};
use crate::base::panics::{self, Owner};
use crate::base::slab::Key;
use crate::downstream::connection::Connection;
use crate::downstream::terms::{Close, Left};
use crate::quic::clients::ClientPlace;
use crate::relay::end;
use crate::tls::facts;

pub fn arm(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    let handshake_timeout = reactor.listeners[connection.accepted.socket as usize].handshake_timeout();
    let deadline = connection.deadline(&reactor.relay.turn.clock, handshake_timeout);
    reactor.timers.arm(&mut connection.listed.armed, deadline, key.pack());
}

/// Ends the exchanges of a client that is gone.
pub fn end_exchanges(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get(key).filter(|connection| !connection.exchanges.is_empty()) else { return };
    let exchanges: Vec<Key> = connection.exchanges.values().copied().collect();
    for exchange in exchanges {
        end::client_left(&mut reactor.relay, &mut reactor.upstreams, exchange, Left::Gone);
    }
}

/// Removes a connection.
pub fn remove(reactor: &mut Reactor, key: Key) {
    count_end(reactor, key);
    end_exchanges(reactor, key);
    take_out(reactor, key);
}

/// Removes a connection from every table.
fn take_out(reactor: &mut Reactor, key: Key) -> Option<Box<Connection>> {
    let mut connection = reactor.relay.connections.remove(key)?;
    reactor.listeners[connection.accepted.socket as usize].leave();
    reactor.upstreams.client_gone(key.pack());
    connection.forget(&mut reactor.relay.held.account);
    if let Some(transport) = connection.protocol.transport() {
        reactor.ids.forget(transport);
    }
    reactor.counters.set(Id::ConnectionsOpen, 0, reactor.relay.connections.len() as u64);
    Some(connection)
}

/// Ends the connections whose exchanges panicked.
pub fn end_condemned(reactor: &mut Reactor) {
    while let Some(key) = reactor.relay.connections.next_condemned() {
        end_panicked(reactor, key);
    }
}

/// Ends a connection whose work panicked and left it in an unknown state. Tells the client if that
/// is still possible; asks nothing else of quiche.
pub fn end_panicked(reactor: &mut Reactor, key: Key) {
    reactor.relay.note_panic(Owner::Connection);
    // If the farewell or the cleanup panics too, the rest of it is skipped.
    let _ = panics::guard(|| say_farewell(reactor, key));
    end::fail_all(&mut reactor.relay, &mut reactor.upstreams, key);
    let Some(connection) = take_out(reactor, key) else { return };
    if !connection.end.is_counted {
        match connection.is_open {
            true => reactor.counters.add_to(Id::ConnectionsClosed, Closed::Panic as usize, 1),
            false => reactor.counters.add_to(Id::Handshakes, Handshake::Failed as usize, 1),
        }
    }
    let _ = panics::guard(|| drop(connection));
}

/// Sends CONNECTION_CLOSE if that works at once.
pub fn say_farewell(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    let listener = &mut reactor.listeners[connection.accepted.socket as usize];
    if !listener.output.is_blocked {
        connection.protocol.close(Close::Failed);
        let (max_payload, turn) = (listener.settings.quic.max_udp_payload, &reactor.relay.turn);
        connection.flush(&mut listener.output.sender, max_payload, false, turn.now, &turn.clock);
    }
}

/// Counts how a connection ended, once. It is kept a little longer for packets in flight (RFC 9000
/// §10.2).
pub fn count_end(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key).filter(|connection| !connection.end.is_counted) else { return };
    connection.end.is_counted = true;
    // It carries nothing any more, so its client may open another.
    connection.place = ClientPlace::default();
    let counters = &reactor.counters;
    if !connection.is_open {
        let age = reactor.relay.turn.now.saturating_sub(connection.accepted.at);
        let is_late = connection.protocol.closed_by() == Closed::Idle
            || age >= reactor.listeners[connection.accepted.socket as usize].handshake_timeout();
        if let Some(ssl) = connection.protocol.ssl() {
            facts::note_failure(ssl);
        }
        let outcome = if is_late { Handshake::TimedOut } else { Handshake::Failed };
        return counters.add_to(Id::Handshakes, outcome as usize, 1);
    }
    counters.add_to(Id::ConnectionsClosed, connection.protocol.closed_by() as usize, 1);
    counters.observe(Id::ConnectionAge, reactor.relay.turn.now.saturating_sub(connection.accepted.at) / 1_000_000);
    counters.observe(Id::ConnectionRtt, connection.protocol.rtt_us());
    let (_, sent, lost) = connection.protocol.stats().packets;
    if let Some(ppm) = (lost * 1_000_000).checked_div(sent) {
        counters.observe(Id::ConnectionLoss, ppm as u64);
    }
}
