//! Phase 4, its end: connections that got packets are looked at: handshakes that ended, addresses
//! that changed, streams that have something to say.

use super::parts::Reactor;
use super::{ends, look};
use crate::base::counters::{Closed, Id, Refused};
use crate::base::panics::{self, plant};
use crate::base::slab::Key;
use crate::downstream::connection::Connection;
use crate::downstream::terms::Close;
use crate::quic::clients::ClientPlace;

/// Looks at connections that got packets: handshakes that ended, addresses that changed, streams that have something to say.
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
        // The handshake has shown that the client is where it says: now it counts there.
        match listener.client_limit.as_ref().map_or_else(|| Some(ClientPlace::default()), |limit| limit.take(connection.peer.ip())) {
            Some(place) => connection.place = place,
            None => return refuse_client(reactor, key),
        }
        connection.open(listener.settings.http.max_head_bytes, listener.keep_alive());
        // What is wanted may have changed during the handshake.
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

/// Ends a connection whose client has as many as it may: nothing of it was looked at, so that
/// the client may come again, here or elsewhere, with all it wanted.
fn refuse_client(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    connection.end.is_counted = true;
    // The code that a first datagram is refused with: it is the same refusal, found out later.
    connection.protocol.close(Close::Refused);
    reactor.counters.add_to(Id::ConnectionsRefused, Refused::ClientLimit as usize, 1);
    reactor.counters.add_to(Id::ConnectionsClosed, Closed::Refused as usize, 1);
}

/// Keeps addresses and connection IDs in step with quiche.
fn follow_paths(reactor: &mut Reactor, key: Key) {
    let Some(Connection { protocol, peer, .. }) = reactor.relay.connections.get_mut(key) else { return };
    let Some(transport) = protocol.transport() else { return };
    reactor.ids.follow(key, transport, |address| {
        *peer = address;
        // It goes on counting where it was opened (docs/design/limits.md).
        reactor.counters.add(Id::Migrations, 1);
    });
}
