//! Phase 4, its end: handles connections that received packets. Handshakes may be complete,
//! addresses changed, streams readable.

use super::parts::Reactor;
use super::{ends, look};
use crate::base::counters::{Closed, Id, Refused};
use crate::base::panics::{self, plant};
use crate::base::slab::Key;
use crate::downstream::connection::Connection;
use crate::downstream::terms::Close;
use crate::quic::clients::ClientPlace;

/// Handles every connection that received packets in this turn.
pub fn process_arrivals(reactor: &mut Reactor) {
    let mut place = 0;
    while let Some(key) = reactor.relay.connections.next_arrival(&mut place) {
        if panics::guard(|| process_arrival(reactor, key)).is_err() {
            ends::end_panicked(reactor, key);
        }
    }
}

fn process_arrival(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    plant::here("process");
    if !connection.is_open
        && !connection.end.is_counted
        && let Some(outcome) = connection.protocol.handshake()
    {
        let listener = &reactor.listeners[connection.accepted.socket as usize];
        reactor.counters.add_to(Id::Handshakes, outcome as usize, 1);
        // The handshake proves the client's address, so it counts against that client's limit now.
        match listener.client_limit.as_ref().map_or_else(|| Some(ClientPlace::default()), |limit| limit.take(connection.peer.ip())) {
            Some(place) => connection.place = place,
            None => return refuse_client(reactor, key),
        }
        connection.open(listener.settings.http.max_head_bytes, listener.keep_alive());
        // Settings may have changed during the handshake.
        let is_late = listener.is_late(connection.tls.generation());
        if reactor.relay.rules.is_draining || connection.end.is_retired {
            connection.notify_drain(reactor.relay.turn.now);
        }
        if is_late {
            look::recheck(reactor, key);
        }
    }
    if reactor.relay.connections.get(key).is_some_and(|connection| connection.is_open) {
        follow_paths(reactor, key);
        crate::relay::streams::process(&mut reactor.relay, &mut reactor.upstreams, key);
    }
}

/// Closes a connection whose client has as many as it may. Nothing was processed, so the client may
/// retry everything here or elsewhere.
fn refuse_client(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    connection.end.is_counted = true;
    // A first datagram is refused with the same code; this refusal only came later.
    connection.protocol.close(Close::Refused);
    reactor.counters.add_to(Id::ConnectionsRefused, Refused::ClientLimit as usize, 1);
    reactor.counters.add_to(Id::ConnectionsClosed, Closed::Refused as usize, 1);
}

/// Follows quiche's changes of addresses and connection IDs.
fn follow_paths(reactor: &mut Reactor, key: Key) {
    let Some(Connection { protocol, peer, .. }) = reactor.relay.connections.get_mut(key) else { return };
    let Some(transport) = protocol.transport() else { return };
    reactor.ids.follow(key, transport, |address| {
        *peer = address;
        // It still counts for the address that it was opened from (docs/design/limits.md).
        reactor.counters.add(Id::Migrations, 1);
    });
}
